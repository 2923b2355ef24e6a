//! The flow cache: packets in, records out when a flow ends, goes on for too long, or must make room (RFC 5470, 5.1).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::{End, Key, Record};
use crate::limits::{IPFIX_FLOWS, IPFIX_PENDING};

/// When a flow that does not end by itself gets a record; vSphere's defaults are 60 s and 15 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// A flow in progress gets a record after this long.
    pub active: Duration,
    /// A flow has ended after this long without a packet.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { active: Duration::from_secs(60), idle: Duration::from_secs(15) }
    }
}

/// A packet, or several of one flow that were counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    pub key: Key,
    /// From the IP header on.
    pub octets: u64,
    pub packets: u64,
    /// When the first packet came.
    pub first: Duration,
    /// The packet ends the flow, such as by FIN or RST.
    pub ends: bool,
}

/// The flows in progress. Times count from 1970-01-01 00:00 UTC.
#[derive(Debug)]
pub struct Cache {
    timeouts: Timeouts,
    most: usize,
    one_of: u32,
    /// Observations to skip before the next one that counts.
    skip: u32,
    flows: HashMap<Key, Flow>,
    /// The same flows, the longest silent first.
    quiet: BTreeMap<(Duration, u64), Key>,
    next: u64,
    /// Records that have not been fetched yet.
    pending: Vec<Record>,
    lost: u64,
}

#[derive(Debug)]
struct Flow {
    octets: u64,
    packets: u64,
    start: Duration,
    /// Its key in `quiet`, which begins with the time of its last packet.
    order: (Duration, u64),
}

impl Cache {
    /// Holds at most `most` flows and never more than [`IPFIX_FLOWS`]; counts one observation of every `one_of`.
    pub fn new(timeouts: Timeouts, most: usize, one_of: u32) -> Self {
        Self {
            timeouts,
            most: most.clamp(1, IPFIX_FLOWS),
            one_of: one_of.max(1),
            skip: 0,
            flows: HashMap::new(),
            quiet: BTreeMap::new(),
            next: 0,
            pending: Vec::new(),
            lost: 0,
        }
    }

