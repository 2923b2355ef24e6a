//! `AuthorizationManager.privilegeList` and `.description`.

use std::collections::BTreeSet;

use vim::{ty, vim};

use crate::all_privileges;

/// `AuthorizationManager.privilegeList`.
pub(super) fn listed() -> Vec<ty!(AuthorizationPrivilege)> {
    let listed = all_privileges().iter().map(|id| {
        let (group, name) = split(id);
        vim!(AuthorizationPrivilege {
            privId: *id,
            onParent: matches!(name, "Create" | "Delete" | "Move" | "Rename"),
            name: name,
            privGroupName: group,
        })
    });
    listed.collect()
}

/// `AuthorizationManager.description`.
pub(super) fn description() -> ty!(AuthorizationDescription) {
    let element = |key: &str| vim!(ElementDescription { key: key, label: key, summary: key });
    let groups: BTreeSet<&str> = all_privileges().iter().map(|id| split(id).0).collect();
    let privileges: Vec<_> = all_privileges().iter().map(|id| element(id)).collect();
    let groups: Vec<_> = groups.into_iter().map(element).collect();
    vim!(AuthorizationDescription { privilege: privileges, privilegeGroup: groups })
}

/// Group and name: `VirtualMachine.Interact` and `PowerOn`.
fn split(id: &str) -> (&str, &str) {
    id.rsplit_once('.').unwrap_or(("", id))
}
