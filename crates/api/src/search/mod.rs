//! The SearchIndex: finds entities by the facts that people and scripts know, such as names, addresses and UUIDs. It reads the tree's
//! properties, and finds only entities that the session may see.

mod path;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use vim::{
    Fault, Field, Kind, List, ManagedId, MoRef, Value, arg, fault, field, managed_id, method, prop, props,
};

use crate::common::Common;
use crate::tree::ancestors;
use crate::{Call, Manager, Methods, Node, Snapshot};

type Reply = Result<Option<Value>, Fault>;

const INDEX: ManagedId = managed_id!(SearchIndex);

/// The SearchIndex.
pub(crate) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.search_index.clone(),
    named: Some(field!(ServiceContent.searchIndex).number()),
    properties: |_| Ok(props!(SearchIndex {})),
    register: |table| register(table.methods),
};

fn register(methods: &mut Methods) {
    methods.on(INDEX, method!(FindByUuid), |call| async move {
        let datacenter = call.arg(arg!(FindByUuid.datacenter));
        let of_vm = call.required(arg!(FindByUuid.vmSearch))?;
        let uuid = call.required(arg!(FindByUuid.uuid))?;
        let instance = call.arg(arg!(FindByUuid.instanceUuid)).unwrap_or_default();
        first(find(&call, datacenter, of_vm, |node| has_uuid(node, uuid, instance))?)
    });
    methods.on(INDEX, method!(FindAllByUuid), |call| async move {
        let datacenter = call.arg(arg!(FindAllByUuid.datacenter));
        let of_vm = call.required(arg!(FindAllByUuid.vmSearch))?;
        let uuid = call.required(arg!(FindAllByUuid.uuid))?;
        let instance = call.arg(arg!(FindAllByUuid.instanceUuid)).unwrap_or_default();
        all(find(&call, datacenter, of_vm, |node| has_uuid(node, uuid, instance))?)
    });
    methods.on(INDEX, method!(FindByIp), |call| async move {
        let datacenter = call.arg(arg!(FindByIp.datacenter));
        let of_vm = call.required(arg!(FindByIp.vmSearch))?;
        let address = call.required(arg!(FindByIp.ip))?;
        first(find(&call, datacenter, of_vm, |node| has_address(node, address))?)
    });
    methods.on(INDEX, method!(FindAllByIp), |call| async move {
        let datacenter = call.arg(arg!(FindAllByIp.datacenter));
        let of_vm = call.required(arg!(FindAllByIp.vmSearch))?;
        let address = call.required(arg!(FindAllByIp.ip))?;
        all(find(&call, datacenter, of_vm, |node| has_address(node, address))?)
    });
    methods.on(INDEX, method!(FindByDnsName), |call| async move {
        let datacenter = call.arg(arg!(FindByDnsName.datacenter));
        let of_vm = call.required(arg!(FindByDnsName.vmSearch))?;
        let name = call.required(arg!(FindByDnsName.dnsName))?;
        first(find(&call, datacenter, of_vm, |node| has_dns_name(node, name))?)
    });
    methods.on(INDEX, method!(FindAllByDnsName), |call| async move {
        let datacenter = call.arg(arg!(FindAllByDnsName.datacenter));
        let of_vm = call.required(arg!(FindAllByDnsName.vmSearch))?;
        let name = call.required(arg!(FindAllByDnsName.dnsName))?;
        all(find(&call, datacenter, of_vm, |node| has_dns_name(node, name))?)
    });
    methods.on(INDEX, method!(FindByDatastorePath), |call| async move {
        let path = call.required(arg!(FindByDatastorePath.path))?;
        if !path.starts_with('[') || !path.contains(']') {
            return Err(fault!(
                InvalidDatastorePath { datastorePath: path },
                "{path:?} does not have the form [datastore] directory/file"
            ));
        }
        let datacenter = Some(call.required(arg!(FindByDatastorePath.datacenter))?);
        first(find(&call, datacenter, true, |node| {
            let config = node.get(prop!(VirtualMachine.config));
            let files = config.and_then(|config| config.get(field!(VirtualMachineConfigInfo.files)));
            files.and_then(|files| files.get(field!(VirtualMachineFileInfo.vmPathName))) == Some(path)
        })?)
    });
    methods.on(INDEX, method!(FindByInventoryPath), |call| async move {
        let path = call.required(arg!(FindByInventoryPath.inventoryPath))?;
        let state = call.state();
        Ok(path::find(&state, path).filter(|found| sees(&call, found, &state)).map(Value::Ref))
    });
    methods.on(INDEX, method!(FindChild), |call| async move {
        let state = call.state();
        let parent = state.require(call.required(arg!(FindChild.entity))?)?.me().clone();
        let name = call.required(arg!(FindChild.name))?;
        let child = path::child(&state, &parent, name);
        Ok(child.filter(|found| sees(&call, found, &state)).map(Value::Ref))
    });
}

fn first(found: Vec<MoRef>) -> Reply {
    Ok(found.into_iter().next().map(Value::Ref))
}

