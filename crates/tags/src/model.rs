//! Categories, tags and objects.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How many tags of a category one object may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cardinality {
    Single,
    Multiple,
}

/// A category: tags of one meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    pub id: String,
    pub name: String,
    pub description: String,
    pub cardinality: Cardinality,
    /// The types of the objects that its tags are for; none for all.
    pub types: BTreeSet<String>,
    /// The parts of other software that use it.
    pub used_by: BTreeSet<String>,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    pub id: String,
    /// The id of its category.
    pub category: String,
    pub name: String,
    pub description: String,
    pub used_by: BTreeSet<String>,
}

/// A category to be made.
#[derive(Clone, Debug)]
pub struct CategorySpec {
    /// An id that the client chooses.
    pub id: Option<String>,
    pub name: String,
    pub description: String,
    pub cardinality: Cardinality,
    pub types: BTreeSet<String>,
}

/// Changes of a category.
#[derive(Clone, Debug, Default)]
pub struct CategoryUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
    pub cardinality: Option<Cardinality>,
    pub types: Option<BTreeSet<String>>,
}

/// A tag to be made.
#[derive(Clone, Debug)]
pub struct TagSpec {
    /// An id that the client chooses.
    pub id: Option<String>,
    pub category: String,
    pub name: String,
    pub description: String,
}

/// Changes of a tag.
#[derive(Clone, Debug, Default)]
pub struct TagUpdate {
    pub name: Option<String>,
    pub description: Option<String>,
}

/// An object that may have tags. Copies share its texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object(Arc<(Box<str>, Box<str>)>);

impl Object {
    /// An object by its type and its id.
    pub fn new(ty: &str, id: &str) -> Self {
        Self(Arc::new((id.into(), ty.into())))
    }

    pub fn id(&self) -> &str {
        &self.0.0
    }

    /// The name of its type, as `VirtualMachine`.
    pub fn ty(&self) -> &str {
        &self.0.1
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.ty(), self.id())
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
