//! Consoles: the host gives a ticket; the center gives one of its own that leads to the same console through it.

use std::io;
use std::sync::Arc;

use api::ticket::{ByteStream, Console};
use api::{Call, Guard};
use async_trait::async_trait;
use vim::{Fault, MoRef, Object, Value, field, managed_id, method};
use vm::privileges::to_acquire_ticket;

use super::By;
use crate::LinkError;
use crate::hosts::ManagedHost;
use crate::ops::Table;
use crate::state::State;

pub(super) fn register(table: &mut Table) {
    let vm = managed_id!(VirtualMachine);
    table.guarded(vm, method!(AcquireTicket), Guard::Arguments(to_acquire_ticket), acquire);
}

async fn acquire(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let vm: &MoRef = &call.this;
    let host = state.home(vm)?;
    let by = By::caller(&call);
    let answer = state.carry_to(&host, vm, &call.args, &by).await.map_err(LinkError::into_fault)?;
    let Some(there) = answer.as_ref().and_then(Value::as_object) else { return Ok(answer) };
    let Some(ticket) = there.get(field!(VirtualMachineTicket.ticket)) else { return Ok(answer) };
    let console = Arc::new(ConsoleThere { host, ticket: ticket.to_owned() });
    let own = state.core.tickets.for_console(console)?;
    let mut here = Object::clone(there);
    // Without these the client comes to where it is connected already.
    here.set(field!(VirtualMachineTicket.host), None::<String>);
    here.set(field!(VirtualMachineTicket.port), None::<i32>);
    here.set(field!(VirtualMachineTicket.sslThumbprint), None::<String>);
    let url = there.get(field!(VirtualMachineTicket.url)).map(|_| {
        let authority = state.address.as_deref().unwrap_or("*");
        format!("wss://{authority}/ticket/{own}")
    });
    here.set(field!(VirtualMachineTicket.url), url);
    here.set(field!(VirtualMachineTicket.ticket), own);
    Ok(Some(here.into()))
}

/// A console of a VM on a host.
struct ConsoleThere {
    host: Arc<ManagedHost>,
    ticket: String,
}

#[async_trait]
impl Console for ConsoleThere {
    async fn open(&self) -> io::Result<Box<dyn ByteStream>> {
        let link = self.host.link().map_err(|fault| io::Error::other(fault.to_string()))?;
        link.console(&self.ticket).await
    }
}
