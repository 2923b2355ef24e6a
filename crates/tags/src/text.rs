//! The limits of tags, and what their texts may be.

use std::collections::BTreeSet;

use crate::TagError;

pub const MAX_CATEGORIES: usize = 1_000;
pub const MAX_TAGS: usize = 20_000;
/// Tags on one object.
pub const MAX_ON_OBJECT: usize = 100;
/// Attachments of all tags together.
pub const MAX_ATTACHED: usize = 2_000_000;
/// Tags or objects in one request.
pub const MAX_BULK: usize = 50_000;
pub const MAX_NAME_BYTES: usize = 256;
pub const MAX_DESCRIPTION_BYTES: usize = 4_096;
/// Types that a category is for.
pub const MAX_TYPES: usize = 64;
/// Users of a category or tag.
pub const MAX_USERS: usize = 64;

/// Checks a name: not empty, without control characters, without blanks around it.
pub(crate) fn name(text: &str) -> Result<String, TagError> {
    if text.is_empty() || text.len() > MAX_NAME_BYTES {
        return Err(TagError::Invalid(format!("A name has 1 to {MAX_NAME_BYTES} bytes")));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        let problem = "A name has no control characters, and no blanks at its ends";
        return Err(TagError::Invalid(problem.to_owned()));
    }
    Ok(text.to_owned())
}

pub(crate) fn description(text: &str) -> Result<String, TagError> {
    if text.len() > MAX_DESCRIPTION_BYTES {
        return Err(TagError::Invalid(format!("A description has at most {MAX_DESCRIPTION_BYTES} bytes")));
    }
    Ok(text.to_owned())
}

/// Checks the types that a category is for.
pub(crate) fn types(given: BTreeSet<String>) -> Result<BTreeSet<String>, TagError> {
    if given.len() > MAX_TYPES {
        return Err(TagError::Invalid(format!("A category names at most {MAX_TYPES} types")));
    }
    for one in &given {
        name(one)?;
    }
    Ok(given)
}

/// An id as clients know it: that which they ask for, or a new one.
pub(crate) fn id(kind: &str, wanted: Option<&str>) -> Result<String, TagError> {
    let (before, after) = (format!("urn:vmomi:{kind}:"), ":GLOBAL");
    let Some(wanted) = wanted else { return Ok(format!("{before}{}{after}", uuid::Uuid::new_v4())) };
    let middle = wanted.strip_prefix(&before).and_then(|rest| rest.strip_suffix(after));
    match middle.and_then(|middle| uuid::Uuid::try_parse(middle).ok().filter(|id| id.to_string() == middle)) {
        Some(_) => Ok(wanted.to_owned()),
        None => Err(TagError::Invalid(format!("The id must be {before}<UUID>{after}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_people_can_read_and_an_id_one_that_clients_know() {
        for good in ["a", "Größe / 1", "urn:x"] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "a\nb", "\u{7}", &"a".repeat(MAX_NAME_BYTES + 1)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
        let new = id("InventoryServiceTag", None).unwrap();
        assert_eq!(id("InventoryServiceTag", Some(&new)).unwrap(), new);
        for bad in ["x", "urn:vmomi:InventoryServiceTag:x:GLOBAL", &new.replace("Tag", "Category"), ""] {
            assert!(id("InventoryServiceTag", Some(bad)).is_err(), "{bad:?}");
        }
    }
}
