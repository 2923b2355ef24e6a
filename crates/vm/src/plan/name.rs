//! Names of VMs and of all other managed entities.

use datastore::escape_name;
use vim::{Fault, MoRef, fault, managed_id};

use crate::limits::MAX_NAME;

/// A name as it is kept: `%`, `/` and `\` become `%25`, `%2f`, `%5c`. An escaped name stays as it is, so that one name
/// has one spelling. `entity` is the object that is to have it, if there is one.
///
/// # Errors
/// `InvalidName` for an empty or too long name, or one with control characters or characters that turn or break the line.
pub fn parse_name(name: &str, entity: Option<&MoRef>) -> Result<String, Fault> {
    let escaped = escape_name(name);
    let bad = name.trim().is_empty() || escaped.chars().count() > MAX_NAME || name.chars().any(is_deceptive);
    if bad {
        let entity = entity.filter(|at| at.is_a(managed_id!(ManagedEntity))).cloned();
        return Err(fault!(
            InvalidName { name: name, entity: entity },
            "The name '{}' is not valid: it needs 1 to {MAX_NAME} characters, none of them a control character or one that turns the direction of a text",
            name.escape_debug()
        ));
    }
    Ok(escaped)
}

/// Whether a character could make a name look like another one, or like several lines. Marks that Arabic, Hebrew or Persian words
/// have are none of these.
fn is_deceptive(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
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
