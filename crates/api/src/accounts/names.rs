//! Names of accounts: as users write them, as the store keeps them, and as the API shows them.

/// Longest name of an account, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// The daemon to which accounts belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Realm {
    /// Plain names: `root`.
    Host,
    /// Names in a domain: `VSPHERE.LOCAL\Administrator`, also written `administrator@vsphere.local`.
    Center { domain: String },
}

impl Realm {
    /// A center's usual domain.
    pub fn vsphere_local() -> Self {
        Self::Center { domain: "vsphere.local".into() }
    }

    /// The name without its domain, if that is the realm's.
    pub(super) fn plain<'a>(&self, user: &'a str) -> Option<&'a str> {
        let plain = match self {
            Self::Host => user,
            Self::Center { domain } => {
                let split =
                    user.split_once('\\').or_else(|| user.rsplit_once('@').map(|(user, at)| (at, user)));
                match split {
                    Some((of, user)) => of.eq_ignore_ascii_case(domain).then_some(user)?,
                    None => user,
                }
            }
        };
        let fits = !plain.is_empty()
            && plain.len() <= MAX_NAME_BYTES
            && plain.chars().all(|c| c.is_alphanumeric() || "-._ ".contains(c))
            && plain.trim() == plain;
        fits.then_some(plain)
    }

    /// The key of an account or group in the store.
    pub(super) fn key(&self, user: &str) -> Option<String> {
        self.plain(user).map(str::to_lowercase)
    }

    /// A name of a principal as the API shows it: a plain one with the realm's domain, another one as it is.
    pub(super) fn canonical(&self, plain: &str) -> String {
        match self {
            _ if plain.contains('\\') => plain.to_owned(),
            Self::Host => plain.to_owned(),
            Self::Center { domain } => format!("{}\\{plain}", domain.to_uppercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_center_knows_an_account_in_every_spelling() {
        let realm = Realm::vsphere_local();
        for user in [
            "administrator@vsphere.local",
            "Administrator@VSPHERE.LOCAL",
            "VSPHERE.LOCAL\\Administrator",
            "vsphere.local\\administrator",
            "administrator",
        ] {
            assert_eq!(realm.key(user).as_deref(), Some("administrator"), "{user}");
        }
        for user in ["administrator@other", "OTHER\\administrator", "", "@vsphere.local", "a/b", " a", "a\nb"]
        {
            assert_eq!(realm.key(user), None, "{user:?}");
        }
        assert_eq!(realm.canonical("Administrator"), "VSPHERE.LOCAL\\Administrator");
        assert_eq!(Realm::Host.key("root").as_deref(), Some("root"));
        assert_eq!(Realm::Host.key("root@vsphere.local"), None);
    }
}
