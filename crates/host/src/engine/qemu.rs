//! The engine that runs guests: one QEMU process for each VM, under a user of its own.

mod cgroup;
mod files;
mod firmware;
mod machine;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::qemu::accel::{self, AccelPolicy, Decision};
use ::qemu::image::{self, Preallocation, SourceFormat};
use ::qemu::spec::{Accel, Confinement, ImageFormat};
use ::qemu::{MachineSpec, StartOptions, machine as running};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use vm::FileRef;
use vm::config::VmConfig;
use vm::machine::Given;

use super::simulated::{image_error, not_mounted};
use super::{CopyError, CopyOptions, Engine, EngineInfo, Error, Images, Launch, Machine, Result, Room};
use crate::datastores::{Datastores, Mounted};
use cgroup::Cgroups;
use datastore::disk_image::{self, Format};
use files::Lent;
use machine::QemuMachine;

/// How VMs run.
#[derive(Debug, Clone)]
pub struct QemuOptions {
    /// Directory of the VMs' runtime directories; its path must be short.
    pub runtime: PathBuf,
    /// KVM, emulation, or what works.
    pub accel: AccelPolicy,
    /// The group of all VMs on all hosts, for files that several of them read; none to run QEMU processes as the daemon's own
    /// user.
    pub first_user: Option<u32>,
    /// Directory of the cgroup above those of VMs.
    pub cgroup: Option<PathBuf>,
}

/// Runs VMs with QEMU.
pub struct QemuEngine {
    shared: Arc<Shared>,
    decision: Decision,
}

pub(super) struct Shared {
    pub(super) options: QemuOptions,
    /// First of the users that QEMU processes of this host run as.
    pub(super) users: u32,
    pub(super) datastores: Arc<Datastores>,
    cgroups: Cgroups,
}

impl QemuEngine {
    /// An engine over these datastores, on processors of so many MHz, for QEMU processes that run as `users` and those behind. Looks for KVM, which takes up to two seconds.
    pub fn new(options: QemuOptions, users: u32, datastores: Arc<Datastores>, mhz: u32) -> Self {
        let decision = accel::choose(options.accel);
        let cgroups = Cgroups::prepare(options.cgroup.as_deref(), &options.runtime, mhz);
        Self { shared: Arc::new(Shared { options, users, datastores, cgroups }), decision }
    }
}

impl QemuEngine {
    async fn leave_cgroup(&self, vm: &str) {
        let (shared, vm) = (self.shared.clone(), vm.to_owned());
        drop(blocking(move || shared.cgroups.remove(&vm)).await);
    }
}

fn in_memory(path: &datastore::FilePath) -> Error {
    Error::Unavailable { file: path.to_string(), reason: "its datastore is in memory".into() }
}

/// Runs a synchronous call of a datastore.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| Error::Interrupted { what: "work on a datastore".into(), source })
}

impl Shared {
    /// The QEMU process to start. Blocking: looks at files and gives them to the process's user.
    fn machine(&self, launch: &Launch, accel: Accel, cgroup: Option<PathBuf>) -> Result<MachineSpec> {
        let user = self.user(launch.user);
        // The state is saved there, even if no drive is there.
        self.let_in(&launch.home, user, false)?;
        let given = Given {
            accel,
            firmware: firmware::of(self, launch, user)?,
            confinement: Confinement {
                user,
                groups: self.common().into_iter().collect(),
                cgroup,
                oom_score_adj: None,
            },
            files: &Lent { shared: self, user },
            tap: &|key| {
                let tap = launch.taps.iter().find(|(of, _)| *of == key);
                tap.map(|(_, tap)| tap.name.clone())
            },
        };
        vm::machine::spec(&launch.config, given)
    }

    fn mounted(&self, file: &FileRef) -> Result<Mounted> {
        let missing = || not_mounted(file);
        self.datastores.by_uuid(file.datastore).ok_or_else(missing)
    }

