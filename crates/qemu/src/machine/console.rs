//! Looks at a VM: pictures of its screen, and whether its agent is there.

use super::Machine;
use super::devices::fresh_node;
use crate::agent::Agent;
use crate::qmp::command;
use crate::{Error, Result};
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Largest picture taken, bytes.
const PICTURE_BYTES: u64 = 64 << 20;

impl Machine {
    /// The screen as a PNG. QEMU refuses if the VM has no display adapter.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        let path = self.inner.dir.display().join(format!("{}.png", fresh_node("screen")));
        let what = || format!("read {}", path.display());
        let filename = crate::cmdline::text(&path)?;
        let shot = self.monitor().run(&command::Screendump { filename, format: "png" }).await;
        let mut picture = Vec::new();
        // The directory belongs to the VM's user: follow neither a link nor a pipe there.
        let read = shot.and_then(|_| {
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(&path)
                .map_err(Error::io(what()))?;
            if !file.metadata().is_ok_and(|m| m.is_file()) {
                return Err(Error::Protocol(format!("{} is not a file", path.display())));
            }
            file.take(PICTURE_BYTES).read_to_end(&mut picture).map_err(Error::io(what()))
        });
        drop(fs::remove_file(&path));
        read.map(|_| picture)
    }

    /// Unix socket of the VNC server, if the VM has one; an API bridges it to a WebSocket.
    #[must_use]
    pub fn vnc_socket(&self) -> Option<PathBuf> {
        self.spec().vnc.then(|| self.inner.dir.vnc())
    }

    /// Unix socket of the serial port, if the VM has one. It takes one client at a time.
    #[must_use]
    pub fn serial_socket(&self) -> Option<PathBuf> {
        self.spec().serial.as_ref().map(|_| self.inner.dir.serial())
    }

    /// The agent in the guest, if the VM has a channel for one; it may not answer.
    #[must_use]
    pub fn agent(&self) -> Option<Agent> {
        self.inner.agent.clone()
    }

    /// Whether a process in the guest has the agent's channel open.
    pub async fn agent_is_open(&self) -> Result<bool> {
        let channels = self.monitor().run(&command::QueryChardev {}).await?;
        Ok(channels.iter().any(|channel| channel.label == "agent" && channel.frontend_open))
    }
}
