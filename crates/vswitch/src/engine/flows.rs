//! IPFIX: a separate thread reads the programs' counts about once a second and exports them to collectors, so that
//! neither a flood of flows nor a slow collector holds up the engine.

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use super::clock::monotonic;
use super::state::{FlowCounters, State};
use crate::declare::{Declaration, Ipfix, Service};
use crate::ipfix::{Addresses, Cache, Datagram, Direction, Exporter, Key, Observation, Record, Timeouts};
use crate::kernel::Flows;
use crate::layout::{FAMILY_V4, FLOW_ENDS, Flow, FlowKey, WAY_FROM};
use crate::limits::{BEAT, IPFIX_FLOWS, IPFIX_GRACE, IPFIX_MESSAGE, IPFIX_SEND};
use crate::plan::{Links, Numbers};
use crate::vmkernel::Source;
use crate::{Error, Result};

/// The name of the thread.
const THREAD: &str = "vswitch-flows";

/// The flows to export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// By number of the switch.
    switches: BTreeMap<u32, Telling>,
    /// Numbers of ports, each with that of its switch.
    ports: BTreeMap<u32, u32>,
}

/// The collector of a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Telling {
    name: String,
    ipfix: Ipfix,
    /// The adapter to send from; `None` follows the host's own routes.
    source: Option<Source>,
}

impl Wanted {
    pub(super) fn new(declared: &Declaration, links: &Links, numbers: &Numbers, state: &State) -> Self {
        let telling = |switch: &crate::declare::Switch| {
            let ipfix = switch.ipfix?;
            let source = state.source_towards(Service::Management, ipfix.collector.ip());
            Some((switch.number, Telling { name: switch.name.clone(), ipfix, source }))
        };
        let number = |port: &crate::declare::Port| {
            let (switch, _) = declared.port_group(port.port_group)?;
            Some((*numbers.get(&links.get(&port.interface)?.index)?, switch.number))
        };
        Self {
            switches: declared.switches.iter().filter_map(telling).collect(),
            ports: declared.ports.iter().filter_map(number).collect(),
        }
    }
}

/// A handle of the thread, which ends when it is dropped.
pub(super) struct Watching {
    wanted: Option<watch::Sender<Wanted>>,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    /// The thread works in the network namespace of the calling thread.
    pub(super) fn start(
        flows: Flows,
        publish: watch::Sender<BTreeMap<String, FlowCounters>>,
    ) -> Result<Self> {
        let (wanted, changes) = watch::channel(Wanted::default());
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(Watcher::new(flows, publish).run(changes)),
                Err(error) => tracing::error!(%error, "flows are not exported"),
            }
        };
        let thread = thread::Builder::new().name(THREAD.into()).spawn(body);
        let thread = thread.map_err(|source| Error::Thread { name: THREAD, source })?;
        Ok(Self { wanted: Some(wanted), thread: Some(thread) })
    }

    pub(super) fn set(&self, wanted: Wanted) {
        if let Some(sender) = &self.wanted {
            sender.send_if_modified(|old| {
                let changed = *old != wanted;
                *old = wanted;
                changed
            });
        }
    }
}

impl Drop for Watching {
    /// Waits until collectors have received the present flows, which takes at most [`IPFIX_SEND`] for each.
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watcher {
    flows: Flows,
    publish: watch::Sender<BTreeMap<String, FlowCounters>>,
    streams: BTreeMap<u32, Stream>,
    /// Includes removed ports, for packets that were counted before their removal.
    ports: BTreeMap<u32, u32>,
    /// Known numbers of packets for which there was no room, by port.
    lost: BTreeMap<u32, u64>,
    trouble: bool,
}

/// The flows of one switch.
struct Stream {
    telling: Telling,
    cache: Cache,
    exporter: Exporter,
    socket: Option<UdpSocket>,
    counters: FlowCounters,
    /// The last error, so that it is logged once.
    trouble: Option<String>,
}

impl Watcher {
    fn new(flows: Flows, publish: watch::Sender<BTreeMap<String, FlowCounters>>) -> Self {
        let (streams, ports, lost) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { flows, publish, streams, ports, lost, trouble: false }
    }

