//! Finding datastores by the name in a datastore path (`[datastore] directory/file`).

use std::collections::HashSet;

use vim::{Fault, MoRef, fault};

use super::inventory::Inventory;
use super::records::Record;

/// The datastore's name in `[name] rest`.
pub(crate) fn datastore_name(path: &str) -> Option<&str> {
    let (name, _) = path.trim_start().strip_prefix('[')?.split_once(']')?;
    (!name.is_empty()).then_some(name)
}

impl Inventory {
    /// The datastore of this name in the datacenter, or in the only datacenter that has such a name.
    ///
    /// # Errors
    /// `InvalidDatastorePath` if none has the name, `InvalidArgument` if the datacenter must be named,
    /// `InvalidDatastore` if several there have the name.
    pub(crate) fn find_datastore(&self, name: &str, datacenter: Option<&MoRef>) -> Result<MoRef, Fault> {
        let mut found = self.named(name);
        // A client may name the datacenter by a base type.
        found.retain(|(_, at)| datacenter.is_none_or(|wanted| wanted.id() == at.id()));
        found.sort();
        let datacenters: HashSet<&MoRef> = found.iter().map(|(_, datacenter)| datacenter).collect();
        match (found.as_slice(), datacenters.len()) {
            ([], _) => Err(fault!(
                InvalidDatastorePath { datastorePath: format!("[{name}]") },
                "No datastore there is called '{name}'"
            )),
            ([(only, _)], _) => Ok(only.clone()),
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
    pub(crate) fn datastores_named(&self, name: &str) -> Vec<MoRef> {
        self.named(name).into_iter().map(|(datastore, _)| datastore).collect()
    }

    /// The one of these datastores that has this name.
    pub(crate) fn datastore_among(&self, among: &[MoRef], name: &str) -> Option<MoRef> {
        let records = self.records();
        let is_named =
            |at: &&MoRef| matches!(records.get(*at), Some(Record::Datastore(store)) if store.name == name);
        among.iter().find(is_named).cloned()
    }

    /// The datastores of a datacenter, with their names.
    pub(crate) fn datastores_of(&self, datacenter: &MoRef) -> Vec<(MoRef, String)> {
        let records = self.records();
        let datastores = records.iter().filter_map(|(at, record)| match record {
            Record::Datastore(store) if store.datacenter == *datacenter => {
                Some((at.clone(), store.name.clone()))
            }
            _ => None,
        });
        datastores.collect()
    }

    /// The datastores of this name, each with its datacenter.
    fn named(&self, name: &str) -> Vec<(MoRef, MoRef)> {
        let records = self.records();
        let named = records.iter().filter_map(|(at, record)| match record {
            Record::Datastore(store) if store.name == name => Some((at.clone(), store.datacenter.clone())),
            _ => None,
        });
        named.collect()
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
