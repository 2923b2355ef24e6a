//! `esxcli network ip`: VMkernel adapters and TCP/IP stacks.

pub(crate) mod connection;
pub(crate) mod dns;
pub(crate) mod interface;
pub(crate) mod neighbor;
pub(crate) mod netstack;
pub(crate) mod route;
#[cfg(test)]
mod shown;
mod stacks;
