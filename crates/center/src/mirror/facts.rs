//! The facts that the center reads from a host's changes to identify objects.

use std::collections::HashMap;
use std::sync::Arc;

use vim::{MoRef, Object, Value, field, prop};

use crate::link::ObjectChange;

/// The properties that a change gives an object, by number.
pub(super) type Properties = Vec<(u16, Option<Value>)>;

/// The value of a property in a change: the outer none means unchanged, the inner none means unset.
pub(super) fn changed<K>(properties: &Properties, property: vim::Field<K>) -> Option<Option<&Value>> {
    properties.iter().find(|(at, _)| *at == property.number()).map(|(_, value)| value.as_ref())
}

pub(super) fn object<K>(properties: &Properties, property: vim::Field<K>) -> Option<&Arc<Object>> {
    changed(properties, property)?.and_then(Value::as_object)
}

/// The objects of one batch that exist, each once with its latest values, and those that were removed.
#[derive(Default)]
pub(super) struct Sorted {
    pub set: Vec<(MoRef, Properties)>,
    pub removed: Vec<MoRef>,
}

/// Folds changes of the same object into one.
pub(super) fn sort(changes: Vec<ObjectChange>) -> Sorted {
    let mut sorted = Sorted::default();
    let mut at: HashMap<MoRef, usize> = HashMap::with_capacity(changes.len());
    for change in changes {
        match change {
            ObjectChange::Set { object, properties } => match at.get(&object) {
                None => {
                    at.insert(object.clone(), sorted.set.len());
                    sorted.set.push((object, properties));
                }
                Some(&known) => {
                    let known = &mut sorted.set[known].1;
                    known.retain(|(number, _)| !properties.iter().any(|(new, _)| new == number));
                    known.extend(properties);
                }
            },
            ObjectChange::Removed { object } => {
                if let Some(known) = at.remove(&object) {
                    sorted.set[known].1.clear();
                }
                sorted.removed.push(object);
            }
        }
    }
    // An object that appeared again after its removal exists; one whose changes were cleared does not.
    sorted.removed.retain(|object| !at.contains_key(object));
    sorted.set.retain(|(object, _)| at.contains_key(object));
    sorted
}

/// The facts of a VM that the center stores.
pub(super) struct VmFacts {
    pub name: String,
    pub path: String,
    pub uuid: String,
    pub instance_uuid: String,
    pub template: bool,
}

impl VmFacts {
    /// Reads `summary.config`; none if that has not changed.
    pub(super) fn read(properties: &Properties) -> Option<Self> {
        let config = object(properties, prop!(VirtualMachine.summary))?
            .get(field!(VirtualMachineSummary.config))?
            .clone();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Some(Self {
            name: text(config.get(field!(VirtualMachineConfigSummary.name))),
            path: text(config.get(field!(VirtualMachineConfigSummary.vmPathName))),
            uuid: text(config.get(field!(VirtualMachineConfigSummary.uuid))),
            instance_uuid: text(config.get(field!(VirtualMachineConfigSummary.instanceUuid))).to_lowercase(),
            template: config.get(field!(VirtualMachineConfigSummary.template)).unwrap_or(false),
        })
    }
}

/// Name and URL of a datastore, from `summary`.
pub(super) fn datastore(properties: &Properties) -> Option<(String, String)> {
    let summary = object(properties, prop!(Datastore.summary))?;
    let name = summary.get(field!(DatastoreSummary.name))?;
    let url = summary.get(field!(DatastoreSummary.url))?;
    Some((name.to_owned(), url.trim_end_matches('/').to_owned()))
}

/// The hardware's UUID, from `summary.hardware`.
pub(super) fn host_uuid(properties: &Properties) -> Option<String> {
    let summary = object(properties, prop!(HostSystem.summary))?;
    let hardware = summary.get(field!(HostListSummary.hardware))?;
    hardware.get(field!(HostHardwareSummary.uuid)).map(str::to_lowercase)
}
