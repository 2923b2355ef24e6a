//! Serves the vSphere automation API: REST below `/api` and the older `/rest`, and JSON-RPC at `POST /api`, from the table
//! of the crate `vapi`.
//!
//! [`Automation`] is the protocol that a server is given. A request becomes an operation of the table (`route`, `rpc`) with
//! its parameters read by their types (`input`); a family of operations does it (`families`, a file and a row each).
#![forbid(unsafe_code)]

mod families;
mod fault;
mod input;
mod inventory;
mod openapi;
mod operation;
mod pages;
mod protocol;
mod route;
mod rpc;
mod web;

pub use protocol::{Automation, served};
