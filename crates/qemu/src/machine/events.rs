//! Types the events of a VM. QMP events without a meaning here pass through as `Other`.

use crate::qmp;
use serde_json::Value;
use std::process::ExitStatus;
use tokio::sync::broadcast::{self, error::RecvError};

/// An event of a VM.
#[derive(Debug, Clone, PartialEq)]
pub enum MachineEvent {
    /// The processors run.
    Running,
    /// The processors were stopped.
    Stopped,
    /// The guest restarted, of its own accord (`by_guest`) or by the reset button.
    Reset {
        /// Whether the guest asked for it.
        by_guest: bool,
    },
    /// The guest switched itself off; [`MachineEvent::Exited`] follows.
    GuestShutdown,
    /// The guest's kernel panicked and reported it.
    GuestPanicked,
    /// The process has ended. Always the last event.
    Exited {
        /// Why.
        reason: ExitReason,
    },
    /// A disk could not be read or written.
    BlockIoError {
        /// Device id, as far as QEMU reports it.
        device: String,
        /// `read` or `write`.
        operation: String,
        /// Whether the VM was stopped because of it; resume it once the cause is gone.
        stopped: bool,
        /// Whether the storage is full.
        no_space: bool,
        /// The reason in words.
        reason: String,
    },
    /// A tray was opened or shut, by the guest or from outside.
    TrayMoved {
        /// Drive.
        device: String,
        /// Whether the tray is open now.
        open: bool,
    },
    /// The guest's memory grew or shrank.
    BalloonChanged {
        /// Bytes that the guest has.
        actual_bytes: u64,
    },
    /// A block job or other job has ended, well or not.
    JobFinished {
        /// Its id.
        id: String,
    },
    /// A device has gone.
    DeviceRemoved {
        /// Its id.
        device: String,
    },
    /// The guest refused to let go of a device.
    DeviceKept {
        /// Its id.
        device: String,
    },
    /// The guest agent opened or closed its channel.
    AgentChannel {
        /// Whether the channel is open now.
        open: bool,
    },
    /// The monitor connection broke although the process lives; the supervisor reconnects.
    MonitorLost {
        /// The reason.
        reason: String,
    },
    /// The monitor is connected again. Events in between are lost: look at the state.
    MonitorRestored,
    /// The subscriber was too slow and lost this many events: look at the state.
    Lost {
        /// How many.
        count: u64,
    },
    /// Any other QMP event.
    Other {
        /// Its name in QMP.
        name: String,
        /// Its data.
        data: Value,
    },
}

/// How a VM ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// The guest switched itself off.
    GuestShutdown,
    /// The guest's kernel panicked.
    GuestPanicked,
    /// It was told to quit.
    Quit,
    /// A signal asked the process to end; QEMU closed its files in order.
    Terminated,
    /// A signal killed it.
    Killed {
        /// Signal number.
        signal: i32,
        /// The end of its log.
        log: String,
    },
    /// It exited with an error.
    Failed {
        /// Exit code.
        code: i32,
        /// The end of its log.
        log: String,
    },
    /// It has ended. As it is not our child, its exit status is unknown.
    Vanished {
        /// The end of its log.
        log: String,
    },
}

impl std::fmt::Display for ExitReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, log) = match self {
            ExitReason::GuestShutdown => ("the guest switched itself off".to_owned(), ""),
            ExitReason::GuestPanicked => ("the guest's kernel panicked".to_owned(), ""),
            ExitReason::Quit => ("it was switched off".to_owned(), ""),
            ExitReason::Terminated => ("the process was told to end by a signal".to_owned(), ""),
            ExitReason::Killed { signal, log } => {
                (format!("the process was killed by signal {signal}"), log.as_str())
            }
            ExitReason::Failed { code, log } => {
                (format!("the process failed with exit code {code}"), log.as_str())
            }
            ExitReason::Vanished { log } => ("the process ended unexpectedly".to_owned(), log.as_str()),
        };
        if log.is_empty() { f.write_str(&what) } else { write!(f, "{what}: {log}") }
    }
}

impl ExitReason {
    /// Weighs QEMU's announcement, its exit status if it was our child, and its log.
    pub(super) fn weigh(announced: Option<&str>, status: Option<ExitStatus>, log: String) -> ExitReason {
        use std::os::unix::process::ExitStatusExt;
        // An announcement only counts if the process then ended well.
        let ended_well = status.is_none_or(|s| s.success());
        match announced {
            Some("guest-shutdown" | "guest-reset") if ended_well => return ExitReason::GuestShutdown,
            Some("guest-panic") if ended_well => return ExitReason::GuestPanicked,
            Some("host-qmp-quit" | "host-qmp-system-reset") if ended_well => return ExitReason::Quit,
            Some("host-signal" | "host-ui") if ended_well => return ExitReason::Terminated,
            _ => {}
        }
        match status {
            Some(status) => match (status.signal(), status.code()) {
                (Some(signal), _) => ExitReason::Killed { signal, log },
                (None, Some(0)) => ExitReason::Quit,
                (None, code) => ExitReason::Failed { code: code.unwrap_or(-1), log },
            },
            None => ExitReason::Vanished { log },
        }
    }
}

