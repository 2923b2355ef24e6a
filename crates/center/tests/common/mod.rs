//! A toy host (a tree and some methods, without QEMU), a link to it that can be cut, and a client of the center.

#![allow(dead_code)]

pub mod toy;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::session::Peer;
use api::{Account, Call, Service, Session};
use center::{Center, Options};
use store::Store;
use tokio::sync::watch;
use vim::{Args, Fault, ManagedId, MoRef, Value, field, managed_id, prop, vim_enum};

/// The store of the center in this directory. A center that was dropped or killed closes it when its last task has ended.
pub async fn store_in(directory: &Path) -> Store {
    loop {
        match Store::open(directory.join("center.db")) {
            Ok(store) => break store,
            Err(store::Error::InUse(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The center in this directory, without a network.
pub async fn center_in(directory: &Path) -> Arc<Center> {
    let mut options = Options::new(store_in(directory).await);
    options.password = Some("Test!123".into());
    Center::open(options).await.expect("the center opens")
}

/// A client of a service, as administrator.
pub struct Client {
    pub service: Arc<Service>,
    session: Arc<Session>,
    peer: Arc<Peer>,
}

impl Client {
    pub fn of(center: &Center) -> Self {
        let service = center.service();
        let account = center.accounts().find("administrator").expect("the first administrator");
        Self::new(service, account)
    }

    pub fn new(service: Arc<Service>, account: Account) -> Self {
        let peer =
            Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), user_agent: "test".into(), certificate: None };
        let session = service.core.sessions.open(account, &peer, "en").expect("a session");
        Self { service, session, peer: Arc::new(peer) }
    }

    pub async fn call(&self, this: &MoRef, args: Args) -> Result<Option<Value>, Fault> {
        let session = Some(self.session.clone());
        let call = Call::new(self.service.clone(), self.peer.clone(), session, this.clone(), args);
        self.service.invoke(call).await
    }

    /// Calls a method that returns a reference.
    pub async fn make(&self, this: &MoRef, args: Args) -> MoRef {
        let made = self.call(this, args).await.expect("the call succeeds");
        made.and_then(|made| made.as_ref().cloned()).expect("a reference")
    }

    /// Calls a `_Task` method and waits for its outcome.
    pub async fn task(&self, this: &MoRef, args: Args) -> Result<Option<Value>, Fault> {
        let task = self.call(this, args).await?.and_then(|task| task.as_ref().cloned()).expect("a task");
        self.end(&task).await
    }

    pub async fn end(&self, task: &MoRef) -> Result<Option<Value>, Fault> {
        let mut versions = self.service.core.tree.versions();
        loop {
            let state = self.service.core.tree.snapshot();
            let info =
                state.find(task).and_then(|task| task.get(prop!(Task.info)).cloned()).expect("the task");
            let now = info.get(field!(TaskInfo.state)).expect("a state");
            if now == vim_enum!(TaskInfoState.success) {
                return Ok(info.get(field!(TaskInfo.result)).cloned());
            }
            if now == vim_enum!(TaskInfoState.error) {
                let error = info.get(field!(TaskInfo.error)).expect("an error");
                return Err(Fault::from_localized(error).expect("a fault"));
            }
            versions.changed().await.expect("the tree lives");
        }
    }

    /// The present value of the property.
    pub fn get(&self, object: &MoRef, property: u16) -> Option<Value> {
        let state = self.service.core.tree.snapshot();
        let object = self.service.find(object, Some(&self.session), &state).ok()?;
        self.service.property(&object, property, &self.session, &state)
    }

    pub fn refs(&self, object: &MoRef, property: u16) -> Vec<MoRef> {
        let value = self.get(object, property);
        value.iter().flat_map(Value::items).filter_map(Value::as_ref).cloned().collect()
    }

    pub fn reference(&self, object: &MoRef, property: u16) -> MoRef {
        self.refs(object, property).pop().expect("a reference")
    }

    pub fn name(&self, object: &MoRef) -> String {
        let name = self.get(object, prop!(ManagedEntity.name).number());
        name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub fn exists(&self, object: &MoRef) -> bool {
        self.service.core.tree.snapshot().find(object).is_some()
    }

    /// All objects of a type, by name.
    pub fn all(&self, ty: ManagedId) -> Vec<(String, MoRef)> {
        let state = self.service.core.tree.snapshot();
        let of_type = state.iter().filter(|node| node.me().is_a(ty));
        let mut found: Vec<_> = of_type.map(|node| (self.name(node.me()), node.me().clone())).collect();
        found.sort();
        found
    }

    pub fn find(&self, ty: ManagedId, name: &str) -> MoRef {
        let found = self.all(ty).into_iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("there is a {name}")).1
    }

    /// The references that objects show although nothing is there, as `object: reference`.
    pub fn dangling(&self) -> Vec<String> {
        let state = self.service.core.tree.snapshot();
        let lost = std::cell::RefCell::new(Vec::new());
        for node in state.iter() {
            for (_, value) in node.properties() {
                value.map_refs(&|reference| {
                    if self.service.find(reference, Some(&self.session), &state).is_err() {
                        lost.borrow_mut().push(format!("{}: {reference}", node.me()));
                    }
                    None
                });
            }
        }
        lost.into_inner()
    }

    /// Waits until the condition holds of the center's tree.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let mut versions = self.service.core.tree.versions();
        while !holds(self) {
            versions.changed().await.expect("the tree lives");
        }
    }
}

pub fn root() -> MoRef {
    MoRef::new(managed_id!(Folder), "group-d1")
}

/// A center in memory.
pub async fn center() -> Arc<Center> {
    let mut options = Options::new(Store::in_memory().expect("a store"));
    options.password = Some("Test!123".into());
    Center::open(options).await.expect("the center opens")
}

/// A switch that cuts a link.
#[derive(Clone)]
pub struct Cut(watch::Sender<bool>);

impl Default for Cut {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Cut {
    pub fn cut(&self) {
        self.0.send_replace(true);
    }

    pub fn mend(&self) {
        self.0.send_replace(false);
    }

    pub fn is_cut(&self) -> bool {
        *self.0.borrow()
    }

    pub async fn wait_cut(&self) {
        self.0.subscribe().wait_for(|cut| *cut).await.expect("the switch lives");
    }
}