    /// Counts an observation, its last packet at `now`. If a new flow finds no room, the flow that was silent for
    /// longest gets its record.
    pub fn observe(&mut self, now: Duration, seen: &Observation) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.skip = self.one_of - 1;
        if !self.flows.contains_key(&seen.key)
            && self.flows.len() >= self.most
            && let Some(quietest) = self.quiet.first_key_value().map(|(_, key)| *key)
        {
            self.end(&quietest, End::LackOfResources);
        }
        let order = (now, self.next);
        self.next += 1;
        let flow = self.flows.entry(seen.key).or_insert(Flow {
            octets: 0,
            packets: 0,
            start: seen.first.min(now),
            order,
        });
        flow.octets = flow.octets.saturating_add(seen.octets);
        flow.packets = flow.packets.saturating_add(seen.packets);
        self.quiet.remove(&flow.order);
        flow.order = order;
        self.quiet.insert(order, seen.key);
        if seen.ends {
            self.end(&seen.key, End::Detected);
        }
    }

    /// Makes the records that are due, and returns all. The caller calls it about once a second.
    pub fn take(&mut self, now: Duration) -> Vec<Record> {
        while let Some(((last, _), key)) = self.quiet.first_key_value() {
            if now.saturating_sub(*last) < self.timeouts.idle {
                break;
            }
            let key = *key;
            self.end(&key, End::Idle);
        }
        let is_long = |flow: &Flow| now.saturating_sub(flow.start) >= self.timeouts.active;
        let long: Vec<Key> =
            self.flows.iter().filter(|(_, flow)| is_long(flow)).map(|(key, _)| *key).collect();
        for key in long {
            self.end(&key, End::Active);
        }
        std::mem::take(&mut self.pending)
    }

    /// Makes records of all flows, such as when the export ends.
    pub fn flush(&mut self) -> Vec<Record> {
        while let Some((_, key)) = self.quiet.first_key_value() {
            let key = *key;
            self.end(&key, End::Forced);
        }
        std::mem::take(&mut self.pending)
    }

    /// The number of flows in progress.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether no flow is in progress.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Records that were lost because more than [`IPFIX_PENDING`] were due before they were fetched.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn end(&mut self, key: &Key, end: End) {
        let Some(flow) = self.flows.remove(key) else { return };
        self.quiet.remove(&flow.order);
        if self.pending.len() >= IPFIX_PENDING {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        let Flow { octets, packets, start, order: (last, _) } = flow;
        self.pending.push(Record { key: *key, octets, packets, start, last, end });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipfix::{Addresses, Direction};

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(1_700_000_000 + seconds)
    }

    fn packet(port: u16) -> Observation {
        let addresses = Addresses::V4 { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into() };
        let key = Key {
            addresses,
            source_port: port,
            destination_port: 80,
            protocol: 6,
            class: 0,
            vlan: 0,
            ingress: 1,
            egress: 2,
            direction: Direction::Ingress,
        };
        Observation { key, octets: 100, packets: 1, first: Duration::MAX, ends: false }
    }

    /// Port, packets, first and last second, and reason.
    fn short(records: &[Record]) -> Vec<(u16, u64, u64, u64, End)> {
        let second = |time: Duration| (time - s(0)).as_secs();
        let mut short: Vec<_> = records
            .iter()
            .map(|r| (r.key.source_port, r.packets, second(r.start), second(r.last), r.end))
            .collect();
        short.sort_by_key(|(port, ..)| *port);
        short
    }

    #[test]
    fn a_flow_gets_a_record_when_it_is_quiet_or_long_or_ends() {
        let mut cache = Cache::new(Timeouts::default(), 100, 1);
        for second in 0..100 {
            cache.observe(s(second), &packet(1));
        }
        assert_eq!(short(&cache.take(s(100))), [(1, 100, 0, 99, End::Active)]);
        cache.observe(s(100), &packet(1));
        cache.observe(s(101), &packet(2));
        assert_eq!(short(&cache.take(s(114))), []);
        assert_eq!(short(&cache.take(s(115))), [(1, 1, 100, 100, End::Idle)]);
        cache.observe(s(115), &Observation { ends: true, ..packet(2) });
        cache.observe(s(115), &packet(3));
        assert_eq!(short(&cache.take(s(115))), [(2, 2, 101, 115, End::Detected)]);
        let records = cache.flush();
        assert_eq!((records[0].octets, short(&records)), (100, vec![(3, 1, 115, 115, End::Forced)]));
        assert!(cache.is_empty() && cache.quiet.is_empty());
    }

    #[test]
    fn a_full_cache_ends_the_flow_that_was_quiet_for_longest() {
        let mut cache = Cache::new(Timeouts::default(), 3, 1);
        for (second, port) in (0..).zip([1, 2, 3, 1, 4, 5]) {
            cache.observe(s(second), &packet(port));
        }
        let wanted = [(2, 1, 1, 1, End::LackOfResources), (3, 1, 2, 2, End::LackOfResources)];
        assert_eq!((cache.len(), short(&cache.take(s(6)))), (3, wanted.to_vec()));
    }

    #[test]
    fn a_flood_of_flows_costs_no_more_than_the_limits() {
        let mut cache = Cache::new(Timeouts::default(), 10, 1);
        let flood = u16::try_from(IPFIX_PENDING + 15).unwrap();
        for port in 0..flood {
            cache.observe(s(0), &packet(port));
        }
        assert_eq!((cache.len(), cache.quiet.len(), cache.lost()), (10, 10, 5));
        assert_eq!(cache.take(s(0)).len(), IPFIX_PENDING);
    }

    #[test]
    fn packets_that_were_counted_together_began_with_the_first() {
        let mut cache = Cache::new(Timeouts::default(), 10, 1);
        cache.observe(s(5), &Observation { packets: 7, first: s(2), ..packet(1) });
        cache.observe(s(9), &Observation { packets: 2, first: s(8), ..packet(1) });
        assert_eq!(short(&cache.take(s(24))), [(1, 9, 2, 9, End::Idle)]);
    }

    #[test]
    fn one_of_so_many_is_counted() {
        let mut cache = Cache::new(Timeouts::default(), 10, 10);
        for _ in 0..95 {
            cache.observe(s(0), &packet(1));
        }
        assert_eq!(short(&cache.flush()), [(1, 10, 0, 0, End::Forced)]);
    }
}
