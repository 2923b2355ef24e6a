//! The result of every method.

use vim::{Fault, Value};

pub(crate) type Reply = Result<Option<Value>, Fault>;
