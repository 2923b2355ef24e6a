//! The state of the engine's thread. Each file beside this one does one of its jobs; [`run`] is the loop that calls
//! them, [`reconcile`] the pass that all changes lead to.

mod attach;
mod captures;
mod learning;
mod lent;
mod listening;
mod load;
mod mirrors;
mod own;
mod queues;
mod reconcile;
mod routed;
mod run;
mod tell;

pub(super) use run::thread;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::AsFd;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::watch;
use tokio::time::Instant;

use self::listening::Listening;
use self::load::Sample;
use self::own::Pairs;
use self::queues::Queueing;
use self::routed::Routed;
use super::command::Publish;
use super::control::{Control, Observing};
use super::flows::Watching;
use super::options::{Options, Timing};
use super::state::State;
use crate::capture::Capturing;
use crate::declare::Declaration;
use crate::kernel::{Kernel, Program, Ring};
use crate::link::{Events, Netlink};
use crate::packet::PacketSocket;
use crate::plan::{Actual, Links, Numbers, Placements, Seats, Steady};
use crate::vmkernel::{Adapters, Routing};
use crate::{Error, Result};

/// The state of the thread.
pub(super) struct Switching {
    kernel: Kernel,
    netlink: Netlink,
    packets: PacketSocket,
    declared: Declaration,
    /// The thread touches nothing before the first declaration: no declaration differs from an empty one.
    is_declared: bool,
    links: Links,
    numbers: Numbers,
    seats: Seats,
    steady: Steady,
    /// When the next uplink will have been up for long enough.
    steady_at: Option<Instant>,
    /// Slots to which load balancing has moved ports.
    placements: Placements,
    /// The counters at the beginning of the window.
    sample: Option<Sample>,
    actual: Actual,
    /// Interfaces with an attached program, and the MTU that they were given, by ifindex.
    attached: BTreeMap<u32, (String, Program, u32)>,
    own: Pairs,
    adapters: Adapters,
    control: Control,
    /// The last error, so that it is logged once.
    trouble: Option<String>,
    publish: watch::Sender<State>,
    queueing: Queueing,
    /// Mirrors to addresses.
    routed: Routed,
    routing: Routing,
    ring: Ring,
    capturing: Capturing,
    listening: Listening,
    watching: Watching,
    sweep: learning::Sweep,
    timing: Timing,
}

impl Switching {
    async fn open(options: &Options, publish: Publish) -> Result<(Self, Events)> {
        if let Some(namespace) = &options.namespace {
            let entered = File::open(namespace).and_then(|file| {
                Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
            });
            entered.map_err(|source| Error::Enter { path: namespace.clone(), source })?;
        }
        let mut kernel = Kernel::open(&options.pins, options.without_tcx)?;
        let ring = kernel.take_ring("captured")?;
        let listening = Listening::new(&mut kernel)?;
        let observing = Observing::start(kernel.take_ring("sightings")?, publish.observed, publish.began);
        let watching = Watching::start(kernel.take_flows()?, publish.flows)?;
        let (netlink, events) = Netlink::open()?;
        let packets = PacketSocket::open().map_err(|source| Error::Socket { kind: "packet", source })?;
        let adapters = Adapters::open(&options.prefix, options.namespace.clone())?;
        let routing = Routing::open().map_err(|source| Error::Socket { kind: "netlink", source })?;
        let actual = kernel.read()?;
        let links = netlink.all_at_start().await?;
        // Ports keep the numbers of their counters.
        let alive: BTreeSet<u32> = links.values().map(|link| link.index).collect();
        let known = actual.ports.iter().filter(|(index, _)| alive.contains(index));
        let numbers = known.clone().map(|(index, port)| (*index, port.number)).collect();
        // Ports keep their uplinks.
        let placements = known.map(|(index, port)| (*index, port.slot)).collect();
        let switching = Self {
            kernel,
            netlink,
            packets,
            declared: Declaration::default(),
            is_declared: false,
            links,
            numbers,
            seats: Seats::new(),
            steady: Steady::default(),
            steady_at: None,
            placements,
            sample: None,
            actual,
            attached: BTreeMap::new(),
            own: Pairs::of(&options.prefix),
            adapters,
            control: Control::new(publish.began, options.system.clone(), publish.neighbours, observing)?,
            trouble: None,
            publish: publish.state,
            queueing: Queueing::default(),
            routed: Routed::default(),
            routing,
            ring,
            capturing: Capturing::default(),
            listening,
            watching,
            sweep: learning::Sweep::default(),
            timing: options.timing.clone(),
        };
        Ok((switching, events))
    }
}
