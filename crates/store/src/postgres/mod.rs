//! A store in PostgreSQL. The database has what is durable; beside it the process keeps a copy in an SQLite file, which is
//! made anew when the store is opened.
//!
//! Since one process writes, and batches are deterministic, the copy is exact: the writer applies a group of batches to the
//! copy, sends what changed to the database in one transaction ([`effects`], [`session`]), and commits the copy once the
//! database has it. So reads never wait for the database, and see what is durable and nothing else, also while it is away.

mod effects;
mod load;
mod rewrite;
mod session;
mod tables;
mod target;
mod tls;
mod writer;

pub use target::Target;

pub(crate) use load::{Use, snapshot};
pub(crate) use rewrite::replace;
pub(crate) use writer::{Start, run};
