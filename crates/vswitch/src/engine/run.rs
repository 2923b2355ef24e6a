//! The engine's thread.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::captures::filled;
use super::control::{Control, Wake};
use super::flows::Watching;
use super::learning;
use super::listening::Listening;
use super::load::Sample;
use super::observing::Observing;
use super::own::Pairs;
use super::queues::Queueing;
use super::reconcile::Seen;
use super::routed::Routed;
use super::{Command, FlowCounters, Options, State, Timing};
use crate::capture::Capturing;
use crate::declare::{Declaration, Service};
use crate::discovery::Neighbours;
use crate::kernel::layout::Counters;
use crate::kernel::{Kernel, Program, Ring};
use crate::limits::BEAT;
use crate::link::{Event, Events, Netlink};
use crate::observed::Observed;
use crate::packet::PacketSocket;
use crate::plan::{self, Actual, Links, Numbers, Placements, Seats, Steady};
use crate::vmkernel::{self, Adapters, Routing};
use crate::{Error, Result};

/// How often all interfaces are looked at, in case an event was lost.
const LOOK: Duration = Duration::from_secs(5);

/// Where the thread says what it sees.
pub(super) struct Publish {
    pub(super) state: watch::Sender<State>,
    pub(super) neighbours: watch::Sender<Neighbours>,
    pub(super) observed: watch::Sender<Observed>,
    pub(super) flows: watch::Sender<BTreeMap<String, FlowCounters>>,
    /// Times of neighbours, and of what is observed, count from then.
    pub(super) began: Instant,
}

pub(super) fn thread(
    options: &Options,
    mut inbox: mpsc::Receiver<Command>,
    publish: Publish,
    started: oneshot::Sender<Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "the virtual switch has no runtime"),
    };
    runtime.block_on(async {
        match Switching::open(options, publish).await {
            Ok((mut switching, events)) => {
                let _ = started.send(Ok(()));
                switching.run(&mut inbox, events).await;
            }
            Err(error) => _ = started.send(Err(error)),
        }
    });
    drop(runtime);
    // Says that all has ended.
    drop(inbox);
}

/// Everything that the thread knows.
pub(super) struct Switching {
    pub(super) kernel: Kernel,
    pub(super) netlink: Netlink,
    pub(super) packets: PacketSocket,
    pub(super) declared: Declaration,
    /// Nothing is touched before there is a declaration: an engine that just started has none, which is not *nothing*.
    pub(super) is_declared: bool,
    pub(super) links: Links,
    pub(super) numbers: Numbers,
    pub(super) seats: Seats,
    pub(super) steady: Steady,
    /// When an uplink will have been up for long enough.
    pub(super) steady_at: Option<Instant>,
    /// Where loads have brought ports to.
    pub(super) placements: Placements,
    /// What had passed when the window began.
    pub(super) sample: Option<Sample>,
    pub(super) actual: Actual,
    /// Interfaces with our program and the MTU that they were given, by ifindex.
    pub(super) attached: BTreeMap<u32, (String, Program, u32)>,
    pub(super) own: Pairs,
    pub(super) adapters: Adapters,
    pub(super) control: Control,
    /// What was wrong when everything was looked at last; it is said once.
    pub(super) trouble: Option<String>,
    pub(super) publish: watch::Sender<State>,
    pub(super) queueing: Queueing,
    /// Mirrors to addresses.
    pub(super) routed: Routed,
    pub(super) routing: Routing,
    pub(super) ring: Ring,
    pub(super) capturing: Capturing,
    pub(super) listening: Listening,
    pub(super) watching: Watching,
    pub(super) sweep: learning::Sweep,
    pub(super) timing: Timing,
}

