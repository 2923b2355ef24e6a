//! Objects as keys.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

use vim::MoRef;

/// An object's id as the key of the tree: ids are unique over all types.
#[derive(Clone, Debug)]
pub(super) struct ById(pub MoRef);

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for ById {}

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        self.0.id()
    }
}