    /// The runtime directory of a VM.
    fn directory(&self, vm: &str) -> PathBuf {
        self.options.runtime.join(vm)
    }

    /// The path of a file for QEMU.
    pub(super) fn path(&self, file: &FileRef) -> Result<PathBuf> {
        let missing = || not_mounted(file);
        let on = self.datastores.by_uuid(file.datastore).ok_or_else(missing)?;
        let path = on.store.host_path(&file.path).map_err(|error| image_error(file, &error))?;
        path.ok_or_else(|| in_memory(&file.path))
    }

    /// The file that a path of QEMU's names.
    pub(super) fn file(&self, path: &Path) -> Option<FileRef> {
        self.datastores.all().into_iter().find_map(|on| {
            let rest = path.strip_prefix(on.store.root_path()?).ok()?.to_str()?;
            let path = datastore::FilePath::parse(rest).ok()?;
            Some(FileRef { datastore: on.store.uuid(), path })
        })
    }

    /// The format of an image, by its header.
    fn format(&self, file: &FileRef) -> Result<ImageFormat> {
        let found = self.facts(file)?.format;
        format_of(found).ok_or_else(|| image_error(file, &found.unfit(&file.path)))
    }

    /// The format of an image that a guest is given. That of a raw one is kept first: its first bytes are the guest's.
    pub(super) fn format_for_guest(&self, file: &FileRef) -> Result<ImageFormat> {
        let format = self.format(file)?;
        if format == ImageFormat::Raw {
            let kept = disk_image::keep_raw(&self.mounted(file)?.store, &file.path);
            kept.map_err(|error| image_error(file, &error))?;
        }
        Ok(format)
    }

    /// The files under an image, nearest first. QEMU and `qemu-img` open whatever a header names, so this comes before
    /// each of them: what an image says may have changed since it was planned with.
    ///
    /// # Errors
    /// If one of them is not on the datastore, or in no plain format, or keeps its data elsewhere.
    pub(super) fn parents(&self, file: &FileRef) -> Result<Vec<FileRef>> {
        let found = self.layers(file)?.into_iter();
        Ok(found.map(|layer| FileRef { datastore: file.datastore, path: layer.path }).collect())
    }

    /// The files under an image that a guest is given. The format of raw ones is kept first: a layer may be merged into
    /// one, and the guest goes on with it.
    ///
    /// # Errors
    /// As `parents`; if a format cannot be kept.
    pub(super) fn parents_for_guest(&self, file: &FileRef) -> Result<Vec<FileRef>> {
        let on = self.mounted(file)?;
        for layer in self.layers(file)?.iter().filter(|layer| layer.format == Format::Raw) {
            let kept = disk_image::keep_raw(&on.store, &layer.path);
            kept.map_err(|error| image_error(file, &error))?;
        }
        self.parents(file)
    }

    fn layers(&self, file: &FileRef) -> Result<Vec<disk_image::Layer>> {
        let on = self.mounted(file)?;
        disk_image::layers(&on.store, &file.path).map_err(|error| Error::Image {
            operation: "open".into(),
            path: on.show(&file.path).into(),
            reason: match error {
                datastore::Error::Escapes(path) => {
                    format!("{path} leads to a file outside of the datastore, or to one of an unknown format")
                }
                other => other.to_string(),
            },
        })
    }

    fn facts(&self, file: &FileRef) -> Result<disk_image::Facts> {
        let on = self.mounted(file)?;
        disk_image::facts(&on.store, &file.path).map_err(|error| image_error(file, &error))
    }
}

/// The format of an image that VMs run on; none if they do not.
fn format_of(format: Format) -> Option<ImageFormat> {
    match format {
        Format::Qcow2 => Some(ImageFormat::Qcow2),
        Format::Raw => Some(ImageFormat::Raw),
        Format::Vmdk(_) | Format::Other(_) => None,
    }
}

#[async_trait]
impl Engine for QemuEngine {
    fn info(&self) -> EngineInfo {
        let accelerator = match self.decision.accel {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        };
        EngineInfo { simulated: false, accelerator, reason: self.decision.reason.clone() }
    }

