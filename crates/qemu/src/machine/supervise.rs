//! Watches one process for its whole life: passes its events on, reconnects the monitor when only the connection
//! broke, and reports the end with its reason. Continues without a handle while a child is to be reaped.

use super::events::{ExitReason, MachineEvent, interpret};
use super::{Inner, Process};
use crate::runtime::RuntimeDir;
use crate::{limits, qmp};
use serde_json::Value;
use std::process::Child;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// First wait before reconnecting a lost monitor; doubles up to `limits::RECONNECT`.
const FIRST_RETRY: Duration = Duration::from_millis(100);

type RawEvents = broadcast::Receiver<Arc<qmp::Event>>;

pub(super) struct Supervisor {
    machine: Weak<Inner>,
    process: Arc<Process>,
    child: Option<Child>,
    raw: RawEvents,
    events: broadcast::Sender<MachineEvent>,
    ended: watch::Sender<Option<ExitReason>>,
    dir: RuntimeDir,
    name: String,
    announced: Option<String>,
}

impl Supervisor {
    pub(super) fn new(
        machine: &Arc<Inner>,
        child: Option<Child>,
        raw: RawEvents,
        ended: watch::Sender<Option<ExitReason>>,
    ) -> Self {
        Supervisor {
            machine: Arc::downgrade(machine),
            process: Arc::clone(&machine.process),
            child,
            raw,
            events: machine.events.clone(),
            ended,
            dir: machine.dir.clone(),
            name: machine.record.spec.name.clone(),
            announced: None,
        }
    }

    pub(super) async fn run(mut self) {
        let process = Arc::clone(&self.process);
        loop {
            tokio::select! {
                biased;
                () = process.ended() => break,
                event = self.raw.recv() => match event {
                    Ok(event) => self.handle(&event),
                    Err(RecvError::Lagged(count)) => self.tell(MachineEvent::Lost { count }),
                    Err(RecvError::Closed) => tokio::select! {
                        () = process.ended() => break,
                        raw = self.reconnect() => self.raw = raw,
                    },
                },
            }
        }
        // The last events may still be on their way through the socket.
        let words = async {
            loop {
                match self.raw.recv().await {
                    Ok(event) => self.handle(&event),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                }
            }
        };
        drop(timeout(limits::LAST_WORDS, words).await);
        let status = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        let reason = ExitReason::weigh(self.announced.as_deref(), status, self.dir.log_tail());
        tracing::info!(vm = %self.name, pid = process.pid(), %reason, "the VM has ended");
        self.ended.send_replace(Some(reason.clone()));
        self.tell(MachineEvent::Exited { reason });
    }

    fn handle(&mut self, event: &qmp::Event) {
        tracing::trace!(vm = %self.name, event = %event.name, data = %event.data, "monitor event");
        if event.name == "SHUTDOWN" {
            self.announced = event.data.get("reason").and_then(Value::as_str).map(ToOwned::to_owned);
        }
        self.tell(interpret(event));
    }

    fn tell(&self, event: MachineEvent) {
        // An event without subscribers is dropped.
        drop(self.events.send(event));
    }

    /// Retries until it succeeds. Without a handle left it waits for ever, because nobody needs the monitor.
    async fn reconnect(&self) -> RawEvents {
        let mut wait = FIRST_RETRY;
        let mut told = false;
        loop {
            // A VM that ends closes its monitor first: the wait lets its end win.
            sleep(wait).await;
            let Some(machine) = self.machine.upgrade() else {
                return std::future::pending().await;
            };
            if !told {
                let lost = machine.monitor.lock().violation();
                let reason = lost.unwrap_or_else(|| "the connection was closed".into());
                tracing::warn!(vm = %self.name, %reason, "the monitor connection is lost");
                self.tell(MachineEvent::MonitorLost { reason });
                told = true;
            }
            match qmp::Client::connect(&self.dir.qmp(), limits::RECONNECT).await {
                Ok(client) => {
                    let raw = client.events();
                    *machine.monitor.lock() = client;
                    self.tell(MachineEvent::MonitorRestored);
                    return raw;
                }
                Err(e) => tracing::debug!(vm = %self.name, error = %e, "no monitor yet"),
            }
            wait = (wait * 2).min(limits::RECONNECT);
        }
    }
}