impl Switching {
    async fn open(options: &Options, publish: Publish) -> Result<(Self, Events)> {
        if let Some(namespace) = &options.namespace {
            let entered = File::open(namespace).and_then(|file| {
                Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
            });
            entered
                .map_err(|error| Error::Kernel { what: format!("enter {}: {error}", namespace.display()) })?;
        }
        let mut kernel = Kernel::open(&options.pins, options.without_tcx)?;
        let ring = kernel.take_ring("captured")?;
        let listening = Listening::new(&mut kernel)?;
        let observing = Observing::start(kernel.take_ring("sightings")?, publish.observed, publish.began);
        let watching = Watching::start(kernel.take_flows()?, publish.flows)?;
        let (netlink, events) = Netlink::open()?;
        let packets = PacketSocket::open()
            .map_err(|error| Error::Kernel { what: format!("open a packet socket: {error}") })?;
        let adapters = Adapters::open(&options.prefix, options.namespace.clone())?;
        let routing =
            Routing::open().map_err(|error| Error::Kernel { what: format!("open netlink: {error}") })?;
        let actual = kernel.read()?;
        let links = netlink.all_at_start().await?;
        // Ports keep the numbers under which they were counted.
        let alive: BTreeSet<u32> = links.values().map(|link| link.index).collect();
        let known = actual.ports.iter().filter(|(index, _)| alive.contains(index));
        let numbers = known.clone().map(|(index, port)| (*index, port.number)).collect();
        // And their uplinks.
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

    async fn run(&mut self, inbox: &mut mpsc::Receiver<Command>, mut events: Events) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut forget = interval(learning::pause(&self.timing));
        forget.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut balance = interval(self.timing.load_window);
        balance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let leases = self.adapters.changed();
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => self.seen(event).await,
                    None => break tracing::error!("netlink has ended; the virtual switch no longer sees links"),
                },
                () = at(self.steady_at) => self.apply_seen().await,
                command = inbox.recv() => match command {
                    Some(Command::End) | None => break,
                    Some(command) => self.carry_out(command).await,
                },
                () = leases.notified() => self.look_at_adapters().await,
                _ = look.tick() => {
                    self.end_captures().await;
                    self.look().await;
                }
                () = self.routed.due() => self.follow_routes().await,
                _ = beat.tick(), if self.listening.is_active() => self.listen_on(),
                _ = forget.tick() => self.forget_learned(),
                _ = balance.tick() => self.balance().await,
                wake = self.control.next() => self.speak(wake).await,
                portion = self.sweep.next() => self.forget_portion(portion),
                () = self.listening.due() => self.apply_seen().await,
                () = filled(self.listening.ring(), self.listening.is_active()) => self.hear().await,
                () = filled(&self.ring, self.capturing.is_active()) => self.hand_out().await,
            }
        }
    }

    /// Does what is due on uplinks.
    async fn speak(&mut self, wake: Wake) {
        let management = self.publish.borrow().source_for(Service::Management).map(|source| source.address);
        if self.control.act(wake, &self.packets, management) {
            self.apply_seen().await;
        }
    }

    async fn carry_out(&mut self, command: Command) {
        match command {
            Command::Declare(declared, answer) => {
                let result = match plan::check_limits(&declared)
                    .and_then(|()| plan::check_mirrors(&declared))
                    .and_then(|()| vmkernel::check(&declared))
                {
                    Ok(()) => {
                        self.adapters.declare(&declared);
                        self.routed.declare(&declared.mirrors);
                        self.declared = vmkernel::with_ports(*declared);
                        // What was mirrored before a restart is mirrored on.
                        self.find_routes().await;
                        if !self.is_declared {
                            self.seats = plan::remembered(&self.declared, &self.links, &self.actual.teams);
                        }
                        self.is_declared = true;
                        self.reconcile_all(Seen::Before).await
                    }
                    Err(error) => Err(error),
                };
                let _ = answer.send(result);
            }
            Command::Capture(filter, answer) => {
                let _ = answer.send(self.capture(filter).await);
            }
            Command::Counters(interface, answer) => {
                let _ = answer.send(self.counters(&interface));
            }
            Command::Mirrored(answer) => {
                let _ = answer.send(self.mirrored());
            }
            Command::Learned(interface, answer) => {
                let _ = answer.send(self.learned(&interface));
            }
            // Is seen by who reads commands.
            Command::End => {}
        }
    }

    fn counters(&self, interface: &str) -> Result<Option<Counters>> {
        let number = self.links.get(interface).and_then(|link| self.numbers.get(&link.index));
        number.map(|number| self.kernel.counters(*number)).transpose()
    }

    async fn seen(&mut self, event: Event) {
        let name = match &event {
            Event::Is(name, _) | Event::Gone(name) => name.clone(),
            Event::Lost => {
                tracing::warn!("netlink has lost events; looking at all interfaces");
                return self.look().await;
            }
        };
        let changed = match event {
            Event::Is(name, link) => {
                // The one that had this number before has been renamed.
                let renamed = self.links.iter().find(|(n, l)| l.index == link.index && **n != name);
                if let Some(old) = renamed.map(|(old, _)| old.clone()) {
                    self.links.remove(&old);
                }
                self.links.insert(name, link) != Some(link)
            }
            Event::Gone(name) => self.links.remove(&name).is_some(),
            Event::Lost => false,
        };
        if changed && vmkernel::is_end(&name) {
            self.look_at_adapters().await;
        } else if changed {
            self.apply_seen().await;
        }
    }

    /// Looks at all interfaces.
    async fn look(&mut self) {
        match self.netlink.all().await {
            Ok(links) => {
                let is_new = links != self.links;
                self.links = links;
                if is_new {
                    // Before adapters, which take longer.
                    self.apply_seen().await;
                }
                self.look_at_adapters_among(Seen::Just).await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look at the network interfaces");
                self.look_at_adapters().await;
            }
        }
    }
}

/// Returns at a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
