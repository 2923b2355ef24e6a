//! A frame to the DHCP client of a VMkernel adapter; any station on its segment can send one.

use vswitch::limits::{DHCP_SERVERS, DOMAIN_NAME};

pub(crate) fn run(frame: &[u8]) {
    let Some((_, message)) = vswitch::vmkernel::dhcp::read_frame(frame) else { return };
    assert!(message.prefix.is_none_or(|prefix| prefix <= 32));
    assert!(message.dns.len() <= DHCP_SERVERS);
    assert!(message.domain.as_ref().is_none_or(|domain| domain.len() <= DOMAIN_NAME));
    let _ = message.encode();
}
