//! A host's connection: disconnecting, reconnecting, and reading its summary.

use std::sync::Arc;

use api::{Methods, Table};
use vim::{Fault, MoRef, Object, Value, arg, fault, field, managed_id, method, prop, vim, vim_enum};

use super::announce::Occurrence;
use super::join::connect_fault;
use super::membership::Membership;
use super::wanted::Wanted;
use crate::estate::{Inventory, Record, not_found};
use crate::link::names;
use crate::mirror::ManagedHost;

pub(super) fn register(methods: &mut Methods, membership: &Arc<Membership>) {
    let mut table = Table { methods, daemon: membership };
    let host = managed_id!(HostSystem);
    table.on(host, method!(DisconnectHost_Task), |membership, call| async move {
        let me = call.this.clone();
        let options = membership.inventory.alone(&call);
        call.task(options, move |_| async move { membership.disconnect(&me).await.map(|()| None) }).await
    });
    table.on(host, method!(ReconnectHost_Task), |membership, call| async move {
        let me = call.this.clone();
        let spec = call.arg(arg!(ReconnectHost_Task.cnxSpec)).cloned();
        let options = membership.inventory.alone(&call);
        call.task(options, move |_| async move { membership.reconnect(&me, spec).await.map(|()| None) }).await
    });
    table.on(host, method!(QueryHostConnectionInfo), |membership, call| async move {
        membership.hosts.get(&call.this)?.link()?;
        Ok(Some(connection_info(&membership.inventory, &call.this)?.into()))
    });
    let datacenter = managed_id!(Datacenter);
    table.on(datacenter, method!(QueryConnectionInfoViaSpec), |membership, call| async move {
        let wanted = Wanted::read(call.required(arg!(QueryConnectionInfoViaSpec.spec))?)?;
        membership.look_at(wanted).await.map(Some)
    });
    table.on(datacenter, method!(QueryConnectionInfo), |membership, call| async move {
        let spec = vim!(HostConnectSpec {
            hostName: call.required(arg!(QueryConnectionInfo.hostname))?,
            port: call.required(arg!(QueryConnectionInfo.port))?,
            userName: call.required(arg!(QueryConnectionInfo.username))?,
            password: call.required(arg!(QueryConnectionInfo.password))?,
            sslThumbprint: call.arg(arg!(QueryConnectionInfo.sslThumbprint)),
            force: false,
        });
        membership.look_at(Wanted::read(&spec)?).await.map(Some)
    });
}

impl Membership {
    async fn disconnect(&self, me: &MoRef) -> Result<(), Fault> {
        let host = self.hosts.get(me)?;
        self.set_wanted(me, false).await?;
        host.halt();
        self.mirror.lose(&host, vim_enum!(HostSystemConnectionState.disconnected), None).await;
        if let Some(link) = host.any_link() {
            ManagedHost::close(link);
        }
        self.announcer.tell(&host, Occurrence::Disconnected).await;
        Ok(())
    }

    async fn set_wanted(&self, me: &MoRef, connected: bool) -> Result<(), Fault> {
        self.change_host(me, |host| host.disconnected = !connected).await
    }

    async fn reconnect(&self, me: &MoRef, spec: Option<Arc<Object>>) -> Result<(), Fault> {
        let host = self.hosts.get(me)?;
        if host.is_connected() && spec.is_none() {
            return Err(fault!(InvalidState {}, "Host {} is already connected", host.name));
        }
        if let Some(spec) = spec {
            self.enroll_again(me, &spec).await?;
            // The center may now reach it in another way.
            host.halt();
            if let Some(old) = host.set_link(None) {
                ManagedHost::close(old);
            }
        }
        self.set_wanted(me, true).await?;
        self.supervisor.bring_in(&host).await.map_err(|fault| {
            if fault.is_a(vim::data_id!(HostCommunication)) {
                return fault!(NoHost { name: &host.name }, "{fault}");
            }
            fault
        })?;
        self.announcer.tell(&host, Occurrence::Connected).await;
        Ok(())
    }

    /// Makes the host trust the center again, by an administrator's password. The host may have a new certificate.
    async fn enroll_again(&self, me: &MoRef, spec: &Object) -> Result<(), Fault> {
        let Some(Record::Host(known)) = self.inventory.record(me) else {
            return Err(not_found(me));
        };
        let mut spec = Object::clone(spec);
        if spec.get(field!(HostConnectSpec.hostName)).is_none_or(str::is_empty) {
            spec.set(field!(HostConnectSpec.hostName), &known.name);
            spec.set(field!(HostConnectSpec.port), i32::from(known.port));
        }
        if spec.get(field!(HostConnectSpec.sslThumbprint)).is_none() {
            spec.set(field!(HostConnectSpec.sslThumbprint), &known.fingerprint);
        }
        let wanted = Wanted::read(&spec)?;
        if wanted.address.host != known.name {
            return Err(fault!(
                InvalidName { name: &wanted.address.host },
                "The address of the host is {}; add a host with another address as a new one",
                known.name
            ));
        }
        let certificate = self.trusted_certificate(&wanted).await?;
        if !wanted.credentials.user.is_empty() {
            let Wanted { address, credentials, force, .. } = &wanted;
            self.connector.enroll(address, &certificate.fingerprint, credentials, *force).await?;
        }
        self.change_host(me, |host| {
            host.port = wanted.address.port;
            host.fingerprint = certificate.pin;
        })
        .await
    }

    /// Describes a host that is not in the inventory.
    async fn look_at(&self, wanted: Wanted) -> Result<Value, Fault> {
        let certificate = self.trusted_certificate(&wanted).await?;
        let link =
            self.connector.visit(&wanted.address, &certificate.fingerprint, &wanted.credentials).await?;
        let summary = link.read(&names::host(), prop!(HostSystem.summary).number()).await;
        link.close().await;
        let summary = summary.map_err(|error| connect_fault(error, &wanted.address))?;
        let summary = summary.as_ref().and_then(Value::as_object).cloned();
        let summary = summary.ok_or_else(|| {
            fault!(NotSupportedHost {}, "{} is not a host that can be added", wanted.address.host)
        })?;
        // The host's own reference is meaningless to the client.
        let mut summary = Object::clone(&summary);
        summary.set(field!(HostListSummary.host), None::<MoRef>);
        Ok(vim!(HostConnectInfo { host: summary, vimAccountNameRequired: false, clusterSupported: true })
            .into())
    }
}

fn connection_info(inventory: &Inventory, me: &MoRef) -> Result<Object, Fault> {
    let tree = inventory.tree.snapshot();
    let node = tree.find(me).ok_or_else(|| not_found(me))?;
    let summary = node.get(prop!(HostSystem.summary)).cloned();
    let summary = summary.ok_or_else(|| not_found(me))?;
    let vms: Vec<Arc<Object>> = node
        .get(prop!(HostSystem.vm))
        .into_iter()
        .flatten()
        .filter_map(|vm| tree.find(vm)?.get(prop!(VirtualMachine.summary)).cloned())
        .collect();
    let info = vim!(HostConnectInfo {
        host: summary,
        vm: vms,
        vimAccountNameRequired: false,
        clusterSupported: true,
    });
    Ok(info.into())
}
