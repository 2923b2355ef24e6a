//! Privileges: every one that the schema names.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use vim::{schema, ty, vim};

/// Privileges that everybody has who is logged in, on what belongs to no entity.
pub(super) const IMPLICIT: [&str; 3] = ["System.Anonymous", "System.View", "System.Read"];

/// Privileges that our own checks name and the schema does not.
const OURS: [&str; 3] =
    ["Datastore.Browse", "Datastore.FileManagement", "VirtualMachine.Interact.CreateScreenshot"];

/// Names of all privileges, in order.
pub fn all_privileges() -> &'static BTreeSet<&'static str> {
    static ALL: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
        let schema = schema();
        let mut all = BTreeSet::from(OURS);
        all.extend(crate::needed::privileges());
        all.extend(IMPLICIT);
        for ty in &schema.managed {
            all.extend(ty.privileges.iter().flatten());
        }
        for method in &schema.methods {
            all.extend(method.privilege);
            all.extend(method.parameter_privileges.iter().flatten());
        }
        all
    });
    &ALL
}

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
