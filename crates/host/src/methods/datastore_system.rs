//! HostDatastoreSystem: which directories of the host are datastores.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{Call, Writer};
use datastore::Datastore;
use vim::{
    Fault, ManagedId, MoRef, Props, Value, arg, data_id, fault, managed_id, method, prop, props, vim_enum,
};

use super::Table;
use super::browser;
use super::place::blocking;
use crate::datastores::Mounted;
use crate::error::{about_file, not_supported};
use crate::mounts::Remembered;
use crate::{Host, ids, inventory};

const SYSTEM: ManagedId = managed_id!(HostDatastoreSystem);
/// The file that makes a directory a datastore (`FORMAT.md` of the crate `datastore`).
const MARKER: &str = ".esfera-datastore";

type Reply = Result<Option<Value>, Fault>;

/// The system of a host with these datastores.
pub(super) fn props(datastores: Vec<MoRef>) -> Props {
    props!(HostDatastoreSystem {
        datastore: datastores,
        capabilities: HostDatastoreSystemCapabilities {
            nfsMountCreationRequired: false,
            nfsMountCreationSupported: false,
            localDatastoreSupported: true,
            vmfsExtentExpansionSupported: false,
        },
    })
}

pub(super) fn register(table: &mut Table<'_>) {
    table.on(SYSTEM, method!(CreateLocalDatastore), create);
    table.on(SYSTEM, method!(RemoveDatastore), |host, call| async move {
        let me = call.required(arg!(RemoveDatastore.datastore))?;
        remove(&host, me).await.map(|()| None)
    });
    // No disk of this machine is ever offered for VMFS.
    table.on(SYSTEM, method!(QueryAvailableDisksForVmfs), |_, _| async { Ok(None) });
}

async fn create(host: Arc<Host>, call: Call) -> Reply {
    let name = call.required(arg!(CreateLocalDatastore.name))?.to_owned();
    let path = PathBuf::from(call.required(arg!(CreateLocalDatastore.path))?);
    if host.engine.info().simulated {
        return Err(not_supported("A simulated host has no directories; its datastores are in memory"));
    }
    let _one = host.mounting.lock().await;
    let taken: Vec<PathBuf> =
        host.datastores.all().iter().filter_map(|on| on.store.root_path().map(Path::to_owned)).collect();
    let (directory, mounted) = blocking(move || {
        let directory = usable(&path, &taken)?;
        let mounted = Datastore::mount(&directory).map_err(|error| refused(&directory, &error))?;
        Ok((directory, Arc::new(mounted)))
    })
    .await?;
    let me = host.datastores.add(&name, mounted)?;
    let known = Remembered { name, directory: Some(directory) };
    if let Err(fault) = host.remember(&me, Some(&known)).await {
        host.datastores.remove(&me);
        return Err(fault);
    }
    let mounted = host.datastores.by_ref(&me)?;
    let shown = inventory::datastore_props(&mounted);
    host.core.tree.write(|w| {
        show(w, &mounted);
        w.set(&me, shown);
    });
    tracing::info!(datastore = known.name, "datastore added");
    Ok(Some(Value::Ref(me)))
}

/// The directory that a path names, if it can become a datastore: it is one already, or empty. So nobody who may only
/// speak the API gets at the machine's other files.
fn usable(path: &Path, taken: &[PathBuf]) -> Result<PathBuf, Fault> {
    let shown = path.display().to_string();
    let missing = |why: &str| about_file(data_id!(FileNotFound), &shown, format!("{shown}: {why}"));
    if !path.is_absolute() {
        return Err(missing("the path of a directory on the host begins with /"));
    }
    let directory = std::fs::canonicalize(path).map_err(|_| missing("the host has no such directory"))?;
    if taken.iter().any(|other| directory.starts_with(other) || other.starts_with(&directory)) {
        return Err(fault!(
            HostConfigFault {},
            "{shown} is, or is part of, a datastore already, or has one in it"
        ));
    }
    let mut entries =
        std::fs::read_dir(&directory).map_err(|_| missing("it is no directory that can be read"))?;
    let marked = std::fs::symlink_metadata(directory.join(MARKER)).is_ok_and(|marker| marker.is_file());
    if !marked && entries.next().is_some() {
        return Err(fault!(
            HostConfigFault {},
            "{shown} has files and was no datastore before; give an empty directory"
        ));
    }
    Ok(directory)
}

fn refused(directory: &Path, error: &datastore::Error) -> Fault {
    fault!(HostConfigFault {}, "{} cannot be a datastore: {error}", directory.display())
}

/// Takes a datastore out of the inventory. One that the command line names comes back at the next start.
///
/// # Errors
/// `ResourceInUse` while virtual machines are registered on it.
pub(super) async fn remove(host: &Arc<Host>, me: &MoRef) -> Result<(), Fault> {
    let _one = host.mounting.lock().await;
    let mounted = host.datastores.by_ref(me)?;
    let state = host.core.tree.snapshot();
    let user = state.iter().find(|node| {
        node.me().is_a(managed_id!(VirtualMachine))
            && node.get(prop!(VirtualMachine.datastore)).into_iter().flatten().any(|used| used == me)
    });
    if let Some(user) = user {
        return Err(fault!(
            ResourceInUse { type: "Datastore", name: &mounted.name },
            "The datastore {} is used by the virtual machine {}; unregister or move it first",
            mounted.name,
            user.get(prop!(VirtualMachine.name)).unwrap_or(user.me().id())
        ));
    }
    host.remember(me, None).await?;
    host.datastores.remove(me);
    host.core.tree.write(|w| hide(w, me));
    tracing::info!(datastore = mounted.name, "datastore removed");
    Ok(())
}

/// Puts the objects of a datastore into the tree and lists it wherever datastores are listed.
fn show(w: &mut Writer, mounted: &Mounted) {
    let me = mounted.me();
    w.create(
        &me,
        props!(ManagedEntity {
            name: &mounted.name,
            parent: ids::datastore_folder(),
            overallStatus: vim_enum!(ManagedEntityStatus.green),
            configStatus: vim_enum!(ManagedEntityStatus.green),
            alarmActionsEnabled: true,
        }),
    );
    w.create(&ids::browser_of(&me), browser::props(vec![me.clone()]));
    w.add_ref(&ids::datastore_folder(), prop!(Folder.childEntity), &me);
    w.add_ref(&ids::datacenter(), prop!(Datacenter.datastore), &me);
    w.add_ref(&ids::compute_resource(), prop!(ComputeResource.datastore), &me);
    w.add_ref(&ids::host(), prop!(HostSystem.datastore), &me);
    w.add_ref(&ids::datastore_browser(), prop!(HostDatastoreBrowser.datastore), &me);
    w.add_ref(&ids::datastore_system(), prop!(HostDatastoreSystem.datastore), &me);
}

fn hide(w: &mut Writer, me: &MoRef) {
    w.remove_ref(&ids::datastore_folder(), prop!(Folder.childEntity), me);
    w.remove_ref(&ids::datacenter(), prop!(Datacenter.datastore), me);
    w.remove_ref(&ids::compute_resource(), prop!(ComputeResource.datastore), me);
    w.remove_ref(&ids::host(), prop!(HostSystem.datastore), me);
    w.remove_ref(&ids::datastore_browser(), prop!(HostDatastoreBrowser.datastore), me);
    w.remove_ref(&ids::datastore_system(), prop!(HostDatastoreSystem.datastore), me);
    w.remove(&ids::browser_of(me));
    w.remove(me);
}
