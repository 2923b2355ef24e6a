//! Search.

use crate::Methods;

pub(crate) fn register(_: &mut Methods) {}
