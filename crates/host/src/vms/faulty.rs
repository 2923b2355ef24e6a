//! A simulated VM whose changes of layers and whose suspending fail as a test wants, and helpers of tests of such faults.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datastore::Datastore;
use tokio::sync::broadcast;
use vim::DateTime;
use vm::FileRef;
use vm::config::VmConfig;

use crate::engine::{Error, ExitReason, GuestReport, Happening, Layer, Machine, Processors, Result, Usage};
use crate::events::Who;
use crate::{Host, SimulatedOptions};

use super::power::power_on;
use super::records::Registered;
use super::recover;
use super::vm::Vm;

/// A fault of a simulated VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// New layers are refused.
    Refuses,
    /// New layers are laid, but the answer is lost.
    LosesAnswer,
    /// The question for new layers is lost.
    LosesQuestion,
    /// The state is saved and the VM has ended, but the answer is lost.
    LosesEnd,
    /// The VM ends before its state is saved.
    EndsEarly,
    /// The newest layer is merged and the processors stand still.
    Stands,
    /// The same, but the answer is lost.
    LosesMerge,
    /// The question to merge is lost.
    LosesMergeQuestion,
}

pub(super) struct Faulty {
    pub(super) inner: Arc<dyn Machine>,
    pub(super) fault: Fault,
    /// Called before the VM goes over to new layers, and before its processors go on.
    pub(super) before: Box<dyn Fn() + Send + Sync>,
}

fn lost() -> Error {
    Error::Timeout { command: "transaction".into() }
}

/// A simulated host with a VM that is on, has one disk, and this fault.
pub(super) async fn running(fault: Fault, before: impl Fn() + Send + Sync + 'static) -> (Arc<Host>, Arc<Vm>) {
    let store = Arc::new(Datastore::memory(uuid::Uuid::new_v4(), 1 << 30));
    let host = Host::simulated(SimulatedOptions::new("sim", vec![("ds".into(), store)])).await.unwrap();
    let on = host.datastores.by_name("ds").unwrap();
    let text = "config.version = \"8\"\nvirtualHW.version = \"19\"\ndisplayName = \"vm\"\nguestOS = \"other-64\"\n\
        memSize = \"64\"\nscsi0.present = \"TRUE\"\nscsi0.virtualDev = \"pvscsi\"\nscsi0:0.present = \"TRUE\"\n\
        scsi0:0.fileName = \"vm.vmdk\"\nscsi0:0.deviceType = \"scsi-hardDisk\"\n";
    let path = |name: &str| datastore::FilePath::parse(name).unwrap();
    on.store.make_directory(&path("vm"), false).unwrap();
    on.store.write(&path("vm/vm.vmx"), text.as_bytes()).unwrap();
    on.store.create_sparse(&path("vm/vm.vmdk"), 8 << 20).unwrap();
    let home = FileRef { datastore: on.store.uuid(), path: path("vm/vm.vmx") };
    let record = Registered {
        datastore: home.datastore,
        path: home.path.as_str().into(),
        user: 1,
        unfinished: None,
        suspending: None,
        merging: None,
        bases: Vec::new(),
        task: None,
    };
    host.vms.register.records().write(1, &record).await.unwrap();
    recover(&host.vms).await.unwrap();
    let vm = host.all_vms().into_iter().next().unwrap();
    power_on(&host.vms, &vm, &Who::default()).await.unwrap();
    let inner = vm.machine().unwrap();
    vm.change(|state| state.machine = Some(Arc::new(Faulty { inner, fault, before: Box::new(before) })));
    (host, vm)
}

/// The configuration that the files hold.
pub(super) fn stored(host: &Host, vm: &Vm) -> VmConfig {
    let on = host.datastores.of(&vm.home()).unwrap();
    let text = on.store.read_vmx(&vm.home().path).unwrap();
    vm::vmx::read(&*host.datastores, &vm.home(), &text, DateTime::now()).unwrap()
}

/// Name of the file that a configuration's disk is in.
pub(super) fn disk(config: &VmConfig) -> String {
    config.disks().map(|(_, disk)| disk.file.path.name().to_owned()).collect()
}

/// Names of the VM's files with this ending.
pub(super) fn names(host: &Host, ending: &str) -> Vec<String> {
    let on = host.datastores.by_name("ds").unwrap();
    let entries = on.store.list(&datastore::FilePath::parse("vm").unwrap()).unwrap();
    entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(ending)).collect()
}

/// The file that the record says the VM is being suspended to.
pub(super) fn suspending(host: &Host, vm: &Vm) -> Option<String> {
    host.vms.register.records().get(&vm.me).unwrap().unwrap().suspending
}

