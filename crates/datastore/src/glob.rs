//! Patterns of the datastore browser: `*` stands for any characters, `?` for one. Matching takes time
//! proportional to the length of the pattern times that of the name, whatever the pattern.

use crate::limits::MAX_PATTERN_BYTES;
use crate::{Error, Result};

/// A pattern for file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pattern: Vec<char>,
    ignore_case: bool,
}

impl Pattern {
    /// Compiles a pattern; `ignore_case` compares letters without their case.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Self> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(Error::Pattern);
        }
        Ok(Self { pattern: pattern.chars().map(|c| fold(c, ignore_case)).collect(), ignore_case })
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().map(|c| fold(c, self.ignore_case)).collect();
        let (mut p, mut n) = (0, 0);
        // Where to continue when the last star takes one more character.
        let mut retry = None;
        while n < name.len() {
            match self.pattern.get(p) {
                Some('*') => {
                    retry = Some((p, n));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => match retry {
                    Some((star, from)) => {
                        retry = Some((star, from + 1));
                        p = star + 1;
                        n = from + 1;
                    }
                    None => return false,
                },
            }
        }
        self.pattern[p..].iter().all(|c| *c == '*')
    }
}

fn fold(c: char, ignore_case: bool) -> char {
    if ignore_case { c.to_lowercase().next().unwrap_or(c) } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_whole_names() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("*.vmdk", "vm-000001.vmdk", true),
            ("*.vmdk", "vm.vmdk.bak", false),
            ("vm-??????.vmdk", "vm-000001.vmdk", true),
            ("vm-?????.vmdk", "vm-000001.vmdk", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("[a]*", "a", false),
            ("?", "ä", true),
            ("", "a", false),
        ] {
            assert_eq!(Pattern::new(pattern, false).unwrap().matches(name), fits, "{pattern} {name}");
        }
        assert!(!Pattern::new("*.ISO", false).unwrap().matches("debian.iso"));
        assert!(Pattern::new("*.ISO", true).unwrap().matches("Debian.iso"));
    }

    #[test]
    fn a_pattern_of_many_stars_ends() {
        let pattern = Pattern::new(&"*a".repeat(200), false).unwrap();
        assert!(!pattern.matches(&format!("{}b", "a".repeat(250))));
        assert!(matches!(Pattern::new(&"*".repeat(MAX_PATTERN_BYTES + 1), false), Err(Error::Pattern)));
    }

    /// The rule as it is said: a star is any number of characters, a question mark is one.
    fn fits(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=name.len()).any(|taken| fits(rest, &name[taken..])),
            ([c, rest @ ..], [first, name @ ..]) => (*c == '?' || c == first) && fits(rest, name),
            _ => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn matching_is_the_rule_itself(pattern in "[ab*?]{0,8}", name in "[abc]{0,10}") {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = fits(&characters(&pattern), &characters(&name));
            proptest::prop_assert_eq!(Pattern::new(&pattern, false).unwrap().matches(&name), expected);
        }
    }
}
