//! Renaming and destroying datastores, on every connected host that reaches them.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{Args, Fault, MoRef, arg, call, managed_id, method};

use super::by::By;
use super::carrier::Carrier;
use super::find::nobody_reaches;
use crate::estate::{Record, duplicate_name, names, not_found};
use crate::link::LinkError;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table { methods, daemon: carrier };
    let datastore = managed_id!(Datastore);
    table.on(datastore, method!(DestroyDatastore), |carrier, call| async move {
        carrier.on_all(&call.this, &call!(DestroyDatastore {}), &By::caller(&call)).await.map(|()| None)
    });
    table.on(datastore, method!(Destroy_Task), |carrier, call| async move {
        let (me, options) = (call.this.clone(), carrier.inventory.alone(&call));
        call.task(options, move |running| async move {
            carrier.on_all(&me, &call!(DestroyDatastore {}), &By::task(&running)).await.map(|()| None)
        })
        .await
    });
    table.on(datastore, method!(RenameDatastore), |carrier, call| async move {
        let name = names::parse(call.required(arg!(RenameDatastore.newName))?, Some(&call.this))?;
        carrier.rename_datastore(&call.this, &name, &By::caller(&call)).await.map(|()| None)
    });
    table.on(datastore, method!(Rename_Task), rename_task);
}

async fn rename_task(carrier: Arc<Carrier>, call: Call) -> Reply {
    let name = names::parse(call.required(arg!(Rename_Task.newName))?, Some(&call.this))?;
    let (me, options) = (call.this.clone(), carrier.inventory.alone(&call));
    call.task(options, move |running| async move {
        carrier.rename_datastore(&me, &name, &By::task(&running)).await.map(|()| None)
    })
    .await
}

impl Carrier {
    /// # Errors
    /// `DuplicateName`, `HostNotConnected` if no connected host reaches the datastore, or a host's fault.
    async fn rename_datastore(&self, me: &MoRef, name: &str, by: &By) -> Result<(), Fault> {
        {
            let records = self.inventory.records();
            let Some(Record::Datastore(known)) = records.get(me) else { return Err(not_found(me)) };
            let same = |other: &Record| matches!(other, Record::Datastore(other) if other.datacenter == known.datacenter && other.name == name);
            if let Some((other, _)) = records.iter().find(|(at, other)| *at != me && same(other)) {
                return Err(duplicate_name(name, other));
            }
        }
        self.on_all(me, &call!(RenameDatastore { newName: name }), by).await
    }

    /// Calls a method that is not a task on every connected host that reaches the datastore.
    async fn on_all(&self, datastore: &MoRef, args: &Args, by: &By) -> Result<(), Fault> {
        let hosts = self.hosts.reaching(datastore);
        if hosts.is_empty() {
            return Err(nobody_reaches(&self.inventory.name_of(datastore)));
        }
        for host in hosts {
            let Some(remote) = host.refs().host(datastore) else { continue };
            let answer = host.link()?.invoke(&remote, args.clone(), by.acting()).await;
            answer.map_err(LinkError::into_fault)?;
            host.settle().await.map_err(LinkError::into_fault)?;
        }
        Ok(())
    }
}
