//! Registering a machine that has its files already.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;
use vim::{DateTime, Fault, MoRef, fault};
use vm::device::{Cdrom, Device, Kind, Medium, Serial, SerialBacking};

use super::{blocking, files};
use crate::host::Registered;
use crate::methods::place::{BROWSE, MANAGE};
use crate::vms::Vm;
use crate::{Host, ids};

const ALLOCATE: &str = "Datastore.AllocateSpace";

impl Host {
    /// Registers the machine whose `.vmx` this is. `may` says whether who asks has a privilege on a datastore.
    pub(crate) async fn register_vm(
        self: &Arc<Self>,
        path: &str,
        name: Option<&str>,
        template: bool,
        pool: MoRef,
        task: &MoRef,
        may: &(dyn Fn(&MoRef, &str) -> Result<(), Fault> + Sync),
    ) -> Result<Arc<Vm>, Fault> {
        let _placing = self.placing.lock().await;
        let home = self.datastores.parse(path)?;
        may(&self.datastores.of(&home)?.me(), BROWSE)?;
        let known = self.all_vms().into_iter().find(|vm| vm.state().home == home);
        if let Some(known) = known {
            return Err(fault!(
                AlreadyExists { name: path },
                "{path} is registered already as {}",
                known.name()
            ));
        }
        let (datastores, at) = (self.datastores.clone(), home.clone());
        let mut loaded = blocking(move || files::load(&datastores, &at, DateTime::now())).await?;
        for (datastore, privilege) in takes(&loaded) {
            may(&ids::datastore(datastore), privilege)?;
        }
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            vm::plan::check_name(name)?;
            name.clone_into(&mut loaded.config.name);
        }
        self.check_free_name(&loaded.config.name, None)?;
        loaded.config.template = template;
        let mut record = Registered {
            datastore: home.datastore,
            path: home.path.as_str().to_owned(),
            pool: (pool != ids::root_pool()).then(|| pool.id().to_owned()),
            user: 0,
            // Nothing of it is ours to remove.
            unfinished: Some(Vec::new()),
            suspending: None,
            merging: None,
            task: Some(task.id().to_owned()),
        };
        let number = self.begin_registration(&mut record).await?;
        let config = loaded.config.clone();
        let vm = self.add_vm(number, &record, home, loaded.config, loaded.text, pool);
        {
            let mut state = vm.state();
            state.snapshots = loaded.snapshots;
            state.frozen = loaded.frozen;
        }
        // The identities that the file did not have, and the new name.
        let suspended = vm.state().suspend_file.clone();
        record.unfinished = None;
        let written = async {
            self.save(&vm, config, suspended.as_deref()).await?;
            self.write_record(number, &record).await
        };
        if let Err(fault) = written.await {
            self.vms.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(vm.me.id());
            self.drop_record(number).await;
            return Err(fault);
        }
        self.look_at_layers(&vm);
        self.look_at_files(&vm).await;
        self.publish(&vm);
        Ok(vm)
    }
}

/// What a machine's configuration, now and in its snapshots, takes on which datastores: it writes to its disks, and to
/// the files of its serial ports, and reads its media.
fn takes(loaded: &files::Loaded) -> BTreeSet<(Uuid, &'static str)> {
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
