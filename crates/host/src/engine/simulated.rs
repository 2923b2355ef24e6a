//! An engine in pure memory: VMs that are on or off and whose guests say what a test tells them to say. It is honest
//! about itself in [`EngineInfo::simulated`], which the host shows as its hardware's vendor and model.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datastore::disk_image;
use hostnet::Tap;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use vim::DateTime;
use vm::FileRef;
use vm::config::VmConfig;
use vm::device::Device;

use super::{
    CopyError, CopyOptions, Engine, EngineInfo, Error, ExitReason, GuestInterface, GuestReport, Happening,
    Images, Launch, Layer, Machine, Processors, Result, Usage,
};
use crate::datastores::Datastores;

/// Events kept for a slow listener. The channel holds room for all of them, and there may be thousands of VMs.
const EVENTS: usize = 2;

/// Runs VMs in memory.
pub struct SimulatedEngine {
    images: Arc<MemoryImages>,
    running: Mutex<HashMap<String, Arc<SimulatedMachine>>>,
}

impl SimulatedEngine {
    /// An engine over these datastores.
    pub fn new(datastores: Arc<Datastores>) -> Self {
        Self { images: Arc::new(MemoryImages { datastores }), running: Mutex::default() }
    }
}

#[async_trait]
impl Engine for SimulatedEngine {
    fn info(&self) -> EngineInfo {
        EngineInfo { simulated: true, accelerator: "none", reason: "the host is simulated".into() }
    }

    fn images(&self) -> Arc<dyn Images> {
        self.images.clone()
    }

    async fn start(&self, launch: Launch) -> Result<Arc<dyn Machine>> {
        if let Some(file) = &launch.resume_from {
            let found = self.images.datastores.by_uuid(file.datastore);
            found
                .and_then(|on| on.store.entry(&file.path).ok())
                .ok_or_else(|| Error::StartFailed { reason: "the saved state is missing".into() })?;
        }
        let machine = Arc::new(SimulatedMachine::new(&launch, self.images.clone()));
        let mut running = self.running.lock();
        if running.get(&launch.vm).is_some_and(|other| other.ended().is_none()) {
            return Err(Error::AlreadyRunning(launch.vm.into()));
        }
        running.insert(launch.vm, machine.clone());
        Ok(machine)
    }

    async fn adopt(&self, vm: &str) -> Result<Option<Arc<dyn Machine>>> {
        let running = self.running.lock();
        let found = running.get(vm).filter(|machine| machine.ended().is_none());
        Ok(found.map(|machine| machine.clone() as Arc<dyn Machine>))
    }

    async fn end(&self, vm: &str) -> Result<()> {
        let running = self.running.lock();
        if let Some(machine) = running.get(vm) {
            machine.end(ExitReason::Terminated);
        }
        Ok(())
    }

    async fn reap(&self, wanted: &BTreeSet<String>) -> Result<()> {
        let mut running = self.running.lock();
        running.retain(|vm, machine| {
            let keep = wanted.contains(vm) && machine.ended().is_none();
            if !keep {
                machine.end(ExitReason::Terminated);
            }
            keep
        });
        Ok(())
    }

    async fn allot(&self, _vm: &str, _config: &VmConfig, _pid: i32) {}

    async fn forget(&self, vm: &str) -> Result<()> {
        self.running.lock().remove(vm);
        Ok(())
    }

    fn user(&self, _number: u32) -> Option<u32> {
        None
    }

    fn log(&self, _vm: &str) -> Option<Vec<u8>> {
        None
    }
}

/// A VM in memory.
pub struct SimulatedMachine {
    images: Arc<MemoryImages>,
    started: DateTime,
    memory_bytes: u64,
    started_with: (u32, u64),
    report: GuestReport,
    state: Mutex<State>,
    events: broadcast::Sender<Happening>,
}

struct State {
    ended: Option<ExitReason>,
    /// Network adapters as the guest sees them, by key.
    interfaces: BTreeMap<i32, GuestInterface>,
    /// Files of each disk, newest first.
    chains: BTreeMap<i32, Vec<FileRef>>,
}

