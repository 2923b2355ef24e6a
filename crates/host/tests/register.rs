//! Registering a VM takes the privilege to use every datastore that its configuration names.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use api::{Acting, Call};
use common::{Client, added, disk_on_scsi, small_with};
use datastore::Datastore;
use host::{Host, SimulatedOptions, ids};
use vim::{Fault, MoRef, call, field, prop, vim};

const ALLOCATE: &str = "Datastore.AllocateSpace";
const BROWSE: &str = "Datastore.Browse";

/// Registers the machine for a user of a center, who has these privileges on these datastores only.
async fn register(c: &Client, limits: &[(&str, &[&MoRef])]) -> Result<MoRef, Fault> {
    let mut acting = Acting::new("VSPHERE.LOCAL\\eve");
    for (privilege, on) in limits {
        acting = acting.limited(privilege, on.iter().copied().cloned());
    }
    let args = call!(RegisterVM_Task { path: "[ds] web/web.vmx", asTemplate: false, pool: ids::root_pool() });
    let session = Some(c.session.clone());
    let mut call = Call::new(c.service.clone(), c.peer.clone(), session, ids::vm_folder(), args);
    call.acting = Some(Arc::new(acting));
    let task = c.service.invoke(call).await?.and_then(|task| task.as_ref().cloned()).unwrap();
    let info = c.get(&task, prop!(Task.info)).unwrap();
    let reason = info.get(field!(TaskInfo.reason)).unwrap();
    assert_eq!(reason.get(field!(TaskReasonUser.userName)), Some("vpxuser:VSPHERE.LOCAL\\eve"));
    Ok(c.wait(&task).await?.and_then(|vm| vm.as_ref().cloned()).unwrap())
}

fn refused(registered: Result<MoRef, Fault>) -> (MoRef, String) {
    let fault = registered.unwrap_err();
    assert_eq!(fault.type_name(), "NoPermission", "{fault}");
    let object = fault.object().get(field!(NoPermission.object)).unwrap().clone();
    (object, fault.object().get(field!(NoPermission.privilegeId)).unwrap().to_owned())
}

#[tokio::test]
async fn a_machine_is_registered_by_who_may_use_all_its_datastores() {
    let store = || Arc::new(Datastore::memory(uuid::Uuid::new_v4(), 64 << 30));
    let stores = ["ds", "other", "isos"].map(|name| (name.to_owned(), store()));
    let options = SimulatedOptions::new("sim.test", stores.into());
    let c = Client::of(Host::simulated(options).await.unwrap());
    let [ds, other, isos] = ["ds", "other", "isos"].map(|name| c.host.datastores.by_name(name).unwrap());
    isos.store.write(&datastore::FilePath::parse("a.iso").unwrap(), b"x").unwrap();
    let backing = vim!(VirtualDiskFlatVer2BackingInfo { fileName: "[other]", diskMode: "persistent" });
    let mut devices = disk_on_scsi(1024, backing);
    devices.push(added(vim!(VirtualCdrom {
        key: -3,
        controllerKey: 201,
        unitNumber: 0,
        backing: VirtualCdromIsoBackingInfo { fileName: "[isos] a.iso" },
    })));
    let vm = c.create(small_with("web", devices)).await.unwrap();
    c.invoke(&vm, call!(UnregisterVM {})).await.unwrap();
    let [ds, other, isos] = [&ds, &other, &isos].map(host::datastores::Mounted::me);
    let none: &[&MoRef] = &[];
    assert_eq!(refused(register(&c, &[(BROWSE, none)]).await), (ds.clone(), BROWSE.to_owned()));
    let own: &[&MoRef] = &[&ds];
    let all: &[&MoRef] = &[&ds, &isos];
    let allocate = refused(register(&c, &[(BROWSE, all), (ALLOCATE, own)]).await);
    assert_eq!(allocate, (other.clone(), ALLOCATE.to_owned()), "its disk");
    let disks: &[&MoRef] = &[&ds, &other];
    let browse = refused(register(&c, &[(BROWSE, own), (ALLOCATE, disks)]).await);
    assert_eq!(browse, (isos.clone(), BROWSE.to_owned()), "its image");
    let again = register(&c, &[(BROWSE, all), (ALLOCATE, disks)]).await.unwrap();
    assert_ne!(again, vm, "a refusal leaves no machine behind");
}
