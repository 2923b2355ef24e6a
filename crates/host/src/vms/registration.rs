//! Registering a VM that has its files already, and unregistering it.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;
use vim::{Fault, MoRef, fault};
use vm::config::VmConfig;
use vm::device::{Cdrom, Device, Kind, Medium, Serial, SerialBacking, distrust};
use vm::plan::parse_name;

use super::files::{Loaded, sibling};
use super::records::{self, Registered};
use super::service::Vms;
use super::state::State;
use super::vm::Vm;
use super::{bases, destroy, layers};
use crate::events::{VmEvent, Who};
use crate::ids;
use crate::storage::{BROWSE, MANAGE};

/// To take room on a datastore.
const ALLOCATE: &str = "Datastore.AllocateSpace";

/// A VM that a client asks to register.
pub(super) struct Wanted<'a> {
    /// Its `.vmx`, as `[datastore] path`.
    pub(super) path: &'a str,
    /// Its new name, if not that of the `.vmx`.
    pub(super) name: Option<&'a str>,
    pub(super) template: bool,
    pub(super) pool: MoRef,
    /// The task that registers it.
    pub(super) task: &'a MoRef,
}

/// Whether the client has a privilege on a datastore.
pub(super) type May<'a> = &'a (dyn Fn(&MoRef, &str) -> Result<(), Fault> + Sync);

/// Registers a VM.
///
/// # Errors
/// `AlreadyExists`, `DuplicateName`, `InvalidName`, those of `may`, of the files and of the store; the VM is not registered
/// then.
pub(super) async fn register(vms: &Vms, wanted: Wanted<'_>, may: May<'_>) -> Result<Arc<Vm>, Fault> {
    let _placing = vms.register.place().await;
    let Wanted { path, pool, .. } = wanted;
    let home = vms.files.datastores.parse(path)?;
    may(&vms.files.datastores.of(&home)?.me(), BROWSE)?;
    if let Some(known) = vms.register.at_home(&home) {
        return Err(fault!(AlreadyExists { name: path }, "{path} is registered already as {}", known.name()));
    }
    let mut loaded = vms.files.load(&home).await?;
    for (datastore, privilege) in takes(&loaded) {
        may(&ids::datastore(datastore), privilege)?;
    }
    let name = wanted.name.filter(|name| !name.is_empty()).unwrap_or(&loaded.config.name);
    loaded.config.name = parse_name(name, None)?;
    let _admitted = vms.register.admit(&loaded.config.name)?;
    let kept = vms.register.keep_uuid(loaded.config.instance_uuid, None);
    loaded.config.instance_uuid = kept.uuid;
    loaded.config.template = wanted.template;
    distrust(&mut loaded.config.devices);
    let distrusted = distrust_frozen(&mut loaded);
    // None of its files may be removed if this is interrupted: they were there before.
    let mut record = Registered::new(&home, &[], wanted.task);
    let number = vms.register.records().begin(&mut record).await?;
    let config = loaded.config.clone();
    let entered = match vms.pools.enter(&pool, number).await {
        Ok(entered) => entered,
        Err(fault) => {
            vms.register.records().forget(number).await;
            return Err(fault);
        }
    };
    let mut state = State::new(home, loaded.config, &loaded.text, entered.pool.clone());
    state.user = record.user;
    state.snapshots = loaded.snapshots;
    state.frozen = loaded.frozen;
    let vm = Vm::new(ids::vm(number), state, vms.view.clone());
    let written = async {
        vms.files.identify(&config).await;
        // The identities that the file did not have, and the new name.
        let suspended = vm.read().suspend_file.clone();
        vms.files.save(&vm, config, suspended.as_deref()).await?;
        for (name, config) in &distrusted {
            vms.files.write_frozen(&vm, &sibling(&vm.home(), name)?, config).await?;
        }
        record.unfinished = None;
        vms.register.records().write(number, &record).await
    };
    if let Err(fault) = written.await {
        vms.register.records().forget(number).await;
        return Err(fault);
    }
    bases::note(vms, &vm).await;
    layers::look(&vms.register, &vm);
    vms.files.look(&vm).await;
    vms.register.add(&vm);
    Ok(vm)
}

/// Takes a VM out of the register; its files stay.
///
/// # Errors
/// `InvalidPowerState` if it is on, `InvalidState` if another operation changes it; those of the store.
pub(super) async fn unregister(vms: &Vms, vm: &Arc<Vm>, who: &Who) -> Result<(), Fault> {
    let _one = vm.begin()?;
    destroy::not_running(vm)?;
    vms.register.records().remove(records::number(&vm.me)).await?;
    vms.register.remove(vm);
    vms.post(vm, VmEvent::Removed, who).await;
    Ok(())
}

/// Distrusts the devices of snapshots too; returns the files of those that changed, with their configurations.
fn distrust_frozen(loaded: &mut Loaded) -> Vec<(String, Arc<VmConfig>)> {
    let mut changed = Vec::new();
    for (uid, config) in &mut loaded.frozen {
        let mut distrusted = VmConfig::clone(config);
        distrust(&mut distrusted.devices);
        if let Some(record) = loaded.snapshots.get(*uid)
            && distrusted != **config
        {
            *config = Arc::new(distrusted);
            changed.push((record.file_name.clone(), config.clone()));
        }
    }
    changed
}

/// The privileges that the configurations of a VM, now and in its snapshots, take on which datastores: the VM writes to its
/// disks and to the files of its serial ports, and reads its media.
fn takes(loaded: &Loaded) -> BTreeSet<(Uuid, &'static str)> {
    let frozen = loaded.frozen.values().map(AsRef::as_ref);
    let devices = std::iter::once(&loaded.config).chain(frozen).flat_map(|config| config.devices.values());
    let of_device = |device: &Device| match &device.kind {
        Kind::Disk(disk) => {
            let images = std::iter::once(&disk.file).chain(&disk.parents);
            images.map(|file| (file.datastore, ALLOCATE)).collect()
        }
        Kind::Cdrom(Cdrom { medium: Medium::Iso(file) }) => vec![(file.datastore, BROWSE)],
        Kind::Serial(Serial { backing: SerialBacking::File(file), .. }) => vec![(file.datastore, MANAGE)],
        _ => Vec::new(),
    };
    devices.flat_map(of_device).collect()
}
