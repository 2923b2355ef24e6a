//! The VMs of the host as the storage and network slices ask about them.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use uuid::Uuid;
use vim::MoRef;
use vm::device::{Cdrom, Device, Kind, Medium, Serial, SerialBacking};
use vm::{FileRef, Power};

use crate::Host;
use crate::network::{PortGroupUsers, RunningAdapter};
use crate::storage::OpenFiles;
use crate::vms::{State, Vm};

/// The VMs of a host.
pub(crate) struct Users(pub(crate) Weak<Host>);

impl Users {
    fn vms(&self) -> Vec<Arc<Vm>> {
        self.0.upgrade().map(|host| host.all_vms()).unwrap_or_default()
    }
}

impl OpenFiles for Users {
    fn open_files(&self, but: Option<&MoRef>) -> BTreeSet<FileRef> {
        let vms = self.vms().into_iter().filter(|vm| Some(&vm.me) != but);
        vms.flat_map(|vm| open_files(&vm.state())).collect()
    }

    fn user_of(&self, datastore: Uuid) -> Option<String> {
        let uses = |vm: &Arc<Vm>| {
            let state = vm.state();
            let (datastores, _) = vm::show::config::uses(&state.config, &state.home);
            datastores.contains(&crate::ids::datastore(datastore))
        };
        self.vms().into_iter().find(uses).map(|vm| vm.name())
    }

    fn datastore_was_renamed(&self) {
        if let Some(host) = self.0.upgrade() {
            host.all_vms().iter().for_each(|vm| host.publish(vm));
        }
    }
}

impl PortGroupUsers for Users {
    fn user_of(&self, group: &str) -> Option<String> {
        let uses = |vm: &Arc<Vm>| vm.config().nics().any(|(_, nic)| nic.network == group);
        self.vms().into_iter().find(uses).map(|vm| vm.name())
    }

    fn adapters_on(&self, group: &str) -> Vec<RunningAdapter> {
        let of = |vm: Arc<Vm>| {
            let state = vm.state();
            let on = state.config.nics().filter(|(_, nic)| state.power == Power::On && nic.network == group);
            on.map(|(key, nic)| RunningAdapter { vm: vm.me.clone(), key, mac: nic.mac.clone() })
                .collect::<Vec<_>>()
        };
        self.vms().into_iter().flat_map(of).collect()
    }
}

/// The files that a VM has open: none unless it runs.
fn open_files(state: &State) -> Vec<FileRef> {
    if state.power != Power::On {
        return Vec::new();
    }
    let of_device = |device: &Device| match &device.kind {
        Kind::Disk(disk) => std::iter::once(&disk.file).chain(&disk.parents).cloned().collect(),
        Kind::Cdrom(Cdrom { medium: Medium::Iso(file) }) => vec![file.clone()],
        Kind::Serial(Serial { backing: SerialBacking::File(file), .. }) => vec![file.clone()],
        _ => Vec::new(),
    };
    let own = state.files.iter().map(|own| own.file.clone());
    own.chain(state.config.devices.values().flat_map(of_device)).collect()
}
