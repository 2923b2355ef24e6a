//! Starting: record first, then fork, then wait for the monitor. Whatever fails, or whoever drops the future, the
//! process does not survive a start that did not succeed.

use super::Machine;
use super::events::ExitReason;
use crate::cmdline::{self, Channels};
use crate::process::{self, Process};
use crate::qmp::{self, command};
use crate::runtime::{Birth, LaunchRecord, RuntimeDir};
use crate::spawn::{self, Launch};
use crate::spec::{Accel, MachineSpec, NicBackend};
use crate::{Error, Result, limits, tap};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use tokio::time::timeout;

/// Where Debian and most others have it.
const PROGRAM: &str = "/usr/bin/qemu-system-x86_64";

/// What a start needs beside the spec.
#[derive(Debug, Default)]
pub struct StartOptions {
    /// QEMU's program, if not the system's own.
    pub program: Option<PathBuf>,
    /// Open taps by the id of their NIC.
    pub taps: BTreeMap<String, OwnedFd>,
    /// Saved state to resume from, made by [`Machine::suspend`].
    pub incoming: Option<PathBuf>,
}

/// A process that is killed unless it is taken over.
struct Spawned {
    child: Option<Child>,
    process: Option<Process>,
}

impl Spawned {
    fn take(child: Child) -> Result<Self> {
        let pid = i32::try_from(child.id()).map_err(|_| Error::Protocol("process id out of range".into()));
        let mut spawned = Spawned { child: Some(child), process: None };
        match pid.and_then(Process::open) {
            Ok(process) => {
                spawned.process = Some(process);
                Ok(spawned)
            }
            Err(e) => {
                // No pidfd, so the old way; it is our child and not reaped, so the number is still its own.
                if let Some(mut child) = spawned.child.take()
                    && let Err(failure) = child.kill().and_then(|()| child.wait())
                {
                    tracing::error!(pid = child.id(), error = %failure, "cannot kill the process");
                }
                Err(e)
            }
        }
    }

    /// Kills it and waits until it is gone. Returns its exit status.
    async fn end(&mut self) -> Option<ExitStatus> {
        if let Some(process) = &self.process {
            process.kill();
            if timeout(limits::KILL, process.ended()).await.is_err() {
                tracing::error!(pid = process.pid(), "the process does not die");
            }
        }
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let (Some(mut child), Some(process)) = (self.child.take(), self.process.take()) else { return };
        process.kill();
        // Dropped outside a runtime, the child is reaped by whoever reaps the daemon.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                process.ended().await;
                drop(child.try_wait());
            });
        }
    }
}

pub(super) async fn start(spec: &MachineSpec, dir: &Path, options: StartOptions) -> Result<Machine> {
    let dir = RuntimeDir::new(dir)?;
    let incoming = options.incoming.clone();
    let (spec, prepared_dir) = (spec.clone(), dir.clone());
    // Should this future be dropped now, the closure's result is dropped where it ends, and the process with it.
    let launched = tokio::task::spawn_blocking(move || launch(spec, &prepared_dir, options));
    let (mut spawned, record) =
        launched.await.map_err(|e| Error::Protocol(format!("the start was interrupted: {e}")))??;
    let process = spawned.process.as_ref().expect("taken over only below");
    let socket = dir.qmp();
    let connected = async {
        let client = qmp::Client::connect(&socket, limits::START).await?;
        prepare(&client, &record.spec, incoming.as_deref()).await?;
        Ok(client)
    };
    let client = tokio::select! {
        client = connected => client,
        () = process.ended() => Err(Error::Closed),
    };
    let client = match client {
        Ok(client) => client,
        // QEMU gave up on the way.
        Err(Error::Closed | Error::Io { .. }) => return Err(explain(&mut spawned, &dir).await),
        Err(e) => {
            spawned.end().await;
            return Err(e);
        }
    };
    let (child, process) = (spawned.child.take(), spawned.process.take().expect("taken over only here"));
    tracing::info!(vm = %record.spec.name, pid = process.pid(), "the machine has started");
    Ok(Machine::new(record, dir, process, client, child))
}

