//! Looking at a machine: tickets for its console, and pictures of its screen.

use std::sync::Arc;

use api::ticket::UnixConsole;
use api::{Call, Guard, TaskOptions};
use vim::{Fault, Value, arg, fault, managed_id, method, vim};
use vm::privileges::to_acquire_ticket;

use super::Table;
use crate::Host;
use crate::error::{machine_fault, not_supported};
use crate::limits::MAX_SCREENSHOT_BYTES;
use crate::ops::{blocking, sibling};

pub(super) fn register(table: &mut Table<'_>) {
    let vm = managed_id!(VirtualMachine);
    table.guarded(vm, method!(AcquireTicket), Guard::Arguments(to_acquire_ticket), |host, call| async move {
        match call.required(arg!(AcquireTicket.ticketType))? {
            "webmks" => ticket(&host, &call),
            other => Err(not_supported(&format!("There are no tickets for {other}; ask for webmks"))),
        }
    });
    table.on(vm, method!(AcquireMksTicket), |host, call| async move {
        host.vm(&call.this)?;
        Err(not_supported("There is no MKS server; ask AcquireTicket for webmks"))
    });
    table.on(vm, method!(CreateScreenshot_Task), |host, call| async move {
        let vm = host.vm(&call.this)?;
        vm.running()?;
        let options = TaskOptions {
            entity: Some(vm.me.clone()),
            entity_name: Some(vm.name()),
            ..TaskOptions::default()
        };
        call.task(options, move |_| async move { screenshot(&host, &vm).await }).await
    });
}

/// A ticket for the machine's VNC server, which the WebSocket at `/ticket/{ticket}` leads to.
fn ticket(host: &Host, call: &Call) -> Result<Option<Value>, Fault> {
    let vm = host.vm(&call.this)?;
    let machine = vm.running()?;
    let socket = machine.console().ok_or_else(|| not_supported("This machine has no screen"))?;
    let ticket = host.core.tickets.for_console(Arc::new(UnixConsole(socket)))?;
    let file = host.datastores.show(&vm.state().home);
    Ok(Some(vim!(VirtualMachineTicket { ticket: ticket, cfgFile: file }).into()))
}

/// Keeps a picture of the screen beside the machine's files; gives its datastore path.
async fn screenshot(host: &Arc<Host>, vm: &Arc<crate::vms::Vm>) -> Result<Option<Value>, Fault> {
    let machine = vm.running()?;
    let picture = machine.screenshot().await.map_err(|error| machine_fault(&vm.me, &error))?;
    if picture.len() as u64 > MAX_SCREENSHOT_BYTES {
        return Err(not_supported("The picture of the screen is too large to be kept"));
    }
    let home = vm.state().home.clone();
    let on = host.datastores.of(&home)?;
    let entries = on.store.list(&home.directory().path).map_err(|error| on.fault(&error))?;
    let taken = |name: &str| entries.iter().any(|entry| entry.name == name);
    let stem = home.path.stem();
    let name = (1..10_000).map(|number| format!("{stem}-{number}.png")).find(|name| !taken(name));
    let name =
        name.ok_or_else(|| fault!(FileAlreadyExists { file: stem }, "No name is free for the picture"))?;
    let file = sibling(&home, &name)?;
    let path = file.path.clone();
    blocking(move || on.store.write(&path, &picture).map_err(|error| on.fault(&error))).await?;
    Ok(Some(Value::from(host.datastores.show(&file))))
}