    async fn run(mut self, mut changes: watch::Receiver<Wanted>) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let wanted = changes.borrow_and_update().clone();
                    self.change(wanted).await;
                }
                _ = beat.tick(), if !self.streams.is_empty() => self.beat().await,
            }
        }
        self.change(Wanted::default()).await;
    }

    /// Switches to what is wanted now. Packets counted so far are exported as wanted before.
    async fn change(&mut self, wanted: Wanted) {
        if !self.streams.is_empty() {
            self.beat().await;
        }
        let is_wanted = |number: &u32, stream: &Stream| wanted.switches.get(number) == Some(&stream.telling);
        let gone: Vec<u32> = self
            .streams
            .iter()
            .filter(|(number, stream)| !is_wanted(number, stream))
            .map(|(n, _)| *n)
            .collect();
        let mut kept = BTreeMap::new();
        for number in gone {
            let Some(mut stream) = self.streams.remove(&number) else { continue };
            let records = stream.cache.flush();
            stream.tell(&records).await;
            kept.insert(number, stream.counters);
        }
        for (port, switch) in wanted.ports {
            self.ports.insert(port, switch);
            if !self.lost.contains_key(&port) {
                self.lost.insert(port, self.flows.lost(port).unwrap_or(0));
            }
        }
        for (number, telling) in wanted.switches {
            let counters = kept.remove(&number).unwrap_or_default();
            self.streams.entry(number).or_insert_with(|| Stream::new(telling, counters));
        }
        if self.streams.is_empty() {
            // Discards what an earlier daemon left and no collector wants.
            for _ in 0..2 {
                let _ = self.flows.change_turns().and_then(|turn| self.flows.drain(turn, |_, _| ()));
            }
        }
        self.tell_counters();
    }

    /// Reads the counts, and exports due records.
    async fn beat(&mut self) {
        let trouble = match self.flows.change_turns() {
            Ok(turn) => {
                sleep(IPFIX_GRACE).await;
                self.read(turn).err()
            }
            Err(error) => Some(error),
        };
        if let (false, Some(error)) = (self.trouble, &trouble) {
            tracing::error!(%error, "flows cannot be read");
        }
        self.trouble = trouble.is_some();
        for stream in self.streams.values_mut() {
            let records = stream.cache.take(since_1970());
            stream.tell(&records).await;
        }
        self.tell_counters();
    }

    fn read(&mut self, turn: u8) -> Result<()> {
        // The programs use the monotonic clock.
        let booted = since_1970().saturating_sub(monotonic());
        let (ports, streams) = (&self.ports, &mut self.streams);
        let mut seen: Vec<(u32, Duration, Observation)> = Vec::new();
        self.flows.drain(turn, |key, flow| {
            let Some(switch) = ports.get(&key.number) else { return };
            let last = booted + Duration::from_nanos(flow.last_ns);
            seen.push((*switch, last, observation(key, flow, booted)));
        })?;
        for (switch, last, observation) in seen {
            if let Some(stream) = streams.get_mut(&switch) {
                stream.cache.observe(last, &observation);
            }
        }
        for (port, known) in &mut self.lost {
            let now = self.flows.lost(*port)?;
            let stream = self.ports.get(port).and_then(|switch| streams.get_mut(switch));
            if let Some(stream) = stream.filter(|_| now > *known) {
                stream.lose(now - *known);
            }
            *known = now;
        }
        Ok(())
    }

    fn tell_counters(&self) {
        let of = |stream: &Stream| {
            let records_lost = stream.counters.records_lost + stream.cache.lost();
            let counters = FlowCounters { records_lost, flows: stream.cache.len(), ..stream.counters };
            (stream.telling.name.clone(), counters)
        };
        self.publish.send_replace(self.streams.values().map(of).collect());
    }
}

