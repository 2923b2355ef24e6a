//! Names of managed entities.

use vim::{Fault, MoRef, fault};

/// Longest name, in characters.
pub(crate) const MAX_NAME: usize = 80;

/// A name as it is stored: `%`, `/` and `\` become `%25`, `%2f`, `%5c`. An escaped name stays as it is.
///
/// # Errors
/// `InvalidName` for an empty or too long name, or one with control characters.
pub(crate) fn parse(name: &str, entity: Option<&MoRef>) -> Result<String, Fault> {
    let escaped = escape(name);
    let length = escaped.chars().count();
    if name.trim().is_empty() || length > MAX_NAME || name.chars().any(char::is_control) {
        let entity = entity.filter(|at| at.is_a(vim::managed_id!(ManagedEntity))).cloned();
        return Err(fault!(
            InvalidName { name: name, entity: entity },
            "The name '{}' is not valid: it needs 1 to {MAX_NAME} characters, none of them a control character",
            name.escape_debug()
        ));
    }
    Ok(escaped)
}

fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        match c {
            '%' if is_escape(&name[at..]) => out.push('%'),
            '%' => out.push_str("%25"),
            '/' => out.push_str("%2f"),
            '\\' => out.push_str("%5c"),
            c => out.push(c),
        }
    }
    out
}

fn is_escape(text: &str) -> bool {
    text.get(..3)
        .is_some_and(|text| ["%25", "%2f", "%5c"].iter().any(|known| text.eq_ignore_ascii_case(known)))
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
            assert_eq!(parse(given, None).ok().as_deref(), kept, "{given:?}");
        }
        assert!(parse(&"x".repeat(MAX_NAME), None).is_ok());
        assert!(parse(&"x".repeat(MAX_NAME + 1), None).is_err());
    }
}
