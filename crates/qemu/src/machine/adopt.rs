//! Finds VMs again after their daemon has gone. The lock of the runtime directory tells whether a VM lives, its `pid`
//! file tells which process that is, and the process itself must look as it was launched.

use super::Machine;
use crate::process::{self, Process};
use crate::qmp;
use crate::runtime::{LaunchRecord, RuntimeDir};
use crate::{Error, Result, limits};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How many times and how often to check whether a newly forked process has become QEMU.
const BECOMING: (u32, Duration) = (100, Duration::from_millis(20));

pub(super) async fn adopt(dir: &Path) -> Result<Machine> {
    let dir = RuntimeDir::new(dir)?;
    let (process, record) = living(&dir).await?;
    let socket = dir.qmp();
    let client = tokio::select! {
        client = qmp::Client::connect(&socket, limits::ADOPT) => client?,
        () = process.ended() => return Err(Error::NotRunning(dir.path().into())),
    };
    tracing::info!(vm = %record.spec.name, pid = process.pid(), "the VM was adopted");
    Ok(Machine::new(record, dir, process, client, None))
}

/// The process that holds a runtime directory, proven to be the one that was launched there.
async fn living(dir: &RuntimeDir) -> Result<(Process, LaunchRecord)> {
    let (attempts, pause) = BECOMING;
    let mut found = Err(Error::NotRunning(dir.path().into()));
    for attempt in 0..attempts {
        if attempt > 0 {
            sleep(pause).await;
        }
        if !dir.is_held()? {
            return Err(Error::NotRunning(dir.path().into()));
        }
        found = identify(dir);
        // Between fork and exec the lock is held, but the process is not there or not yet QEMU. Once its birth is recorded
        // that moment has passed.
        let unsettled = matches!(found, Err(Error::NotOurs { .. } | Error::NotRunning(_)));
        if !unsettled || dir.birth()?.is_some() {
            break;
        }
    }
    match found {
        Err(Error::NotRunning(_)) if dir.is_held()? => Err(Error::UnknownHolder(dir.path().into())),
        found => found,
    }
}

fn identify(dir: &RuntimeDir) -> Result<(Process, LaunchRecord)> {
    let record = dir.record()?;
    let pid = dir.pid()?.ok_or_else(|| Error::NotRunning(dir.path().into()))?;
    let not_ours = || Error::NotOurs { pid, dir: dir.path().into() };
    // The pidfd comes first, so that every later check is about the process that it holds.
    let process = match Process::open(pid) {
        Err(Error::Io { source, .. }) if source.raw_os_error() == Some(libc::ESRCH) => {
            return Err(Error::NotRunning(dir.path().into()));
        }
        other => other?,
    };
    if process::command_line(pid).as_ref() != Some(&record.command) {
        return Err(not_ours());
    }
    if let Some(birth) = dir.birth()?
        && (birth.pid != pid || process::start_ticks(pid) != Some(birth.start_ticks))
    {
        return Err(not_ours());
    }
    Ok((process, record))
}

/// A runtime directory found under a root.
#[derive(Debug)]
pub struct Found {
    /// The directory.
    pub dir: PathBuf,
    /// How its VM was launched, if the record was written.
    pub record: Option<LaunchRecord>,
    /// Whether a process holds it.
    pub alive: bool,
}

/// Every runtime directory directly under `root`; none if `root` does not exist.
pub fn scan(root: &Path) -> Result<Vec<Found>> {
    let what = || format!("list {}", root.display());
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(what())(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io(what()))?;
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || !entry.path().join("lock").exists() {
            continue;
        }
        let dir = RuntimeDir::new(entry.path())?;
        found.push(Found { dir: entry.path(), record: dir.record().ok(), alive: dir.is_held()? });
    }
    Ok(found)
}

/// Kills the unwanted VMs under `root`, and removes their directories and those of dead VMs. Returns the directories of
/// the killed VMs. A VM without a readable record is never wanted. A directory that cannot be cleared stays, is logged,
/// and keeps its lock, so that no second VM starts there.
pub async fn reap_orphans(root: &Path, wanted: impl Fn(&LaunchRecord) -> bool) -> Result<Vec<PathBuf>> {
    let mut killed = Vec::new();
    for found in scan(root)? {
        if found.alive && found.record.as_ref().is_some_and(&wanted) {
            continue;
        }
        match reap(&found).await {
            Ok(true) => killed.push(found.dir),
            Ok(false) => {}
            Err(e) => tracing::error!(dir = %found.dir.display(), error = %e, "cannot clear an orphan away"),
        }
    }
    Ok(killed)
}

/// Whether a process had to be killed.
async fn reap(found: &Found) -> Result<bool> {
    let dir = RuntimeDir::new(&found.dir)?;
    let killed = found.alive && end(&dir).await?;
    dir.remove()?;
    Ok(killed)
}

/// Kills the VM that runs in a runtime directory, without its monitor; false if none runs.
pub(super) async fn end(dir: &RuntimeDir) -> Result<bool> {
    match living(dir).await {
        Ok((process, _)) => {
            tracing::warn!(dir = %dir.path().display(), pid = process.pid(), "killing a VM");
            process.kill();
            let command = format!("kill {}", process.pid());
            timeout(limits::KILL, process.ended()).await.map_err(|_| Error::Timeout { command })?;
            Ok(true)
        }
        Err(Error::NotRunning(_)) if !dir.is_held()? => Ok(false),
        Err(e) => Err(e),
    }
}
