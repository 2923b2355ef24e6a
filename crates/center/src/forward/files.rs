//! `/folder`: files of datastores, from a host that reaches them.

use std::sync::Arc;

use api::Account;
use api::files::{ByteRange, Bytes, Download, Entry, Facts, FileError, Files, Target, Written};
use async_trait::async_trait;
use vim::{MoRef, prop};

use crate::state::State;

/// The center's files are those of its hosts.
pub(crate) struct CenterFiles {
    pub state: Arc<State>,
    pub authority: Arc<dyn api::Authority>,
}

const BROWSE: &str = "Datastore.Browse";
const MANAGE: &str = "Datastore.FileManagement";

impl CenterFiles {
    /// The files of a host that has the datastore, if the account may do that there, and what to ask it for.
    fn there(
        &self,
        who: &Account,
        target: &Target,
        privilege: &'static str,
    ) -> Result<(Arc<dyn Files>, Target), FileError> {
        let datacenter = target.datacenter.as_deref().map(|path| self.datacenter(path)).transpose()?;
        let datastore = self
            .state
            .find_datastore(&target.datastore, datacenter.as_ref())
            .map_err(|_| FileError::NotFound)?;
        let tree = self.state.inventory.tree.snapshot();
        if !self.authority.allows(who, &datastore, privilege, &tree) {
            return Err(FileError::NoPermission(privilege));
        }
        let links = self.state.hosts_with(&datastore).into_iter().filter_map(|host| host.link().ok());
        let files = links.filter_map(|link| link.files()).next().ok_or(FileError::Unavailable)?;
        let there =
            Target { datacenter: None, datastore: target.datastore.clone(), path: target.path.clone() };
        Ok((files, there))
    }

    /// The datacenter with this inventory path.
    fn datacenter(&self, path: &str) -> Result<MoRef, FileError> {
        let path = path.trim_matches('/');
        let found = self.state.datacenters().into_iter().find(|at| {
            let known = self.state.datacenter_path(at);
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
        let tree = self.state.inventory.tree.snapshot();
        let mut names = Vec::new();
        for at in self.state.datacenters() {
            if wanted.as_ref().is_some_and(|wanted| *wanted != at) {
                continue;
            }
            let datastores = tree.find(&at).and_then(|node| node.get(prop!(Datacenter.datastore)));
            for datastore in datastores.into_iter().flatten() {
                if !self.authority.allows(who, datastore, BROWSE, &tree) {
                    continue;
                }
                let name = tree.find(datastore).and_then(|node| node.get(prop!(Datastore.name)));
                names.extend(name.map(str::to_owned));
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn datacenters(&self, who: &Account) -> Result<Vec<String>, FileError> {
        let tree = self.state.inventory.tree.snapshot();
        let seen = self.state.datacenters().into_iter();
        let seen = seen.filter(|at| self.authority.allows(who, at, "System.View", &tree));
        Ok(seen.map(|at| self.state.datacenter_path(&at)).collect())
    }
}

/// To a host the center itself asks; who may is decided here.
fn center() -> Account {
    Account { name: "vpxuser".into(), full_name: "Control center".into(), extension: true }
}