    fn images(&self) -> Arc<dyn Images> {
        self.shared.clone()
    }

    async fn start(&self, launch: Launch) -> Result<Arc<dyn Machine>> {
        let (shared, accel) = (self.shared.clone(), self.decision.accel);
        let directory = shared.directory(&launch.vm);
        let incoming = launch.resume_from.as_ref().map(|file| shared.give(file, shared.user(launch.user)));
        let incoming = incoming.transpose()?;
        let planned = launch.clone();
        let prepared = blocking(move || {
            let cgroup = shared.cgroups.allot(&planned.vm, &planned.config, None);
            shared.machine(&planned, accel, cgroup)
        });
        let options = StartOptions { incoming, ..StartOptions::default() };
        let started = async { ::qemu::Machine::start(&prepared.await??, &directory, options).await };
        match started.await {
            Ok(machine) => Ok(Arc::new(QemuMachine::new(machine, self.shared.clone()))),
            Err(error) => {
                // Not the group of a VM that runs already.
                if !matches!(error, Error::AlreadyRunning(_)) {
                    self.leave_cgroup(&launch.vm).await;
                }
                Err(error)
            }
        }
    }

    async fn allot(&self, vm: &str, config: &VmConfig, pid: i32) {
        let (shared, vm, config) = (self.shared.clone(), vm.to_owned(), config.clone());
        drop(blocking(move || shared.cgroups.allot(&vm, &config, Some(pid))).await);
    }

    async fn adopt(&self, vm: &str) -> Result<Option<Arc<dyn Machine>>> {
        match ::qemu::Machine::adopt(self.shared.directory(vm)).await {
            Ok(machine) => Ok(Some(Arc::new(QemuMachine::new(machine, self.shared.clone())))),
            Err(Error::NotRunning(_)) => Ok(None),
            // QEMU inherited the lock: without its holder nothing runs.
            Err(error) => match ::qemu::runtime::RuntimeDir::new(self.shared.directory(vm))?.is_held() {
                Ok(false) => Ok(None),
                _ => Err(error),
            },
        }
    }

    async fn end(&self, vm: &str) -> Result<()> {
        ::qemu::Machine::end(self.shared.directory(vm)).await
    }

    async fn reap(&self, wanted: &BTreeSet<String>) -> Result<()> {
        let root = &self.shared.options.runtime;
        // The directory is named by the VM's id; the record inside tells which directory it is.
        let mut keep = Vec::new();
        for found in running::scan(root)? {
            let name = found.dir.file_name().map(|name| name.to_string_lossy().into_owned());
            if let (Some(name), Some(record)) = (name, found.record)
                && wanted.contains(&name)
            {
                keep.push(record.command);
            }
        }
        running::reap_orphans(root, |record| keep.contains(&record.command)).await?;
        let (shared, wanted) = (self.shared.clone(), wanted.clone());
        blocking(move || shared.cgroups.sweep(&wanted)).await
    }

    async fn forget(&self, vm: &str) -> Result<()> {
        let directory = self.shared.directory(vm);
        if !directory.exists() {
            return Ok(());
        }
        self.leave_cgroup(vm).await;
        ::qemu::runtime::RuntimeDir::new(directory)?.remove()
    }

    fn keep(&self, vm: &str, text: &str) -> Result<()> {
        let directory = ::qemu::runtime::RuntimeDir::new(self.shared.directory(vm))?;
        if directory.is_held()? { directory.keep_configuration(text.as_bytes()) } else { Ok(()) }
    }

    fn kept(&self, vm: &str) -> Option<Vec<u8>> {
        ::qemu::runtime::RuntimeDir::new(self.shared.directory(vm)).ok()?.configuration()
    }

    fn user(&self, number: u32) -> Option<u32> {
        self.shared.user(number).map(|user| user.uid)
    }

