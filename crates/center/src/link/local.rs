//! A host in the same process: the link calls its service directly, and the log of its tree is the stream.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use api::files::Files;
use api::session::Peer;
use api::ticket::ByteStream;
use api::{Account, Acting, Call, Service, Session, Snapshot, What};
use async_trait::async_trait;
use tokio::sync::watch;
use vim::{Args, MoRef, Value};

use super::{Changes, HostLink, HostStream, LinkError, ObjectChange};

/// Objects in one portion of a state.
const PORTION: usize = 20_000;

/// Reaches a host through its service.
pub struct LocalLink {
    address: String,
    service: Arc<Service>,
    files: Option<Arc<dyn Files>>,
    session: Arc<Session>,
    peer: Arc<Peer>,
}

impl LocalLink {
    /// Logs in at the host's service as its center.
    ///
    /// # Errors
    /// The service's fault if it refuses another session.
    pub fn new(
        address: &str,
        service: Arc<Service>,
        files: Option<Arc<dyn Files>>,
    ) -> Result<Self, LinkError> {
        let account = Account {
            name: "vpxuser".into(),
            full_name: "Control center".into(),
            extension: true,
            narrowed: None,
        };
        let peer = Peer {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user_agent: "esfera center".into(),
            certificate: None,
        };
        let session = service.core.sessions.open(account, &peer, "en")?;
        Ok(Self { address: address.into(), service, files, session, peer: Arc::new(peer) })
    }
}

#[async_trait]
impl HostLink for LocalLink {
    fn address(&self) -> &str {
        &self.address
    }

    async fn invoke(
        &self,
        this: &MoRef,
        args: Args,
        acting: Option<Acting>,
    ) -> Result<Option<Value>, LinkError> {
        let mut call = Call::new(
            self.service.clone(),
            self.peer.clone(),
            Some(self.session.clone()),
            this.clone(),
            args,
        );
        call.acting = acting.map(Arc::new);
        Ok(self.service.invoke(call).await?)
    }

    async fn read(&self, object: &MoRef, property: u16) -> Result<Option<Value>, LinkError> {
        let state = self.service.core.tree.snapshot();
        let object = self.service.find(object, Some(&self.session), &state)?;
        Ok(self.service.property(&object, property, &self.session, &state))
    }

    async fn follow(&self) -> Result<Box<dyn HostStream>, LinkError> {
        let versions = self.service.core.tree.versions();
        let (address, service) = (self.address.clone(), self.service.clone());
        Ok(Box::new(LocalStream { address, service, versions, place: Place::Start }))
    }

    async fn mark(&self) -> Result<u64, LinkError> {
        Ok(self.service.core.tree.snapshot().version())
    }

    fn files(&self) -> Option<Arc<dyn Files>> {
        self.files.clone()
    }

    async fn console(&self, _ticket: &str) -> std::io::Result<Box<dyn ByteStream>> {
        Err(std::io::Error::other(format!("host {} does not offer consoles", self.address)))
    }
}

/// The position of the stream.
enum Place {
    Start,
    /// In the middle of a state, with the objects that are left.
    Within {
        state: Arc<Snapshot>,
        left: Vec<MoRef>,
    },
    /// The stream has returned everything up to this version.
    At(u64),
}

struct LocalStream {
    address: String,
    service: Arc<Service>,
    versions: watch::Receiver<u64>,
    place: Place,
}

#[async_trait]
impl HostStream for LocalStream {
    async fn next(&mut self) -> Result<Changes, LinkError> {
        loop {
            match std::mem::replace(&mut self.place, Place::Start) {
                Place::Start => {
                    let state = self.service.core.tree.snapshot();
                    let left = state.iter().map(|node| node.me().clone()).collect();
                    return Ok(self.portion(state, left, true));
                }
                Place::Within { state, left } => return Ok(self.portion(state, left, false)),
                Place::At(version) => {
                    let state = self.service.core.tree.snapshot();
                    if state.version() == version {
                        self.place = Place::At(version);
                        if self.versions.changed().await.is_err() {
                            let reason = "it has ended".into();
                            return Err(LinkError::Lost { host: self.address.clone(), reason });
                        }
                        continue;
                    }
                    if let Some(changes) = since(&state, version) {
                        self.place = Place::At(state.version());
                        return Ok(changes);
                    }
                }
            }
        }
    }
}

impl LocalStream {
    fn portion(&mut self, state: Arc<Snapshot>, mut left: Vec<MoRef>, reset: bool) -> Changes {
        let rest = left.split_off(left.len().min(PORTION));
        let changes = left.into_iter().filter_map(|object| whole(&state, object)).collect();
        let (more, mark) = (!rest.is_empty(), state.version());
        self.place = if more { Place::Within { state, left: rest } } else { Place::At(state.version()) };
        Changes { reset, more, changes, mark: if more { 0 } else { mark } }
    }
}

fn whole(state: &Snapshot, object: MoRef) -> Option<ObjectChange> {
    let node = state.find(&object)?;
    let properties = node.properties().map(|(at, value)| (at, Some(value.clone()))).collect();
    Some(ObjectChange::Set { object, properties })
}

/// The changes since the version, each object once with its latest values; none if the log does not reach back that far.
fn since(state: &Snapshot, version: u64) -> Option<Changes> {
    let mut order: Vec<MoRef> = Vec::new();
    let mut touched: std::collections::HashMap<MoRef, Option<Vec<u16>>> = std::collections::HashMap::new();
    for change in state.since(version).ok()?.flat_map(|commit| &commit.changes) {
        let entry = touched.entry(change.object.clone()).or_insert_with(|| {
            order.push(change.object.clone());
            Some(Vec::new())
        });
        match (&change.what, entry) {
            (What::Set(numbers), Some(known)) => known.extend(numbers.iter()),
            (What::Set(_), None) => {}
            (What::Created | What::Removed, entry) => *entry = None,
        }
    }
    let change = |object: MoRef| {
        let Some(node) = state.find(&object) else { return ObjectChange::Removed { object } };
        match &touched[&object] {
            None => {
                let properties = node.properties().map(|(at, value)| (at, Some(value.clone()))).collect();
                ObjectChange::Set { object, properties }
            }
            Some(numbers) => {
                let mut numbers = numbers.clone();
                numbers.sort_unstable();
                numbers.dedup();
                let properties = numbers.into_iter().map(|at| (at, node.at(at).cloned())).collect();
                ObjectChange::Set { object, properties }
            }
        }
    };
    let changes = order.into_iter().map(change).collect();
    Some(Changes { reset: false, more: false, changes, mark: state.version() })
}
