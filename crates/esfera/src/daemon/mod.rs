//! Setting up a daemon: its log, its sockets, its end.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value as Json;

/// Writes a file that tells a waiting program that the daemon answers. It appears whole.
pub fn write_ready_file(path: &Path, ready: &Json) -> Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, ready.to_string())
        .and_then(|()| std::fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
