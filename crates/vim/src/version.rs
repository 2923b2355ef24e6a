//! The releases of the API, and the one that a client speaks.

use std::fmt::Write;
use std::sync::LazyLock;

use crate::{Release, api_release, schema};

/// The oldest release on offer. The two before it are in the schema because some types are that old.
const OLDEST_OFFERED: &str = "2.5u2";
/// A release that only servers used among themselves.
const NEVER_OFFERED: &str = "2.5u2server";

/// The release that a client names in its `SOAPAction` header: `"urn:vim25/8.0.2.0"`, quotes optional.
///
/// A release that the schema lacks counts as the newest one before it. A client that names none speaks ours. The result
/// is never newer than [`api_release`].
pub fn release_of_soap_action(header: Option<&str>) -> Release {
    let named = header.and_then(|header| {
        let text = header.trim().trim_matches(['"', '\'']);
        // Other services count their own releases.
        if text.starts_with("urn:pbm") {
            return None;
        }
        let (_, id) = text.rsplit_once('/')?;
        find(id.trim())
    });
    named.unwrap_or_else(api_release).min(api_release())
}

/// The release with this id, or the newest one before it; `None` if the id is not a dotted number.
fn find(id: &str) -> Option<Release> {
    if let Some(release) = schema().release(id) {
        return Some(release);
    }
    let asked = dotted(id)?;
    let older = schema().releases.iter().filter(|known| dotted(known).is_some_and(|known| known <= asked));
    schema().release(older.max_by_key(|known| dotted(known))?)
}

/// The four numbers of a release id; missing ones are zero.
fn dotted(id: &str) -> Option<[u32; 4]> {
    let mut numbers = [0; 4];
    for (at, part) in id.split('.').enumerate() {
        *numbers.get_mut(at)? = part.parse().ok()?;
    }
    Some(numbers)
}

/// The text of `vimServiceVersions.xml`: the releases on offer, newest first.
pub fn service_versions_xml() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let oldest = schema().release(OLDEST_OFFERED).expect("the oldest release is in the schema");
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<namespaces version=\"1.0\"><namespace>\
                        <name>urn:vim25</name>"
            .to_owned();
        let mut older = String::new();
        for id in schema().releases.iter().rev() {
            let release = schema().release(id).expect("it is one of the schema's");
            if !(oldest..=api_release()).contains(&release) || *id == NEVER_OFFERED {
                continue;
            }
            let to = if release == api_release() { &mut text } else { &mut older };
            write!(to, "<version>{id}</version>").expect("a string takes everything");
        }
        text + "<priorVersions>" + &older + "</priorVersions></namespace></namespaces>\n"
    });
    &TEXT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_the_one_named_or_the_newest_before_it() {
        for (header, release) in [
            (Some("\"urn:vim25/8.0.2.0\""), "8.0.2.0"),
            (Some("urn:vim25/6.5"), "6.5"),
            (Some(" 'urn:vim25/2.5u2' "), "2.5u2"),
            (Some("urn:vim25/7.0"), "7.0.0.0"),
            (Some("urn:vim25/8.0.1.7"), "8.0.1.0"),
            (Some("urn:vim25/9.1.0.0"), "8.0.3.0"),
            (Some("urn:vim25/12"), "8.0.3.0"),
            (Some("urn:vim25/nonsense"), "8.0.3.0"),
            (Some("urn:vim25"), "8.0.3.0"),
            (Some("\"\""), "8.0.3.0"),
            (None, "8.0.3.0"),
        ] {
            let found = release_of_soap_action(header);
            assert_eq!(schema().releases[usize::from(found.0)], release, "{header:?}");
        }
    }

    #[test]
    fn the_versions_run_from_ours_to_the_oldest_offered() {
        let text = service_versions_xml();
        let versions: Vec<_> = text.split("<version>").skip(1).filter_map(|t| t.split('<').next()).collect();
        assert_eq!(versions.first(), Some(&"8.0.3.0"));
        assert_eq!(versions.last(), Some(&"2.5u2"));
        assert!(versions.contains(&"6.7.3") && !versions.contains(&"2.5u2server"));
        assert!(!versions.contains(&"9.0.0.0"));
    }
}
