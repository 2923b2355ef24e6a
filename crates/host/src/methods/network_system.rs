//! HostNetworkSystem: standard switches and their port groups.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use api::{Call, Guard, Writer, managers};
use hostnet::{Around, NetworkConfig, Scene};
use vim::{
    Fault, Kind, List, ManagedId, MoRef, Object, Value, arg, data_id, fault, field, managed_id, method, prop,
    props, vim_enum,
};
use vm::Power;

use vswitch::declare::Dns;

use super::Table;
use crate::error::network_fault;
use crate::{Host, ids, inventory};

const SYSTEM: ManagedId = managed_id!(HostNetworkSystem);

/// The schema says it of the other methods.
pub(super) const CONFIGURE: Guard = Guard::Privilege("Host.Config.Network");

type Reply = Result<Option<Value>, Fault>;

pub(super) fn register(table: &mut Table<'_>) {
    table.on(SYSTEM, method!(AddVirtualSwitch), |host, call| async move {
        let name = call.required(arg!(AddVirtualSwitch.vswitchName))?;
        let spec =
            call.arg(arg!(AddVirtualSwitch.spec)).map(|spec| hostnet::switch_spec(spec)).transpose()?;
        host.change_network(|config, around| config.add_switch(name, spec.unwrap_or_default(), around)).await
    });
    table.on(SYSTEM, method!(UpdateVirtualSwitch), |host, call| async move {
        let name = call.required(arg!(UpdateVirtualSwitch.vswitchName))?;
        let spec = hostnet::switch_spec(call.required(arg!(UpdateVirtualSwitch.spec))?)?;
        host.change_network(|config, around| config.update_switch(name, spec, around)).await
    });
    table.on(SYSTEM, method!(RemoveVirtualSwitch), |host, call| async move {
        let name = call.required(arg!(RemoveVirtualSwitch.vswitchName))?;
        host.change_network(|config, around| config.remove_switch(name, around)).await
    });
    table.on(SYSTEM, method!(AddPortGroup), |host, call| async move {
        let spec = hostnet::group_spec(call.required(arg!(AddPortGroup.portgrp))?)?;
        host.change_network(|config, _| config.add_group(spec)).await
    });
    table.on(SYSTEM, method!(UpdatePortGroup), |host, call| async move {
        let name = call.required(arg!(UpdatePortGroup.pgName))?;
        let spec = hostnet::group_spec(call.required(arg!(UpdatePortGroup.portgrp))?)?;
        host.change_network(|config, around| config.update_group(name, spec, around)).await
    });
    table.on(SYSTEM, method!(RemovePortGroup), |host, call| async move {
        let name = call.required(arg!(RemovePortGroup.pgName))?;
        host.change_network(|config, around| config.remove_group(name, around)).await
    });
    table.guarded(SYSTEM, method!(UpdateNetworkConfig), CONFIGURE, super::network_config::update);
    table.on(SYSTEM, method!(UpdateDnsConfig), |host, call| async move {
        let (names, own) = (call.required(arg!(UpdateDnsConfig.config))?, host.own_names());
        host.change_network(|config, _| config.set_names(names, &own.host_name)).await
    });
    table.on(SYSTEM, method!(QueryNetworkHint), |host, call| async move { hints(&host, &call) });
    table.on(SYSTEM, method!(RefreshNetworkSystem), |host, _: Call| async move {
        host.show_network();
        Ok(None)
    });
}

/// What the network at the other end of each card has told about itself.
fn hints(host: &Host, call: &Call) -> Reply {
    let fabric = host.network.fabric();
    let nics = fabric.nics();
    let asked: Vec<&str> = match call.arg(arg!(QueryNetworkHint.device)) {
        Some(devices) => devices.iter().collect(),
        None => nics.iter().map(|nic| &*nic.name).collect(),
    };
    let hint = |device: &str| match nics.iter().any(|nic| nic.name == device) {
        true => {
            let hint = hostnet::hint(device, &fabric.other_end(device), &fabric.observed(device));
            Ok(Value::from(Object::from(hint)))
        }
        false => Err(fault!(NotFound {}, "The host has no physical network card {device}")),
    };
    let hints = asked.into_iter().map(hint).collect::<Result<Vec<Value>, Fault>>()?;
    Ok(Some(Value::List(List::new(Kind::Data(data_id!(PhysicalNicHintInfo)), hints))))
}

