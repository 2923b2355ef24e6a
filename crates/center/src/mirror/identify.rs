//! Identifies the host's objects among those of the center; plans new objects, and the removal of those that are gone.

use std::collections::{HashMap, HashSet};

use vim::{ManagedId, MoRef, managed_id, prop};

use super::facts::{self, Properties, Sorted, VmFacts};
use super::hosts::Hosts;
use super::refs::Refs;
use crate::estate::show::{datastore, host};
use crate::estate::{Datastore, Expected, Holds, Network, Parts, Placement, Plan, Record, Snapshot, Vm};
use crate::link::names;

const VM: ManagedId = managed_id!(VirtualMachine);
const SNAPSHOT: ManagedId = managed_id!(VirtualMachineSnapshot);
const DATASTORE: ManagedId = managed_id!(Datastore);

pub(super) struct Identifier<'p, 'r> {
    plan: &'p mut Plan<'r>,
    refs: &'p mut Refs,
    hosts: &'p Hosts,
    expected: &'p Expected,
    parts: &'p Parts,
    /// VMs of disconnected hosts, by instance UUID; made when first needed.
    lost: Option<HashMap<String, MoRef>>,
    /// Datastores (by URL) and networks (by name) of the datacenter, made when first needed.
    shared: Option<HashMap<String, MoRef>>,
}

impl<'p, 'r> Identifier<'p, 'r> {
    pub(super) fn new(
        plan: &'p mut Plan<'r>,
        refs: &'p mut Refs,
        hosts: &'p Hosts,
        expected: &'p Expected,
        parts: &'p Parts,
    ) -> Self {
        Self { plan, refs, hosts, expected, parts, lost: None, shared: None }
    }

    /// Updates the references of everything in the batch.
    pub(super) fn all(&mut self, sorted: &Sorted, whole: bool) {
        if whole {
            self.remember();
            let seen: HashSet<&MoRef> = sorted.set.iter().map(|(object, _)| object).collect();
            let gone: Vec<MoRef> = self
                .refs
                .remotes()
                .filter(|(remote, _)| is_mirrored(remote) && !seen.contains(remote))
                .map(|(remote, _)| remote.clone())
                .collect();
            for remote in gone {
                self.gone(&remote);
            }
        }
        for remote in &sorted.removed {
            self.gone(remote);
        }
        for (remote, properties) in &sorted.set {
            match remote.ty() {
                DATASTORE => self.datastore(remote, properties),
                ty if is_network(ty) => self.network(remote, properties),
                managed_id!(HostSystem) => self.host(properties),
                _ => {}
            }
        }
        for (remote, properties) in &sorted.set {
            match remote.ty() {
                VM => self.vm(remote, properties),
                SNAPSHOT => self.snapshot(remote),
                _ => {}
            }
        }
    }

    /// Adds the references of this host's VMs and snapshots from the records.
    fn remember(&mut self) {
        let me = &self.refs.fixed().host.clone();
        let known: Vec<(MoRef, MoRef)> = self
            .plan
            .on_host(me)
            .filter_map(|(center, record)| match record {
                Record::Vm(vm) => Some((vm.remote.clone(), center.clone())),
                Record::Snapshot(snapshot) => Some((snapshot.remote.clone(), center.clone())),
                _ => None,
            })
            .collect();
        for (remote, center) in known {
            self.refs.add(&remote, &center);
        }
    }

    fn gone(&mut self, remote: &MoRef) {
        let Some(center) = self.refs.remove(remote) else { return };
        let me = &self.refs.fixed().host;
        let ours = match self.plan.find(&center) {
            Some(Record::Vm(vm)) => vm.host == *me && vm.remote == *remote,
            Some(Record::Snapshot(snapshot)) => snapshot.host == *me,
            // Other hosts may still have the datastore or network; the caller removes it if none has.
            _ => false,
        };
        if ours {
            self.plan.remove(&center);
        }
    }

