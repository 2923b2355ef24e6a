//! The commands of `esxcli` over a host's own operations, and the managed objects by which clients call them.
//!
//! [`namespaces`] has a file for each namespace, with a row for each command; [`table`] says what a row consists of; [`wire`] makes
//! calls, help, types and answers of the rows. A new command is a new row, a new namespace a file and a line in
//! [`namespaces::all`]. Names, parameters and fields are those of ESXi 8, so that its clients find them; fields without a value
//! here are left out of answers. `docs/esxcli.md` describes the wire.
#![forbid(unsafe_code)]

#[macro_use]
mod table;
mod namespaces;
#[cfg(test)]
mod tests;
mod wire;

pub use wire::register;
