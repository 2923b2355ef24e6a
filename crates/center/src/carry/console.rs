//! Consoles: the host returns a ticket, and the center returns one of its own that leads to the same console.

use std::io;
use std::sync::Arc;

use api::ticket::{ByteStream, Console};
use api::{Call, Guard, Methods, Table};
use async_trait::async_trait;
use vim::{MoRef, Object, Value, field, managed_id, method};
use vm::privileges::to_acquire_ticket;

use super::by::By;
use super::carrier::Carrier;
use crate::link::LinkError;
use crate::mirror::ManagedHost;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table { methods, daemon: carrier };
    let guard = Guard::Arguments(to_acquire_ticket);
    table.guarded(managed_id!(VirtualMachine), method!(AcquireTicket), guard, acquire);
}

async fn acquire(carrier: Arc<Carrier>, call: Call) -> Reply {
    let vm: &MoRef = &call.this;
    let host = carrier.home(vm)?;
    let by = By::caller(&call);
    let answer = carrier.carry_to(&host, vm, &call.args, &by).await.map_err(LinkError::into_fault)?;
    let Some(there) = answer.as_ref().and_then(Value::as_object) else { return Ok(answer) };
    let Some(ticket) = there.get(field!(VirtualMachineTicket.ticket)) else { return Ok(answer) };
    let console = Arc::new(HostConsole { host, ticket: ticket.to_owned() });
    let own = carrier.core.tickets.for_console(call.session()?, console)?;
    let mut here = Object::clone(there);
    // Without these the client uses the address that it is connected to.
    here.set(field!(VirtualMachineTicket.host), None::<String>);
    here.set(field!(VirtualMachineTicket.port), None::<i32>);
    here.set(field!(VirtualMachineTicket.sslThumbprint), None::<String>);
    let url = there.get(field!(VirtualMachineTicket.url)).map(|_| {
        let authority = carrier.address.as_deref().unwrap_or("*");
        format!("wss://{authority}/ticket/{own}")
    });
    here.set(field!(VirtualMachineTicket.url), url);
    here.set(field!(VirtualMachineTicket.ticket), own);
    Ok(Some(here.into()))
}

/// A console of a VM on a host.
struct HostConsole {
    host: Arc<ManagedHost>,
    ticket: String,
}

#[async_trait]
impl Console for HostConsole {
    async fn open(&self) -> io::Result<Box<dyn ByteStream>> {
        let link = self.host.link().map_err(|fault| io::Error::other(fault.to_string()))?;
        link.console(&self.ticket).await
    }
}
