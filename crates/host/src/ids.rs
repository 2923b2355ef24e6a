//! References of the objects of the inventory that every host has, spelt as ESXi spells them. Managers and subsystems have
//! theirs beside their rows.

use std::sync::LazyLock;

use vim::{MoRef, managed_id};

pub use ::vm::ids::{datastore, network, snapshot};

macro_rules! refs {
    ($($(#[$doc:meta])* $name:ident: $ty:ident = $id:literal;)*) => {
        $($(#[$doc])* pub fn $name() -> MoRef {
            static REF: LazyLock<MoRef> = LazyLock::new(|| MoRef::new(managed_id!($ty), $id));
            REF.clone()
        })*
    };
}

refs! {
    /// The root of the inventory.
    root_folder: Folder = "ha-folder-root";
    /// The only datacenter.
    datacenter: Datacenter = "ha-datacenter";
    /// Virtual machines.
    vm_folder: Folder = "ha-folder-vm";
    /// The compute resource.
    host_folder: Folder = "ha-folder-host";
    /// Datastores.
    datastore_folder: Folder = "ha-folder-datastore";
    /// Networks.
    network_folder: Folder = "ha-folder-network";
    /// The compute resource that consists of this host alone.
    compute_resource: ComputeResource = "ha-compute-res";
    /// `Resources`.
    root_pool: ResourcePool = "ha-root-pool";
    /// This host.
    host: HostSystem = "ha-host";
    /// The hardware that the host offers to VMs.
    environment_browser: EnvironmentBrowser = "ha-env-browser";
    /// The browser of all datastores at once.
    datastore_browser: HostDatastoreBrowser = "ha-datastorebrowser";
    /// The executer of methods of objects that the schema does not know.
    method_executer: ReflectManagedMethodExecuter = "ha-managed-method-executer";
    /// The list of those objects and their types.
    dynamic_type_manager: InternalDynamicTypeManager = "ha-dynamic-type-manager";
}

/// A virtual machine by its number.
pub fn vm(number: u64) -> MoRef {
    MoRef::new(managed_id!(VirtualMachine), number.to_string())
}

/// The browser of one datastore.
pub fn browser_of(datastore: &MoRef) -> MoRef {
    MoRef::new(managed_id!(HostDatastoreBrowser), format!("browser-{}", datastore.id()))
}

/// A resource pool by its number.
pub fn pool(number: u64) -> MoRef {
    MoRef::new(managed_id!(ResourcePool), format!("pool{number}"))
}

/// The VM and the number of a snapshot: the inverse of [`snapshot`].
pub(crate) fn of_snapshot(me: &MoRef) -> Option<(MoRef, u32)> {
    let (vm_number, number) = me.id().split_once("-snapshot-")?;
    Some((vm(vm_number.parse().ok()?), number.parse().ok()?))
}
