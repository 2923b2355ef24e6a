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
use super::flows::{Wanted, Watching};
use super::learning;
use super::listening::Listening;
use super::load::Sample;
use super::own::Pairs;
use super::queues::Queueing;
use super::routed::Routed;
use super::{Command, FlowCounters, Options, State, Timing};
use crate::capture::Capturing;
use crate::declare::{Declaration, Service, Teaming};
use crate::discovery::Neighbours;
use crate::kernel::layout::{Counters, PORT_UPLINK, TEAM_SLOTS};
use crate::kernel::{Kernel, Program, Ring};
use crate::limits::{BEAT, LEARNED_BY_PORT, PORT_GROUPS, PORTS, UPLINKS};
use crate::link::{Event, Events, Netlink, is_silent, restore, silence};
use crate::notify::{self, Scene};
use crate::packet::PacketSocket;
use crate::plan::{
    self, Actual, Extra, Fitness, Links, Numbers, Placements, Seats, Steady, Step, Tables, difference,
};
use crate::vmkernel::{self, Adapters, Routing};
use crate::{Error, Result};

/// How often all interfaces are looked at, in case an event was lost.
const LOOK: Duration = Duration::from_secs(5);

/// Where the thread says what it sees.
pub(super) struct Publish {
    pub(super) state: watch::Sender<State>,
    pub(super) neighbours: watch::Sender<Neighbours>,
    pub(super) flows: watch::Sender<BTreeMap<String, FlowCounters>>,
    /// Times of neighbours count from then.
    pub(super) began: Instant,
}

pub(super) fn thread(
    options: &Options,
    inbox: mpsc::Receiver<Command>,
    publish: Publish,
    started: oneshot::Sender<Result<()>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let body = async {
        match Switching::open(options, publish).await {
            Ok((mut switching, events)) => {
                let _ = started.send(Ok(()));
                switching.run(inbox, events).await;
            }
            Err(error) => _ = started.send(Err(error)),
        }
    };
    match runtime {
        Ok(runtime) => runtime.block_on(body),
        Err(error) => tracing::error!(%error, "the virtual switch has no runtime"),
    }
}

/// When all interfaces were listed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Just,
    Before,
}

/// Everything that the thread knows.
pub(super) struct Switching {
    pub(super) kernel: Kernel,
    pub(super) netlink: Netlink,
    packets: PacketSocket,
    pub(super) declared: Declaration,
    /// Nothing is touched before there is a declaration: an engine that just started has none, which is not *nothing*.
    is_declared: bool,
    pub(super) links: Links,
    pub(super) numbers: Numbers,
    pub(super) seats: Seats,
    steady: Steady,
    /// When an uplink will have been up for long enough.
    steady_at: Option<Instant>,
    /// Where loads have brought ports to.
    pub(super) placements: Placements,
    /// What had passed when the window began.
    pub(super) sample: Option<Sample>,
    pub(super) actual: Actual,
    /// Interfaces with our program and the MTU that they were given, by ifindex.
    pub(super) attached: BTreeMap<u32, (String, Program, u32)>,
    pub(super) own: Pairs,
    adapters: Adapters,
    control: Control,
    /// What was wrong when everything was looked at last; it is said once.
    trouble: Option<String>,
    publish: watch::Sender<State>,
    pub(super) queueing: Queueing,
    /// Mirrors to addresses.
    pub(super) routed: Routed,
    pub(super) routing: Routing,
    pub(super) ring: Ring,
    pub(super) capturing: Capturing,
    pub(super) listening: Listening,
    watching: Watching,
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
            control: Control::new(publish.began, options.system.clone(), publish.neighbours)?,
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

