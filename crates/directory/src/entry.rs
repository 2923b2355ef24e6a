//! Users and groups as a directory tells of them.

use std::collections::BTreeSet;

use ldap3::SearchEntry;

use crate::source::Schema;

/// A name that is longer is passed over.
const MAX_NAME_BYTES: usize = 256;
/// A longer text is cut.
const MAX_TEXT_CHARS: usize = 256;
/// `ACCOUNTDISABLE` of Active Directory's `userAccountControl`.
const DISABLED: u32 = 2;

/// A user of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name by which he logs in, without a domain, in the directory's spelling.
    pub name: String,
    /// Distinguished name.
    pub dn: String,
    /// His name as people write it; empty if unknown.
    pub full_name: String,
    /// Mail address, if the directory has one.
    pub mail: Option<String>,
    /// Whether the directory has disabled him. OpenLDAP does not say.
    pub disabled: bool,
    /// Names of the groups to which he belongs, directly and through other groups. Filled by [`crate::Directory::login`] and
    /// [`crate::Directory::person`] only.
    pub groups: BTreeSet<String>,
}

/// A group of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name, without a domain.
    pub name: String,
    /// Distinguished name.
    pub dn: String,
    /// Its description; empty if unknown.
    pub description: String,
}

/// Attributes that a search for users asks for.
pub(crate) fn of_person(schema: Schema) -> Vec<&'static str> {
    vec![schema.user_name(), "displayName", "cn", "mail", "userAccountControl"]
}

/// Attributes that a search for groups asks for.
pub(crate) fn of_group(schema: Schema) -> Vec<&'static str> {
    vec![schema.group_name(), "description"]
}

impl Person {
    /// None if the entry has no usable name.
    pub(crate) fn read(schema: Schema, entry: &SearchEntry) -> Option<Self> {
        let full_name = text(entry, "displayName").or_else(|| text(entry, "cn")).unwrap_or_default();
        let control = text(entry, "userAccountControl").and_then(|flags| flags.parse::<u32>().ok());
        Some(Self {
            name: name(entry, schema.user_name())?,
            dn: entry.dn.clone(),
            full_name,
            mail: text(entry, "mail"),
            disabled: control.is_some_and(|flags| flags & DISABLED != 0),
            groups: BTreeSet::new(),
        })
    }
}

impl Group {
    /// None if the entry has no usable name.
    pub(crate) fn read(schema: Schema, entry: &SearchEntry) -> Option<Self> {
        Some(Self {
            name: name(entry, schema.group_name())?,
            dn: entry.dn.clone(),
            description: text(entry, "description").unwrap_or_default(),
        })
    }
}

/// The first value of an attribute. The server chooses how it spells attributes.
fn text(entry: &SearchEntry, attribute: &str) -> Option<String> {
    let found = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
    let value = found?.1.first().filter(|value| !value.is_empty())?;
    Some(value.chars().filter(|c| !c.is_control()).take(MAX_TEXT_CHARS).collect())
}

/// A name that principals can have: those of permissions separate the domain by `\` and `@`.
fn name(entry: &SearchEntry, attribute: &str) -> Option<String> {
    let found = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
    let value = found?.1.first()?;
    let usable = |c: char| !c.is_control() && !matches!(c, '\\' | '@' | '/');
    let fits = !value.is_empty() && value.len() <= MAX_NAME_BYTES && value.chars().all(usable);
    fits.then(|| value.clone())
}
