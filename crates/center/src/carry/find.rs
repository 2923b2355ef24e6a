//! Finding the host that does an operation.

use std::sync::Arc;

use vim::{Fault, MoRef, fault, managed_id};

use super::carrier::Carrier;
use crate::estate::{Record, not_found};
use crate::mirror::ManagedHost;

pub(super) fn nobody_reaches(datastore: &str) -> Fault {
    fault!(HostNotConnected {}, "No connected host reaches the datastore '{datastore}'")
}

impl Carrier {
    /// The host that has the object.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`; `HostNotConnected` if no connected host reaches the datastore.
    pub(super) fn home(&self, object: &MoRef) -> Result<Arc<ManagedHost>, Fault> {
        let record = self.inventory.records().get(object).cloned();
        match record {
            Some(Record::Vm(vm)) => self.hosts.get(&vm.host),
            Some(Record::Snapshot(snapshot)) => self.hosts.get(&snapshot.host),
            Some(Record::Host(_)) => self.hosts.get(object),
            Some(Record::Datastore(datastore)) => {
                let hosts = self.hosts.reaching(object);
                hosts.into_iter().next().ok_or_else(|| nobody_reaches(&datastore.name))
            }
            Some(_) => Err(not_found(object)),
            None => match self.inventory.parts.owner(object) {
                Some(owner) => self.home(&owner),
                None => Err(not_found(object)),
            },
        }
    }

    /// A connected host that reaches all these datastores, each named with its datacenter.
    ///
    /// # Errors
    /// As of `find_datastore`; `HostNotConnected` if no host reaches all of them.
    pub(super) fn host_for(&self, needed: &[(String, Option<MoRef>)]) -> Result<Arc<ManagedHost>, Fault> {
        let mut able: Option<Vec<Arc<ManagedHost>>> = None;
        for (name, datacenter) in needed {
            let datastore = self.inventory.find_datastore(name, datacenter.as_ref())?;
            let hosts = self.hosts.reaching(&datastore);
            able = Some(match able {
                None => hosts,
                Some(known) => {
                    known.into_iter().filter(|host| hosts.iter().any(|other| other.me == host.me)).collect()
                }
            });
        }
        let host = able.and_then(|able| able.into_iter().next());
        host.ok_or_else(|| {
            let names: Vec<&str> = needed.iter().map(|(name, _)| name.as_str()).collect();
            nobody_reaches(&names.join("' and '"))
        })
    }

    /// The VM for a reference that a client gave.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`, or `InvalidArgument` for another object than a VM.
    pub(super) fn vm(&self, reference: &MoRef) -> Result<MoRef, Fault> {
        let found = self.inventory.resolve(reference)?;
        if found.ty() == managed_id!(VirtualMachine) {
            return Ok(found);
        }
        Err(fault!(InvalidArgument { invalidProperty: "vm" }, "{found} is not a VM"))
    }
}
