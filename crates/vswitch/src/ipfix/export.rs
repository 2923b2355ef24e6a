//! Datagrams for a collector.

use std::time::Duration;

use super::{Record, seconds, template};
use crate::limits::{IPFIX_LARGEST, IPFIX_SMALLEST, IPFIX_TEMPLATES};

const VERSION: u16 = 10;
/// Header of a message and of a set, in bytes.
const HEADER: usize = 16;
const SET_HEADER: usize = 4;

/// A message, and the number of flows in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    pub bytes: Vec<u8>,
    pub flows: usize,
}

/// One stream of messages to one collector, over UDP.
#[derive(Debug, Clone)]
pub struct Exporter {
    domain: u32,
    most_bytes: usize,
    one_of: u32,
    /// Records sent so far, modulo 2^32.
    sequence: u32,
    /// When templates were sent last.
    templates: Option<Duration>,
}

impl Exporter {
    /// `domain` distinguishes this switch's flows from others that the host exports. A message has at most `most_bytes`
    /// (the MTU less the headers of IP and UDP), within [`IPFIX_SMALLEST`] and [`IPFIX_LARGEST`]. One packet in every
    /// `one_of` is counted; the collector is told so.
    pub fn new(domain: u32, most_bytes: usize, one_of: u32) -> Self {
        let most_bytes = most_bytes.clamp(IPFIX_SMALLEST, IPFIX_LARGEST);
        Self { domain, most_bytes, one_of: one_of.max(1), sequence: 0, templates: None }
    }

    /// The messages for these flows, each a datagram. They begin with the templates if those are due (RFC 7011, 8.1:
    /// UDP loses them), so the caller must call at least every [`IPFIX_TEMPLATES`], without records if there are none.
    /// `now` counts from 1970-01-01 00:00 UTC.
    pub fn export(&mut self, now: Duration, records: &[Record]) -> Vec<Datagram> {
        let mut messages = Vec::new();
        if self.templates.is_none_or(|sent| now < sent || now - sent >= IPFIX_TEMPLATES) {
            self.templates = Some(now);
            let sets = [template::templates(), template::sampling(self.domain, self.one_of)].concat();
            messages.push(Datagram { bytes: self.message(now, &sets, 1), flows: 0 });
        }
        let (mut sets, mut open) = (Vec::new(), OpenSet::default());
        let mut count = 0_u32;
        for record in records {
            let (number, bytes) = template::record(record);
            let more = bytes.len() + if open.template == number { 0 } else { SET_HEADER };
            if HEADER + sets.len() + open.bytes() + more > self.most_bytes {
                open.close(&mut sets);
                messages.push(Datagram { bytes: self.message(now, &sets, count), flows: count as usize });
                sets.clear();
                count = 0;
            }
            if open.template != number {
                open.close(&mut sets);
                open.template = number;
            }
            open.contents.extend(bytes);
            count += 1;
        }
        open.close(&mut sets);
        if count > 0 {
            messages.push(Datagram { bytes: self.message(now, &sets, count), flows: count as usize });
        }
        messages
    }

    /// The header (RFC 7011, 3.1) and the sets; the sequence is that of the message's first record.
    fn message(&mut self, now: Duration, sets: &[u8], records: u32) -> Vec<u8> {
        let length = u16::try_from(HEADER + sets.len()).expect("a message has its limit");
        let mut message = Vec::with_capacity(length.into());
        message.extend(VERSION.to_be_bytes());
        message.extend(length.to_be_bytes());
        message.extend(seconds(now).to_be_bytes());
        message.extend(self.sequence.to_be_bytes());
        message.extend(self.domain.to_be_bytes());
        message.extend(sets);
        self.sequence = self.sequence.wrapping_add(records);
        message
    }
}

/// Records of one template, being collected.
#[derive(Default)]
struct OpenSet {
    template: u16,
    contents: Vec<u8>,
}

impl OpenSet {
    fn bytes(&self) -> usize {
        if self.contents.is_empty() { 0 } else { SET_HEADER + self.contents.len() }
    }

    fn close(&mut self, sets: &mut Vec<u8>) {
        if !self.contents.is_empty() {
            sets.extend(template::set(self.template, &self.contents));
        }
        *self = Self::default();
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
