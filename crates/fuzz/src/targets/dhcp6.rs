//! A message to the DHCPv6 client of a VMkernel adapter; any station on its segment can send one.

use vswitch::limits::{DHCP_SERVERS, DHCP6_ADDRESSES, DHCP6_DOMAINS, DOMAIN_NAME};
use vswitch::vmkernel::dhcp6::Message;

pub(crate) fn run(bytes: &[u8]) {
    let Some(message) = Message::decode(bytes) else { return };
    assert!(message.dns.len() <= DHCP_SERVERS && message.domains.len() <= DHCP6_DOMAINS);
    assert!(message.domains.iter().all(|domain| (1..=DOMAIN_NAME).contains(&domain.len())));
    let association = message.association.as_ref();
    assert!(association.is_none_or(|part| part.addresses.len() <= DHCP6_ADDRESSES));
    // Encoding and decoding it again gives the same message, as far as clients encode it.
    let again = Message::decode(&message.encode()).expect("it names both sides");
    assert_eq!((again.kind, again.transaction), (message.kind, message.transaction));
    assert_eq!((again.client, again.server), (message.client, message.server));
    let addresses = |part: &vswitch::vmkernel::dhcp6::Association| {
        part.addresses.iter().map(|given| (given.address, given.preferred, given.valid)).collect::<Vec<_>>()
    };
    assert_eq!(again.association.as_ref().map(addresses), message.association.as_ref().map(addresses));
}
