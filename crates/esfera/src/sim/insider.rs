//! A caller within the process.

use std::sync::Arc;

use anyhow::{Context, Result};
#[cfg(test)]
use api::accounts::CENTER_ACCOUNT;
use api::session::Peer;
use api::{Account, Call, Service, Session};
use vim::{Args, Fault, MoRef, Value, field, prop};

/// Calls a service from within the process.
pub struct Insider {
    pub service: Arc<Service>,
    pub session: Arc<Session>,
    peer: Arc<Peer>,
}

impl Insider {
    /// A host's center.
    #[cfg(test)]
    pub fn new(service: &Arc<Service>) -> Result<Self> {
        let account = Account {
            name: CENTER_ACCOUNT.into(),
            full_name: "Simulator".into(),
            extension: true,
            narrowed: None,
        };
        Self::of(service, account)
    }

    pub fn of(service: &Arc<Service>, account: Account) -> Result<Self> {
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        let peer = Arc::new(Peer { address, user_agent: "esfera sim".into(), certificate: None });
        let session = service.core.sessions.open(account, &peer, "en")?;
        Ok(Self { service: service.clone(), session, peer })
    }

    pub async fn call(&self, this: &MoRef, args: Args) -> Result<Option<Value>, Fault> {
        let (session, peer) = (Some(self.session.clone()), self.peer.clone());
        self.service.invoke(Call::new(self.service.clone(), peer, session, this.clone(), args)).await
    }

    /// Calls a method that makes an object.
    pub async fn make(&self, this: &MoRef, args: Args) -> Result<MoRef> {
        let made = self.call(this, args).await?;
        made.as_ref().and_then(Value::as_ref).cloned().context("the method made no object")
    }

    /// Calls a method that begins a task, and waits for its result.
    pub async fn task(&self, this: &MoRef, args: Args) -> Result<Option<Value>> {
        let task = self.make(this, args).await?;
        self.wait(&task).await
    }

    /// Waits for the result of a task.
    pub async fn wait(&self, task: &MoRef) -> Result<Option<Value>> {
        let mut versions = self.service.core.tree.versions();
        loop {
            versions.mark_unchanged();
            let state = self.service.core.tree.snapshot();
            let info =
                state.find(task).and_then(|node| node.get(prop!(Task.info))).context("the task is gone")?;
            match info.get(field!(TaskInfo.state)).map(|state| state.name()) {
                Some("success") => return Ok(info.get(field!(TaskInfo.result)).cloned()),
                Some("error") => {
                    let error =
                        info.get(field!(TaskInfo.error)).and_then(|error| Fault::from_localized(error));
                    return Err(error.map_or_else(|| anyhow::anyhow!("the task failed"), Into::into));
                }
                _ => versions.changed().await?,
            }
        }
    }
}

impl Drop for Insider {
    fn drop(&mut self) {
        self.service.core.sessions.close(&self.session.key);
    }
}
