//! Permission checks beyond the privileges of methods: the entity whose permissions hold for an object, and the
//! datastores that a VM's specification names.

mod owner;
mod storage;

pub(crate) use owner::owner;
pub(crate) use storage::{BROWSE, MANAGE, StorageCheck};
