//! Durable state as batches of typed operations, kept in SQLite or PostgreSQL.
//!
//! A [`Batch`] is atomic, deterministic to apply and idempotent by its id, so the same batch can be written here,
//! replicated and replayed. [`Store::commit`] answers only when the batch is durable; batches that wait together
//! share one transaction. Start at [`Store`]; the formats are in `FORMAT.md`.
#![forbid(unsafe_code)]

mod batch;
mod digest;
mod error;
mod limits;
mod migrate;
mod place;
mod postgres;
mod sqlite;
mod store;
mod transfer;
mod typed;
mod view;
mod writer;

pub use batch::{Batch, BatchId, Committed, Op};
pub use error::{Error, Result};
pub use limits::*;
pub use place::{Place, Survey, Table};
pub use postgres::Target;
pub use store::{Options, Store};
pub use transfer::Totals;
pub use typed::{Collection, Log};
pub use view::{Entry, Record, View};
pub use writer::Outage;