#[async_trait]
impl Machine for Faulty {
    fn events(&self) -> broadcast::Receiver<Happening> {
        self.inner.events()
    }
    fn ended(&self) -> Option<ExitReason> {
        self.inner.ended()
    }
    fn usage(&self) -> Option<Usage> {
        self.inner.usage()
    }
    fn pid(&self) -> i32 {
        self.inner.pid()
    }
    fn booted(&self) -> Option<DateTime> {
        self.inner.booted()
    }
    async fn processors(&self) -> Result<Processors> {
        self.inner.processors().await
    }
    async fn resume(&self) -> Result<()> {
        (self.before)();
        self.inner.resume().await
    }
    async fn reset(&self) -> Result<()> {
        self.inner.reset().await
    }
    async fn power_off(&self) -> Result<ExitReason> {
        self.inner.power_off().await
    }
    async fn suspend(&self, file: &FileRef, progress: &(dyn Fn(u8) + Sync)) -> Result<()> {
        match self.fault {
            Fault::LosesEnd => {
                self.inner.suspend(file, progress).await?;
                Err(Error::Closed)
            }
            Fault::EndsEarly => {
                self.inner.power_off().await?;
                Err(Error::Closed)
            }
            _ => self.inner.suspend(file, progress).await,
        }
    }
    async fn cancel_suspend(&self) -> Result<()> {
        self.inner.cancel_suspend().await
    }
    async fn shutdown_guest(&self) -> Result<()> {
        self.inner.shutdown_guest().await
    }
    async fn reboot_guest(&self) -> Result<()> {
        self.inner.reboot_guest().await
    }
    async fn add_disk(&self, config: &VmConfig, key: i32) -> Result<()> {
        self.inner.add_disk(config, key).await
    }
    async fn remove_disk(&self, key: i32) -> Result<()> {
        self.inner.remove_disk(key).await
    }
    async fn resize_disk(&self, key: i32, bytes: u64) -> Result<()> {
        self.inner.resize_disk(key, bytes).await
    }
    async fn add_nic(&self, config: &VmConfig, key: i32, tap: Option<&hostnet::Tap>) -> Result<()> {
        self.inner.add_nic(config, key, tap).await
    }
    async fn remove_nic(&self, key: i32) -> Result<()> {
        self.inner.remove_nic(key).await
    }
    async fn set_link(&self, key: i32, up: bool) -> Result<()> {
        self.inner.set_link(key, up).await
    }
    async fn change_medium(&self, key: i32, iso: Option<&FileRef>) -> Result<()> {
        self.inner.change_medium(key, iso).await
    }
    async fn add_memory(&self, mib: u64) -> Result<()> {
        self.inner.add_memory(mib).await
    }
    async fn add_processors(&self, count: u32) -> Result<()> {
        self.inner.add_processors(count).await
    }
    fn started_with(&self) -> (u32, u64) {
        self.inner.started_with()
    }
    async fn make_layers(&self, layers: &[Layer]) -> Result<()> {
        self.inner.make_layers(layers).await
    }
    async fn snapshot(&self, layers: &[Layer]) -> Result<()> {
        (self.before)();
        match self.fault {
            Fault::Refuses => Err(Error::Spec("refused".into())),
            Fault::LosesQuestion => Err(lost()),
            Fault::LosesAnswer => {
                self.inner.snapshot(layers).await?;
                Err(lost())
            }
            _ => self.inner.snapshot(layers).await,
        }
    }
    async fn chain(&self, key: i32) -> Result<Vec<FileRef>> {
        self.inner.chain(key).await
    }
    async fn commit(
        &self,
        key: i32,
        top: Option<&FileRef>,
        base: &FileRef,
        progress: &(dyn Fn(u8) + Sync),
    ) -> Result<bool> {
        match self.fault {
            Fault::Stands => self.inner.commit(key, top, base, progress).await.map(|_| true),
            Fault::LosesMerge => {
                self.inner.commit(key, top, base, progress).await?;
                Err(lost())
            }
            Fault::LosesMergeQuestion => Err(lost()),
            _ => self.inner.commit(key, top, base, progress).await,
        }
    }
    async fn end_merging(&self) -> Result<bool> {
        self.inner.end_merging().await
    }
    async fn freeze(&self, within: Duration) -> Result<()> {
        self.inner.freeze(within).await
    }
    async fn thaw(&self) -> Result<()> {
        self.inner.thaw().await
    }
    async fn guest(&self) -> Option<GuestReport> {
        self.inner.guest().await
    }
    async fn screenshot(&self) -> Result<Vec<u8>> {
        self.inner.screenshot().await
    }
    fn console(&self) -> Option<PathBuf> {
        self.inner.console()
    }
    fn serial(&self) -> Option<PathBuf> {
        self.inner.serial()
    }
}
