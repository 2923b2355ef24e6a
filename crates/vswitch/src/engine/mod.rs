//! What a daemon runs: one thread that owns the kernel's half, listens to netlink, and reconciles whenever what is declared
//! or what is seen changes. A thread of its own, because fail-over must not wait for a busy runtime, and because network
//! namespaces belong to threads.

mod attach;
mod beacons;
mod captures;
mod control;
mod discovery;
mod ears;
mod flows;
mod learning;
mod lent;
mod listening;
mod load;
mod mirrors;
mod observing;
mod own;
mod queues;
mod reconcile;
mod routed;
mod run;
mod tell;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::capture::{Captures, Filter};
use crate::declare::{Declaration, StackName};
use crate::discovery::{Neighbours, OtherEnd, System};
use crate::kernel::layout::{Counters, Mirrored};
use crate::limits::{COMMANDS, LEARNED_AGE, LOAD_TOO_MUCH, LOAD_WINDOW};
use crate::observed::{Observed, ObservedRange};
use crate::vmkernel::{AdapterState, StackState};
use crate::{Error, Result};

/// How an engine is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where maps and links are pinned: a directory of this host's own, on a BPF file system or where one can be mounted.
    pub pins: PathBuf,
    /// The network namespace to work in, as a file; none for the one that the daemon is in.
    pub namespace: Option<PathBuf>,
    /// This host's name among those of one machine. Names of network namespaces of TCP/IP stacks begin with it.
    pub prefix: String,
    /// What neighbours are told of this host.
    pub system: System,
    /// Attach programs as filters even if the kernel has tcx, as on kernels before 6.6.
    pub without_tcx: bool,
    pub timing: Timing,
}

/// Times and bounds that are vSphere's; tests have others.
#[derive(Debug, Clone)]
pub struct Timing {
    /// How long a learned MAC is known that does not send.
    pub learned_age: Duration,
    /// How long loads are added up before ports that are balanced by it may move.
    pub load_window: Duration,
    /// What part of an uplink's speed is too much, in millionths.
    pub load_too_much: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { learned_age: LEARNED_AGE, load_window: LOAD_WINDOW, load_too_much: LOAD_TOO_MUCH }
    }
}

/// What a port has learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// How many MACs.
    pub count: u64,
    /// How many it may learn now.
    pub limit: u32,
}

/// What is seen of ports and uplinks. By interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub links: crate::plan::Links,
    /// Uplinks that beacons show to be cut off although their link is up.
    pub isolated: std::collections::BTreeSet<String>,
    /// Who serves in the team of each port group.
    pub seats: crate::plan::Seats,
    /// The uplink that each port uses now; those that spread their traffic over several have none here.
    pub uplinks: BTreeMap<String, String>,
    /// VMkernel adapters, by device.
    pub adapters: BTreeMap<String, AdapterState>,
    /// TCP/IP stacks that have adapters or trouble, and the default one.
    pub stacks: BTreeMap<StackName, StackState>,
}

/// What collectors were told of the flows of a switch, since the engine began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Records that were sent.
    pub records_sent: u64,
    /// Records that could not be, or for which there was no room.
    pub records_lost: u64,
    /// Packets of flows for which there was no room in the kernel.
    pub packets_lost: u64,
    /// Flows that go on.
    pub flows: usize,
}

/// The monotonic clock, which the programs have.
fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}

enum Command {
    Declare(Box<Declaration>, oneshot::Sender<Result<()>>),
    Capture(Filter, oneshot::Sender<Result<Captures>>),
    Counters(String, oneshot::Sender<Result<Option<Counters>>>),
    Mirrored(oneshot::Sender<Result<BTreeMap<u32, Mirrored>>>),
    Learned(String, oneshot::Sender<Result<Option<Learned>>>),
    End,
}

/// A running engine. The thread ends some time after the last one of its clones was dropped, see also [`Self::end`]; the data
/// plane goes on.
#[derive(Clone)]
pub struct Engine {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
    /// Apart from the state, since neighbours repeat themselves.
    neighbours: watch::Receiver<Neighbours>,
    observed: watch::Receiver<Observed>,
    /// By switch. Apart from the state, since they change every second.
    flows: watch::Receiver<BTreeMap<String, FlowCounters>>,
    /// Times of neighbours, and of what is observed, count from then.
    began: Instant,
}

