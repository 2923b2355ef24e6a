//! A client of a server's API, as the command line and the lab use it: sessions, the inventory, failures and output.

pub mod escape;
pub mod failure;
pub mod inventory;
pub mod output;
pub mod progress;
pub mod session;
pub mod target;
pub mod terminal;
