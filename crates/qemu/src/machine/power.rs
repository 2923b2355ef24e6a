//! Power: running, stopping, resetting, and reliably ending a VM.

use super::{ExitReason, Machine};
use crate::qmp::command;
use crate::{Error, Result, limits};
use std::time::Duration;
use tokio::time::timeout;

/// The state of a VM's processors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// They run.
    Running,
    /// They were stopped from outside.
    Paused,
    /// They have not run since the start.
    Prelaunch,
    /// They were stopped because a disk could not be read or written.
    IoError,
    /// The guest sleeps (S3).
    Suspended,
    /// They wait for saved state, or for its loading.
    Incoming,
    /// The state is being saved, or was saved: they are stopped.
    Saving,
    /// The guest's kernel panicked.
    GuestPanicked,
    /// The guest is off, and the process is about to end.
    Shutdown,
    /// Another state, in QEMU's word.
    Other(String),
}

impl RunState {
    fn from_qmp(status: &str) -> RunState {
        match status {
            "running" => RunState::Running,
            "paused" => RunState::Paused,
            "prelaunch" => RunState::Prelaunch,
            "io-error" => RunState::IoError,
            "suspended" => RunState::Suspended,
            "inmigrate" => RunState::Incoming,
            "finish-migrate" | "postmigrate" => RunState::Saving,
            "guest-panicked" => RunState::GuestPanicked,
            "shutdown" => RunState::Shutdown,
            other => RunState::Other(other.to_owned()),
        }
    }
}

impl Machine {
    /// The state of its processors.
    pub async fn run_state(&self) -> Result<RunState> {
        let status = self.monitor().run(&command::QueryStatus {}).await?;
        Ok(RunState::from_qmp(&status.status))
    }

    /// Lets the processors run: after the start, after a stop, after a disk error whose cause is gone.
    pub async fn resume(&self) -> Result<()> {
        self.monitor().run(&command::Cont {}).await.map(drop)
    }

    /// Stops the processors. The guest notices nothing but lost time.
    pub async fn stop(&self) -> Result<()> {
        self.monitor().run(&command::Stop {}).await.map(drop)
    }

    /// Presses the reset button.
    pub async fn reset(&self) -> Result<()> {
        self.monitor().run(&command::SystemReset {}).await.map(drop)
    }

    /// Presses the power button once: a guest with ACPI shuts down in its own time, another ignores it.
    pub async fn press_power_button(&self) -> Result<()> {
        self.monitor().run(&command::SystemPowerdown {}).await.map(drop)
    }

    /// Switches off: QEMU writes its caches out and ends. If it has not ended after `limits::QUIT`, it is killed.
    pub async fn power_off(&self) -> Result<ExitReason> {
        self.power_off_within(limits::QUIT).await
    }

    /// As [`Machine::power_off`], with another bound before the kill.
    pub async fn power_off_within(&self, patience: Duration) -> Result<ExitReason> {
        let orderly = async {
            // If the command fails, the process may already be ending; if not, it is killed below.
            if let Err(e) = self.monitor().run_within(&command::Quit {}, patience).await {
                tracing::debug!(vm = %self.spec().name, error = %e, "quit was not answered");
            }
            self.wait_exit().await
        };
        match timeout(patience, orderly).await {
            Ok(reason) => Ok(reason),
            Err(_) => {
                tracing::warn!(vm = %self.spec().name, pid = self.pid(), "QEMU does not quit: killing it");
                self.kill().await
            }
        }
    }

    /// Kills the process at once, like pulling the plug.
    pub async fn kill(&self) -> Result<ExitReason> {
        self.inner.process.kill();
        timeout(limits::KILL, self.wait_exit())
            .await
            .map_err(|_| Error::Timeout { command: format!("kill {}", self.pid()) })
    }
}