impl Host {
    /// Changes the network and shows it.
    ///
    /// # Errors
    /// What `change` says; `HostConfigFault` if the switch refuses.
    pub async fn change_network(
        self: &Arc<Self>,
        change: impl FnOnce(&mut NetworkConfig, &Around<'_>) -> Result<(), Fault>,
    ) -> Reply {
        let changed = self.network.change(&|group| self.user_of_network(group), change).await;
        changed.map_err(network_fault)?;
        self.show_network();
        Ok(None)
    }

    /// Which machine has an adapter on a port group.
    fn user_of_network(&self, group: &str) -> Option<String> {
        let uses = |vm: &Arc<crate::vms::Vm>| vm.state().config.nics().any(|(_, nic)| nic.network == group);
        let vm = self.all_vms().into_iter().find(uses)?;
        Some(format!("the virtual machine {}", vm.state().config.name))
    }

    /// The adapters of running machines that are on a port group: interface of the port, and MAC address.
    pub fn adapters_on(&self, group: &str) -> Vec<(String, String)> {
        let of = |vm: &Arc<crate::vms::Vm>| {
            let state = vm.state();
            let on = state.config.nics().filter(|(_, nic)| state.power == Power::On && nic.network == group);
            on.map(|(key, nic)| (self.network.interface_of(vm.me.id(), key), nic.mac.clone()))
                .collect::<Vec<_>>()
        };
        self.all_vms().iter().flat_map(of).collect()
    }

    /// What is shown of the network now.
    pub(crate) fn network_scene<'a>(
        &self,
        config: &'a NetworkConfig,
        on: &'a dyn Fn(&str) -> Vec<(String, String)>,
    ) -> Scene<'a> {
        let fabric = self.network.fabric();
        Scene { config, nics: fabric.nics(), own_names: self.own_names(), seen: fabric.seen(), on }
    }

    /// The `HostDnsConfig` of now.
    pub fn names(&self) -> Object {
        self.network_scene(&self.network.config(), &|_| Vec::new()).names()
    }

    /// What the machine calls itself, and whom it asks for names; a simulated one has the name that it has in the inventory.
    pub(super) fn own_names(&self) -> Dns {
        let own = self.network.fabric().names();
        if !own.host_name.is_empty() || self.name.parse::<IpAddr>().is_ok() {
            return own;
        }
        let (host_name, domain) = self.name.split_once('.').unwrap_or((&self.name, ""));
        Dns { host_name: host_name.into(), domain: domain.into(), ..own }
    }

    /// Brings the tree to what the network is now: the objects of port groups, and what is shown of switches and cards.
    pub(crate) fn show_network(&self) {
        let _showing = self.network.showing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let config = self.network.config();
        let on = |group: &str| self.adapters_on(group);
        let scene = self.network_scene(&config, &on);
        let manager = super::virtual_nic::manager(&scene);
        let settings = super::advanced::settings(self, &config);
        let definitions = super::advanced::definitions(&settings);
        let (info, asked) = (Object::from(scene.info()), Object::from(scene.asked()));
        let running = Object::from(scene.runtime());
        let wanted: BTreeSet<String> = config.groups().map(|(_, group)| group.name.clone()).collect();
        self.core.tree.write(|w| {
            let known = names_of_networks(w);
            for name in wanted.difference(&known) {
                show(w, name);
            }
            for name in known.difference(&wanted) {
                hide(w, name);
            }
            w.create(
                &ids::network_system(),
                props!(HostNetworkSystem {
                    capabilities: hostnet::capabilities(),
                    networkInfo: info.clone(),
                    networkConfig: asked,
                    dnsConfig: scene.names(),
                }),
            );
            w.create(&ids::virtual_nic_manager(), manager);
            let (setting, defined) = (managers::shown_options(&settings), definitions);
            w.create(
                &ids::advanced_options(),
                props!(OptionManager { setting: setting.clone(), supportedOption: defined.clone() }),
            );
            let shown = w.find(&ids::host()).and_then(|node| node.get(prop!(HostSystem.config)).cloned());
            if let Some(shown) = shown {
                let mut shown = Object::clone(&shown);
                shown.set(field!(HostConfigInfo.network), info);
                shown.set(field!(HostConfigInfo.option), setting);
                shown.set(field!(HostConfigInfo.optionDef), defined);
                w.set(&ids::host(), props!(HostSystem { config: shown }));
            }
            let host = w.find(&ids::host());
            let runtime = host.and_then(|node| node.get(prop!(HostSystem.runtime)).cloned());
            let summary = host.and_then(|node| node.get(prop!(HostSystem.summary)).cloned());
            if let (Some(runtime), Some(summary)) = (runtime, summary) {
                let (mut runtime, mut summary) = (Object::clone(&runtime), Object::clone(&summary));
                runtime.set(field!(HostRuntimeInfo.networkRuntimeInfo), running);
                summary.set(field!(HostListSummary.runtime), runtime.clone());
                w.set(&ids::host(), props!(HostSystem { runtime: runtime, summary: summary }));
            }
        });
    }

    /// Shows links that come and go, and says once which addresses of adapters other stations have too, until the host closes.
    pub(crate) fn watch_links(self: &Arc<Self>) {
        let (host, closing) = (Arc::downgrade(self), self.closing.clone());
        let network = self.network.clone();
        tokio::spawn(async move {
            let mut known = BTreeSet::new();
            loop {
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = network.fabric().changed() => {}
                }
                network.resolve().await;
                let Some(host) = host.upgrade() else { return };
                host.show_network();
                let adapters = network.fabric().seen().adapters;
                let conflicts: BTreeSet<_> = adapters
                    .iter()
                    .flat_map(|(device, has)| {
                        has.conflicts.iter().map(|own| (device.clone(), *own.0, *own.1))
                    })
                    .collect();
                for (device, address, mac) in conflicts.difference(&known) {
                    host.post_duplicate(device, *address, *mac).await;
                }
                known = conflicts;
            }
        });
    }
}

