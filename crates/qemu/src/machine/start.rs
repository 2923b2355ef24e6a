//! Starts a VM: records first, then forks, then waits for the monitor. Whether a step fails or the future is dropped,
//! no process survives a start that did not succeed.

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

/// Where Debian and most other distributions install it.
const PROGRAM: &str = "/usr/bin/qemu-system-x86_64";

/// Parameters of a start besides the specification.
#[derive(Debug, Default)]
pub struct StartOptions {
    /// Path of QEMU, if not the system's.
    pub program: Option<PathBuf>,
    /// Open taps by the id of their NIC.
    pub taps: BTreeMap<String, OwnedFd>,
    /// Saved state to resume from, made by [`Machine::suspend`].
    pub incoming: Option<PathBuf>,
}

/// A process that is killed unless a VM takes it over.
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
                // Without a pidfd, the old way: our unreaped child still owns its number.
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
                tracing::error!(pid = process.pid(), "the process has not ended after SIGKILL");
            }
        }
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let (Some(mut child), Some(process)) = (self.child.take(), self.process.take()) else { return };
        process.kill();
        // Outside a runtime, init reaps the child after the daemon's end.
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
    // If this future is dropped now, the closure's result is dropped where it ends, and the process with it.
    let launched = tokio::task::spawn_blocking(move || launch(spec, &prepared_dir, options));
    let interrupted = |source| Error::Interrupted { what: "the start".into(), source };
    let (mut spawned, record) = launched.await.map_err(interrupted)??;
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
        // QEMU gave up early.
        Err(Error::Closed | Error::Io { .. }) => return Err(explain(&mut spawned, &dir).await),
        Err(e) => {
            spawned.end().await;
            return Err(e);
        }
    };
    let (child, process) = (spawned.child.take(), spawned.process.take().expect("taken over only here"));
    tracing::info!(vm = %record.spec.name, pid = process.pid(), "the VM has started");
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
        supplementary_groups: [accelerator_group(record.spec.accel), confinement.groups.clone()].concat(),
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

/// The one directory that belongs to the VM's user, for the VNC socket and pictures of the screen.
fn make_display(dir: &RuntimeDir, spec: &MachineSpec) -> Result<()> {
    let path = dir.display();
    let what = || format!("create {}", path.display());
    DirBuilder::new().mode(0o700).create(&path).map_err(Error::io(what()))?;
    give(&path, spec)
}

/// Makes the log of the serial port, which QEMU opens only after it has changed its user.
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

/// Gives a file or directory to the VM's user and hides it from other VMs, whose users share the group.
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

/// Applies the parts of the specification that have no place on the command line.
async fn prepare(client: &qmp::Client, spec: &MachineSpec, incoming: Option<&Path>) -> Result<()> {
    for nic in spec.nics.iter().filter(|nic| !nic.link_up) {
        client.run(&command::SetLink { name: nic.id.clone(), up: false }).await?;
    }
    match incoming {
        Some(file) => super::state::load(client, file).await,
        None => Ok(()),
    }
}

/// Explains why a newly started process has ended; kills it if it has not.
async fn explain(spawned: &mut Spawned, dir: &RuntimeDir) -> Error {
    if let Some(process) = &spawned.process {
        // A process that closed the connection is usually about to end, and its exit status says more.
        drop(timeout(limits::LAST_WORDS, process.ended()).await);
    }
    let status = spawned.end().await;
    Error::StartFailed { reason: ExitReason::weigh(None, status, dir.log_tail()).to_string() }
}