impl Stream {
    fn new(telling: Telling, counters: FlowCounters) -> Self {
        let Ipfix { domain, active_s, idle_s, one_of, .. } = telling.ipfix;
        let timeouts = Timeouts {
            active: Duration::from_secs(active_s.into()),
            idle: Duration::from_secs(idle_s.into()),
        };
        // The programs have sampled the packets already.
        let cache = Cache::new(timeouts, IPFIX_FLOWS, 1);
        let exporter = Exporter::new(domain, IPFIX_MESSAGE, one_of);
        Self { telling, cache, exporter, socket: None, counters, trouble: None }
    }

    /// Records packets for which the kernel had no room.
    fn lose(&mut self, packets: u64) {
        if self.counters.packets_lost == 0 {
            let switch = &self.telling.name;
            tracing::warn!(switch, "more new flows than can be counted; some are not exported");
        }
        self.counters.packets_lost += packets;
    }

    /// Exports records, for at most [`IPFIX_SEND`].
    async fn tell(&mut self, records: &[Record]) {
        let until = Instant::now() + IPFIX_SEND;
        let mut trouble = None;
        for Datagram { bytes, flows } in self.exporter.export(since_1970(), records) {
            let flows = flows as u64;
            match self.send(&bytes, until).await {
                Ok(()) => self.counters.records_sent += flows,
                Err(error) => {
                    self.counters.records_lost += flows;
                    trouble = Some(error.to_string());
                }
            }
            if self.trouble != trouble {
                if let Some(error) = &trouble {
                    let (switch, collector) = (&self.telling.name, self.telling.ipfix.collector);
                    tracing::warn!(switch, %collector, error, "cannot export flows to the collector");
                }
                self.trouble.clone_from(&trouble);
            }
        }
    }

    async fn send(&mut self, bytes: &[u8], until: Instant) -> std::io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(&self.telling).await?,
        };
        let mut sent = timeout_at(until, socket.send(bytes)).await?;
        if sent.is_err() {
            // The error concerns an earlier datagram, such as that nobody listened; it counts as lost.
            sent = timeout_at(until, socket.send(bytes)).await?.and(sent);
        }
        // On an error the next attempt opens a new socket, since the source address may be gone.
        sent?;
        self.socket = Some(socket);
        Ok(())
    }
}

async fn open(telling: &Telling) -> std::io::Result<UdpSocket> {
    let collector = telling.ipfix.collector;
    let socket = match &telling.source {
        Some(source) => source.udp()?,
        None if collector.is_ipv4() => UdpSocket::bind("0.0.0.0:0").await?,
        None => UdpSocket::bind("[::]:0").await?,
    };
    socket.connect(collector).await?;
    Ok(socket)
}

/// A port's flows, seen from the switch: frames that its owner sends enter.
fn observation(key: &FlowKey, flow: &Flow, booted: Duration) -> Observation {
    let v4 = |address: [u8; 16]| {
        let [a, b, c, d, ..] = address;
        [a, b, c, d].into()
    };
    let addresses = match key.family {
        FAMILY_V4 => Addresses::V4 { source: v4(key.source), destination: v4(key.destination) },
        _ => Addresses::V6 { source: key.source.into(), destination: key.destination.into() },
    };
    // Interfaces are numbered from 1.
    let (own, other) = (key.number + 1, key.other);
    let (ingress, egress, direction) = match u32::from(key.way) {
        WAY_FROM => (own, other, Direction::Ingress),
        _ => (other, own, Direction::Egress),
    };
    let key = Key {
        addresses,
        source_port: key.source_port,
        destination_port: key.destination_port,
        protocol: key.protocol,
        class: key.class,
        vlan: key.vlan,
        ingress,
        egress,
        direction,
    };
    let first = booted + Duration::from_nanos(flow.first_ns);
    Observation { key, octets: flow.octets, packets: flow.packets, first, ends: flow.flags & FLOW_ENDS != 0 }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
