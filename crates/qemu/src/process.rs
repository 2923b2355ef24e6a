//! A process seen from outside: its identity, its resources and its end. A pidfd stands for exactly one process, so
//! waiting and killing can never affect a later process with the same number.

use crate::{Error, Result, readiness};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// Resources that a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// Processor time in user and kernel mode since its start, milliseconds.
    pub cpu_ms: u64,
}

/// One process, held by a pidfd.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    descriptor: AsyncFd<OwnedFd>,
}

impl Process {
    /// Opens a living process. Needs a tokio runtime.
    pub(crate) fn open(pid: i32) -> Result<Self> {
        let what = || format!("open process {pid}");
        let pid = Pid::from_raw(pid).ok_or_else(|| Error::Protocol(format!("process id {pid}")))?;
        let descriptor = pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(|e| Error::io(what())(e.into()))?;
        let descriptor = readiness::watch(descriptor).map_err(Error::io(what()))?;
        Ok(Process { pid, descriptor })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits for its end. Does not reap it.
    pub(crate) async fn ended(&self) {
        // A pidfd becomes readable once, when the process has ended, and stays so.
        if self.descriptor.readable().await.is_err() {
            tracing::error!(pid = self.pid(), "cannot wait for the process: the runtime is shutting down");
        }
    }

    /// Sends SIGKILL. Succeeds if the process has already ended.
    pub(crate) fn kill(&self) {
        if let Err(e) = pidfd_send_signal(self.descriptor.get_ref(), Signal::KILL)
            && e != rustix::io::Errno::SRCH
        {
            tracing::error!(pid = self.pid(), error = %e, "cannot kill the process");
        }
    }
}

/// Program and arguments of a process, or `None` if it has ended.
pub(crate) fn command_line(pid: i32) -> Option<Vec<String>> {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut parts: Vec<String> =
        raw.split(|b| *b == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    // The last argument ends with a NUL as well.
    parts.pop();
    (!parts.is_empty()).then_some(parts)
}

/// Start time in clock ticks since boot, or `None` if it has ended.
pub(crate) fn start_ticks(pid: i32) -> Option<u64> {
    stat_field(pid, 22)
}

/// Memory and processor time, or `None` if it has ended.
#[must_use]
pub fn usage(pid: i32) -> Option<Usage> {
    let page_bytes = rustix::param::page_size() as u64;
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let resident_pages = stat_field(pid, 24)?;
    let ticks = stat_field(pid, 14)?.checked_add(stat_field(pid, 15)?)?;
    Some(Usage { resident_bytes: resident_pages * page_bytes, cpu_ms: ticks * 1000 / ticks_per_second })
}

/// A numeric field of `/proc/pid/stat`, numbered as in proc_pid_stat(5).
fn stat_field(pid: i32, number: usize) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat, number)
}

fn parse_stat(stat: &str, number: usize) -> Option<u64> {
    // The second field is the name in brackets, which may contain blanks and brackets itself.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (qemu) S 1) (x) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 12345 1000 77 184467";
        assert_eq!(parse_stat(stat, 14), Some(250));
        assert_eq!(parse_stat(stat, 15), Some(50));
        assert_eq!(parse_stat(stat, 22), Some(12345));
        assert_eq!(parse_stat(stat, 24), Some(77));
    }

    #[test]
    fn the_own_process_has_a_command_line_and_uses_memory() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(usage(own).unwrap().resident_bytes > 0);
        assert!(!command_line(own).unwrap().is_empty());
        assert!(start_ticks(own).is_some());
        assert!(usage(i32::MAX).is_none());
    }
}
