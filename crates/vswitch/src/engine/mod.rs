//! The engine that a daemon runs: a thread that owns the kernel's side, listens to netlink, and reconciles whenever the
//! declaration or the observed state changes. It is a separate thread because fail-over must not wait for a busy
//! runtime, and because network namespaces belong to threads.

mod clock;
mod command;
mod control;
mod flows;
mod options;
mod rings;
mod state;
mod switching;

pub use options::{Options, Timing};
pub use state::{FlowCounters, Learned, State};

use std::collections::BTreeMap;
use std::thread;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use self::command::{Command, Publish};
use crate::capture::{Captures, Filter};
use crate::declare::Declaration;
use crate::discovery::{Neighbours, OtherEnd};
use crate::layout::{Counters, Mirrored};
use crate::limits::COMMANDS;
use crate::observed::{Observed, ObservedRange};
use crate::{Error, Result};

/// The name of the engine's thread.
const THREAD: &str = "vswitch";

/// A running engine. The thread ends some time after its last clone is dropped (see also [`Self::end`]); the data plane
/// goes on.
#[derive(Clone)]
pub struct Engine {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
    /// Separate from the state, since neighbours repeat themselves.
    neighbours: watch::Receiver<Neighbours>,
    observed: watch::Receiver<Observed>,
    /// By switch. Separate from the state, since they change every second.
    flows: watch::Receiver<BTreeMap<String, FlowCounters>>,
    /// Times of neighbours and observed networks count from here.
    began: Instant,
}

impl Engine {
    /// Opens the kernel's side and reads its content. Nothing changes before the first declaration.
    ///
    /// # Errors
    /// `Pins` and `Kernel`, see [`crate::kernel::Kernel::open`]; `Prefix`, `Enter`, `Thread`, `Socket`, `Random`, `Map`
    /// and `Links` for what could not be set up.
    pub async fn start(options: Options) -> Result<Self> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (publish, state) = watch::channel(State::default());
        let (tell, neighbours) = watch::channel(Neighbours::default());
        let (show, observed) = watch::channel(Observed::default());
        let (started, result) = oneshot::channel();
        let began = Instant::now();
        let (count, flows) = watch::channel(BTreeMap::new());
        let publish = Publish { state: publish, neighbours: tell, observed: show, flows: count, began };
        let body = move || switching::thread(&options, inbox, publish, started);
        let spawned = thread::Builder::new().name(THREAD.into()).spawn(body);
        spawned.map_err(|source| Error::Thread { name: THREAD, source })?;
        result.await.map_err(|_| Error::Ended)??;
        Ok(Self { commands, state, neighbours, observed, flows, began })
    }

    /// Makes this the desired state, and returns when the kernel has it. After an error the rest is applied all the
    /// same, and the failed part is tried again at the next change.
    ///
    /// # Errors
    /// `Limit` and `Adapter` before anything is done; `Map`, `Attach`, `Link`, `Links`, `Adapter` and `Stack` for the
    /// first failure.
    pub async fn declare(&self, declaration: Declaration) -> Result<()> {
        let (answer, result) = oneshot::channel();
        self.ask(Command::Declare(Box::new(declaration), answer)).await?;
        result.await.map_err(|_| Error::Ended)?
    }

    /// Captures frames from now on, until the result is dropped.
    ///
    /// # Errors
    /// `Limit` if there are too many captures already; `Map`.
    pub async fn capture(&self, filter: Filter) -> Result<Captures> {
        let (answer, result) = oneshot::channel();
        self.ask(Command::Capture(filter, answer)).await?;
        result.await.map_err(|_| Error::Ended)?
    }

    /// The counters of a port or an uplink; `None` if the interface is neither.
    ///
    /// # Errors
    /// `Map`.
    pub async fn counters(&self, interface: &str) -> Result<Option<Counters>> {
        let (answer, result) = oneshot::channel();
        self.ask(Command::Counters(interface.into(), answer)).await?;
        result.await.map_err(|_| Error::Ended)?
    }

    /// The counters of active mirroring sessions, by number, summed over their destinations.
    ///
    /// # Errors
    /// `Map`.
    pub async fn mirrored(&self) -> Result<BTreeMap<u32, Mirrored>> {
        let (answer, result) = oneshot::channel();
        self.ask(Command::Mirrored(answer)).await?;
        result.await.map_err(|_| Error::Ended)?
    }

    /// The export counters of a switch, by its name; `None` if it has no collector.
    pub fn flow_counters(&self, switch: &str) -> Option<FlowCounters> {
        self.flows.borrow().get(switch).copied()
    }

    /// How many MACs a port has learned; `None` if it does not learn.
    ///
    /// # Errors
    /// `Map`.
    pub async fn learned(&self, interface: &str) -> Result<Option<Learned>> {
        let (answer, result) = oneshot::channel();
        self.ask(Command::Learned(interface.into(), answer)).await?;
        result.await.map_err(|_| Error::Ended)?
    }

    /// The observed state, now and at every change.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The neighbour at the other end of an uplink's cable, if the switch listens and the neighbour announces itself.
    pub fn other_end(&self, uplink: &str) -> OtherEnd {
        self.neighbours.borrow().other_end(self.began.elapsed(), uplink)
    }

    /// Changes when a neighbour appears or is forgotten.
    pub fn neighbours(&self) -> watch::Receiver<Neighbours> {
        self.neighbours.clone()
    }

    /// The IP ranges observed behind an uplink with a link, VLAN by VLAN.
    pub fn observed(&self, uplink: &str) -> Vec<ObservedRange> {
        let index = self.state.borrow().links.get(uplink).map(|link| link.index);
        let ranges = |index| self.observed.borrow().ranges(self.began.elapsed(), index);
        index.map(ranges).unwrap_or_default()
    }

    /// Ends the engine for all its clones, and returns when it has ended: from then on it touches nothing, and
    /// collectors have received the last flows. The data plane goes on.
    pub async fn end(&self) {
        if self.ask(Command::End).await.is_ok() {
            self.commands.closed().await;
        }
    }

    async fn ask(&self, command: Command) -> Result<()> {
        self.commands.send(command).await.map_err(|_| Error::Ended)
    }
}
