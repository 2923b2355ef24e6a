//! The knowledge of this host that planning a VM needs. Blocking: it looks at the datastores.

use std::cell::RefCell;
use std::collections::BTreeSet;

use datastore::disk_image;
use vim::{DateTime, Fault};
use vm::plan::Surroundings;
use vm::{FileRef, Power};

use super::service::Vms;
use super::vm::Vm;
use crate::engine::serial_file;
use crate::ids;

/// Decides with the surroundings of a VM whose `.vmx` is `home`; `vm` if it exists already.
///
/// # Errors
/// Those of `decide`.
pub(super) fn plan<T>(
    vms: &Vms,
    home: FileRef,
    vm: Option<&Vm>,
    decide: impl FnOnce(&Surroundings<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let (running, has_snapshots) = vm.map_or((false, false), |vm| {
        let state = vm.read();
        (state.power == Power::On, !state.snapshots.snapshots.is_empty())
    });
    let datastores = &vms.files.datastores;
    let own = vm.map(|vm| &vm.me);
    let given = RefCell::new(BTreeSet::new());
    let new_mac = || {
        loop {
            let mac = random_mac();
            if !vms.register.is_mac_taken(&mac, own) && given.borrow_mut().insert(mac.clone()) {
                return mac;
            }
        }
    };
    decide(&Surroundings {
        storage: &**datastores,
        home,
        running,
        has_snapshots,
        network: &|me, name| {
            vms.ports.network.names().into_iter().find(|known| match me {
                Some(me) => ids::network(known) == *me,
                None => known == name,
            })
        },
        capacity_bytes: &|file| {
            let on = datastores.of(file)?;
            let facts = disk_image::fit_to_run(&on.store, &file.path);
            facts.map(|facts| facts.capacity_bytes).map_err(|error| on.fault(&error))
        },
        parents: &|file| {
            let on = datastores.of(file)?;
            let paths = disk_image::parents(&on.store, &file.path).map_err(|error| on.fault(&error))?;
            Ok(paths.into_iter().map(|path| FileRef { datastore: file.datastore, path }).collect())
        },
        exists: &|file| vms.files.has(file),
        unfit_for_output: &|file| {
            let on = datastores.of(file)?;
            if let Err(why) = serial_file::check(&on, &file.path) {
                return Ok(Some(why));
            }
            vms.in_use.refuse_open_file(&on, file).map(|()| None)
        },
        new_mac: &new_mac,
        now: DateTime::now(),
    })
}

/// A generated address: VMware's prefix, above the range that it keeps for addresses that people choose.
fn random_mac() -> String {
    let [a, b, c, _] = rand::random::<u32>().to_le_bytes();
    format!("00:50:56:{:02x}:{b:02x}:{c:02x}", a & 0x3f | 0x80)
}