impl SimulatedMachine {
    fn new(launch: &Launch, images: Arc<MemoryImages>) -> Self {
        let config = &launch.config;
        let chain = |disk: &vm::device::Disk| {
            std::iter::once(disk.file.clone()).chain(disk.parents.iter().cloned()).collect()
        };
        Self {
            images,
            started: DateTime::now(),
            memory_bytes: config.memory_mib << 20,
            started_with: (config.cpus, config.memory_mib),
            report: GuestReport {
                host_name: Some(
                    config.name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
                ),
                system: Some("Simulated guest".into()),
                family: Some("linuxGuest"),
                agent_version: Some("simulated".into()),
                interfaces: Vec::new(),
            },
            state: Mutex::new(State {
                ended: None,
                interfaces: config.nics().map(|(key, nic)| (key, interface(nic))).collect(),
                chains: config.disks().map(|(key, disk)| (key, chain(disk))).collect(),
            }),
            events: broadcast::Sender::new(EVENTS),
        }
    }

    fn end(&self, reason: ExitReason) {
        let mut state = self.state.lock();
        if state.ended.is_none() {
            state.ended = Some(reason.clone());
            drop(state);
            drop(self.events.send(Happening::Ended(reason)));
        }
    }

    fn living(&self) -> Result<()> {
        if self.ended().is_some() { Err(Error::Closed) } else { Ok(()) }
    }
}

/// The guests of all simulated VMs are on the network 10.0.0.0/8.
const GUEST_PREFIX: u8 = 8;

/// An adapter as its guest sees it. The address follows from the MAC, so adapters with different ones have different addresses.
fn interface(nic: &vm::device::Nic) -> GuestInterface {
    let mut octets = nic.mac.split(':').skip(3).map(|octet| u8::from_str_radix(octet, 16).unwrap_or(0));
    let mut next = || octets.next().unwrap_or(0);
    let address = Ipv4Addr::new(10, next(), next(), next());
    GuestInterface { mac: nic.mac.clone(), addresses: vec![(IpAddr::V4(address), GUEST_PREFIX)] }
}

#[async_trait]
impl Machine for SimulatedMachine {
    fn events(&self) -> broadcast::Receiver<Happening> {
        self.events.subscribe()
    }

    fn ended(&self) -> Option<ExitReason> {
        self.state.lock().ended.clone()
    }

    fn usage(&self) -> Option<Usage> {
        self.ended().is_none().then_some(Usage { resident_bytes: self.memory_bytes, cpu_ms: 0 })
    }

    fn pid(&self) -> i32 {
        0
    }

    fn booted(&self) -> Option<DateTime> {
        Some(self.started)
    }

    fn changes_by_itself(&self) -> bool {
        false
    }

    async fn processors(&self) -> Result<Processors> {
        self.living().map(|()| Processors::Running)
    }

    async fn resume(&self) -> Result<()> {
        self.living()
    }

    async fn reset(&self) -> Result<()> {
        self.living()?;
        drop(self.events.send(Happening::Reset { by_guest: false }));
        Ok(())
    }

    async fn power_off(&self) -> Result<ExitReason> {
        self.living()?;
        self.end(ExitReason::Quit);
        Ok(ExitReason::Quit)
    }

    async fn suspend(&self, file: &FileRef, progress: &(dyn Fn(u8) + Sync)) -> Result<()> {
        self.living()?;
        self.images.write(file, 0)?;
        progress(100);
        self.end(ExitReason::Quit);
        Ok(())
    }

    async fn cancel_suspend(&self) -> Result<()> {
        self.living()
    }

    async fn shutdown_guest(&self) -> Result<()> {
        self.living()?;
        self.end(ExitReason::GuestShutdown);
        Ok(())
    }

    async fn reboot_guest(&self) -> Result<()> {
        self.living()?;
        drop(self.events.send(Happening::Reset { by_guest: true }));
        Ok(())
    }

    async fn add_disk(&self, config: &VmConfig, key: i32) -> Result<()> {
        self.living()?;
        let disk = config.devices.get(&key).and_then(Device::disk);
        let disk = disk.ok_or_else(|| Error::NoSuchDevice(super::drive_id(key)))?;
        let chain = std::iter::once(disk.file.clone()).chain(disk.parents.iter().cloned());
        let mut state = self.state.lock();
        state.chains.insert(key, chain.collect());
        Ok(())
    }

