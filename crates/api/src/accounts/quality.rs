//! How good a password has to be: the rules of `Security.PasswordQualityControl`, which has the syntax of pam_passwdqc, as on ESXi.
//!
//! `min=N0,N1,N2,N3,N4` has the least lengths of passwords with characters of one class, of two, of passphrases, of three and of four;
//! `disabled` refuses a kind. The classes are lower case, upper case, digits and others. A capital letter at the beginning and a digit at
//! the end belong to no class, because people put them there.

use super::AccountError;

/// ESXi's default.
pub(super) const DEFAULT: &str = "retry=3 min=disabled,disabled,disabled,7,7";
const MAX_TEXT_BYTES: usize = 256;
const MAX_LENGTH: usize = 512;
/// Words of a passphrase, unless `passphrase=` says otherwise.
const WORDS: usize = 3;
/// A shorter name may occur in a password.
const SHORTEST_NAME: usize = 3;

/// The rules, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quality {
    /// The least length of each kind; none for a kind that is refused.
    min: [Option<usize>; 5],
    words: usize,
    /// Whether a password may be like the user's name.
    similar: bool,
}

impl Quality {
    /// Reads the rules; none if the text is not well formed.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let mut read = Self { min: [None, None, None, Some(7), Some(7)], words: WORDS, similar: false };
        for part in text.split_ascii_whitespace() {
            let (key, value) = part.split_once('=')?;
            match key {
                // The number of attempts at a prompt that we do not have.
                "retry" => drop(value.parse::<u8>().ok()?),
                "passphrase" => read.words = value.parse().ok().filter(|words| (0..=16).contains(words))?,
                "similar" => {
                    read.similar = matches!(value, "permit" | "deny").then_some(value == "permit")?
                }
                "min" => {
                    let lengths: Vec<&str> = value.split(',').collect();
                    let lengths: [&str; 5] = lengths.try_into().ok()?;
                    for (place, length) in read.min.iter_mut().zip(lengths) {
                        *place = match length {
                            "disabled" => None,
                            number => Some(number.parse().ok().filter(|length| *length <= MAX_LENGTH)?),
                        };
                    }
                    // A better kind never needs more characters, and so at least one kind is admitted if the last one is.
                    read.min[4]?;
                }
                _ => return None,
            }
        }
        Some(read)
    }

    /// # Errors
    /// [`AccountError::WeakPassword`] that says what is missing.
    pub(super) fn check(&self, name: &str, password: &str) -> Result<(), AccountError> {
        let weak = |why: String| Err(AccountError::WeakPassword(why));
        let (name, lower) = (name.to_lowercase(), password.to_lowercase());
        if !self.similar && name.chars().count() >= SHORTEST_NAME && lower.contains(&name) {
            return weak("it contains the name of the user".into());
        }
        let length = password.chars().count();
        let long_enough = |kind: usize| self.min[kind].is_some_and(|least| length >= least);
        let classes = classes(password);
        let kind = if classes >= 3 { classes } else { classes.saturating_sub(1) };
        let words = password.split_whitespace().count();
        if long_enough(kind) || (self.words > 0 && words >= self.words && long_enough(2)) {
            return Ok(());
        }
        weak(self.wanted())
    }

    fn wanted(&self) -> String {
        let kinds = ["one class", "two classes", "a passphrase", "three classes", "four classes"];
        let admitted = kinds.iter().zip(&self.min).filter_map(|(kind, least)| {
            least.map(|least| match *kind {
                "a passphrase" => format!("{least} in at least {} words", self.words),
                kind => format!("{least} of {kind}"),
            })
        });
        let admitted: Vec<String> = admitted.collect();
        format!(
            "it needs this many characters: {}; the classes are lower case, upper case (not only the first character), digits (not only \
             the last one) and others",
            admitted.join(", or ")
        )
    }
}

/// The number of classes of characters, 1 to 4.
fn classes(password: &str) -> usize {
    let chars: Vec<char> = password.chars().collect();
    let last = chars.len().saturating_sub(1);
    let has = |fits: &dyn Fn(usize, char) -> bool| chars.iter().enumerate().any(|(at, c)| fits(at, *c));
    let found = [
        has(&|_, c| c.is_lowercase()),
        has(&|at, c| c.is_uppercase() && at > 0),
        has(&|at, c| c.is_ascii_digit() && at < last),
        has(&|_, c| !c.is_lowercase() && !c.is_uppercase() && !c.is_ascii_digit()),
    ];
    found.into_iter().filter(|found| *found).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_needs_a_length_that_depends_on_its_classes() {
        let quality = |text: &str| Quality::read(text).unwrap();
        let usual = quality(DEFAULT);
        let long = quality("min=24,12,16,10,8");
        let cases = [
            (&usual, "", false),
            (&usual, "lowercaseonly", false),
            (&usual, "Password1", false),
            (&usual, "pass-Word", true),
            (&usual, "p-4Word", true),
            (&usual, "p-4Wor", false),
            (&usual, "zoe-Likes-4", false),
            (&long, "aaaaaaaaaaaaaaaaaaaaaaaa", true),
            (&long, "aaaaaaaaaaaaaaaaaaaaaaa", false),
            (&long, "correct horse battery", true),
            (&long, "a-4Bcdefg", true),
            (&long, "a-4bcdefg", false),
        ];
        for (quality, password, good) in cases {
            assert_eq!(quality.check("Zoe", password).is_ok(), good, "{password:?}");
        }
        assert!(quality("min=1,1,1,1,1 similar=permit").check("zoe", "zoe").is_ok());
    }

    #[test]
    fn rules_that_are_not_well_formed_are_not_read() {
        for wrong in [
            "min=1,2,3",
            "min=a,b,c,d,e",
            "min=1,1,1,1,disabled",
            "max=3",
            "retry",
            "similar=x",
            "min=1,1,1,1,9999",
        ] {
            assert_eq!(Quality::read(wrong), None, "{wrong}");
        }
    }
}
