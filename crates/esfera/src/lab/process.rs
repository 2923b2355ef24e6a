//! The lab's processes: starting them in their namespaces, showing their output under their names, ending them in order.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::client::terminal;

/// Longest time that a process may take to end after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A process of the lab.
pub struct Process {
    name: String,
    child: tokio::process::Child,
}

impl Process {
    /// Starts it in a new process group, so that a Ctrl-C at the terminal reaches only the lab.
    pub fn start(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let program = format!("{command:?}");
        let mut child = tokio::process::Command::from(command)
            .spawn()
            .with_context(|| format!("cannot start {name}: {program}"))?;
        if let Some(stdout) = child.stdout.take() {
            show(name, stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            show(name, stderr);
        }
        Ok(Self { name: name.into(), child })
    }

    /// Its pid, until it has been waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> std::io::Result<std::process::ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end, and kills it if it does not.
    pub async fn stop(mut self) {
        let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) else { return };
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::TERM);
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            tracing::warn!(process = self.name, "the process did not end in time and is killed");
            if let Err(error) = self.child.kill().await {
                tracing::warn!(process = self.name, "cannot kill the process: {error}");
            }
        }
    }
}

fn show(name: &str, output: impl tokio::io::AsyncRead + Unpin + Send + 'static) {
    let name = name.to_owned();
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            terminal::show(format!("[{name}] {line}"));
        }
    });
}

/// The lab's public sockets, all opened before any process is started.
pub struct Listeners {
    pub center: InheritedListener,
    pub hosts: Vec<InheritedListener>,
}

impl Listeners {
    /// Opens the center's socket and one for each host.
    pub fn bind(center: SocketAddr, hosts: usize) -> Result<Self> {
        let hosts = (1..=hosts).map(|number| InheritedListener::bind(public_address(center, number)?));
        Ok(Self { center: InheritedListener::bind(center)?, hosts: hosts.collect::<Result<_>>()? })
    }
}

/// The socket of host `number` is on the center's port plus its number, or on any port if the center's is.
fn public_address(center: SocketAddr, number: usize) -> Result<SocketAddr> {
    let mut address = center;
    if address.port() != 0 {
        let port = u16::try_from(usize::from(address.port()) + number)
            .context("the lab needs a port for each host above the center's, and none is left below 65536")?;
        address.set_port(port);
    }
    Ok(address)
}

/// A listening socket in the lab's own namespace that a process in another one inherits.
pub struct InheritedListener(TcpListener);

impl InheritedListener {
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let listener = crate::daemon::bind(address)?;
        fcntl_setfd(&listener, FdFlags::empty()).context("cannot make the socket inheritable")?;
        Ok(Self(listener))
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        self.0.local_addr().context("the socket has no address")
    }

    /// Its number in the child.
    pub fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