/// Everything up to the fork. Blocking, but short.
fn launch(spec: MachineSpec, dir: &RuntimeDir, options: StartOptions) -> Result<(Spawned, LaunchRecord)> {
    let runtime = tokio::runtime::Handle::current();
    let lock = dir.create()?;
    dir.clear()?;
    let mut inherit = vec![lock];
    let mut keep = |descriptor: OwnedFd| -> RawFd {
        let number = descriptor.as_raw_fd();
        inherit.push(descriptor);
        number
    };
    let mut channels = Channels { qmp: keep(dir.listen(&dir.qmp())?), ..Channels::default() };
    if spec.guest_agent {
        channels.agent = Some(keep(dir.listen(&dir.agent())?));
    }
    if spec.serial.is_some() {
        channels.serial = Some(keep(dir.listen(&dir.serial())?));
    }
    make_display(dir, &spec)?;
    if spec.vnc {
        channels.vnc = Some(dir.vnc());
    }
    for (nic, tap) in options.taps {
        channels.taps.insert(nic, keep(tap));
    }
    for nic in &spec.nics {
        if let NicBackend::Tap { ifname } = &nic.backend {
            channels.taps.insert(nic.id.clone(), keep(tap::open(ifname)?));
        }
    }
    channels.incoming = options.incoming.is_some();
    prepare_serial_log(&spec)?;
    let arguments = cmdline::argv(&spec, &channels)?;
    let program = options.program.unwrap_or_else(|| PROGRAM.into());
    let command = std::iter::once(cmdline::text(&program)?).chain(arguments.iter().cloned()).collect();
    let record = LaunchRecord::new(spec, command, options.incoming);
    dir.write_record(&record)?;
    let confinement = &record.spec.confinement;
    let child = spawn::spawn(Launch {
        program: &program,
        arguments: &arguments,
        log: dir.open_log()?,
        pid_file: dir.create_pid_file()?,
        inherit,
        user: confinement.user,
        supplementary_groups: accelerator_group(record.spec.accel),
        cgroup: confinement.cgroup.clone(),
        oom_score_adj: confinement.oom_score_adj,
    })?;
    let _entered = runtime.enter();
    let spawned = Spawned::take(child)?;
    let pid = spawned.process.as_ref().expect("just taken").pid();
    if let Some(start_ticks) = process::start_ticks(pid) {
        dir.write_birth(Birth { pid, start_ticks })?;
    }
    Ok((spawned, record))
}

/// The group that may open `/dev/kvm`, which an unprivileged user needs.
fn accelerator_group(accel: Accel) -> Vec<u32> {
    match accel {
        Accel::Tcg => Vec::new(),
        Accel::Kvm => std::fs::metadata("/dev/kvm").map(|m| vec![m.gid()]).unwrap_or_default(),
    }
}

/// The one directory of the machine's own user, for the VNC socket and pictures of the screen.
fn make_display(dir: &RuntimeDir, spec: &MachineSpec) -> Result<()> {
    let path = dir.display();
    let what = || format!("create {}", path.display());
    DirBuilder::new().mode(0o700).create(&path).map_err(Error::io(what()))?;
    give(&path, spec)
}

/// The log of the serial port is opened by QEMU after it has become somebody else.
fn prepare_serial_log(spec: &MachineSpec) -> Result<()> {
    let Some(path) = spec.serial.as_ref().and_then(|s| s.log.as_deref()) else { return Ok(()) };
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map_err(Error::io(format!("open {}", path.display())))?;
    give(path, spec)
}

/// Makes a file or directory the machine's own, which no other machine may read: all have their group in common.
pub(super) fn give(path: &Path, spec: &MachineSpec) -> Result<()> {
    let Some(user) = spec.confinement.user else { return Ok(()) };
    let give = || {
        std::os::unix::fs::lchown(path, Some(user.uid), None)?;
        if std::fs::symlink_metadata(path)?.is_file() {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(())
    };
    give().map_err(Error::io(format!("change the owner of {}", path.display())))
}

/// What has no place on the command line.
async fn prepare(client: &qmp::Client, spec: &MachineSpec, incoming: Option<&Path>) -> Result<()> {
    for nic in spec.nics.iter().filter(|nic| !nic.link_up) {
        client.run(&command::SetLink { name: nic.id.clone(), up: false }).await?;
    }
    match incoming {
        Some(file) => super::state::load(client, file).await,
        None => Ok(()),
    }
}

/// Why a process that was just started has ended; kills it if it has not.
async fn explain(spawned: &mut Spawned, dir: &RuntimeDir) -> Error {
    if let Some(process) = &spawned.process {
        // A process that hung up is mostly about to end by itself, and its own status says more.
        drop(timeout(limits::LAST_WORDS, process.ended()).await);
    }
    let status = spawned.end().await;
    Error::StartFailed { reason: ExitReason::weigh(None, status, dir.log_tail()).to_string() }
}
