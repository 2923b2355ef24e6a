//! The owners of objects that are not entities: a host's systems, the browser of a datastore, the snapshots of a VM.
//!
//! A permission on the owner holds for its parts, and a method of a part is carried to the host of its owner. [`Parts`] knows the
//! owner of each part; [`systems`] and [`is_part`] say which types are parts.

use std::collections::HashMap;

use parking_lot::RwLock;
use vim::{Kind, ManagedId, MoRef, data_id, managed_id, schema};

/// Types of `HostConfigManager` of which the center has a manager with methods of its own.
const ALSO_OF_CENTER: [ManagedId; 5] = [
    managed_id!(HostLocalAccountManager),
    managed_id!(OptionManager),
    managed_id!(LicenseManager),
    managed_id!(UserDirectory),
    managed_id!(CryptoManager),
];

/// Systems of a host that no property names.
const UNNAMED: [ManagedId; 2] =
    [managed_id!(InternalDynamicTypeManager), managed_id!(ReflectManagedMethodExecuter)];

/// Parts that are not systems of a host.
const OTHERS: [ManagedId; 3] =
    [managed_id!(HostDatastoreBrowser), managed_id!(EnvironmentBrowser), managed_id!(VirtualMachineSnapshot)];

/// The members of `HostConfigManager`: the name of each, and the type that it refers to.
pub(crate) fn of_config_manager() -> impl Iterator<Item = (&'static str, ManagedId)> {
    let fields = schema().data(data_id!(HostConfigManager)).fields.iter();
    fields.filter_map(|field| match field.kind {
        Kind::Ref(ty) => Some((field.name, ty)),
        _ => None,
    })
}

/// The types of which only hosts have objects, which are their systems.
pub(crate) fn systems() -> impl Iterator<Item = ManagedId> {
    let named = of_config_manager().map(|(_, ty)| ty).filter(|ty| !ALSO_OF_CENTER.contains(ty));
    named.chain(UNNAMED)
}

/// Whether every object of this type is a part of an entity, and none is the center's own.
pub(crate) fn is_part(ty: ManagedId) -> bool {
    let is_a = |base: ManagedId| schema().managed(ty).is_a(schema().managed(base));
    systems().chain(OTHERS).any(is_a)
}

/// The owning entity of each part, both by the center's references.
#[derive(Default)]
pub(crate) struct Parts {
    owners: RwLock<HashMap<MoRef, MoRef>>,
}

impl Parts {
    pub(crate) fn add(&self, part: &MoRef, owner: &MoRef) {
        self.owners.write().insert(part.clone(), owner.clone());
    }

    pub(crate) fn remove(&self, part: &MoRef) {
        self.owners.write().remove(part);
    }

    pub(crate) fn owner(&self, part: &MoRef) -> Option<MoRef> {
        self.owners.read().get(part).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_of_hosts_are_parts_and_the_managers_of_the_center_are_not() {
        for part in [
            managed_id!(HostNetworkSystem),
            managed_id!(HostDateTimeSystem),
            managed_id!(IscsiManager),
            managed_id!(ReflectManagedMethodExecuter),
        ] {
            assert!(systems().any(|system| system == part), "{}", schema().managed(part).name);
            assert!(is_part(part), "{}", schema().managed(part).name);
        }
        for manager in ALSO_OF_CENTER {
            assert!(!is_part(manager), "{}", schema().managed(manager).name);
        }
        assert!(is_part(managed_id!(HostDatastoreBrowser)) && !is_part(managed_id!(Task)));
    }

    #[test]
    fn a_manager_of_the_center_is_one_that_its_content_names() {
        let content = &schema().data(data_id!(ServiceContent)).fields;
        for manager in ALSO_OF_CENTER {
            assert!(content.iter().any(|field| field.kind == Kind::Ref(manager)));
        }
    }
}
