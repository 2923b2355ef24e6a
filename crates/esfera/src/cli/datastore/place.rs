//! Paths on datastores: `[datastore] path`.

use api::client::FilePath;
use vim::{MoRef, managed_id};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::{Found, Inventory};

/// A path on a datastore, resolved.
pub struct Place {
    pub datastore: MoRef,
    pub datacenter: Option<MoRef>,
    /// Names of the folders and the datacenter, with `/` between.
    datacenter_path: String,
    name: String,
    path: String,
}

impl Place {
    /// The path for the transfer of files.
    pub fn file(&self) -> FilePath {
        FilePath {
            datacenter: self.datacenter_path.clone(),
            datastore: self.name.clone(),
            path: self.path.clone(),
        }
    }

    /// Resolves `[datastore] path`.
    pub async fn find(inventory: &Inventory<'_>, path: &str) -> Result<Self, Failure> {
        let parts = path.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let Some((name, path)) = parts.map(|(name, path)| (name.trim(), path.trim())) else {
            return Err(Failure::new(Reason::Usage, format!("{path:?} is not a path on a datastore"))
                .hint("write it as \"[datastore] path\""));
        };
        let datastore = inventory.named(managed_id!(Datastore), "datastore", name).await?;
        let (mut at, mut names, mut datacenter) = (datastore.clone(), Vec::new(), None);
        loop {
            let found: Found = inventory.read(&at, &["name", "parent"]).await?;
            let Some(parent) = found.reference(1) else { break };
            if datacenter.is_some() || at.is_a(managed_id!(Datacenter)) {
                names.push(found.text(0).to_owned());
                datacenter.get_or_insert_with(|| at.clone());
            }
            at = parent.clone();
        }
        names.reverse();
        Ok(Self {
            datastore,
            datacenter,
            datacenter_path: names.join("/"),
            name: name.into(),
            path: path.into(),
        })
    }
}