    async fn remove_disk(&self, key: i32) -> Result<()> {
        self.living()?;
        self.state.lock().chains.remove(&key);
        Ok(())
    }

    async fn resize_disk(&self, key: i32, bytes: u64) -> Result<()> {
        self.living()?;
        let file = self.chain(key).await?.into_iter().next();
        let file = file.ok_or_else(|| Error::NoSuchDevice(super::drive_id(key)))?;
        self.images.grow(&file, bytes).await
    }

    async fn add_nic(&self, config: &VmConfig, key: i32, _tap: Option<&Tap>) -> Result<()> {
        self.living()?;
        if let Some((_, nic)) = config.nics().find(|(at, _)| *at == key) {
            self.state.lock().interfaces.insert(key, interface(nic));
        }
        Ok(())
    }

    async fn remove_nic(&self, key: i32) -> Result<()> {
        self.living()?;
        self.state.lock().interfaces.remove(&key);
        Ok(())
    }

    async fn set_link(&self, _key: i32, _up: bool) -> Result<()> {
        self.living()
    }

    async fn change_medium(&self, _key: i32, _iso: Option<&FileRef>) -> Result<()> {
        self.living()
    }

    async fn add_memory(&self, _mib: u64) -> Result<()> {
        self.living()
    }

    async fn add_processors(&self, _count: u32) -> Result<()> {
        self.living()
    }

    fn started_with(&self) -> (u32, u64) {
        self.started_with
    }