    fn host(&mut self, properties: &Properties) {
        if let Some(manager) = facts::object(properties, prop!(HostSystem.configManager)) {
            let named = manager.fields().iter().filter_map(|(_, value)| value.as_ref().cloned());
            // No property names these.
            let named: HashSet<MoRef> =
                named.chain([names::method_executer(), names::dynamic_type_manager()]).collect();
            self.refs.retain_subsystems(&named);
            for system in &named {
                self.system(system);
            }
        }
        if let Some(Some(remote)) = facts::changed(properties, prop!(HostSystem.datastoreBrowser))
            && let Some(remote) = remote.as_ref()
        {
            let browser = host::browser(&self.refs.fixed().host);
            self.refs.add(remote, &browser);
        }
    }

    fn system(&mut self, remote: &MoRef) {
        if let Some(center) = self.refs.add_subsystem(remote) {
            self.parts.add(&center, &self.refs.fixed().host);
        }
    }

    fn datastore(&mut self, remote: &MoRef, properties: &Properties) {
        let fixed = self.refs.fixed().clone();
        let center = match self.refs.center(remote) {
            Some(center) => center,
            None => {
                let Some((name, url)) = facts::datastore(properties) else { return };
                match self.shared().get(&url) {
                    Some(center) => center.clone(),
                    None => {
                        let center = self.plan.ids.reference(DATASTORE);
                        let folder = fixed.datastore_folder.clone();
                        let datacenter = fixed.datacenter.clone();
                        let record = Datastore { name, url: url.clone(), folder, datacenter };
                        self.plan.put(&center, Record::Datastore(record));
                        self.shared().insert(url, center.clone());
                        center
                    }
                }
            }
        };
        self.refs.add(remote, &center);
        if let Some((name, _)) = facts::datastore(properties)
            && let Some(Record::Datastore(known)) = self.plan.find(&center)
            && known.name != name
        {
            let renamed = Datastore { name, ..known.clone() };
            self.plan.put(&center, Record::Datastore(renamed));
        }
        if let Some(Some(browser)) = facts::changed(properties, prop!(Datastore.browser))
            && let Some(browser) = browser.as_ref()
        {
            self.refs.add(browser, &datastore::browser(&center));
        }
    }

    fn network(&mut self, remote: &MoRef, properties: &Properties) {
        if self.refs.center(remote).is_some() {
            return;
        }
        let Some(Some(name)) = facts::changed(properties, prop!(ManagedEntity.name)) else { return };
        let Some(name) = name.as_str().map(str::to_owned) else { return };
        let fixed = self.refs.fixed().clone();
        let center = match self.shared().get(&name) {
            Some(center) => center.clone(),
            None => {
                let center = self.plan.ids.reference(remote.ty());
                let (folder, datacenter) = (fixed.network_folder, fixed.datacenter);
                let record = Network { name: name.clone(), folder, datacenter };
                self.plan.put(&center, Record::Network(record));
                self.shared().insert(name, center.clone());
                center
            }
        };
        self.refs.add(remote, &center);
    }

    /// URLs and network names do not collide, since a URL has slashes and a name has none that is not escaped.
    fn shared(&mut self) -> &mut HashMap<String, MoRef> {
        let datacenter = self.refs.fixed().datacenter.clone();
        let plan = &self.plan;
        self.shared.get_or_insert_with(|| {
            let of = |(at, record): (&MoRef, &Record)| match record {
                Record::Datastore(store) => Some((store.url.clone(), at.clone())),
                Record::Network(network) => Some((network.name.clone(), at.clone())),
                _ => None,
            };
            plan.shared(&datacenter).filter_map(of).collect()
        })
    }

    fn snapshot(&mut self, remote: &MoRef) {
        if self.refs.center(remote).is_none() {
            let center = self.plan.ids.reference(SNAPSHOT);
            let host = self.refs.fixed().host.clone();
            self.plan.put(&center, Record::Snapshot(Snapshot { host, remote: remote.clone() }));
            self.refs.add(remote, &center);
        }
    }

