//! Looking at a VM: tickets for its console, and pictures of its screen.

use std::sync::Arc;

use api::ticket::UnixConsole;
use api::{Call, Guard, TaskOptions};
use vim::{Fault, Value, arg, fault, managed_id, method, vim};
use vm::faults::not_supported;
use vm::privileges::to_acquire_ticket;

use super::{Reply, Table};
use crate::engine::machine_fault;
use crate::limits::MAX_SCREENSHOT_BYTES;
use crate::vms::files::sibling;
use crate::vms::service::Vms;
use crate::vms::vm::Vm;

/// Names that are tried for one picture.
const MOST_PICTURES: usize = 10_000;

pub(super) fn register(table: &mut Table<'_>) {
    let vm = managed_id!(VirtualMachine);
    table.guarded(vm, method!(AcquireTicket), Guard::Arguments(to_acquire_ticket), |vms, call| async move {
        match call.required(arg!(AcquireTicket.ticketType))? {
            "webmks" => ticket(&vms, &call),
            other => Err(not_supported(&format!("Tickets for {other} are not supported; ask for webmks"))),
        }
    });
    table.on(vm, method!(AcquireMksTicket), |vms, call| async move {
        vms.register.find(&call.this)?;
        Err(not_supported("The host has no MKS server; ask AcquireTicket for webmks"))
    });
    table.on(vm, method!(CreateScreenshot_Task), |vms, call| async move {
        let vm = vms.register.find(&call.this)?;
        vm.running()?;
        let options = TaskOptions {
            entity: Some(vm.me.clone()),
            entity_name: Some(vm.name()),
            ..TaskOptions::default()
        };
        call.task(options, move |_| async move { screenshot(&vms, &vm).await }).await
    });
}

/// A ticket for the VM's VNC server, which the WebSocket at `/ticket/{ticket}` leads to.
fn ticket(vms: &Vms, call: &Call) -> Reply {
    let vm = vms.register.find(&call.this)?;
    let machine = vm.running()?;
    let socket = machine.console().ok_or_else(|| not_supported("This VM has no screen"))?;
    let ticket = vms.core.tickets.for_console(call.session()?, Arc::new(UnixConsole(socket)))?;
    let file = vms.files.datastores.show(&vm.home());
    Ok(Some(vim!(VirtualMachineTicket { ticket: ticket, cfgFile: file }).into()))
}

/// Keeps a picture of the screen beside the VM's files; gives its datastore path.
async fn screenshot(vms: &Vms, vm: &Vm) -> Result<Option<Value>, Fault> {
    let machine = vm.running()?;
    let picture = machine.screenshot().await.map_err(|error| machine_fault(&vm.me, &error))?;
    if picture.len() as u64 > MAX_SCREENSHOT_BYTES {
        return Err(not_supported(&format!(
            "The picture of the screen has {} bytes, and at most {MAX_SCREENSHOT_BYTES} are kept",
            picture.len()
        )));
    }
    let home = vm.home();
    let on = vms.files.datastores.of(&home)?;
    let entries = on.store.list(&home.directory().path).map_err(|error| on.fault(&error))?;
    let taken = |name: &str| entries.iter().any(|entry| entry.name == name);
    let stem = home.path.stem();
    let name = (1..MOST_PICTURES).map(|number| format!("{stem}-{number}.png")).find(|name| !taken(name));
    let name =
        name.ok_or_else(|| fault!(FileAlreadyExists { file: stem }, "No name is free for the picture"))?;
    let file = sibling(&home, &name)?;
    vms.files.write(&file, picture).await?;
    Ok(Some(Value::from(vms.files.datastores.show(&file))))
}
