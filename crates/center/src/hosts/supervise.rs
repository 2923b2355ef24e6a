//! Keeps a host followed: connects, follows its stream, and connects again after growing pauses when it is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use vim::{Fault, MoRef, data_id, vim_enum};

use super::ManagedHost;
use super::connector::Address;
use crate::link::{HostLink, LinkError};
use crate::mirror::{self, FollowError};
use crate::objects::host::Connection;
use crate::records::Record;
use crate::state::State;

/// The first pause before a lost host is tried again; each further one is twice as long.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(500);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How the first attempt to bring a host in went.
pub(crate) type FirstWord = watch::Receiver<Option<Result<(), Fault>>>;

/// Begins to follow a host, if nobody does; the receiver tells when its state is shown or the first attempt failed.
pub(crate) fn start(state: &Arc<State>, host: &Arc<ManagedHost>) -> FirstWord {
    let (said, first) = watch::channel(None);
    let token = host.halt();
    let (state, host) = (state.clone(), host.clone());
    tokio::spawn(async move {
        token.run_until_cancelled(run(&state, &host, said)).await;
    });
    first
}

async fn run(state: &Arc<State>, host: &Arc<ManagedHost>, said: watch::Sender<Option<Result<(), Fault>>>) {
    let mut pause = FIRST_PAUSE;
    // Who follows a host anew that is connected goes on with its link.
    let mut kept = host.any_link().filter(|_| host.is_connected());
    loop {
        let mut reached = false;
        let error = match connect(state, host, kept.take()).await {
            Ok(link) => match link.follow().await {
                Ok(stream) => {
                    if let Some(old) = host.begin(&link) {
                        ManagedHost::let_go(old);
                    }
                    mirror::follow(state, host, stream, || {
                        if !std::mem::replace(&mut reached, true) {
                            tracing::info!(host = host.name, "host connected");
                            said.send_replace(Some(Ok(())));
                        }
                    })
                    .await
                }
                Err(error) => {
                    ManagedHost::let_go(link);
                    error.into()
                }
            },
            Err(error) => error.into(),
        };
        if reached {
            pause = FIRST_PAUSE;
            tracing::warn!(host = host.name, %error, "host lost");
        } else {
            tracing::debug!(host = host.name, %error, "host not reached");
        }
        let (connection, again) = match &error {
            error if !reached && is_final(error) => {
                (vim_enum!(HostSystemConnectionState.disconnected), false)
            }
            _ => (vim_enum!(HostSystemConnectionState.notResponding), true),
        };
        let shown = *host.connection.borrow() == connection;
        if reached || !again || !shown {
            lose(state, host, connection).await;
        }
        said.send_if_modified(|said| said.is_none() && said.replace(Err(into_fault(error))).is_none());
        if reached {
            state.tell(&host.me, crate::events::HostWord::Lost).await;
        }
        if !again {
            return;
        }
        // Hosts that were lost together do not all come at the same moment.
        tokio::time::sleep(pause.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether trying again changes nothing: it answers, but not to the center, or it is another machine. Any other fault,
/// as of a host that has too many sessions or is just starting, may pass.
fn is_final(error: &FollowError) -> bool {
    match error {
        FollowError::WrongHost(_) => true,
        FollowError::Link(LinkError::Fault(fault)) => {
            [data_id!(InvalidLogin), data_id!(NoClientCertificate), data_id!(NoPermission)]
                .iter()
                .any(|refusal| fault.is_a(*refusal))
                // A session that has ended is refused by a kind of NoPermission.
                && !fault.is_a(data_id!(NotAuthenticated))
        }
        FollowError::Link(_) | FollowError::Center(_) => false,
    }
}

fn into_fault(error: FollowError) -> Fault {
    match error {
        FollowError::Link(error) => error.into_fault(),
        FollowError::Center(fault) | FollowError::WrongHost(fault) => fault,
    }
}

/// A host in this process keeps its link; any other is connected anew unless there is a link that is to be kept.
async fn connect(
    state: &State,
    host: &ManagedHost,
    kept: Option<Arc<dyn HostLink>>,
) -> Result<Arc<dyn HostLink>, LinkError> {
    let Some(Record::Host(record)) = state.inventory.record(&host.me) else {
        let reason = "it has been removed".into();
        return Err(LinkError::Unreachable { host: host.name.clone(), reason });
    };
    if record.fingerprint.is_empty() {
        return host.any_link().ok_or_else(|| LinkError::Unreachable {
            host: record.name.clone(),
            reason: "it runs in the center's process and has not been attached".into(),
        });
    }
    if let Some(link) = kept {
        return Ok(link);
    }
    let address = Address { host: record.name.clone(), port: record.port };
    state.connector.connect(&address, &record.fingerprint).await
}

/// Shows that a host is not connected, and ends what waits for it.
pub(crate) async fn lose(state: &Arc<State>, host: &Arc<ManagedHost>, connection: Connection) {
    host.connection.send_replace(connection);
    host.tasks.clear();
    let me: MoRef = host.me.clone();
    let maintenance = matches!(state.inventory.record(&me), Some(Record::Host(host)) if host.maintenance);
    let shown = state.inventory.turn().await.finish(Vec::new(), move |w, edges| {
        mirror::show_lost(w, edges, &me, connection, maintenance);
    });
    if let Err(fault) = shown.await {
        tracing::error!(host = host.name, %fault, "a lost host could not be shown");
    }
}

#[cfg(test)]
mod tests {
    use vim::fault;

    use super::*;

    #[test]
    fn only_a_refusal_of_the_center_ends_the_attempts() {
        let link = |fault: Fault| FollowError::Link(LinkError::Fault(fault));
        assert!(is_final(&link(fault!(InvalidLogin {}, "no"))));
        assert!(is_final(&FollowError::WrongHost(fault!(InvalidState {}, "another"))));
        assert!(!is_final(&link(fault!(OutOfBounds { argumentName: "sessions" }, "too many"))));
        assert!(!is_final(&link(fault!(NotAuthenticated {}, "restarted"))));
        let reason = "down".to_owned();
        assert!(!is_final(&LinkError::Unreachable { host: "h".into(), reason }.into()));
    }
}
