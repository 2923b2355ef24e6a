//! Methods of VMs for which the center checks something before it carries them to the host.

use std::sync::Arc;

use api::{Call, Guard, Methods, Table};
use vim::{arg, field, managed_id, method};
use vm::privileges::to_reconfigure;

use super::carrier::Carrier;
use crate::access::StorageCheck;
use crate::estate::names;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table { methods, daemon: carrier };
    let vm = managed_id!(VirtualMachine);
    table.guarded(vm, method!(ReconfigVM_Task), Guard::Arguments(to_reconfigure), reconfigure);
    table.on(vm, method!(Rename_Task), rename);
}

async fn reconfigure(carrier: Arc<Carrier>, call: Call) -> Reply {
    let spec = call.required(arg!(ReconfigVM_Task.spec))?;
    if let Some(name) = spec.get(field!(VirtualMachineConfigSpec.name)) {
        carrier.inventory.may_rename_vm(&call.this, &names::parse(name, Some(&call.this))?)?;
    }
    if let Some(uuid) = spec.get(field!(VirtualMachineConfigSpec.instanceUuid)) {
        carrier.inventory.may_have_instance_uuid(&call.this, uuid)?;
    }
    let host = carrier.home(&call.this)?;
    StorageCheck::of_vm(&carrier.inventory, &call, &host).may_use(spec)?;
    let options = carrier.inventory.alone(&call);
    carrier.carry(call, options).await
}

/// The host renames the VM; the new name comes back by the stream.
async fn rename(carrier: Arc<Carrier>, call: Call) -> Reply {
    let name = names::parse(call.required(arg!(Rename_Task.newName))?, Some(&call.this))?;
    carrier.inventory.may_rename_vm(&call.this, &name)?;
    let options = carrier.inventory.alone(&call);
    carrier.carry(call, options).await
}
