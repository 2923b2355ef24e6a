//! Follows a host: applies its stream batch by batch until the host is lost.

use std::sync::Arc;

use super::error::FollowError;
use super::host::ManagedHost;
use super::service::Mirror;
use crate::link::{Changes, HostStream};

impl Mirror {
    /// Applies the changes of the stream until the host is lost; calls `synchronised` when its whole state is shown.
    pub(crate) async fn follow(
        &self,
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
            if let Err(error) = self.apply(host, batch, reset_at).await {
                return error;
            }
            host.show_up_to(mark, whole);
            if whole {
                synchronised();
            }
        }
    }
}
