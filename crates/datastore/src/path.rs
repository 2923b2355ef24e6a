//! Names of files: [`FilePath`] within a datastore, and [`DatastorePath`], `[datastore] dir/file` in the vSphere API.
//! Both are checked when made, so that all other code can trust them: no `..`, nothing absolute, no NUL.

use std::fmt;
use std::str::FromStr;

use crate::limits::{MAX_COMPONENT_BYTES, MAX_DATASTORE_NAME, MAX_DEPTH, MAX_PATH_BYTES};

/// Prefix of names that the datastore reserves and that no path reaches.
pub(crate) const RESERVED_PREFIX: &str = ".esfera-";

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{path}\" is not a datastore path: {fault}")]
pub struct PathError {
    /// The text, shortened.
    pub path: String,
    /// The fault.
    pub fault: PathFault,
}

/// A fault of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// `[name]` is missing or not closed.
    #[error("write it as \"[datastore] directory/file\"")]
    NoDatastore,
    /// The name in brackets is empty, too long or has `/`, `\`, brackets or control characters.
    #[error("the name of the datastore is empty, too long, or has '/', '\\', brackets or control characters")]
    DatastoreName,
    /// The path begins with `/`.
    #[error("it must be relative to the datastore")]
    Absolute,
    /// A component is `..` or `.`.
    #[error("'.' and '..' are not allowed")]
    Dots,
    /// Two slashes in a row.
    #[error("it has an empty component")]
    EmptyComponent,
    /// Backslash, NUL or another control character.
    #[error("it has a backslash or a control character")]
    Character,
    /// Longer or deeper than the limits.
    #[error("it is too long or too deep")]
    TooLong,
    /// A name that the datastore reserves.
    #[error("names that begin with \".esfera-\" are reserved")]
    Reserved,
}

fn error(path: &str, fault: PathFault) -> PathError {
    PathError { path: path.chars().take(120).collect(), fault }
}

/// A path within a datastore: components joined by `/`, empty for the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FilePath(String);

impl FilePath {
    /// The root directory of a datastore.
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Checks a path; one `/` at the end is allowed and dropped.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        if text.starts_with('/') {
            return Err(error(text, PathFault::Absolute));
        }
        if path.is_empty() {
            return Ok(Self::root());
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(error(text, PathFault::TooLong));
        }
        for (depth, component) in path.split('/').enumerate() {
            check_component(component).map_err(|fault| error(text, fault))?;
            if depth >= MAX_DEPTH {
                return Err(error(text, PathFault::TooLong));
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// The path as text, empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the root directory.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last component, empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The last component without its extension.
    pub fn stem(&self) -> &str {
        let name = self.name();
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }

    /// Its directory; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            Some((parent, _)) => Some(Self(parent.to_owned())),
            None if self.is_root() => None,
            None => Some(Self::root()),
        }
    }

    /// A path below this one.
    pub fn join(&self, below: &str) -> Result<Self, PathError> {
        if below.starts_with('/') {
            return Err(error(below, PathFault::Absolute));
        }
        if self.is_root() { Self::parse(below) } else { Self::parse(&format!("{}/{below}", self.0)) }
    }

    /// A file beside this one, in the same directory.
    pub fn sibling(&self, name: &str) -> Result<Self, PathError> {
        self.parent().unwrap_or_default().join(name)
    }

    /// True for the path itself and for everything below it.
    pub fn contains(&self, other: &Self) -> bool {
        self.is_root()
            || other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Its components, from the root down.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|component| !component.is_empty())
    }
}

/// The rules for one component, in a path or in a directory.
pub(crate) fn check_component(component: &str) -> Result<(), PathFault> {
    if component.is_empty() {
        Err(PathFault::EmptyComponent)
    } else if component == "." || component == ".." {
        Err(PathFault::Dots)
    } else if component.len() > MAX_COMPONENT_BYTES {
        Err(PathFault::TooLong)
    } else if component.chars().any(|c| c.is_control() || c == '\\') {
        Err(PathFault::Character)
    } else if component.starts_with(RESERVED_PREFIX) {
        Err(PathFault::Reserved)
    } else {
        Ok(())
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "/" } else { &self.0 })
    }
}

impl FromStr for FilePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

/// A file on a datastore, `[datastore] dir/file`. The name is kept in the API's form: `/`, `\` and `%`
/// of a name are written `%2f`, `%5c` and `%25`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatastorePath {
    datastore: String,
    path: FilePath,
}

impl DatastorePath {
    /// A path on the datastore of that name, which may be escaped or not.
    pub fn new(datastore: &str, path: FilePath) -> Result<Self, PathError> {
        let name = escape_name(datastore);
        check_name(&name).map_err(|fault| error(datastore, fault))?;
        Ok(Self { datastore: name, path })
    }

    /// Reads `[datastore] dir/file`. The space may be missing or repeated; the path may be empty or `.` (the root) and
    /// may end in one `/`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let inner = text.strip_prefix('[').ok_or_else(|| error(text, PathFault::NoDatastore))?;
        let (name, path) = inner.split_once(']').ok_or_else(|| error(text, PathFault::NoDatastore))?;
        if name.contains(['/', '\\']) {
            return Err(error(text, PathFault::DatastoreName));
        }
        let name = escape_name(name);
        check_name(&name).map_err(|fault| error(text, fault))?;
        let path = path.trim_start_matches(' ');
        let path = if matches!(path, "." | "./") { "" } else { path };
        let path = FilePath::parse(path).map_err(|e| error(text, e.fault))?;
        Ok(Self { datastore: name, path })
    }

    /// The datastore's name as the API shows it (escaped).
    pub fn datastore(&self) -> &str {
        &self.datastore
    }

    /// The path within the datastore.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// The path within the datastore.
    pub fn into_path(self) -> FilePath {
        self.path
    }

    /// The same datastore with another path.
    pub fn with_path(&self, path: FilePath) -> Self {
        Self { datastore: self.datastore.clone(), path }
    }

    /// In the browser's form for folders: `[datastore] dir/`, and `[datastore] ` for the root.
    pub fn to_folder_string(&self) -> String {
        let slash = if self.path.is_root() { "" } else { "/" };
        format!("[{}] {}{slash}", self.datastore, self.path.0)
    }
}

impl fmt::Display for DatastorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_root() {
            write!(f, "[{}]", self.datastore)
        } else {
            write!(f, "[{}] {}", self.datastore, self.path.0)
        }
    }
}

impl FromStr for DatastorePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

/// Escapes a name as the inventory does: `/` and `\` always, `%` unless it begins one of the three escapes (vSphere
/// API reference, `ManagedEntity.name`).
pub fn escape_name(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        match c {
            '/' => escaped.push_str("%2f"),
            '\\' => escaped.push_str("%5c"),
            '%' if !begins_escape(&name[at..]) => escaped.push_str("%25"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn begins_escape(text: &str) -> bool {
    let code = text.as_bytes().get(1..3);
    code.is_some_and(|code| [&b"2f"[..], b"5c", b"25"].iter().any(|known| code.eq_ignore_ascii_case(known)))
}

fn check_name(name: &str) -> Result<(), PathFault> {
    let bad = |c: char| c.is_control() || matches!(c, '[' | ']' | '/' | '\\');
    if name.trim().is_empty() || name.chars().count() > MAX_DATASTORE_NAME || name.contains(bad) {
        return Err(PathFault::DatastoreName);
    }
    Ok(())
}
