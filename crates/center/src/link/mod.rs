//! The connection to a host: calls go down, changes come up.
//!
//! A [`HostLink`] speaks the host's own API. [`LocalLink`] reaches a host in the same process through its service, the
//! links of [`RemoteConnector`] reach hosts on the network. References in calls and changes are the host's own; the
//! mirror translates them.

pub mod connector;
mod error;
mod local;
pub mod names;
mod no_network;
mod remote;
mod remote_connector;
mod remote_files;
mod remote_filter;

use std::io;
use std::sync::Arc;

use api::Acting;
use api::files::Files;
use api::ticket::ByteStream;
use async_trait::async_trait;
use vim::{Args, MoRef, Value};

pub use error::LinkError;
pub use local::LocalLink;
pub(crate) use no_network::NoNetwork;
pub use remote_connector::RemoteConnector;

/// A new value of some properties of one object of the host, or its end.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectChange {
    /// The object exists and these properties, by number, have these values (none: unset).
    Set {
        object: MoRef,
        properties: Vec<(u16, Option<Value>)>,
    },
    Removed {
        object: MoRef,
    },
}

impl ObjectChange {
    pub fn object(&self) -> &MoRef {
        match self {
            Self::Set { object, .. } | Self::Removed { object } => object,
        }
    }
}

/// Changes of a host that belong together, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// A whole state begins: an object that it does not name no longer exists.
    pub reset: bool,
    /// More changes of the same state follow; until then, references may lead to objects not yet seen.
    pub more: bool,
    pub changes: Vec<ObjectChange>,
    /// Everything that had happened on the host when [`HostLink::mark`] returned this mark is now known.
    pub mark: u64,
}

/// The changes of a host: its whole state first, then every change.
#[async_trait]
pub trait HostStream: Send {
    /// Waits for the next changes. The stream continues after an interruption that the link can bridge, and starts with
    /// a reset after any other.
    ///
    /// # Errors
    /// [`LinkError`] when the host is lost; the stream has then ended.
    async fn next(&mut self) -> Result<Changes, LinkError>;
}

/// A connection to one host.
#[async_trait]
pub trait HostLink: Send + Sync + 'static {
    /// The address that the host was added by.
    fn address(&self) -> &str;

    /// Calls a method, on behalf of a user of the center if one is named. For a `_Task` method the result is the
    /// reference of the host's task, which the stream follows.
    ///
    /// # Errors
    /// [`LinkError::Fault`] is the host's own answer; the others say whether the host may have carried the call out.
    async fn invoke(
        &self,
        this: &MoRef,
        args: Args,
        acting: Option<Acting>,
    ) -> Result<Option<Value>, LinkError>;

    /// Reads a property, by number.
    async fn read(&self, object: &MoRef, property: u16) -> Result<Option<Value>, LinkError>;

    /// Starts to follow the host: its whole state, then the changes.
    async fn follow(&self) -> Result<Box<dyn HostStream>, LinkError>;

    /// A mark of this moment: once the stream has returned [`Changes`] with that mark (or a later one), it has returned
    /// everything that happened on the host before this call.
    async fn mark(&self) -> Result<u64, LinkError>;

    /// The files of the host's datastores; none if the host does not transfer files.
    fn files(&self) -> Option<Arc<dyn Files>>;

    /// Ends the link's session on the host. The link must not be used afterwards.
    async fn close(&self) {}

    /// Opens the console for one of the host's tickets.
    async fn console(&self, ticket: &str) -> io::Result<Box<dyn ByteStream>>;
}
