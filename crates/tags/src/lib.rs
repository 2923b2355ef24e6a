//! Tags: categories, their tags, and the objects that tags are attached to.
//!
//! [`Tags`] keeps them in memory, indexed both ways, and in the store: a change is durable before anybody sees it. Which change a
//! request makes is planned by `plan` (pure); `state` has the indexes. The crate knows no inventory: an object is a type and an id, and
//! whoever asks says which types it is of.
#![forbid(unsafe_code)]

mod error;
mod model;
mod plan;
mod state;
mod tags;
mod text;

pub(crate) type Result<T> = std::result::Result<T, TagError>;

pub use error::TagError;
pub use model::{Cardinality, Category, CategorySpec, CategoryUpdate, Object, Tag, TagSpec, TagUpdate};
pub use plan::Failure;
pub use tags::Tags;
pub use text::{
    MAX_ATTACHED, MAX_BULK, MAX_CATEGORIES, MAX_DESCRIPTION_BYTES, MAX_NAME_BYTES, MAX_ON_OBJECT, MAX_TAGS,
    MAX_TYPES, MAX_USERS,
};
