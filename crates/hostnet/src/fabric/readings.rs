//! The kernel's readings of network cards and TCP/IP stacks, taken on request.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::FabricError;

/// The directory of the namespace's interfaces.
const INTERFACES: &str = "/sys/class/net";
/// Set in an interface's flags while it is up (`IFF_UP`).
const UP: u32 = 1;
/// Most of an answer, in bytes: 20,000 sockets fit.
const MAX_ANSWER: usize = 8 << 20;
/// Longest time that reading a table may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Limits how many tables are read at a time.
static READERS: Semaphore = Semaphore::const_new(4);

/// A table of a TCP/IP stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackTable {
    Ipv4Routes,
    Ipv6Routes,
    Ipv4Neighbours,
    Ipv6Neighbours,
    TcpSockets,
    UdpSockets,
}

impl StackTable {
    /// The program that reads it, with `-n` or `-N` for another namespace; and its arguments.
    fn command(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Ipv4Routes => ("ip", "-n", &["-json", "-4", "route", "show"]),
            Self::Ipv6Routes => ("ip", "-n", &["-json", "-6", "route", "show"]),
            Self::Ipv4Neighbours => ("ip", "-n", &["-json", "-4", "neigh", "show"]),
            Self::Ipv6Neighbours => ("ip", "-n", &["-json", "-6", "neigh", "show"]),
            Self::TcpSockets => ("ss", "-N", &["-HOtanip"]),
            Self::UdpSockets => ("ss", "-N", &["-HOuanp"]),
        }
    }
}

/// The kernel's settings and counters of a network card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// Largest payload of a frame, in bytes.
    pub mtu: Option<u32>,
    /// Whether the administrator wants it up.
    pub up: Option<bool>,
    /// Counters by the kernel's names (`rx_packets`).
    pub counters: BTreeMap<String, u64>,
}

pub(super) fn card(name: &str) -> Card {
    let at = Path::new(INTERFACES).join(name);
    let read = |file: &str| fs::read_to_string(at.join(file)).ok().map(|text| text.trim().to_owned());
    let flags = read("flags").and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    let counters = fs::read_dir(at.join("statistics")).into_iter().flatten().flatten();
    let counter = |entry: fs::DirEntry| {
        let number = fs::read_to_string(entry.path()).ok()?.trim().parse().ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), number))
    };
    Card {
        mtu: read("mtu").and_then(|text| text.parse().ok()),
        up: flags.map(|flags| flags & UP != 0),
        counters: counters.filter_map(counter).collect(),
    }
}

/// A table of the stack in this namespace, the daemon's own if none: JSON of `ip`, lines of `ss`.
pub(super) async fn table(table: StackTable, namespace: Option<&Path>) -> Result<String, FabricError> {
    let (program, option, arguments) = table.command();
    let mut command = Command::new(program);
    if let Some(name) = namespace.and_then(Path::file_name) {
        command.arg(option).arg(name);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |words: String| FabricError::new(format!("{program} {}: {words}", arguments.join(" ")));
    let read = async {
        let _permit = READERS.acquire().await.map_err(std::io::Error::other)?;
        let mut child = command.kill_on_drop(true).spawn()?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let most = u64::try_from(MAX_ANSWER).unwrap_or(u64::MAX) + 1;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut stdout, mut stderr) =
            (stdout.expect("it is piped").take(most), stderr.expect("it is piped").take(most));
        tokio::try_join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err))?;
        // A program that writes too much is killed when the command is dropped.
        let status = if out.len() > MAX_ANSWER { None } else { Some(child.wait().await?) };
        Ok::<_, std::io::Error>((status, out, err))
    };
    match tokio::time::timeout(PATIENCE, read).await {
        Err(_) => Err(failed(format!("no answer for {} s", PATIENCE.as_secs()))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok((None, ..))) => Err(failed(format!("more than {MAX_ANSWER} bytes"))),
        Ok(Ok((Some(status), out, _))) if status.success() => Ok(String::from_utf8_lossy(&out).into_owned()),
        Ok(Ok((Some(_), _, err))) => Err(failed(String::from_utf8_lossy(&err).trim().to_owned())),
    }
}
