//! The ids of the objects that every host has, which are those of an ESXi host.

use vim::{MoRef, managed_id};

pub const ROOT_FOLDER: &str = "ha-folder-root";
pub const DATACENTER: &str = "ha-datacenter";
pub const VM_FOLDER: &str = "ha-folder-vm";
pub const HOST_FOLDER: &str = "ha-folder-host";
pub const DATASTORE_FOLDER: &str = "ha-folder-datastore";
pub const NETWORK_FOLDER: &str = "ha-folder-network";
pub const COMPUTE_RESOURCE: &str = "ha-compute-res";
pub const ROOT_POOL: &str = "ha-root-pool";
pub const HOST: &str = "ha-host";

/// The host itself.
pub fn host() -> MoRef {
    MoRef::new(managed_id!(HostSystem), HOST)
}

/// The folder of its VMs.
pub fn vm_folder() -> MoRef {
    MoRef::new(managed_id!(Folder), VM_FOLDER)
}

pub fn root_pool() -> MoRef {
    MoRef::new(managed_id!(ResourcePool), ROOT_POOL)
}

pub fn compute_resource() -> MoRef {
    MoRef::new(managed_id!(ComputeResource), COMPUTE_RESOURCE)
}

pub fn datacenter() -> MoRef {
    MoRef::new(managed_id!(Datacenter), DATACENTER)
}

pub fn file_manager() -> MoRef {
    MoRef::new(managed_id!(FileManager), "ha-nfc-file-manager")
}

pub fn virtual_disk_manager() -> MoRef {
    MoRef::new(managed_id!(VirtualDiskManager), "ha-vdiskmanager")
}

/// The object that executes the commands of esxcli.
pub fn method_executer() -> MoRef {
    MoRef::new(managed_id!(ReflectManagedMethodExecuter), "ha-managed-method-executer")
}

/// The object that describes those commands.
pub fn dynamic_type_manager() -> MoRef {
    MoRef::new(managed_id!(InternalDynamicTypeManager), "ha-dynamic-type-manager")
}

pub fn session_manager() -> MoRef {
    MoRef::new(managed_id!(SessionManager), "ha-sessionmgr")
}
