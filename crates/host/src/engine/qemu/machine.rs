//! One running QEMU behind the trait that the host knows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::qemu::agent::ShutdownMode;
use ::qemu::machine::NewLayer;
use ::qemu::{Error, ExitReason, MachineEvent, RunState};
use async_trait::async_trait;
use hostnet::Tap;
use tokio::sync::broadcast;
use vim::DateTime;
use vm::FileRef;
use vm::config::VmConfig;
use vswitch::Mac;

use super::Shared;
use super::files::Lent;
use crate::engine::{
    EVENTS, GuestInterface, GuestReport, Happening, Layer, Machine, Processors, Result, Usage, drive_id,
    nic_id, nic_key,
};

pub(super) struct QemuMachine {
    machine: ::qemu::Machine,
    shared: Arc<Shared>,
    events: broadcast::Sender<Happening>,
}

impl QemuMachine {
    pub(super) fn new(machine: ::qemu::Machine, shared: Arc<Shared>) -> Self {
        let events = broadcast::Sender::new(EVENTS);
        let (told, mut source) = (events.clone(), machine.events());
        // Holds no handle: a daemon that lets go of the process lets go of its monitor too.
        tokio::spawn(async move {
            while let Some(event) = source.next().await {
                let Some(happening) = translate(event) else { continue };
                let last = matches!(happening, Happening::Ended(_));
                drop(told.send(happening));
                if last {
                    return;
                }
            }
        });
        Self { machine, shared, events }
    }

    fn layers(&self, layers: &[Layer]) -> Result<Vec<NewLayer>> {
        let new =
            |layer: &Layer| Ok(NewLayer { disk: drive_id(layer.disk), file: self.shared.path(&layer.file)? });
        layers.iter().map(new).collect()
    }
}

fn translate(event: MachineEvent) -> Option<Happening> {
    Some(match event {
        MachineEvent::Running
        | MachineEvent::Stopped
        | MachineEvent::MonitorRestored
        | MachineEvent::Lost { .. } => Happening::Changed,
        MachineEvent::Reset { by_guest } => Happening::Reset { by_guest },
        MachineEvent::Exited { reason } => Happening::Ended(reason),
        MachineEvent::BlockIoError { device, stopped, no_space, reason, .. } => {
            Happening::DiskError { drive: device, no_space, stopped, reason }
        }
        MachineEvent::TrayMoved { device, open } => Happening::Tray { drive: device, open },
        MachineEvent::AgentChannel { open } => Happening::Agent { open },
        _ => return None,
    })
}

fn percent(done: u64, total: u64) -> u8 {
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(0);
    u8::try_from(percent.min(99)).unwrap_or(99)
}

#[async_trait]
impl Machine for QemuMachine {
    fn events(&self) -> broadcast::Receiver<Happening> {
        self.events.subscribe()
    }

    fn ended(&self) -> Option<ExitReason> {
        self.machine.exit_reason()
    }

    fn usage(&self) -> Option<Usage> {
        let usage = self.machine.usage()?;
        Some(Usage { resident_bytes: usage.resident_bytes, cpu_ms: usage.cpu_ms })
    }

    fn pid(&self) -> i32 {
        self.machine.pid()
    }

    fn booted(&self) -> Option<DateTime> {
        // Written when the process was started.
        let birth = self.machine.runtime_dir().path().join("birth.json");
        Some(std::fs::metadata(birth).ok()?.modified().ok()?.into())
    }

    async fn processors(&self) -> Result<Processors> {
        Ok(match self.machine.run_state().await? {
            RunState::Running | RunState::Suspended => Processors::Running,
            RunState::IoError => Processors::DiskError,
            RunState::Prelaunch | RunState::Incoming => Processors::NeverRan,
            _ => Processors::Stopped,
        })
    }

    async fn resume(&self) -> Result<()> {
        self.machine.resume().await
    }

    async fn reset(&self) -> Result<()> {
        self.machine.reset().await
    }

    async fn power_off(&self) -> Result<ExitReason> {
        self.machine.power_off().await
    }

    async fn suspend(&self, file: &FileRef, progress: &(dyn Fn(u8) + Sync)) -> Result<()> {
        let path = self.shared.path(file)?;
        self.machine.suspend(&path, |at| progress(percent(at.done_bytes, at.total_bytes))).await.map(drop)
    }

    async fn cancel_suspend(&self) -> Result<()> {
        self.machine.cancel_suspend().await
    }

    async fn shutdown_guest(&self) -> Result<()> {
        let agent = self.machine.agent().ok_or_else(|| silent("guest-shutdown"))?;
        agent.shutdown(ShutdownMode::PowerDown).await
    }

    async fn reboot_guest(&self) -> Result<()> {
        let agent = self.machine.agent().ok_or_else(|| silent("guest-shutdown"))?;
        agent.shutdown(ShutdownMode::Reboot).await
    }

    async fn add_disk(&self, config: &VmConfig, key: i32) -> Result<()> {
        let files = Lent { shared: &self.shared, user: self.machine.spec().confinement.user };
        let disk = vm::machine::hot_disk(config, key, &files)?;
        self.machine.add_disk(&disk).await
    }

