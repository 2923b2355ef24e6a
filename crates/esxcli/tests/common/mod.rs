//! A simulated host that serves esxcli, called as any client would.
#![allow(clippy::unwrap_used)]

#[path = "../../../host/tests/common/anybody.rs"]
mod anybody;

use std::sync::Arc;

use anybody::{Anybody, root};
use api::session::Peer;
use api::{Call, Service, Session};
use datastore::Datastore;
use host::{Host, SimulatedOptions};
use vim::{Args, Fault, MoRef, Value};

/// A host with one session.
pub struct Client {
    pub host: Arc<Host>,
    service: Arc<Service>,
    session: Arc<Session>,
    peer: Arc<Peer>,
}

impl Client {
    /// Calls a method.
    pub async fn invoke(&self, this: &MoRef, args: Args) -> Result<Option<Value>, Fault> {
        let (session, service) = (Some(self.session.clone()), self.service.clone());
        let call = Call::new(service, self.peer.clone(), session, this.clone(), args);
        self.service.invoke(call).await
    }
}

/// A simulated host with one datastore.
pub async fn simulated() -> Client {
    let store = Arc::new(Datastore::memory(uuid::Uuid::new_v4(), 1 << 40));
    let options = SimulatedOptions::new("sim.test", vec![("ds".into(), store)]);
    let host = Host::simulated(options).await.unwrap();
    let service = host.service_for(Arc::new(Anybody), &[esxcli::register]).unwrap();
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    let peer = Arc::new(Peer { address, user_agent: "test".into(), certificate: None });
    let session = host.core.sessions.open(root(), &peer, "en").unwrap();
    Client { host, service, session, peer }
}
