//! The way to a host: calls down, changes up.
//!
//! A [`HostLink`] speaks the host's own API. [`LocalLink`] reaches a host in the same process through its service.
//! References in calls and changes are the host's own; the mirror translates.

mod local;
pub mod names;
pub(crate) mod remote;
mod remote_files;
mod remote_filter;

use std::io;
use std::sync::Arc;

use api::Acting;
use api::files::Files;
use api::ticket::ByteStream;
use async_trait::async_trait;
use vim::{Args, Fault, MoRef, Value};

pub use local::LocalLink;

/// Why a host could not be asked, or did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// The host said no.
    #[error("{0}")]
    Fault(Fault),
    /// The host did not get the request: nothing has happened there.
    #[error("host {host} cannot be reached: {reason}; check its address, its network and its daemon")]
    Unreachable { host: String, reason: String },
    /// The connection broke after the request was sent: the host may have carried it out.
    #[error(
        "the connection to host {host} was lost during the request ({reason}); whether the host carried it out will \
         show when it is connected again"
    )]
    Unknown { host: String, reason: String },
}

impl From<Fault> for LinkError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl LinkError {
    /// The fault that a client of the center gets.
    pub fn into_fault(self) -> Fault {
        let message = self.to_string();
        match self {
            Self::Fault(fault) => fault,
            Self::Unreachable { .. } => vim::fault!(HostNotConnected {}, "{message}"),
            Self::Unknown { .. } => vim::fault!(HostCommunication {}, "{message}"),
        }
    }
}

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
    /// A whole state begins: what it does not name is no longer there.
    pub reset: bool,
    /// More changes of the same state follow; until they are there, references may lead to objects not yet seen.
    pub more: bool,
    pub changes: Vec<ObjectChange>,
    /// All that had happened on the host when this mark was given out ([`HostLink::mark`]) is now known.
    pub mark: u64,
}

/// The changes of a host from some moment on, its whole state first.
#[async_trait]
pub trait HostStream: Send {
    /// Waits for the next changes. After a lapse that the link could bridge it goes on where it was, else with a reset.
    ///
    /// # Errors
    /// [`LinkError`] when the host is lost; the stream is then at its end.
    async fn next(&mut self) -> Result<Changes, LinkError>;
}

/// A host, reached in one way or another.
#[async_trait]
pub trait HostLink: Send + Sync + 'static {
    /// The host's address as people know it.
    fn address(&self) -> &str;

    /// Calls a method, for a user of the center if one is named. For a `_Task` method the result is the reference of the
    /// host's task, which the stream follows.
    ///
    /// # Errors
    /// [`LinkError::Fault`] is the host's own answer; the others say whether it can have been carried out.
    async fn invoke(
        &self,
        this: &MoRef,
        args: Args,
        acting: Option<Acting>,
    ) -> Result<Option<Value>, LinkError>;

    /// Reads a property, by number.
    async fn read(&self, object: &MoRef, property: u16) -> Result<Option<Value>, LinkError>;

    /// Begins to follow the host: its whole state, then the changes.
    async fn follow(&self) -> Result<Box<dyn HostStream>, LinkError>;

    /// A mark of this moment: once the stream has given out [`Changes`] with that mark (or a later one), everything
    /// that happened on the host before this call has been given out.
    async fn mark(&self) -> Result<u64, LinkError>;

    /// The files of the host's datastores; none if the host transfers no files.
    fn files(&self) -> Option<Arc<dyn Files>>;

    /// Gives back what the link holds on the host: its session there. It is not used afterwards.
    async fn close(&self) {}

    /// Opens the console that one of the host's tickets stands for.
    async fn console(&self, ticket: &str) -> io::Result<Box<dyn ByteStream>>;
}
