//! Reading a described inventory, which a stranger may have written: it is checked before anything is made of it.

use std::collections::HashSet;

use super::inventory::{Datacenter, FORMAT, Inventory, Path};

/// Most bytes of a file.
pub const LIMIT: u64 = 256 << 20;
/// Most nested folders or pools.
const DEPTH: usize = 64;

/// The reason why a description is refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("it is not an inventory in JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its format is {0:?}; this version reads {FORMAT:?}")]
    Format(String),
    #[error("the datacenter {datacenter:?} has {problem}")]
    Contents { datacenter: String, problem: String },
}

impl Inventory {
    /// Reads a description.
    ///
    /// # Errors
    /// [`LoadError`] for what is not one, and for names that lead nowhere.
    pub fn read(text: &[u8]) -> Result<Self, LoadError> {
        let read: Self = serde_json::from_slice(text)?;
        if read.format != FORMAT {
            return Err(LoadError::Format(read.format));
        }
        for datacenter in &read.datacenters {
            check(datacenter)
                .map_err(|problem| LoadError::Contents { datacenter: datacenter.name.clone(), problem })?;
        }
        Ok(read)
    }
}

fn check(datacenter: &Datacenter) -> Result<(), String> {
    let deep = |path: &Path| path.len() > DEPTH;
    let folders = &datacenter.folders;
    let [vm, host, datastore, network] =
        [&folders.vm, &folders.host, &folders.datastore, &folders.network].map(|paths| known(paths));
    if deep(&datacenter.folder)
        || [&vm, &host, &datastore, &network].iter().any(|all| all.iter().any(|at| deep(at)))
    {
        return Err(format!("a folder that is more than {DEPTH} folders deep"));
    }
    let within = |all: &HashSet<&Path>, at: &Path, what: &str, name: &str| {
        if at.is_empty() || all.contains(at) {
            Ok(())
        } else {
            Err(format!("{what} {name:?} in a folder or pool that is not listed: {at:?}"))
        }
    };
    let stores: HashSet<&str> = datacenter.datastores.iter().map(|store| store.name.as_str()).collect();
    if stores.len() != datacenter.datastores.len() {
        return Err("two datastores of the same name".into());
    }
    for store in &datacenter.datastores {
        within(&datastore, &store.folder, "the datastore", &store.name)?;
    }
    for named in &datacenter.networks {
        within(&network, &named.folder, "the network", &named.name)?;
    }
    for compute in &datacenter.computes {
        within(&host, &compute.folder, "the host or cluster", &compute.name)?;
        let vapps: Vec<Path> = compute.vapps.iter().map(|vapp| vec![vapp.clone()]).collect();
        let mut pools = known(&compute.pools);
        if vapps.iter().any(|vapp| pools.contains(vapp)) {
            return Err(format!("a vApp of {:?} with the name of a pool", compute.name));
        }
        pools.extend(&vapps);
        if pools.iter().any(|at| deep(at)) {
            return Err(format!("a pool that is more than {DEPTH} pools deep"));
        }
        if !compute.cluster && compute.hosts.len() != 1 {
            return Err(format!(
                "{} hosts in {:?}, which is not a cluster",
                compute.hosts.len(),
                compute.name
            ));
        }
        for host in &compute.hosts {
            if let Some(lost) = host.datastores.iter().find(|name| !stores.contains(name.as_str())) {
                return Err(format!("no datastore {lost:?}, which the host {:?} names", host.name));
            }
            for one in &host.vms {
                within(&vm, &one.folder, "the VM", &one.name)?;
                within(&pools, &one.pool, "the VM", &one.name)?;
                if !host.datastores.contains(&one.datastore) {
                    return Err(format!(
                        "a VM {:?} on the datastore {:?}, which its host lacks",
                        one.name, one.datastore
                    ));
                }
                if let Some(lost) = one.networks.iter().find(|name| !host.networks.contains(name)) {
                    return Err(format!("a VM {:?} on the network {lost:?}, which its host lacks", one.name));
                }
            }
        }
    }
    Ok(())
}

/// The listed paths, to look them up.
fn known(paths: &[Path]) -> HashSet<&Path> {
    paths.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Counts, plan};
    use super::*;

    #[test]
    fn a_description_reads_as_it_was_written() {
        let made = plan(&Counts { datacenters: 2, folders: 1, pools: 2, datastores: 3, ..Counts::default() });
        let text = serde_json::to_vec(&made).unwrap();
        assert_eq!(Inventory::read(&text).unwrap(), made);
    }

    #[test]
    fn names_that_lead_nowhere_are_refused_with_their_object() {
        let broken = |change: fn(&mut Datacenter)| {
            let mut made = plan(&Counts::default());
            change(&mut made.datacenters[0]);
            Inventory::read(&serde_json::to_vec(&made).unwrap()).unwrap_err().to_string()
        };
        for (told, said) in [
            (broken(|dc| dc.datastores.clear()), "no datastore \"LocalDS_0\""),
            (broken(|dc| dc.computes[0].hosts[0].vms[0].folder = vec!["gone".into()]), "not listed"),
            (broken(|dc| dc.computes[1].hosts[0].vms[0].pool = vec!["gone".into()]), "not listed"),
            (broken(|dc| dc.computes[1].hosts[0].vms[0].networks = vec!["gone".into()]), "its host lacks"),
            (broken(|dc| dc.computes[1].hosts.clear()), "not a cluster"),
            (broken(|dc| dc.datastores.push(dc.datastores[0].clone())), "same name"),
            (broken(|dc| dc.folders.vm = vec![vec!["f".into(); 65]]), "deep"),
        ] {
            assert!(told.contains(said), "{told}");
        }
        let later = br#"{"format": "esfera-inventory-9", "datacenters": []}"#;
        assert!(Inventory::read(later).unwrap_err().to_string().contains("esfera-inventory-9"));
        assert!(Inventory::read(b"<xml/>").is_err());
    }
}