    fn log(&self, vm: &str) -> Option<Vec<u8>> {
        let directory = ::qemu::runtime::RuntimeDir::new(self.shared.directory(vm)).ok()?;
        std::fs::read(directory.log()).ok()
    }
}

#[async_trait]
impl Images for Shared {
    async fn copy(
        &self,
        from: &FileRef,
        to: &FileRef,
        options: CopyOptions,
        progress: &(dyn Fn(u8) + Sync),
        cancel: &CancellationToken,
    ) -> std::result::Result<(), CopyError> {
        self.parents(from)?;
        let on = self.mounted(from)?;
        let facts = disk_image::fit_to_copy(&on.store, &from.path)?;
        let format = format_of(facts.format);
        let source = self.path(from)?;
        let target = self.mounted(to)?.store;
        let path = to.path.clone();
        let staged = blocking(move || target.stage(&path, options.overwrite, None)).await??;
        let Some(staged) = staged else {
            return Err(in_memory(&to.path).into());
        };
        let preallocation = match options.room {
            Room::Thin => Preallocation::Off,
            Room::Thick => Preallocation::Falloc,
            Room::EagerThick => Preallocation::Full,
        };
        let into = format.filter(|_| from == to).unwrap_or(ImageFormat::Qcow2);
        let format = format.map_or(SourceFormat::Vmdk, SourceFormat::Image);
        let made = staged.host_path();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "per cent")]
        let report = |percent: f32| progress(percent.clamp(0.0, 100.0) as u8);
        let copying = image::convert((&source, format), (&made, into), preallocation, report);
        tokio::select! {
            copied = copying => copied?,
            () = cancel.cancelled() => return Err(CopyError::Cancelled),
        }
        let finish = move || {
            if into == ImageFormat::Raw {
                staged.keep_raw()?;
            }
            staged.finish()
        };
        blocking(finish).await??;
        Ok(())
    }

    async fn create(&self, file: &FileRef, bytes: u64, thin: bool, eager: bool) -> Result<()> {
        let preallocation = match (thin, eager) {
            (true, _) => Preallocation::Off,
            (false, false) => Preallocation::Falloc,
            (false, true) => Preallocation::Full,
        };
        let (on, path) = (self.mounted(file)?.store, file.path.clone());
        let staged = blocking(move || on.stage(&path, false, None)).await?;
        let staged = staged.map_err(|error| image_error(file, &error))?;
        let staged = staged.ok_or_else(|| in_memory(&file.path))?;
        image::create(&staged.host_path(), ImageFormat::Qcow2, bytes, preallocation).await?;
        blocking(move || staged.finish()).await?.map_err(|error| image_error(file, &error))
    }

    async fn create_layer(&self, file: &FileRef, base: &FileRef, bytes: u64) -> Result<()> {
        self.parents(base)?;
        let format = self.format_for_guest(base)?;
        // The given size may be from before the disk grew; a layer must not cut it.
        let bytes = bytes.max(self.facts(base)?.capacity_bytes);
        image::create_overlay(&self.path(file)?, &self.path(base)?, format, bytes).await
    }

    async fn grow(&self, file: &FileRef, bytes: u64) -> Result<()> {
        self.parents(file)?;
        image::resize(&self.path(file)?, self.format(file)?, bytes, false).await
    }

    async fn commit(&self, file: &FileRef, base: &FileRef) -> Result<()> {
        self.parents(file)?;
        image::commit(&self.path(file)?, Some(&self.path(base)?)).await
    }

    async fn rebase(&self, file: &FileRef, base: &FileRef) -> Result<()> {
        self.parents(base)?;
        // A base that lies under the layer already is what the chain says, whatever a guest wrote into it.
        let below = self.layers(file)?.into_iter().find(|layer| layer.path == base.path);
        let format = match below.and_then(|layer| format_of(layer.format)) {
            Some(format) => format,
            None => self.format(base)?,
        };
        image::rebase(&self.path(file)?, Some((&self.path(base)?, format)), true).await
    }
}
