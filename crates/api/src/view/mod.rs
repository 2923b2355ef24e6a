//! The property collector.

use crate::{Methods, Service};

pub(crate) fn register(_: &mut Methods) {}
pub(crate) fn compute(_: &mut Service) {}