fn names_of_networks(w: &Writer) -> BTreeSet<String> {
    let Some(folder) = w.find(&ids::network_folder()) else { return BTreeSet::new() };
    let networks = folder.get(prop!(Folder.childEntity)).into_iter().flatten();
    let name = |me: &MoRef| Some(w.find(me)?.get(prop!(ManagedEntity.name))?.to_owned());
    networks.filter_map(name).collect()
}

/// Puts the object of a network into the tree and lists it wherever networks are listed.
fn show(w: &mut Writer, name: &str) {
    let me = ids::network(name);
    w.create(
        &me,
        props!(ManagedEntity {
            name: name,
            parent: ids::network_folder(),
            overallStatus: vim_enum!(ManagedEntityStatus.green),
            configStatus: vim_enum!(ManagedEntityStatus.green),
            alarmActionsEnabled: true,
        }),
    );
    w.set(&me, inventory::network_props(name));
    w.add_ref(&ids::network_folder(), prop!(Folder.childEntity), &me);
    w.add_ref(&ids::datacenter(), prop!(Datacenter.network), &me);
    w.add_ref(&ids::compute_resource(), prop!(ComputeResource.network), &me);
    w.add_ref(&ids::host(), prop!(HostSystem.network), &me);
}

fn hide(w: &mut Writer, name: &str) {
    let me = ids::network(name);
    w.remove_ref(&ids::network_folder(), prop!(Folder.childEntity), &me);
    w.remove_ref(&ids::datacenter(), prop!(Datacenter.network), &me);
    w.remove_ref(&ids::compute_resource(), prop!(ComputeResource.network), &me);
    w.remove_ref(&ids::host(), prop!(HostSystem.network), &me);
    w.remove(&me);
}
