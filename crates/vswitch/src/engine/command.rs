//! Requests from the engine's handles to its thread, and what the thread publishes.

use std::collections::BTreeMap;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::state::{FlowCounters, Learned, State};
use crate::Result;
use crate::capture::{Captures, Filter};
use crate::declare::Declaration;
use crate::discovery::Neighbours;
use crate::layout::{Counters, Mirrored};
use crate::observed::Observed;

/// A request to the thread, with the way back for its answer.
pub(super) enum Command {
    Declare(Box<Declaration>, oneshot::Sender<Result<()>>),
    Capture(Filter, oneshot::Sender<Result<Captures>>),
    Counters(String, oneshot::Sender<Result<Option<Counters>>>),
    Mirrored(oneshot::Sender<Result<BTreeMap<u32, Mirrored>>>),
    Learned(String, oneshot::Sender<Result<Option<Learned>>>),
    End,
}

/// The thread's ends of the channels on which it publishes.
pub(super) struct Publish {
    pub state: watch::Sender<State>,
    pub neighbours: watch::Sender<Neighbours>,
    pub observed: watch::Sender<Observed>,
    /// By switch.
    pub flows: watch::Sender<BTreeMap<String, FlowCounters>>,
    /// Times of neighbours and observed networks count from here.
    pub began: Instant,
}
