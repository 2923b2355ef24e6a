//! `com.vmware.vcenter.VM` and the services below it: VMs, their power, their hardware, and what their guests tell.

mod devices;
mod edit;
mod guest;
mod guest_os;
mod hardware;
mod life;
mod list;
mod power;
mod settings;
mod tools;

use std::sync::Arc;

use api::Node;
use vapi::{Error, ErrorKind};
use vim::{MoRef, Object, field, managed_id, prop};

use crate::inventory::{self, id_at, state};
use crate::operation::{Ask, Family};

/// All families of VMs.
pub(crate) const ALL: &[&Family] = &[
    &list::FAMILY,
    &power::FAMILY,
    &tools::FAMILY,
    &guest::IDENTITY,
    &guest::NETWORKING,
    &guest::INTERFACES,
    &guest::ROUTES,
    &guest::POWER,
    &hardware::FAMILY,
    &settings::CPU,
    &settings::MEMORY,
    &settings::BOOT,
    &settings::BOOT_DEVICE,
    &devices::DISK,
    &devices::ETHERNET,
    &devices::CDROM,
    &devices::FLOPPY,
    &devices::SERIAL,
    &devices::PARALLEL,
    &devices::SATA,
    &devices::SCSI,
    &devices::NVME,
];

/// The VM that the first parameter names, which the caller may read.
fn vm(ask: &Ask<'_>) -> Result<Arc<Node>, Error> {
    inventory::read(ask, &state(ask), managed_id!(VirtualMachine), "VM", id_at(ask, 0))
}

/// The reference to the VM that the first parameter names; a method says whether it exists.
fn me(ask: &Ask<'_>) -> MoRef {
    MoRef::new(managed_id!(VirtualMachine), id_at(ask, 0))
}

/// The configuration of a VM.
///
/// # Errors
/// `resource_inaccessible` while it is not known.
fn config(node: &Node) -> Result<&Object, Error> {
    let config = node.get(prop!(VirtualMachine.config)).map(|config| &**config);
    config.ok_or_else(|| {
        let text = format!("The configuration of the VM {} cannot be read now", inventory::name(node));
        Error::new(ErrorKind::ResourceInaccessible, "esfera.inaccessible", text)
    })
}

/// The devices of a VM.
fn devices(config: &Object) -> impl Iterator<Item = &Arc<Object>> {
    let hardware = config.get(field!(VirtualMachineConfigInfo.hardware));
    hardware.and_then(|hardware| hardware.get(field!(VirtualHardware.device))).into_iter().flatten()
}

/// The power state of a VM.
fn power_state(node: &Node) -> &'static str {
    let runtime = node.get(prop!(VirtualMachine.runtime));
    match runtime
        .and_then(|runtime| runtime.get(field!(VirtualMachineRuntimeInfo.powerState)))
        .map(|at| at.name())
    {
        Some("poweredOn") => "POWERED_ON",
        Some("suspended") => "SUSPENDED",
        _ => "POWERED_OFF",
    }
}