/// Events of one VM for one subscriber. Ends after [`MachineEvent::Exited`], which comes to late subscribers too.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<MachineEvent>,
    /// The end, if it came before the subscriber.
    already: Option<ExitReason>,
    over: bool,
}

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<MachineEvent>, already: Option<ExitReason>) -> Self {
        Events { receiver, already, over: false }
    }

    /// The next event, or `None` after the last. Dropping the call loses nothing.
    pub async fn next(&mut self) -> Option<MachineEvent> {
        if self.over {
            return None;
        }
        if let Some(reason) = self.already.take() {
            self.over = true;
            return Some(MachineEvent::Exited { reason });
        }
        match self.receiver.recv().await {
            Ok(event) => {
                self.over = matches!(event, MachineEvent::Exited { .. });
                Some(event)
            }
            Err(RecvError::Lagged(count)) => Some(MachineEvent::Lost { count }),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Gives a QMP event its meaning.
pub(super) fn interpret(event: &qmp::Event) -> MachineEvent {
    let data = &event.data;
    let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let flag = |key: &str| data.get(key).and_then(Value::as_bool).unwrap_or(false);
    match event.name.as_str() {
        "RESUME" => MachineEvent::Running,
        "STOP" => MachineEvent::Stopped,
        "RESET" => MachineEvent::Reset { by_guest: flag("guest") },
        "SHUTDOWN" if flag("guest") => MachineEvent::GuestShutdown,
        "GUEST_PANICKED" => MachineEvent::GuestPanicked,
        "BLOCK_IO_ERROR" => MachineEvent::BlockIoError {
            device: device_of(data),
            operation: text("operation"),
            stopped: text("action") == "stop",
            no_space: flag("nospace"),
            reason: text("reason"),
        },
        "DEVICE_TRAY_MOVED" => MachineEvent::TrayMoved { device: device_of(data), open: flag("tray-open") },
        "BALLOON_CHANGE" => MachineEvent::BalloonChanged {
            actual_bytes: data.get("actual").and_then(Value::as_u64).unwrap_or(0),
        },
        "JOB_STATUS_CHANGE" if text("status") == "concluded" => MachineEvent::JobFinished { id: text("id") },
        // QEMU sends the event once for the device and once for each of its parts, which have no id.
        "DEVICE_DELETED" if data.get("device").is_some() => {
            MachineEvent::DeviceRemoved { device: text("device") }
        }
        "DEVICE_UNPLUG_GUEST_ERROR" => MachineEvent::DeviceKept { device: device_of(data) },
        "VSERPORT_CHANGE" => MachineEvent::AgentChannel { open: flag("open") },
        _ => MachineEvent::Other { name: event.name.clone(), data: data.clone() },
    }
}

/// The id of an event's device: QEMU gives a block backend's name, a device id or a QOM path.
fn device_of(data: &Value) -> String {
    let text = |key: &str| data.get(key).and_then(Value::as_str).filter(|v| !v.is_empty());
    ["qom-path", "path", "id", "device"]
        .iter()
        .find_map(|key| text(key))
        .map(peripheral_id)
        .or_else(|| text("node-name").map(ToOwned::to_owned))
        .unwrap_or_default()
}

/// `disk0` from `/machine/peripheral/disk0/virtio-backend`; other text stays as it is.
pub(super) fn peripheral_id(path: &str) -> String {
    match path.strip_prefix("/machine/peripheral/") {
        Some(rest) => rest.split('/').next().unwrap_or(rest).to_owned(),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::process::ExitStatusExt;

    fn event(name: &str, data: Value) -> MachineEvent {
        interpret(&qmp::Event { name: name.into(), data, timestamp_us: 0 })
    }

    #[test]
    fn a_full_datastore_is_told_with_its_device_and_reason() {
        let data = json!({"device": "", "node-name": "disk0", "qom-path": "/machine/peripheral/disk0/virtio-backend",
            "operation": "write", "action": "stop", "nospace": true, "reason": "No space left on device"});
        assert_eq!(
            event("BLOCK_IO_ERROR", data),
            MachineEvent::BlockIoError {
                device: "disk0".into(),
                operation: "write".into(),
                stopped: true,
                no_space: true,
                reason: "No space left on device".into()
            }
        );
    }

    #[test]
    fn unknown_events_pass_through_whole() {
        let data = json!({"x": 1});
        assert_eq!(event("NEW_THING", data.clone()), MachineEvent::Other { name: "NEW_THING".into(), data });
        assert!(matches!(event("SHUTDOWN", json!({"guest": false})), MachineEvent::Other { .. }));
        assert!(matches!(event("DEVICE_DELETED", json!({"path": "/x"})), MachineEvent::Other { .. }));
    }

    #[test]
    fn the_end_of_a_process_is_explained_by_the_best_witness() {
        let weigh = |announced, raw: Option<i32>| {
            ExitReason::weigh(announced, raw.map(ExitStatus::from_raw), "log".into())
        };
        let cases = [
            (weigh(Some("guest-shutdown"), Some(0)), ExitReason::GuestShutdown),
            (weigh(Some("guest-shutdown"), None), ExitReason::GuestShutdown),
            (weigh(Some("host-qmp-quit"), Some(0)), ExitReason::Quit),
            (weigh(Some("host-signal"), None), ExitReason::Terminated),
            (weigh(None, Some(9)), ExitReason::Killed { signal: 9, log: "log".into() }),
            (weigh(Some("guest-shutdown"), Some(11)), ExitReason::Killed { signal: 11, log: "log".into() }),
            (weigh(None, Some(1 << 8)), ExitReason::Failed { code: 1, log: "log".into() }),
            (weigh(None, None), ExitReason::Vanished { log: "log".into() }),
        ];
        for (found, wanted) in cases {
            assert_eq!(found, wanted);
        }
    }
}
