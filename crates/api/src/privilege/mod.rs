//! The privileges that vSphere knows, with their groups and labels. `listed.txt` has them all; the schema names some of them at a method,
//! a parameter or a property.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Everybody who is logged in has these on objects that belong to no inventory entity.
pub(crate) const IMPLICIT: [&str; 3] = ["System.Anonymous", "System.View", "System.Read"];

/// A privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// `VirtualMachine.Interact.PowerOn`
    pub id: &'static str,
    /// `VirtualMachine.Interact`
    pub group: &'static str,
    /// `PowerOn`
    pub name: &'static str,
    pub label: &'static str,
}

/// A group of privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivilegeGroup {
    pub name: &'static str,
    pub label: &'static str,
}

struct Listed {
    groups: Vec<PrivilegeGroup>,
    privileges: Vec<Privilege>,
    ids: BTreeSet<&'static str>,
}

fn table() -> &'static Listed {
    static TABLE: LazyLock<Listed> = LazyLock::new(|| read(include_str!("listed.txt")));
    &TABLE
}

/// Reads the list: a line of a group begins at the margin, one of a privilege is indented.
fn read(text: &'static str) -> Listed {
    let (mut groups, mut privileges): (Vec<PrivilegeGroup>, Vec<Privilege>) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, label) = line.split_once('|').expect("each line has a label");
        let (name, label) = (name.trim(), label.trim());
        if line.starts_with(' ') {
            let group = groups.last().expect("a group comes before its privileges").name;
            // The list is read once, and its ids live as long as the process.
            let id: &'static str = Box::leak(format!("{group}.{name}").into_boxed_str());
            privileges.push(Privilege { id, group, name, label });
        } else {
            groups.push(PrivilegeGroup { name, label });
        }
    }
    let ids = privileges.iter().map(|privilege| privilege.id).collect();
    Listed { groups, privileges, ids }
}

/// The ids of all privileges (`VirtualMachine.Interact.PowerOn`), in order.
pub fn all_privileges() -> &'static BTreeSet<&'static str> {
    &table().ids
}

/// All privileges, by groups.
pub fn privileges() -> &'static [Privilege] {
    &table().privileges
}

/// The groups of privileges.
pub fn privilege_groups() -> &'static [PrivilegeGroup] {
    &table().groups
}

/// The privileges that a host asks for on itself, whatever of it is read or configured.
pub fn host_privileges() -> impl Iterator<Item = &'static str> {
    all_privileges().iter().copied().filter(|id| *id == "System.Read" || id.starts_with("Host."))
}

#[cfg(test)]
mod tests {
    use vim::schema;

    use super::*;

    #[test]
    fn every_privilege_that_the_schema_names_is_listed() {
        let schema = schema();
        let of_properties = schema.managed.iter().flat_map(|ty| ty.privileges.iter().flatten());
        let of_methods = schema
            .methods
            .iter()
            .flat_map(|method| method.privilege.iter().chain(method.parameter_privileges.iter().flatten()));
        let missing: BTreeSet<_> =
            of_properties.chain(of_methods).filter(|id| !all_privileges().contains(*id)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_privilege_is_listed_once_with_a_label_and_belongs_to_a_listed_group() {
        assert_eq!(all_privileges().len(), privileges().len(), "an id is listed twice");
        let mut groups: Vec<&str> = privilege_groups().iter().map(|group| group.name).collect();
        groups.dedup();
        assert_eq!(groups.len(), privilege_groups().len());
        assert!(privileges().iter().all(|privilege| !privilege.label.is_empty()));
        assert!(privilege_groups().iter().all(|group| !group.label.is_empty()));
        let power_on =
            privileges().iter().find(|privilege| privilege.id == "VirtualMachine.Interact.PowerOn");
        assert_eq!(
            power_on.map(|known| (known.group, known.name)),
            Some(("VirtualMachine.Interact", "PowerOn"))
        );
    }
}
