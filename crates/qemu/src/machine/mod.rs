//! A running VM. [`Machine`] is a cheap handle: dropping every clone leaves the process running, to be adopted again.
//! `start` starts a VM, `adopt` finds one again, `supervise` notices its end.

mod adopt;
mod chain;
mod console;
mod devices;
mod events;
mod jobs;
mod macs;
mod media;
mod power;
mod start;
mod state;
mod supervise;

pub use adopt::{Found, reap_orphans, scan};
pub use chain::NewLayer;
pub use devices::Drive;
pub use events::{Events, ExitReason, MachineEvent};
pub use jobs::JobProgress;
pub use power::RunState;
pub use start::StartOptions;
pub use state::StateProgress;

use crate::agent::Agent;
use crate::process::{self, Process, Usage};
use crate::qmp;
use crate::runtime::{LaunchRecord, RuntimeDir};
use crate::{MachineSpec, Result};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// A handle to one running VM.
#[derive(Clone)]
pub struct Machine {
    inner: Arc<Inner>,
}

struct Inner {
    record: LaunchRecord,
    dir: RuntimeDir,
    process: Arc<Process>,
    /// Replaced when the monitor had to reconnect.
    monitor: Mutex<qmp::Client>,
    events: broadcast::Sender<MachineEvent>,
    exit: watch::Receiver<Option<ExitReason>>,
    agent: Option<Agent>,
    /// Serializes changes of devices and of the block graph.
    changing: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("name", &self.spec().name).field("pid", &self.pid()).finish()
    }
}

impl Machine {
    /// Starts a VM with its processors stopped; [`Machine::resume`] lets it run. When this returns an error,
    /// no process is left. [`crate::Error::AlreadyRunning`] if the directory's VM is alive.
    pub async fn start(
        spec: &MachineSpec,
        runtime_dir: impl AsRef<Path>,
        options: StartOptions,
    ) -> Result<Machine> {
        start::start(spec, runtime_dir.as_ref(), options).await
    }

    /// Adopts the VM that runs in a runtime directory, whoever started it;
    /// [`crate::Error::NotRunning`] if none does.
    pub async fn adopt(runtime_dir: impl AsRef<Path>) -> Result<Machine> {
        adopt::adopt(runtime_dir.as_ref()).await
    }

    /// Kills the VM that runs in a runtime directory, even one that does not answer. Succeeds if none runs.
    ///
    /// # Errors
    /// [`crate::Error::NotOurs`] or [`crate::Error::UnknownHolder`] if the holder of the directory cannot be proven to be the
    /// VM that was launched there.
    pub async fn end(runtime_dir: impl AsRef<Path>) -> Result<()> {
        adopt::end(&RuntimeDir::new(runtime_dir.as_ref())?).await.map(drop)
    }

    /// The specification at launch. Devices added or removed since are not in it.
    #[must_use]
    pub fn spec(&self) -> &MachineSpec {
        &self.inner.record.spec
    }

    /// How it was launched.
    #[must_use]
    pub fn record(&self) -> &LaunchRecord {
        &self.inner.record
    }

    /// Its runtime directory, with the paths of its sockets.
    #[must_use]
    pub fn runtime_dir(&self) -> &RuntimeDir {
        &self.inner.dir
    }

    /// Process id of its QEMU.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.inner.process.pid()
    }

    /// The present monitor connection. A fault may replace it: ask again for each piece of work.
    #[must_use]
    pub fn monitor(&self) -> qmp::Client {
        self.inner.monitor.lock().clone()
    }

    /// The events of the VM from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        // In this order an end in between reaches the subscriber twice; it stops at the first.
        let receiver = self.inner.events.subscribe();
        Events::new(receiver, self.exit_reason())
    }

    /// How it ended, or `None` while it lives.
    #[must_use]
    pub fn exit_reason(&self) -> Option<ExitReason> {
        self.inner.exit.borrow().clone()
    }

    /// Waits for its end.
    pub async fn wait_exit(&self) -> ExitReason {
        let mut exit = self.inner.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(ExitReason::Vanished { log: String::new() }),
            // The supervisor only leaves without a word when the runtime shuts down.
            Err(_) => ExitReason::Vanished { log: String::new() },
        }
    }

    /// Memory and processor time of its QEMU, or `None` if it has ended.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        if self.exit_reason().is_some() { None } else { process::usage(self.pid()) }
    }

    fn new(
        record: LaunchRecord,
        dir: RuntimeDir,
        process: Process,
        client: qmp::Client,
        child: Option<std::process::Child>,
    ) -> Machine {
        let (events, _) = broadcast::channel(crate::limits::EVENT_QUEUE);
        let (ended, exit) = watch::channel(None);
        let agent = record.spec.guest_agent.then(|| Agent::new(dir.agent()));
        let raw = client.events();
        let inner = Arc::new(Inner {
            record,
            dir,
            process: Arc::new(process),
            monitor: Mutex::new(client),
            events,
            exit,
            agent,
            changing: tokio::sync::Mutex::new(()),
        });
        tokio::spawn(supervise::Supervisor::new(&inner, child, raw, ended).run());
        Machine { inner }
    }
}