fn all(found: Vec<MoRef>) -> Reply {
    let found = found.into_iter().map(Value::Ref).collect::<Vec<_>>();
    Ok(Some(Value::List(List::new(Kind::Ref(managed_id!(ManagedEntity)), found))))
}

fn sees(call: &Call, object: &MoRef, state: &Snapshot) -> bool {
    call.session
        .as_ref()
        .is_some_and(|session| call.service.authority.allows(&session.account, object, "System.View", state))
}

/// The VMs or hosts that fit, in order of their ids.
fn find(
    call: &Call,
    datacenter: Option<&MoRef>,
    of_vm: bool,
    fits: impl Fn(&Node) -> bool,
) -> Result<Vec<MoRef>, Fault> {
    let state = call.state();
    let within = datacenter.map(|datacenter| state.require(datacenter)).transpose()?;
    let ty = if of_vm { managed_id!(VirtualMachine) } else { managed_id!(HostSystem) };
    let nodes = state.iter().filter(|node| node.me().is_a(ty) && fits(node));
    let mut found: Vec<MoRef> = nodes.map(|node| node.me().clone()).collect();
    found.retain(|object| {
        within.as_ref().is_none_or(|top| ancestors(&state, object).any(|parent| parent == *top.me()))
            && sees(call, object, &state)
    });
    found.sort();
    Ok(found)
}

/// Compares UUIDs in any spelling.
fn same_uuid(a: &str, b: &str) -> bool {
    let digits = |text: &str| -> Vec<u8> {
        text.bytes().filter(u8::is_ascii_hexdigit).map(|b| b.to_ascii_lowercase()).collect()
    };
    digits(a) == digits(b)
}

fn has_uuid(node: &Node, uuid: &str, instance: bool) -> bool {
    let is = |known: Option<&str>| known.is_some_and(|known| same_uuid(known, uuid));
    if node.me().is_a(managed_id!(VirtualMachine)) {
        let number = |field: Field<vim::kind::Text>| {
            node.get(prop!(VirtualMachine.config)).and_then(|config| config.get(field))
        };
        let number = if instance {
            number(field!(VirtualMachineConfigInfo.instanceUuid))
        } else {
            number(field!(VirtualMachineConfigInfo.uuid))
        };
        return is(number);
    }
    let summary = node.get(prop!(HostSystem.summary));
    let hardware = summary.and_then(|summary| summary.get(field!(HostListSummary.hardware)));
    let full = node.get(prop!(HostSystem.hardware));
    let system = full.and_then(|full| full.get(field!(HostHardwareInfo.systemInfo)));
    !instance
        && (is(hardware.and_then(|hardware| hardware.get(field!(HostHardwareSummary.uuid))))
            || is(system.and_then(|system| system.get(field!(HostSystemInfo.uuid)))))
}

fn has_address(node: &Node, address: &str) -> bool {
    if node.me().is_a(managed_id!(VirtualMachine)) {
        let Some(guest) = node.get(prop!(VirtualMachine.guest)) else { return false };
        let nics = guest.get(field!(GuestInfo.net));
        return guest.get(field!(GuestInfo.ipAddress)) == Some(address)
            || nics.into_iter().flatten().any(|nic| {
                nic.get(field!(GuestNicInfo.ipAddress))
                    .is_some_and(|list| list.iter().any(|ip| ip == address))
            });
    }
    let config = node.get(prop!(HostSystem.config));
    let network = config.and_then(|config| config.get(field!(HostConfigInfo.network)));
    let adapters = network.and_then(|network| network.get(field!(HostNetworkInfo.vnic)));
    let has = adapters.into_iter().flatten().any(|adapter| {
        let spec = adapter.get(field!(HostVirtualNic.spec));
        let ip = spec.and_then(|spec| spec.get(field!(HostVirtualNicSpec.ip)));
        ip.and_then(|ip| ip.get(field!(HostIpConfig.ipAddress))) == Some(address)
    });
    has || node.get(prop!(ManagedEntity.name)) == Some(address)
}

fn has_dns_name(node: &Node, name: &str) -> bool {
    let is = |known: Option<&str>| known.is_some_and(|known| known.eq_ignore_ascii_case(name));
    if node.me().is_a(managed_id!(VirtualMachine)) {
        let guest = node.get(prop!(VirtualMachine.guest));
        return is(guest.and_then(|guest| guest.get(field!(GuestInfo.hostName))));
    }
    let config = node.get(prop!(HostSystem.config));
    let network = config.and_then(|config| config.get(field!(HostConfigInfo.network)));
    let dns = network.and_then(|network| network.get(field!(HostNetworkInfo.dnsConfig)));
    let host = dns.and_then(|dns| dns.get(field!(HostDnsConfig.hostName)));
    let domain = dns.and_then(|dns| dns.get(field!(HostDnsConfig.domainName))).unwrap_or_default();
    is(host)
        || host.is_some_and(|host| format!("{host}.{domain}").eq_ignore_ascii_case(name))
        || is(node.get(prop!(ManagedEntity.name)))
}
