//! The formats of a store and the steps between them. A program takes an older store forward, one step after the other, and
//! refuses one that a newer program wrote.

use crate::{Error, Result};

/// A step from one format to the next, as SQL of either database. It is taken in one transaction with the new version, so it
/// is taken whole or not at all.
pub(crate) struct Step {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

/// The first step leads from format 1 to 2, and so on. A new store is made in the newest format, by the tables of
/// `sqlite.rs` and `postgres/tables.rs`: whoever adds a step changes those too.
pub(crate) const STEPS: &[Step] = &[];

/// The newest format.
pub(crate) const FORMAT_VERSION: u32 = 1 + STEPS.len() as u32;

/// The steps that a store of format `found` has not seen.
pub(crate) fn remaining(found: u32, steps: &[Step]) -> Result<&[Step]> {
    let supported = 1 + u32::try_from(steps.len()).expect("steps are few");
    if found == 0 {
        return Err(Error::Corrupt("it has no format version".into()));
    }
    if found > supported {
        return Err(Error::NewerFormat { found, supported });
    }
    Ok(&steps[found as usize - 1..])
}
