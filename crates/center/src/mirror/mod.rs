//! Each host's objects in the center's tree: one stream per host, applied in batches by one writer.
//!
//! [`follow`] runs as long as the host is connected. A batch is first brought into the center's terms (which objects
//! are these? [`identify`]), made durable as far as the center owns it, then written with references translated.

mod apply;
mod events;
mod facts;
mod identify;
mod refs;
mod tasks;

use std::sync::Arc;

use vim::Fault;

use crate::hosts::ManagedHost;
use crate::link::{Changes, HostStream, LinkError};
use crate::state::State;

pub(crate) use apply::{others_have, show_lost, unlink, unmount};
pub(crate) use events::forget as forget_events;
pub(crate) use refs::{Fixed, Refs};
pub(crate) use tasks::{TaskBook, outcome};

/// Why a host is no longer followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The center could not keep what the host said.
    #[error("{0}")]
    Center(Fault),
    /// Another machine answers at the host's address.
    #[error("{0}")]
    WrongHost(Fault),
}

/// Applies what the stream says until the host is lost; `synchronised` is called when its first whole state is shown.
pub(crate) async fn follow(
    state: &Arc<State>,
    host: &Arc<ManagedHost>,
    mut stream: Box<dyn HostStream>,
    mut synchronised: impl FnMut(),
) -> FollowError {
    let mut gathered = Changes::default();
    let mut reset_at = 0;
    loop {
        let turn = host.tasks.next_turn();
        let changes = match stream.next().await {
            Ok(changes) => changes,
            Err(error) => return error.into(),
        };
        if changes.reset {
            gathered = Changes::default();
            reset_at = turn;
        }
        let more = changes.more;
        gathered.reset |= changes.reset;
        gathered.mark = gathered.mark.max(changes.mark);
        if gathered.changes.is_empty() {
            gathered.changes = changes.changes;
        } else {
            gathered.changes.extend(changes.changes);
        }
        if more {
            continue;
        }
        let batch = std::mem::take(&mut gathered);
        let (whole, mark) = (batch.reset, batch.mark);
        if let Err(error) = apply::apply(state, host, batch, reset_at).await {
            return error;
        }
        host.show_up_to(mark, whole);
        if whole {
            synchronised();
        }
    }
}
