//! `/folder`: files of datastores, through a host that reaches them.

use std::sync::Arc;

use api::Account;
use api::files::{ByteRange, Bytes, Download, Entry, Facts, FileError, Files, Target, Written};
use async_trait::async_trait;
use vim::MoRef;

use super::carrier::Carrier;
use crate::access::{BROWSE, MANAGE};

/// The files of all hosts.
pub(crate) struct CenterFiles {
    pub carrier: Arc<Carrier>,
    pub authority: Arc<dyn api::Authority>,
}

impl CenterFiles {
    /// The files of a host that reaches the datastore, if the account has the privilege there, and the target for it.
    fn there(
        &self,
        who: &Account,
        target: &Target,
        privilege: &'static str,
    ) -> Result<(Arc<dyn Files>, Target), FileError> {
        let datacenter = target.datacenter.as_deref().map(|path| self.datacenter(path)).transpose()?;
        let Carrier { inventory, hosts, .. } = &*self.carrier;
        let datastore = inventory
            .find_datastore(&target.datastore, datacenter.as_ref())
            .map_err(|_| FileError::NotFound)?;
        let tree = inventory.tree.snapshot();
        if !self.authority.allows(who, &datastore, privilege, &tree) {
            return Err(FileError::NoPermission(privilege));
        }
        let links = hosts.reaching(&datastore).into_iter().filter_map(|host| host.link().ok());
        let files = links.filter_map(|link| link.files()).next().ok_or(FileError::Unavailable)?;
        let there =
            Target { datacenter: None, datastore: target.datastore.clone(), path: target.path.clone() };
        Ok((files, there))
    }

    /// The datacenter with this inventory path.
    fn datacenter(&self, path: &str) -> Result<MoRef, FileError> {
        let path = path.trim_matches('/');
        let found = self.carrier.inventory.datacenters().into_iter().find(|at| {
            let known = self.carrier.inventory.path_of(at);
            known == path || api::files::unescape(&known).as_deref() == Some(path)
        });
        found.ok_or(FileError::NotFound)
    }
}

#[async_trait]
impl Files for CenterFiles {
    async fn facts(&self, who: &Account, target: &Target) -> Result<Facts, FileError> {
        let (files, target) = self.there(who, target, BROWSE)?;
        files.facts(&center(), &target).await
    }

    async fn read(
        &self,
        who: &Account,
        target: &Target,
        range: Option<ByteRange>,
    ) -> Result<Download, FileError> {
        let (files, target) = self.there(who, target, BROWSE)?;
        files.read(&center(), &target, range).await
    }

    async fn write(
        &self,
        who: &Account,
        target: &Target,
        length: Option<u64>,
        body: Bytes,
    ) -> Result<Written, FileError> {
        let (files, target) = self.there(who, target, MANAGE)?;
        files.write(&center(), &target, length, body).await
    }

    async fn delete(&self, who: &Account, target: &Target) -> Result<(), FileError> {
        let (files, target) = self.there(who, target, MANAGE)?;
        files.delete(&center(), &target).await
    }

    async fn list(&self, who: &Account, target: &Target) -> Result<Vec<Entry>, FileError> {
        let (files, target) = self.there(who, target, BROWSE)?;
        files.list(&center(), &target).await
    }

    async fn datastores(&self, who: &Account, datacenter: Option<&str>) -> Result<Vec<String>, FileError> {
        let wanted = datacenter.map(|path| self.datacenter(path)).transpose()?;
        let tree = self.carrier.inventory.tree.snapshot();
        let mut names = Vec::new();
        for at in self.carrier.inventory.datacenters() {
            if wanted.as_ref().is_some_and(|wanted| *wanted != at) {
                continue;
            }
            let datastores = self.carrier.inventory.datastores_of(&at).into_iter();
            let seen = datastores.filter(|(at, _)| self.authority.allows(who, at, BROWSE, &tree));
            names.extend(seen.map(|(_, name)| name));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn datacenters(&self, who: &Account) -> Result<Vec<String>, FileError> {
        let tree = self.carrier.inventory.tree.snapshot();
        let seen = self.carrier.inventory.datacenters().into_iter();
        let seen = seen.filter(|at| self.authority.allows(who, at, "System.View", &tree));
        Ok(seen.map(|at| self.carrier.inventory.path_of(&at)).collect())
    }
}

/// The center's account on a host. The center has checked the user's privileges.
fn center() -> Account {
    Account { name: "vpxuser".into(), full_name: "Control center".into(), extension: true, narrowed: None }
}
