//! Operations on files by datastore path (`[datastore] directory/file`): a host that reaches the datastore does them.

use std::sync::Arc;

use api::managers::Singletons;
use api::{Call, Guard, Manager};
use vim::{
    Fault, MethodId, MoRef, Record as _, Value, fault, field, managed_id, method, prop, props, schema,
};

use super::{By, nobody_reaches};
use crate::LinkError;
use crate::hosts::ManagedHost;
use crate::link::names;
use crate::ops::Table;
use crate::records::Record;
use crate::state::State;

const BROWSE: &str = "Datastore.Browse";
const MANAGE: &str = "Datastore.FileManagement";

const FILE_METHODS: &[MethodId] = &[
    method!(MoveDatastoreFile_Task),
    method!(CopyDatastoreFile_Task),
    method!(DeleteDatastoreFile_Task),
    method!(MakeDirectory),
    method!(ChangeOwner),
];

const DISK_METHODS: &[MethodId] = &[
    method!(CreateVirtualDisk_Task),
    method!(DeleteVirtualDisk_Task),
    method!(MoveVirtualDisk_Task),
    method!(CopyVirtualDisk_Task),
    method!(ExtendVirtualDisk_Task),
    method!(QueryVirtualDiskFragmentation),
    method!(DefragmentVirtualDisk_Task),
    method!(ShrinkVirtualDisk_Task),
    method!(InflateVirtualDisk_Task),
    method!(EagerZeroVirtualDisk_Task),
    method!(ZeroFillVirtualDisk_Task),
    method!(SetVirtualDiskUuid),
    method!(QueryVirtualDiskUuid),
    method!(QueryVirtualDiskGeometry),
];

/// The FileManager. A path names the datastore on which a method asks.
pub(super) const FILE_MANAGER: Manager<Arc<State>> = Manager {
    me: |_| Singletons::center().file_manager,
    named: Some(field!(ServiceContent.fileManager).number()),
    properties: |_| Ok(props!(FileManager {})),
    register: |table| {
        for method in FILE_METHODS {
            let asks = Guard::Asks(&[MANAGE]);
            table.guarded(managed_id!(FileManager), *method, asks, |state, call| {
                carry(state, call, names::file_manager())
            });
        }
    },
};

/// The VirtualDiskManager.
pub(super) const DISK_MANAGER: Manager<Arc<State>> = Manager {
    me: |_| Singletons::center().virtual_disk_manager,
    named: Some(field!(ServiceContent.virtualDiskManager).number()),
    properties: |_| Ok(props!(VirtualDiskManager {})),
    register: |table| {
        for method in DISK_METHODS {
            table.on(managed_id!(VirtualDiskManager), *method, |state, call| {
                carry(state, call, names::virtual_disk_manager())
            });
        }
    },
};

pub(super) fn register(table: &mut Table) {
    let browser = managed_id!(HostDatastoreBrowser);
    for method in [method!(SearchDatastore_Task), method!(SearchDatastoreSubFolders_Task)] {
        table.guarded(browser, method, Guard::Asks(&[BROWSE]), browse);
    }
    table.on(browser, method!(DeleteFile), browse);
}

async fn browse(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    may_browse(&state, &call)?;
    let options = state.shared(&call);
    state.carry(call, options).await
}

/// A browser shows and deletes what is on the datastore that the path names.
fn may_browse(state: &State, call: &Call) -> Result<(), Fault> {
    let path = call.args.at(0).and_then(Value::as_str).unwrap_or_default();
    let privilege = if call.args.method == method!(DeleteFile) { MANAGE } else { BROWSE };
    let named = datastore_name(path).map(|name| state.datastores_named(name)).unwrap_or_default();
    // What the center cannot judge, the host is not asked for.
    if named.is_empty() {
        return Err(fault!(InvalidDatastorePath { datastorePath: path }, "{path:?} names no datastore"));
    }
    let session = call.session()?;
    let tree = call.state();
    // A name that several datastores have: each must be allowed, as it is not known yet which one is meant.
    for datastore in named {
        call.service.check(session, &datastore, privilege, &tree)?;
    }
    Ok(())
}

/// The datastore's name in `[name] rest`.
pub(crate) fn datastore_name(path: &str) -> Option<&str> {
    let (name, _) = path.trim_start().strip_prefix('[')?.split_once(']')?;
    (!name.is_empty()).then_some(name)
}

