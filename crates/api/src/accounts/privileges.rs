//! `AuthorizationManager.privilegeList` and `.description`.

use vim::{ty, vim};

use crate::{privilege_groups, privileges};

/// `AuthorizationManager.privilegeList`.
pub(super) fn listed() -> Vec<ty!(AuthorizationPrivilege)> {
    let listed = privileges().iter().map(|privilege| {
        vim!(AuthorizationPrivilege {
            privId: privilege.id,
            onParent: is_on_parent(privilege.name),
            name: privilege.name,
            privGroupName: privilege.group,
        })
    });
    listed.collect()
}

/// Whether a privilege of this name is needed on the parent of the object that it is about.
pub(super) fn is_on_parent(name: &str) -> bool {
    matches!(name, "Create" | "Delete" | "Move" | "Rename")
}

/// `AuthorizationManager.description`.
pub(super) fn description() -> ty!(AuthorizationDescription) {
    let element =
        |key: &str, label: &str| vim!(ElementDescription { key: key, label: label, summary: label });
    let listed: Vec<_> =
        privileges().iter().map(|privilege| element(privilege.id, privilege.label)).collect();
    let groups: Vec<_> = privilege_groups().iter().map(|group| element(group.name, group.label)).collect();
    vim!(AuthorizationDescription { privilege: listed, privilegeGroup: groups })
}
