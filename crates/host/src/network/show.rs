//! The network in the tree: an object for each port group, and the switches, adapters and cards that the host shows.

use std::collections::BTreeSet;

use api::Writer;
use hostnet::{NetworkConfig, Scene, capabilities};
use vim::{Object, Props, prop, props, vim_enum};

use super::{Network, adapters, settings, system};
use crate::ids;

impl Network {
    /// Brings the objects of port groups into the tree, before there are VMs that list themselves there.
    pub(crate) fn show_groups(&self) {
        let mut known = self.shown.lock();
        let wanted = groups(&self.host_network.config());
        self.core.tree.write(|w| show_groups(w, &known, &wanted));
        *known = wanted;
    }

    /// Brings the tree to the present state of the network.
    pub(crate) fn show(&self) {
        let mut known = self.shown.lock();
        let config = self.host_network.config();
        let on = |group: &str| self.ports_on(group);
        let scene = self.scene(&config, &on);
        let (info, running) = (Object::from(scene.info()), Object::from(scene.runtime()));
        let (system, adapters) = (system::props(&scene, &info), adapters::props(&scene));
        let settings = settings::values(&config);
        let wanted = groups(&config);
        self.core.tree.write(|w| {
            show_groups(w, &known, &wanted);
            w.set(&system::me(), system);
            w.set(&adapters::me(), adapters);
            self.system.show_network(w, info, running);
            self.system.show_settings(w, &settings);
        });
        *known = wanted;
    }

    /// The `HostDnsConfig` of this moment.
    pub fn names(&self) -> Object {
        self.scene(&self.host_network.config(), &|_| Vec::new()).names()
    }

    /// The present state of the network. `on` tells the interfaces and MAC addresses of the ports on a port group.
    pub(super) fn scene<'a>(
        &self,
        config: &'a NetworkConfig,
        on: &'a dyn Fn(&str) -> Vec<(String, String)>,
    ) -> Scene<'a> {
        let fabric = self.host_network.fabric();
        Scene { config, nics: fabric.nics(), own_names: self.own_names(), seen: fabric.seen(), on }
    }

    /// The ports of running VMs on a port group: interface and MAC address of each.
    fn ports_on(&self, group: &str) -> Vec<(String, String)> {
        let adapters = self.vms.adapters_on(group).into_iter();
        adapters.map(|nic| (self.host_network.interface_of(nic.vm.id(), nic.key), nic.mac)).collect()
    }
}

/// The names of the port groups.
fn groups(config: &NetworkConfig) -> BTreeSet<String> {
    config.groups().map(|(_, group)| group.name.clone()).collect()
}

fn show_groups(w: &mut Writer<'_>, known: &BTreeSet<String>, wanted: &BTreeSet<String>) {
    wanted.difference(known).for_each(|name| add(w, name));
    known.difference(wanted).for_each(|name| remove(w, name));
}

/// Puts the object of a port group into the tree and lists it wherever networks are listed.
fn add(w: &mut Writer<'_>, name: &str) {
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
    w.set(&me, of_group(name));
    w.add_ref(&ids::network_folder(), prop!(Folder.childEntity), &me);
    w.add_ref(&ids::datacenter(), prop!(Datacenter.network), &me);
    w.add_ref(&ids::compute_resource(), prop!(ComputeResource.network), &me);
    w.add_ref(&ids::host(), prop!(HostSystem.network), &me);
}

fn remove(w: &mut Writer<'_>, name: &str) {
    let me = ids::network(name);
    w.remove_ref(&ids::network_folder(), prop!(Folder.childEntity), &me);
    w.remove_ref(&ids::datacenter(), prop!(Datacenter.network), &me);
    w.remove_ref(&ids::compute_resource(), prop!(ComputeResource.network), &me);
    w.remove_ref(&ids::host(), prop!(HostSystem.network), &me);
    w.remove(&me);
}

fn of_group(name: &str) -> Props {
    props!(Network {
        summary: NetworkSummary { network: ids::network(name), name: name, accessible: true, ipPoolName: "" },
        host: [ids::host()],
    })
}

/// The properties that HostNetworkSystem has from the start.
pub(super) fn fixed() -> Props {
    props!(HostNetworkSystem { capabilities: capabilities() })
}