    async fn remove_disk(&self, key: i32) -> Result<()> {
        self.machine.remove_disk(&drive_id(key)).await
    }

    async fn resize_disk(&self, key: i32, bytes: u64) -> Result<()> {
        self.machine.resize_disk(&drive_id(key), bytes).await
    }

    async fn add_nic(&self, config: &VmConfig, key: i32, tap: Option<&Tap>) -> Result<()> {
        let nic = vm::machine::hot_nic(config, key, tap.map(|tap| tap.name.clone()))?;
        self.machine.add_nic(&nic, None).await.map(drop)
    }

    async fn remove_nic(&self, key: i32) -> Result<()> {
        self.machine.remove_nic(&nic_id(key)).await
    }

    async fn set_link(&self, key: i32, up: bool) -> Result<()> {
        self.machine.set_link(&nic_id(key), up).await
    }

    async fn macs(&self) -> Result<BTreeMap<i32, Mac>> {
        let found = self.machine.nic_macs().await?;
        Ok(found.iter().filter_map(|(id, mac)| Some((nic_key(id)?, mac.parse().ok()?))).collect())
    }

    async fn change_medium(&self, key: i32, iso: Option<&FileRef>) -> Result<()> {
        let user = self.machine.spec().confinement.user;
        let path = iso.map(|file| self.shared.share(file, user)).transpose()?;
        self.machine.change_medium(&drive_id(key), path.as_deref(), true).await
    }

    async fn add_memory(&self, mib: u64) -> Result<()> {
        self.machine.add_memory(mib).await
    }

    async fn add_processors(&self, count: u32) -> Result<()> {
        self.machine.add_processors(count).await
    }

    fn started_with(&self) -> (u32, u64) {
        let spec = self.machine.spec();
        (spec.cpu.count, spec.memory_mib)
    }

    async fn make_layers(&self, layers: &[Layer]) -> Result<()> {
        self.machine.make_layers(&self.layers(layers)?).await
    }

    async fn snapshot(&self, layers: &[Layer]) -> Result<()> {
        self.machine.switch_to_layers(&self.layers(layers)?).await
    }

    async fn chain(&self, key: i32) -> Result<Vec<FileRef>> {
        let paths: Vec<PathBuf> = self.machine.chain(&drive_id(key)).await?;
        let file = |path: &PathBuf| {
            let found = self.shared.file(path);
            let reason = "it lies outside of every mounted datastore".into();
            found.ok_or_else(|| Error::Unavailable { file: path.display().to_string(), reason })
        };
        paths.iter().map(file).collect()
    }

    async fn commit(
        &self,
        key: i32,
        top: Option<&FileRef>,
        base: &FileRef,
        progress: &(dyn Fn(u8) + Sync),
    ) -> Result<bool> {
        let top = top.map(|file| self.shared.path(file)).transpose()?;
        let base = self.shared.path(base)?;
        let told = |at: ::qemu::machine::JobProgress| progress(percent(at.done, at.total));
        self.machine.commit(&drive_id(key), top.as_deref(), &base, told).await
    }

    async fn end_merging(&self) -> Result<bool> {
        let ended = self.machine.end_jobs().await?;
        Ok(!ended.is_empty())
    }

    async fn freeze(&self, within: Duration) -> Result<()> {
        let agent = self.machine.agent().ok_or_else(|| silent("guest-fsfreeze-freeze"))?;
        agent.ping().await?;
        agent.freeze(within).await.map(drop)
    }

    async fn thaw(&self) -> Result<()> {
        let agent = self.machine.agent().ok_or_else(|| silent("guest-fsfreeze-thaw"))?;
        agent.thaw().await.map(drop)
    }

    async fn guest(&self) -> Option<GuestReport> {
        if !self.machine.agent_is_open().await.unwrap_or(false) {
            return None;
        }
        let agent = self.machine.agent()?;
        agent.ping().await.ok()?;
        let system = agent.os_info().await.ok();
        let interface = |interface: ::qemu::agent::GuestInterface| {
            let mac = interface.mac.filter(|mac| mac != "00:00:00:00:00:00")?;
            let addresses = interface.addresses.iter().map(|address| (address.ip, address.prefix)).collect();
            Some(GuestInterface { mac: mac.to_ascii_lowercase(), addresses })
        };
        let interfaces = agent.interfaces().await.unwrap_or_default();
        Some(GuestReport {
            host_name: agent.host_name().await.ok(),
            family: system
                .as_ref()
                .map(|os| if os.id == "mswindows" { "windowsGuest" } else { "linuxGuest" }),
            system: system
                .map(|os| if os.pretty_name.is_empty() { os.name } else { os.pretty_name })
                .filter(|name| !name.is_empty()),
            agent_version: agent.info().await.ok().map(|info| info.version),
            interfaces: interfaces.into_iter().filter_map(interface).collect(),
        })
    }

    async fn screenshot(&self) -> Result<Vec<u8>> {
        self.machine.screenshot().await
    }

    fn console(&self) -> Option<PathBuf> {
        self.machine.vnc_socket()
    }

    fn serial(&self) -> Option<PathBuf> {
        self.machine.serial_socket()
    }
}

fn silent(command: &str) -> Error {
    Error::AgentSilent { command: command.into() }
}
