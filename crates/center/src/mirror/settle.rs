//! Waiting until a host's changes are in the center's tree.

use std::time::Duration;

use vim::vim_enum;

use super::host::ManagedHost;
use crate::link::LinkError;

/// The longest time that the changes of a call may take to arrive. The loss of a host is noticed earlier than that.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);

impl ManagedHost {
    /// Notes that everything up to the stream's mark is shown, and the whole state if this is `whole`.
    pub(super) fn show_up_to(&self, mark: u64, whole: bool) {
        self.shown.send_if_modified(|shown| {
            let now = shown.up_to(mark, whole);
            std::mem::replace(shown, now) != now
        });
    }

    /// Waits until everything that has happened on the host so far is in the center's tree.
    ///
    /// # Errors
    /// [`LinkError::Unknown`] if the host is lost first, or its changes do not arrive in time.
    pub(crate) async fn settle(&self) -> Result<(), LinkError> {
        let unknown =
            |reason: &str| LinkError::Unknown { host: self.name.clone(), reason: reason.to_owned() };
        tokio::time::timeout(SETTLE_WITHIN, self.settle_unbounded())
            .await
            .unwrap_or_else(|_| Err(unknown("its changes did not arrive in time")))
    }

    async fn settle_unbounded(&self) -> Result<(), LinkError> {
        let Some((link, stream)) = self.link_and_stream() else { return Ok(()) };
        let mark = link.mark().await?;
        let (mut shown, mut connection) = (self.shown.subscribe(), self.connection.subscribe());
        tokio::select! {
            biased;
            _ = shown.wait_for(|shown| shown.covers(stream, mark)) => Ok(()),
            _ = connection.wait_for(|now| *now != vim_enum!(HostSystemConnectionState.connected)) => {
                let reason = "it was lost before its changes arrived".into();
                Err(LinkError::Unknown { host: self.name.clone(), reason })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::Acting;
    use api::files::Files;
    use api::ticket::ByteStream;
    use async_trait::async_trait;
    use vim::{Args, MoRef, Value, managed_id};

    use super::*;
    use crate::link::{HostLink, HostStream};
    use crate::mirror::refs::{Fixed, Refs};

    /// Returns one mark and does nothing else.
    struct Marked(u64);

    #[async_trait]
    impl HostLink for Marked {
        fn address(&self) -> &'static str {
            "h"
        }
        async fn invoke(&self, _: &MoRef, _: Args, _: Option<Acting>) -> Result<Option<Value>, LinkError> {
            Ok(None)
        }
        async fn read(&self, _: &MoRef, _: u16) -> Result<Option<Value>, LinkError> {
            Ok(None)
        }
        async fn follow(&self) -> Result<Box<dyn HostStream>, LinkError> {
            Err(LinkError::Unreachable { host: "h".into(), reason: "a test".into() })
        }
        async fn mark(&self) -> Result<u64, LinkError> {
            Ok(self.0)
        }
        fn files(&self) -> Option<Arc<dyn Files>> {
            None
        }
        async fn console(&self, _: &str) -> std::io::Result<Box<dyn ByteStream>> {
            Err(std::io::Error::other("a test"))
        }
    }

    fn link(mark: u64) -> Arc<dyn HostLink> {
        Arc::new(Marked(mark))
    }

    /// A connected host whose stream on this link is shown.
    fn host(on: &Arc<dyn HostLink>) -> Arc<ManagedHost> {
        let at = |id: &str| MoRef::new(managed_id!(HostSystem), id);
        let fixed = Fixed {
            host: at("host-1"),
            compute: at("compute"),
            pool: at("pool"),
            datacenter: at("datacenter"),
            vm_folder: at("vms"),
            host_folder: at("hosts"),
            datastore_folder: at("stores"),
            network_folder: at("networks"),
        };
        let host = ManagedHost::new(at("host-1"), "h", Refs::new(fixed));
        host.connection.send_replace(vim_enum!(HostSystemConnectionState.connected));
        host.begin(on);
        host.show_up_to(1, true);
        host
    }

    /// A task that settles, once it waits.
    async fn settling(host: &Arc<ManagedHost>) -> tokio::task::JoinHandle<Result<(), LinkError>> {
        let waiting = host.clone();
        let task = tokio::spawn(async move { waiting.settle().await });
        while host.shown.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        task
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_by_a_mark_of_an_old_stream_ends_when_the_new_stream_shows_the_whole_host() {
        let old = link(57);
        let host = host(&old);
        let task = settling(&host).await;
        assert!(host.begin(&link(1)).is_some_and(|replaced| Arc::ptr_eq(&replaced, &old)));
        host.show_up_to(100, false);
        tokio::task::yield_now().await;
        assert!(!task.is_finished(), "marks of another stream mean nothing");
        host.show_up_to(0, true);
        assert!(task.await.expect("it ends").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_changes_that_never_arrive_ends() {
        let host = host(&link(57));
        assert!(matches!(host.settle().await, Err(LinkError::Unknown { .. })));
        host.show_up_to(57, false);
        assert!(host.settle().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_lost_ends_the_wait() {
        let host = host(&link(57));
        let task = settling(&host).await;
        host.connection.send_replace(vim_enum!(HostSystemConnectionState.notResponding));
        assert!(matches!(task.await.expect("it ends"), Err(LinkError::Unknown { .. })));
    }
}