impl Engine {
    /// Opens the kernel's half and reads what it holds. Nothing changes before the first declaration.
    ///
    /// # Errors
    /// `Pins` and `Kernel`, see [`crate::kernel::Kernel::open`]; `Link` if there is no netlink.
    pub async fn start(options: Options) -> Result<Self> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (publish, state) = watch::channel(State::default());
        let (tell, neighbours) = watch::channel(Neighbours::default());
        let (show, observed) = watch::channel(Observed::default());
        let (started, result) = oneshot::channel();
        let began = Instant::now();
        let (count, flows) = watch::channel(BTreeMap::new());
        let publish = run::Publish { state: publish, neighbours: tell, observed: show, flows: count, began };
        let body = move || run::thread(&options, inbox, publish, started);
        let spawned = thread::Builder::new().name("vswitch".into()).spawn(body);
        spawned.map_err(|error| Error::Kernel { what: format!("cannot start a thread: {error}") })?;
        result.await.map_err(|_| Error::Ended)??;
        Ok(Self { commands, state, neighbours, observed, flows, began })
    }

    /// Makes this the declared state, and returns when the kernel has it. What could not be applied is the error; the rest
    /// is applied all the same, and is tried again at the next change.
    ///
    /// # Errors
    /// `Limit` and `Adapter` before anything is done; `Map`, `Attach`, `Link`, `Adapter` and `Namespace` for what failed first.
    pub async fn declare(&self, declaration: Declaration) -> Result<()> {
        let (answer, result) = oneshot::channel();
        self.ask(Command::Declare(Box::new(declaration), answer)).await?;
        result.await.map_err(|_| Error::Ended)?
    }

    /// Looks at frames from now on, until the answer is dropped.
    ///
    /// # Errors
    /// `Limit` if there are too many captures already; `Map`.
    pub async fn capture(&self, filter: Filter) -> Result<Captures> {
        let (answer, result) = oneshot::channel();
        self.ask(Command::Capture(filter, answer)).await?;
        result.await.map_err(|_| Error::Ended)?
    }

    /// What has passed a port or an uplink; none if it is not one.
    ///
    /// # Errors
    /// `Map`.
    pub async fn counters(&self, interface: &str) -> Result<Option<Counters>> {
        let (answer, result) = oneshot::channel();
        self.ask(Command::Counters(interface.into(), answer)).await?;
        result.await.map_err(|_| Error::Ended)?
    }

    /// What mirroring sessions have done, by their number: those that mirror now. Of several destinations it is the sum.
    ///
    /// # Errors
    /// `Map`.
    pub async fn mirrored(&self) -> Result<BTreeMap<u32, Mirrored>> {
        let (answer, result) = oneshot::channel();
        self.ask(Command::Mirrored(answer)).await?;
        result.await.map_err(|_| Error::Ended)?
    }

    /// What collectors were told of the flows of a switch, by its name; none if it tells nobody.
    pub fn flow_counters(&self, switch: &str) -> Option<FlowCounters> {
        self.flows.borrow().get(switch).copied()
    }

    /// How many MACs a port has learned; none if it does not learn.
    ///
    /// # Errors
    /// `Map`.
    pub async fn learned(&self, interface: &str) -> Result<Option<Learned>> {
        let (answer, result) = oneshot::channel();
        self.ask(Command::Learned(interface.into(), answer)).await?;
        result.await.map_err(|_| Error::Ended)?
    }

    /// What is seen, now and at every change.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Who is at the other end of an uplink's cable, if the switch listens and somebody speaks there.
    pub fn other_end(&self, uplink: &str) -> OtherEnd {
        self.neighbours.borrow().other_end(self.began.elapsed(), uplink)
    }

    /// Changes when a neighbour is heard or forgotten.
    pub fn neighbours(&self) -> watch::Receiver<Neighbours> {
        self.neighbours.clone()
    }

    /// The IP ranges that are observed behind an uplink with a link, VLAN by VLAN.
    pub fn observed(&self, uplink: &str) -> Vec<ObservedRange> {
        let index = self.state.borrow().links.get(uplink).map(|link| link.index);
        let ranges = |index| self.observed.borrow().ranges(self.began.elapsed(), index);
        index.map(ranges).unwrap_or_default()
    }

    /// Ends the engine, also for who has a clone of it, and returns when it has: from then on it touches nothing, and collectors
    /// have been told of what there was. The data plane goes on.
    pub async fn end(&self) {
        if self.ask(Command::End).await.is_ok() {
            self.commands.closed().await;
        }
    }

    async fn ask(&self, command: Command) -> Result<()> {
        self.commands.send(command).await.map_err(|_| Error::Ended)
    }
}
