//! Names of VMs and of all other managed entities.

use datastore::escape_name;
use vim::{Fault, MoRef, fault, managed_id};

use crate::limits::MAX_NAME;

/// A name as it is kept: `%`, `/` and `\` become `%25`, `%2f`, `%5c`. An escaped name stays as it is, so that one name
/// has one spelling. `entity` is the object that is to have it, if there is one.
///
/// # Errors
/// `InvalidName` for an empty or too long name, or one with control characters.
pub fn parse_name(name: &str, entity: Option<&MoRef>) -> Result<String, Fault> {
    let escaped = escape_name(name);
    let bad =
        name.trim().is_empty() || escaped.chars().count() > MAX_NAME || name.chars().any(char::is_control);
    if bad {
        let entity = entity.filter(|at| at.is_a(managed_id!(ManagedEntity))).cloned();
        return Err(fault!(
            InvalidName { name: name, entity: entity },
            "The name '{}' is not valid: it needs 1 to {MAX_NAME} characters, none of them a control character",
            name.escape_debug()
        ));
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_escaped_once() {
        for (given, kept) in [
            ("web 1", Some("web 1")),
            ("a/b\\c%d", Some("a%2fb%5cc%25d")),
            ("a%2Fb%25", Some("a%2Fb%25")),
            ("%2", Some("%252")),
            ("ä%", Some("ä%25")),
            ("", None),
            (" ", None),
            ("a\nb", None),
        ] {
            assert_eq!(parse_name(given, None).ok().as_deref(), kept, "{given:?}");
        }
        assert!(parse_name(&"x".repeat(MAX_NAME), None).is_ok());
        assert!(parse_name(&"x".repeat(MAX_NAME + 1), None).is_err());
    }
}
