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

/// The netmask of a prefix.
fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0)
}