    async fn run(&mut self, mut inbox: mpsc::Receiver<Command>, mut events: Events) {
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
                    Some(command) => self.carry_out(command).await,
                    None => break,
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
                let result = match check_limits(&declared)
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

    /// Looks at adapters, which may have been changed by hand.
    async fn look_at_adapters(&mut self) {
        self.look_at_adapters_among(Seen::Before).await;
    }

    async fn look_at_adapters_among(&mut self, links: Seen) {
        if !self.is_declared {
            return;
        }
        let trouble = self.reconcile_all(links).await.err().map(|error| error.to_string());
        if trouble != self.trouble
            && let Some(error) = &trouble
        {
            tracing::error!(error, "the virtual switch is not as it was declared");
        }
        self.trouble = trouble;
    }

    /// Brings adapters, then the kernel to what is declared: an adapter's port is there when ports are planned, and has its
    /// addresses when it is connected. Uplinks lose theirs only then.
    async fn reconcile_all(&mut self, links: Seen) -> Result<()> {
        let has_changed = self.adapters.connect().await;
        let seen = match links {
            Seen::Just if !has_changed => Ok(()),
            _ => self.netlink.all().await.map(|links| self.links = links),
        };
        let switched = self.reconcile().await;
        let uplinks = self.attached.values().filter(|(_, program, _)| *program == Program::FromUplink);
        let uplinks: Vec<String> = uplinks.map(|(name, _, _)| name.clone()).collect();
        self.adapters.configure(&uplinks).await;
        self.publish();
        seen.and(switched).and(self.adapters.result())
    }

    pub(super) async fn apply_seen(&mut self) {
        if let Err(error) = self.reconcile().await {
            tracing::error!(%error, "the virtual switch is not as it was declared");
        }
    }

    /// Brings the kernel to what is declared, teams first.
    pub(super) async fn reconcile(&mut self) -> Result<()> {
        if !self.is_declared {
            return Ok(());
        }
        self.listening.begin();
        let mut first = Ok(());
        let mut note = |result: Result<()>| {
            if first.is_ok() {
                first = result;
            }
        };
        note(self.number_ports());
        let before = (self.actual.ports.clone(), self.actual.teams.clone());
        let learners = learning::who_learns(&self.actual.extras.learners);
        self.control.see(&self.declared, &self.links);
        let now = self.control.now();
        self.steady.see(now, &self.declared, &self.links);
        let fitness = |teaming: &Teaming, name: &str| {
            let is_cut_off = teaming.beacons && self.control.isolated().contains(name);
            if is_cut_off { Fitness::Broken } else { self.steady.fitness(now, name) }
        };
        let (mut teams, seats) =
            plan::teams(&self.declared, &self.links, &self.numbers, &self.seats, fitness);
        self.seats = seats;
        self.steady_at = self.steady.next(now).map(|time| self.control.on_clock(time));
        let looks = self.looks();
        plan::look_at_teams(&mut teams, &looks);
        for (number, team) in &teams {
            if self.actual.teams.get(number).is_some_and(|old| old != team) {
                note(self.step(&Step::Team(*number, Box::new(*team))));
            }
        }
        note(self.adopt_former().await);
        let queues = plan::queues(&self.declared, &self.links, &self.numbers);
        note(self.prepare_queues(&queues).await);
        note(self.prepare_mirror().await);
        let mut tables =
            plan::tables(&self.declared, &self.links, &self.numbers, self.own_indexes(), &self.placements);
        tables.teams = teams;
        self.listening.filter(&mut tables, &self.links);
        self.watch_flows();
        plan::look_at_ports(&mut tables, &self.numbers, &looks);
        let applied = self.apply(&tables);
        let holds = applied.is_ok();
        note(applied);
        // What was learned belongs to who learned it, where it was then.
        if learners != learning::who_learns(&self.actual.extras.learners) {
            self.forget_gone().await;
        }
        note(self.attach().await);
        self.listening.know(&self.actual.ports, holds);
        self.hold_filters();
        note(self.tidy_queues(&queues).await);
        note(self.tidy_mirror().await);
        self.control.listen(&self.declared, &self.links);
        self.notify(Scene { ports: &before.0, teams: &before.1 });
        self.publish();
        first
    }

    /// Brings the maps to what they are to hold. What cannot be written is the error, the rest is done; a group whose new list
    /// does not fit keeps the old one.
    fn apply(&mut self, tables: &Tables) -> Result<()> {
        let (mut first, mut torn) = (Ok(()), BTreeSet::new());
        for step in difference(&self.actual, tables) {
            let is_kept = match &step {
                Step::Group(_, group) => torn.contains(&group.list),
                Step::NoMember(key) if !torn.is_empty() => {
                    self.actual.groups.values().any(|group| group.list == key.list)
                }
                _ => false,
            };
            if is_kept {
                continue;
            }
            let done = self.step(&step);
            if let (Err(_), Step::Member(key, _)) = (&done, &step) {
                torn.insert(key.list);
            }
            first = first.and(done);
        }
        first
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        if let Step::Extra(Extra::Mirror(number, Some(_))) = step
            && !self.actual.extras.mirrors.contains_key(number)
        {
            self.kernel.clear_mirrored(*number)?;
        }
        self.kernel.apply(step)?;
        self.actual.apply(step);
        Ok(())
    }

    /// Gives each interface that is to be a port a number, and takes the numbers of those that are not back.
    fn number_ports(&mut self) -> Result<()> {
        let wanted: BTreeSet<u32> = self.wanted().map(|(_, index, _)| index).collect();
        self.numbers.retain(|index, _| wanted.contains(index));
        self.placements.retain(|index, _| wanted.contains(index));
        let used: BTreeSet<u32> = self.numbers.values().copied().collect();
        let most = u32::try_from(PORTS).expect("is small");
        let mut free = (0..most).filter(|number| !used.contains(number));
        for index in wanted {
            if !self.numbers.contains_key(&index) {
                let full = Error::Limit { what: "ports of a host", asked: PORTS + 1, most: PORTS };
                let number = free.next().ok_or(full)?;
                self.kernel.clear_counters(number)?;
                self.numbers.insert(index, number);
            }
        }
        Ok(())
    }

    /// The interfaces that are declared and there, and the program that each needs.
    fn wanted(&self) -> impl Iterator<Item = (String, u32, Program)> {
        let ports = self.declared.ports.iter().map(|port| (&port.interface, Program::FromPort));
        let uplinks = self.declared.switches.iter().flat_map(|switch| &switch.uplinks);
        let uplinks = uplinks.map(|uplink| (uplink, Program::FromUplink));
        ports
            .chain(uplinks)
            .filter_map(|(name, program)| Some((name.clone(), self.links.get(name)?.index, program)))
    }

    /// Attaches what is not attached yet, and detaches what is no port any more.
    async fn attach(&mut self) -> Result<()> {
        let mut first = Ok(());
        let wanted: BTreeMap<u32, (String, Program)> = self
            .wanted()
            .chain(self.own_ends())
            .map(|(name, index, program)| (index, (name, program)))
            .collect();
        let names: BTreeMap<u32, String> =
            self.links.iter().map(|(name, link)| (link.index, name.clone())).collect();
        for (index, program) in self.kernel.attached() {
            if wanted.get(&index).is_none_or(|(_, needed)| *needed != program) {
                let name = names.get(&index).cloned().unwrap_or_default();
                // Before its link is gone, so that it is done again if the daemon ends here.
                if program == Program::FromUplink && names.contains_key(&index) {
                    self.release(&name, index).await;
                }
                self.kernel.detach(&name, index, program);
                self.kernel.note_silent(index, false);
                self.remove_former(&name, index, program).await;
            }
        }
        for (index, (name, program)) in &wanted {
            let mtu = self.mtu(*index);
            let done = match self.attached.get(index) {
                Some((known, with, given)) if known == name && with == program => {
                    if *given == mtu {
                        continue;
                    }
                    self.prepare(name, *index, *program).await
                }
                _ => self.attach_one(name, *index, *program).await,
            };
            match done {
                Ok(()) => _ = self.attached.insert(*index, (name.clone(), *program, mtu)),
                Err(error) => {
                    tracing::error!(interface = name, %error, "not connected to the virtual switch");
                    first = first.and(Err(error));
                }
            }
        }
        self.attached.retain(|index, _| wanted.contains_key(index));
        first
    }

    pub(super) async fn attach_one(&mut self, name: &str, index: u32, program: Program) -> Result<()> {
        // Whose it is when it is no uplink any more.
        let is_new = program == Program::FromUplink && !self.kernel.attached().contains(&(index, program));
        if is_new {
            self.kernel.note_silent(index, is_silent(name));
        }
        if let Err(error) = silence(name) {
            tracing::warn!(interface = name, %error, "cannot keep the host's own IPv6 off a port");
        }
        self.kernel.attach(name, index, program)?;
        self.prepare(name, index, program).await
    }

    /// Lets a former uplink be as it was.
    async fn release(&self, name: &str, index: u32) {
        if let Err(error) = self.netlink.release(name, index).await {
            tracing::warn!(%error, "a former uplink");
        }
        if !self.kernel.was_silent(index)
            && let Err(error) = restore(name)
        {
            tracing::warn!(interface = name, %error, "the host's own IPv6 stays off a former uplink");
        }
    }

    /// Sets a port's interface up with the MTU of its switch.
    async fn prepare(&self, name: &str, index: u32, program: Program) -> Result<()> {
        match self.mtu(index) {
            0 => Ok(()),
            mtu => self.netlink.prepare(name, index, mtu, program == Program::FromUplink).await,
        }
    }

    /// The MTU of a port's switch; 0 for what is no port.
    pub(super) fn mtu(&self, index: u32) -> u32 {
        self.actual.ports.get(&index).map_or(0, |port| port.mtu)
    }

    /// Tells physical switches of what has moved since `before`.
    fn notify(&self, before: Scene<'_>) {
        let now = Scene { ports: &self.actual.ports, teams: &self.actual.teams };
        let wanted = |group| {
            let found = self.declared.port_group(group);
            found.is_some_and(|(switch, group)| switch.policy_of(group).teaming.notify_switches)
        };
        let read_learned = || {
            self.kernel.learned().unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot notify the physical switch of learned MACs");
                vec![]
            })
        };
        for (uplink, frame) in notify::notices(before, now, wanted, read_learned) {
            if let Err(error) = self.packets.send(uplink, &frame) {
                tracing::warn!(uplink, %error, "cannot notify the physical switch");
            }
        }
    }

    fn publish(&self) {
        let names: BTreeMap<u32, &String> =
            self.links.iter().map(|(name, link)| (link.index, name)).collect();
        let uplink = |port: &crate::kernel::layout::Port| {
            let team = self.actual.teams.get(&port.team)?;
            names.get(&team.slot[usize::from(port.slot) % TEAM_SLOTS].ifindex)
        };
        let ports = self.actual.ports.iter().filter(|(_, port)| port.flags & PORT_UPLINK == 0);
        let uplinks =
            ports.filter_map(|(index, port)| Some(((*names.get(index)?).clone(), (*uplink(port)?).clone())));
        let state = State {
            links: self.links.clone(),
            isolated: self.control.isolated().clone(),
            seats: self.seats.clone(),
            uplinks: uplinks.collect(),
            adapters: self.adapters.adapter_states(),
            stacks: self.adapters.stack_states(),
        };
        self.publish.send_if_modified(|old| {
            let changed = *old != state;
            *old = state;
            changed
        });
        self.watch_flows();
    }

    /// Says of which flows collectors are to be told, and from which adapters.
    fn watch_flows(&self) {
        let state = self.publish.borrow();
        self.watching.set(Wanted::new(&self.declared, &self.links, &self.numbers, &state));
    }
}

/// Returns at a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn check_limits(declared: &Declaration) -> Result<()> {
    let groups: usize = declared.switches.iter().map(|switch| switch.port_groups.len()).sum();
    let uplinks = declared.switches.iter().map(|switch| switch.uplinks.len());
    let all = uplinks.clone().sum::<usize>() + declared.ports.len();
    let policies = declared.switches.iter().flat_map(|switch| {
        let of_groups = switch.port_groups.iter().map(|group| switch.policy_of(group));
        of_groups.chain([switch.policy.clone()])
    });
    let learned = policies.map(|policy| policy.security.learning.limit).max().unwrap_or(0);
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    for (what, asked, most) in [
        ("MAC addresses that a port learns", number(learned), number(LEARNED_BY_PORT)),
        ("port groups of a host", groups, PORT_GROUPS),
        ("uplinks of a switch", uplinks.max().unwrap_or(0), UPLINKS),
        ("ports of a host", all, PORTS),
    ] {
        if asked > most {
            return Err(Error::Limit { what, asked, most });
        }
    }
    Ok(())
}