async fn carry(state: Arc<State>, call: Call, manager: MoRef) -> Result<Option<Value>, Fault> {
    let method = schema().method(call.args.method);
    let mut needed: Vec<(String, Option<MoRef>)> = Vec::new();
    let source = datacenter(&call, &["datacenter", "sourceDatacenter"]);
    let target = datacenter(&call, &["destinationDatacenter", "destDatacenter"]).or(source.clone());
    for (number, value) in call.args.values() {
        let datacenter = match method.members()[usize::from(*number)].name {
            "name" | "sourceName" => &source,
            "destinationName" | "destName" => &target,
            _ => continue,
        };
        let path = value.as_str().unwrap_or_default();
        let name = datastore_name(path).ok_or_else(|| {
            fault!(
                InvalidDatastorePath { datastorePath: path },
                "{path:?} is no datastore path; one looks like [datastore] directory/file"
            )
        })?;
        needed.push((name.to_owned(), datacenter.clone()));
    }
    for (name, datacenter) in &needed {
        let datastore = state.find_datastore(name, datacenter.as_ref())?;
        call.service.check(call.session()?, &datastore, MANAGE, &call.state())?;
    }
    let host = state.host_for(&needed)?;
    let args = call.args.clone();
    if !method.is_task {
        return state
            .carry_remote(&host, &manager, &args, &By::caller(&call))
            .await
            .map_err(LinkError::into_fault);
    }
    let options = state.shared(&call);
    call.task(options, move |running| async move {
        state.carry_remote(&host, &manager, &args, &By::task(&running)).await.map_err(LinkError::into_fault)
    })
    .await
}

fn datacenter(call: &Call, names: &[&str]) -> Option<MoRef> {
    let method = schema().method(call.args.method);
    let number = names.iter().find_map(|name| method.member(name))?;
    call.args.at(number).and_then(Value::as_ref).cloned()
}

impl State {
    /// The datastore of this name in the datacenter, or in the only one that has such a name.
    ///
    /// # Errors
    /// `InvalidDatastorePath` if there is none, `InvalidArgument` if the datacenter must be named, `InvalidDatastore` if
    /// several there have the name.
    pub(crate) fn find_datastore(&self, name: &str, datacenter: Option<&MoRef>) -> Result<MoRef, Fault> {
        let records = self.inventory.records();
        let mut found: Vec<&MoRef> = records
            .iter()
            .filter(|(_, record)| match record {
                Record::Datastore(store) => {
                    store.name == name && datacenter.is_none_or(|at| at.id() == store.datacenter.id())
                }
                _ => false,
            })
            .map(|(at, _)| at)
            .collect();
        found.sort();
        let datacenters: std::collections::HashSet<Option<&MoRef>> = found
            .iter()
            .map(|at| match records.get(*at) {
                Some(Record::Datastore(store)) => Some(&store.datacenter),
                _ => None,
            })
            .collect();
        match (found.first(), datacenters.len()) {
            (None, _) => Err(fault!(
                InvalidDatastorePath { datastorePath: format!("[{name}]") },
                "There is no datastore '{name}' there"
            )),
            (Some(at), _) if found.len() == 1 => Ok((*at).clone()),
            (_, 1) => Err(fault!(
                InvalidDatastore { name: name },
                "Several datastores there are called '{name}'; rename all but one of them"
            )),
            _ => Err(fault!(
                InvalidArgument { invalidProperty: "datacenter" },
                "Several datacenters have a datastore '{name}'; name the datacenter"
            )),
        }
    }

    /// All datastores of this name.
    fn datastores_named(&self, name: &str) -> Vec<MoRef> {
        let records = self.inventory.records();
        let named = records.iter().filter(|(_, record)| match record {
            Record::Datastore(store) => store.name == name,
            _ => false,
        });
        named.map(|(at, _)| at.clone()).collect()
    }

    /// A connected host that reaches all these datastores.
    ///
    /// # Errors
    /// As [`State::find_datastore`]; `HostNotConnected` if no host reaches all of them.
    pub(crate) fn host_for(&self, needed: &[(String, Option<MoRef>)]) -> Result<Arc<ManagedHost>, Fault> {
        let mut able: Option<Vec<Arc<ManagedHost>>> = None;
        for (name, datacenter) in needed {
            let datastore = self.find_datastore(name, datacenter.as_ref())?;
            let hosts = self.hosts_with(&datastore);
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

    /// The names by which a client finds a datacenter: `folder/DC0`.
    pub(crate) fn datacenter_path(&self, datacenter: &MoRef) -> String {
        let tree = self.inventory.tree.snapshot();
        let mut names = Vec::new();
        let mut at = Some(datacenter.clone());
        while let Some(here) = at {
            let Some(node) = tree.find(&here) else { break };
            at = node.get(prop!(ManagedEntity.parent)).cloned();
            if at.is_some() {
                names.push(node.get(prop!(ManagedEntity.name)).unwrap_or_default().to_owned());
            }
        }
        names.reverse();
        names.join("/")
    }

    pub(crate) fn datacenters(&self) -> Vec<MoRef> {
        let records = self.inventory.records();
        let mut found: Vec<MoRef> = records
            .iter()
            .filter(|(_, record)| matches!(record, Record::Datacenter(_)))
            .map(|(at, _)| at.clone())
            .collect();
        found.sort();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_datastore() {
        for (path, name) in [
            ("[ds 1] a/b.vmdk", Some("ds 1")),
            ("[ds]", Some("ds")),
            (" [ds] a", Some("ds")),
            ("[] a", None),
            ("ds a", None),
            ("[ds a", None),
        ] {
            assert_eq!(datastore_name(path), name, "{path:?}");
        }
    }
}