    fn vm(&mut self, remote: &MoRef, properties: &Properties) {
        // A VM that another host has taken over meanwhile belongs to that host: this host's VM is a different object.
        let elsewhere = self.refs.center(remote).is_some_and(|center| {
            matches!(self.plan.find(&center), Some(Record::Vm(vm)) if vm.host != self.refs.fixed().host)
        });
        if elsewhere {
            self.refs.remove(remote);
        }
        let Some(new) = VmFacts::read(properties) else { return };
        if let Some(center) = self.refs.center(remote) {
            if let Some(Record::Vm(known)) = self.plan.find(&center) {
                let changed = new.into_record(known);
                if changed != *known {
                    self.plan.put(&center, Record::Vm(changed));
                }
            }
            return;
        }
        let fixed = self.refs.fixed().clone();
        let center = match self.lost().remove(&new.instance_uuid) {
            // The VM of a disconnected host runs here now. It stays the same object.
            Some(center) => {
                if let Some(Record::Vm(known)) = self.plan.find(&center).cloned() {
                    let pool = if self.belongs(&known.pool) { known.pool.clone() } else { fixed.pool };
                    let moved = Vm { host: fixed.host, remote: remote.clone(), pool, ..known };
                    self.plan.put(&center, Record::Vm(new.into_record(&moved)));
                }
                center
            }
            None => {
                let center = self.plan.ids.reference(VM);
                let Placement { folder, pool } = self
                    .expected
                    .find(&new.instance_uuid)
                    .filter(|place| self.plan.find(&place.folder).is_some() && self.belongs(&place.pool))
                    .unwrap_or_else(|| Placement { folder: self.first_folder(), pool: fixed.pool.clone() });
                let fresh = Vm {
                    name: String::new(),
                    host: fixed.host,
                    remote: remote.clone(),
                    folder,
                    pool,
                    instance_uuid: String::new(),
                    uuid: String::new(),
                    path: String::new(),
                    template: false,
                };
                self.plan.put(&center, Record::Vm(new.into_record(&fresh)));
                center
            }
        };
        self.refs.add(remote, &center);
    }

    /// The folder in which the host's VMs appear if no client named another.
    fn first_folder(&self) -> MoRef {
        let fixed = self.refs.fixed();
        let wanted = match self.plan.find(&fixed.host) {
            Some(Record::Host(host)) => host.vm_folder.as_ref(),
            _ => None,
        };
        let holds_vms = |folder: &&MoRef| matches!(self.plan.find(folder), Some(Record::Folder(folder)) if folder.holds == Holds::Vms);
        wanted.filter(holds_vms).unwrap_or(&fixed.vm_folder).clone()
    }

    /// Whether the pool belongs to this host's compute resource.
    fn belongs(&self, pool: &MoRef) -> bool {
        let compute = &self.refs.fixed().compute;
        matches!(self.plan.find(pool), Some(Record::Pool(pool)) if pool.owner == *compute)
    }

    fn lost(&mut self) -> &mut HashMap<String, MoRef> {
        let (plan, hosts, me) = (&self.plan, self.hosts, self.refs.fixed().host.clone());
        self.lost.get_or_insert_with(|| {
            let is_away = |host: &MoRef| hosts.find(host).is_none_or(|host| !host.is_connected());
            let away = plan.hosts().filter(|(host, _)| **host != me && is_away(host));
            let of = |(at, record): (&MoRef, &Record)| match record {
                Record::Vm(vm) if !vm.instance_uuid.is_empty() => {
                    Some((vm.instance_uuid.clone(), at.clone()))
                }
                _ => None,
            };
            away.flat_map(|(host, _)| plan.on_host(host)).filter_map(of).collect()
        })
    }
}

impl VmFacts {
    fn into_record(self, known: &Vm) -> Vm {
        let Self { name, path, uuid, instance_uuid, template } = self;
        Vm { name, path, uuid, instance_uuid, template, ..known.clone() }
    }
}

/// Whether hosts create and remove objects of this type, and the center has an object for each of them.
pub(super) fn is_mirrored(remote: &MoRef) -> bool {
    matches!(remote.ty(), VM | SNAPSHOT | DATASTORE) || is_network(remote.ty())
}

pub(super) fn is_network(ty: ManagedId) -> bool {
    vim::schema().managed(managed_id!(Network)).subtypes.contains(&ty.0)
}
