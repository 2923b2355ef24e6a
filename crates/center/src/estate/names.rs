//! Names of managed entities.

pub(crate) use vm::plan::parse_name as parse;
