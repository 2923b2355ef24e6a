//! Durable state as batches of typed operations, kept in SQLite.
//!
//! A [`Batch`] is atomic, deterministic to apply and idempotent by its id, so the same batch can be written here,
//! replicated and replayed. [`Store::commit`] answers only when the batch is durable; batches that wait together
//! share one transaction. Start at [`Store`]; the file format is in `FORMAT.md`.
#![forbid(unsafe_code)]

mod batch;
mod digest;
mod error;
mod limits;
mod sqlite;
mod store;
mod typed;
mod view;
mod writer;

pub use batch::{Batch, BatchId, Committed, Op};
pub use error::{Error, Result};
pub use limits::*;
pub use store::{Options, Store};
pub use typed::{Collection, Log};
pub use view::{Entry, Record, View};