    async fn make_layers(&self, layers: &[Layer]) -> Result<()> {
        self.living()?;
        for (at, layer) in layers.iter().enumerate() {
            let chain = self.chain(layer.disk).await?;
            let made = match chain.first() {
                Some(base) => self.images.layer(&layer.file, base),
                None => Err(Error::NoSuchDevice(super::drive_id(layer.disk))),
            };
            if let Err(error) = made {
                for made in &layers[..at] {
                    self.images.remove(&made.file);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn snapshot(&self, layers: &[Layer]) -> Result<()> {
        self.living()?;
        let mut state = self.state.lock();
        for layer in layers {
            if let Some(chain) = state.chains.get_mut(&layer.disk) {
                chain.insert(0, layer.file.clone());
            }
        }
        Ok(())
    }

    async fn chain(&self, key: i32) -> Result<Vec<FileRef>> {
        self.living()?;
        let state = self.state.lock();
        state.chains.get(&key).cloned().ok_or_else(|| Error::NoSuchDevice(super::drive_id(key)))
    }

    async fn commit(
        &self,
        key: i32,
        top: Option<&FileRef>,
        base: &FileRef,
        progress: &(dyn Fn(u8) + Sync),
    ) -> Result<bool> {
        self.living()?;
        let mut state = self.state.lock();
        let chain = state.chains.get_mut(&key).ok_or_else(|| Error::NoSuchDevice(super::drive_id(key)))?;
        let from = top.map_or(Some(0), |top| chain.iter().position(|file| file == top));
        let to = chain.iter().position(|file| file == base);
        match (from, to) {
            (Some(from), Some(to)) if from < to => drop(chain.drain(from..to)),
            _ => return Err(Error::NotBelow { disk: super::drive_id(key) }),
        }
        progress(100);
        Ok(false)
    }

    async fn end_merging(&self) -> Result<bool> {
        self.living().map(|()| false)
    }

    async fn freeze(&self, _within: Duration) -> Result<()> {
        self.living()
    }

    async fn thaw(&self) -> Result<()> {
        self.living()
    }

    async fn guest(&self) -> Option<GuestReport> {
        let state = self.state.lock();
        let interfaces = state.interfaces.values().cloned().collect();
        state.ended.is_none().then(|| GuestReport { interfaces, ..self.report.clone() })
    }

    async fn screenshot(&self) -> Result<Vec<u8>> {
        Err(Error::NoSuchDevice("display: a simulated machine has no screen".into()))
    }

    fn console(&self) -> Option<PathBuf> {
        None
    }

    fn serial(&self) -> Option<PathBuf> {
        None
    }
}

impl std::fmt::Debug for SimulatedMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedMachine").field("started", &self.started).finish()
    }
}

/// Disks in memory: a file of zeros that is as long as the disk. A layer is another one of the same length.
struct MemoryImages {
    datastores: Arc<Datastores>,
}

impl MemoryImages {
    fn on(&self, file: &FileRef) -> Result<crate::datastores::Mounted> {
        let missing = || not_mounted(file);
        self.datastores.by_uuid(file.datastore).ok_or_else(missing)
    }

    fn write(&self, file: &FileRef, bytes: u64) -> Result<()> {
        let on = self.on(file)?;
        if on.store.exists(&file.path).map_err(|e| image_error(file, &e))? {
            on.store.delete(&file.path).map_err(|e| image_error(file, &e))?;
        }
        on.store.create_sparse(&file.path, bytes).map_err(|e| image_error(file, &e))
    }

    fn layer(&self, file: &FileRef, base: &FileRef) -> Result<()> {
        let bytes = self.on(base)?.store.entry(&base.path).map_err(|e| image_error(base, &e))?.size_bytes;
        self.on(file)?.store.create_sparse(&file.path, bytes).map_err(|e| image_error(file, &e))
    }

    fn remove(&self, file: &FileRef) {
        if let Ok(on) = self.on(file) {
            drop(on.store.delete(&file.path));
        }
    }
}

/// The error for a file whose datastore is not mounted.
pub(super) fn not_mounted(file: &FileRef) -> Error {
    let reason = "its datastore is not mounted; mount it and try again".into();
    Error::Unavailable { file: format!("{} on datastore {}", file.path, file.datastore), reason }
}

pub(super) fn image_error(file: &FileRef, error: &datastore::Error) -> Error {
    match error {
        datastore::Error::NoSpace(path) => Error::NoSpace { path: path.as_str().into() },
        other => Error::Image {
            operation: "write".into(),
            path: file.path.as_str().into(),
            reason: other.to_string(),
        },
    }
}

#[async_trait]
impl Images for MemoryImages {
    async fn copy(
        &self,
        from: &FileRef,
        to: &FileRef,
        options: CopyOptions,
        progress: &(dyn Fn(u8) + Sync),
        cancel: &CancellationToken,
    ) -> std::result::Result<(), CopyError> {
        if from == to {
            return Ok(());
        }
        let (source, target) = (self.on(from)?.store, self.on(to)?.store);
        let mut report = |done: datastore::Progress| {
            progress(u8::try_from(done.done_bytes * 100 / done.total_bytes.max(1)).unwrap_or(100));
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let facts = disk_image::fit_to_copy(&source, &from.path)?;
        if !facts.format.runs() {
            // Converted: a guest sees a disk of the same size.
            let mut made = target.upload(&to.path, options.overwrite, None)?;
            made.skip(facts.capacity_bytes)?;
            return Ok(made.finish()?);
        }
        // In memory nothing waits: this is quick enough for the caller's own thread.
        match source.copy(&from.path, &target, &to.path, options.overwrite, &mut report) {
            Err(datastore::Error::Cancelled) => Err(CopyError::Cancelled),
            other => Ok(other?),
        }
    }

    async fn create(&self, file: &FileRef, bytes: u64, _thin: bool, _eager: bool) -> Result<()> {
        self.on(file)?.store.create_sparse(&file.path, bytes).map_err(|e| image_error(file, &e))
    }

    async fn create_layer(&self, file: &FileRef, base: &FileRef, _bytes: u64) -> Result<()> {
        self.layer(file, base)
    }

    async fn grow(&self, file: &FileRef, bytes: u64) -> Result<()> {
        self.write(file, bytes)
    }

    async fn commit(&self, _file: &FileRef, _base: &FileRef) -> Result<()> {
        Ok(())
    }

    async fn rebase(&self, _file: &FileRef, _base: &FileRef) -> Result<()> {
        Ok(())
    }
}
