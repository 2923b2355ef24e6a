//! The form of records: templates (RFC 7011, 3.4) of elements (IANA, *IPFIX Information Elements*), and records after
//! them.

use super::{Addresses, Record, milliseconds};

/// Numbers of sets (RFC 7011, 3.3.2); from 256 on those of templates.
pub(super) const TEMPLATE_SET: u16 = 2;
pub(super) const OPTIONS_SET: u16 = 3;
pub(super) const IPV4: u16 = 256;
pub(super) const IPV6: u16 = 257;
pub(super) const SAMPLING: u16 = 258;

/// Element and its length in bytes.
type Field = (u16, u16);

const V4_ADDRESSES: [Field; 2] = [(8, 4), (12, 4)];
const V6_ADDRESSES: [Field; 2] = [(27, 16), (28, 16)];
const COMMON: [Field; 13] = [
    // sourceTransportPort, destinationTransportPort
    (7, 2),
    (11, 2),
    // protocolIdentifier, ipClassOfService
    (4, 1),
    (5, 1),
    // octetDeltaCount, packetDeltaCount
    (1, 8),
    (2, 8),
    // flowStartMilliseconds, flowEndMilliseconds
    (152, 8),
    (153, 8),
    // ingressInterface, egressInterface
    (10, 4),
    (14, 4),
    // vlanId, flowEndReason, flowDirection
    (58, 2),
    (136, 1),
    (61, 1),
];
/// The scope, observationDomainId, then samplingInterval and samplingAlgorithm.
const OPTIONS: [Field; 3] = [(149, 4), (34, 4), (35, 1)];
const SCOPES: u16 = 1;
/// *Deterministic* sampling.
const DETERMINISTIC: u8 = 1;

/// The sets that describe all records.
pub(super) fn templates() -> Vec<u8> {
    let flows = [(IPV4, V4_ADDRESSES), (IPV6, V6_ADDRESSES)].map(|(number, addresses)| {
        let fields = [&addresses[..], &COMMON].concat();
        [number.to_be_bytes(), count(&fields)]
            .concat()
            .into_iter()
            .chain(described(&fields))
            .collect::<Vec<u8>>()
    });
    let head = [SAMPLING.to_be_bytes(), count(&OPTIONS), SCOPES.to_be_bytes()].concat();
    let options: Vec<u8> = head.into_iter().chain(described(&OPTIONS)).collect();
    [set(TEMPLATE_SET, &flows.concat()), set(OPTIONS_SET, &options)].concat()
}

fn count(fields: &[Field]) -> [u8; 2] {
    u16::try_from(fields.len()).expect("are few").to_be_bytes()
}

fn described(fields: &[Field]) -> impl Iterator<Item = u8> {
    fields.iter().flat_map(|(element, length)| [element.to_be_bytes(), length.to_be_bytes()]).flatten()
}

/// The sampling rate: one packet in `one_of`.
pub(super) fn sampling(domain: u32, one_of: u32) -> Vec<u8> {
    let record = [&domain.to_be_bytes()[..], &one_of.to_be_bytes(), &[DETERMINISTIC]].concat();
    set(SAMPLING, &record)
}

/// A set with its header; these sets need no padding.
pub(super) fn set(number: u16, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + contents.len()).expect("is bounded by the message");
    [&number.to_be_bytes()[..], &length.to_be_bytes(), contents].concat()
}

/// The template of a record, and its contents.
pub(super) fn record(record: &Record) -> (u16, Vec<u8>) {
    let key = &record.key;
    let mut bytes = Vec::with_capacity(96);
    let template = match key.addresses {
        Addresses::V4 { source, destination } => {
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            IPV4
        }
        Addresses::V6 { source, destination } => {
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            IPV6
        }
    };
    bytes.extend(key.source_port.to_be_bytes());
    bytes.extend(key.destination_port.to_be_bytes());
    bytes.extend([key.protocol, key.class]);
    bytes.extend(record.octets.to_be_bytes());
    bytes.extend(record.packets.to_be_bytes());
    bytes.extend(milliseconds(record.start).to_be_bytes());
    bytes.extend(milliseconds(record.last).to_be_bytes());
    bytes.extend(key.ingress.to_be_bytes());
    bytes.extend(key.egress.to_be_bytes());
    bytes.extend(key.vlan.to_be_bytes());
    bytes.extend([record.end as u8, key.direction as u8]);
    (template, bytes)
}
