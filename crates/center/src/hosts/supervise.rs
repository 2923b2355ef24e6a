//! Keeps hosts followed: connects, follows the stream, and reconnects after growing pauses when the host is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use vim::{Fault, MoRef, data_id, fault, vim_enum};

use super::announce::{Announcer, Occurrence};
use crate::error::Error;
use crate::estate::{Inventory, Record};
use crate::link::connector::{Address, Connector};
use crate::link::{HostLink, LinkError};
use crate::mirror::{Fixed, FollowError, Hosts, ManagedHost, Mirror, Refs};

/// The first pause before a lost host is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The outcome of the first attempt to bring a host in.
type FirstWord = watch::Receiver<Option<Result<(), Fault>>>;

pub(crate) struct Supervisor {
    inventory: Arc<Inventory>,
    hosts: Arc<Hosts>,
    mirror: Arc<Mirror>,
    connector: Arc<dyn Connector>,
    announcer: Arc<Announcer>,
}

impl Supervisor {
    pub(crate) fn new(
        inventory: Arc<Inventory>,
        hosts: Arc<Hosts>,
        mirror: Arc<Mirror>,
        connector: Arc<dyn Connector>,
        announcer: Arc<Announcer>,
    ) -> Self {
        Self { inventory, hosts, mirror, connector, announcer }
    }

    /// Starts to manage a host of the inventory, which is not connected yet.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub(super) fn manage(&self, me: &MoRef) -> Result<Arc<ManagedHost>, Fault> {
        let (name, fixed) = {
            let records = self.inventory.records();
            (records.get(me).map(|host| host.name().to_owned()), Fixed::of(&records, me)?)
        };
        let host = ManagedHost::new(me.clone(), &name.unwrap_or_default(), Refs::new(fixed));
        self.hosts.add(&host);
        Ok(host)
    }

    /// Starts to manage all hosts of the inventory, with the references of their VMs and snapshots.
    ///
    /// # Errors
    /// [`Error::Start`] if the place of a host is damaged.
    pub(crate) fn manage_all(&self) -> Result<(), Error> {
        let hosts: Vec<MoRef> = {
            let records = self.inventory.records();
            let hosts = records.iter().filter(|(_, record)| matches!(record, Record::Host(_)));
            hosts.map(|(me, _)| me.clone()).collect()
        };
        for me in &hosts {
            self.manage(me).map_err(Error::Start)?;
        }
        for (me, record) in self.inventory.records().iter() {
            let (host, remote) = match record {
                Record::Vm(vm) => (&vm.host, &vm.remote),
                Record::Snapshot(snapshot) => (&snapshot.host, &snapshot.remote),
                _ => continue,
            };
            if let Some(host) = self.hosts.find(host) {
                host.refs_mut().add(remote, me);
            }
        }
        Ok(())
    }

    /// Starts to follow every host that is reached by the network and is not disconnected.
    pub(crate) fn start_all(self: &Arc<Self>) {
        let mut hosts = self.hosts.all();
        hosts.sort_by(|a, b| a.me.cmp(&b.me));
        for host in hosts {
            if matches!(
                self.inventory.record(&host.me),
                Some(Record::Host(record)) if !record.disconnected && !record.fingerprint.is_empty()
            ) {
                self.start(&host);
            }
        }
    }

    /// Stops following all hosts.
    pub(crate) fn halt_all(&self) {
        for host in self.hosts.all() {
            host.halt();
        }
    }

    /// Follows a host and waits until its state is shown, or the first attempt has failed.
    ///
    /// # Errors
    /// The fault of the first attempt, or `RequestCanceled`.
    pub(super) async fn bring_in(self: &Arc<Self>, host: &Arc<ManagedHost>) -> Result<(), Fault> {
        let mut first = self.start(host);
        let said = first.wait_for(Option::is_some).await;
        match said {
            Ok(said) => said.clone().unwrap_or(Ok(())),
            Err(_) => {
                Err(fault!(RequestCanceled {}, "Host {} was disconnected or removed meanwhile", host.name))
            }
        }
    }

    /// Starts to follow a host in place of any earlier attempt. The receiver tells when its state is shown or the first
    /// attempt has failed.
    fn start(self: &Arc<Self>, host: &Arc<ManagedHost>) -> FirstWord {
        let (said, first) = watch::channel(None);
        let token = host.halt();
        let (supervisor, host) = (self.clone(), host.clone());
        tokio::spawn(async move {
            token.run_until_cancelled(supervisor.run(&host, said)).await;
        });
        first
    }

    async fn run(&self, host: &Arc<ManagedHost>, said: watch::Sender<Option<Result<(), Fault>>>) {
        let mut pause = FIRST_PAUSE;
        let mut told = String::new();
        // Whether an event says that the host is lost.
        let mut lost = false;
        // A connected host that is followed again keeps its link.
        let mut kept = host.any_link().filter(|_| host.is_connected());
        loop {
            let mut reached = false;
            let error = match self.connect(host, kept.take()).await {
                Ok(link) => match link.follow().await {
                    Ok(stream) => {
                        self.mirror.reach(host);
                        if let Some(old) = host.begin(&link) {
                            ManagedHost::close(old);
                        }
                        let mut back = None;
                        let synchronised = || {
                            if !std::mem::replace(&mut reached, true) {
                                tracing::info!(host = host.name, "host connected");
                                said.send_replace(Some(Ok(())));
                                back = std::mem::take(&mut lost).then(|| self.announce_return(host));
                            }
                        };
                        let error = self.mirror.follow(host, stream, synchronised).await;
                        // The events of a host that flaps are in their order.
                        if let Some(back) = back {
                            let _told = back.await;
                        }
                        error
                    }
                    Err(error) => {
                        ManagedHost::close(link);
                        error.into()
                    }
                },
                Err(error) => error.into(),
            };
            let news = std::mem::replace(&mut told, error.to_string()) != told;
            if reached {
                pause = FIRST_PAUSE;
                tracing::warn!(host = host.name, %error, "host lost");
            } else if news {
                tracing::warn!(host = host.name, %error, "host not reached; it is tried again and again");
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
            if reached || news || !again || !shown {
                let issue = self.announcer.issue(host, &told);
                self.mirror.lose(host, connection, Some(issue)).await;
            }
            said.send_if_modified(|said| said.is_none() && said.replace(Err(error.into())).is_none());
            if reached {
                self.announcer.tell(host, Occurrence::Lost).await;
                lost = true;
            }
            if !again && lost {
                self.announcer.tell(host, Occurrence::Disconnected).await;
            }
            if !again {
                return;
            }
            // Hosts that were lost together do not all reconnect at the same moment.
            tokio::time::sleep(pause.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Posts the event that the host is connected again, beside its stream.
    fn announce_return(&self, host: &Arc<ManagedHost>) -> tokio::task::JoinHandle<()> {
        let (announcer, host) = (self.announcer.clone(), host.clone());
        tokio::spawn(async move { announcer.tell(&host, Occurrence::Connected).await })
    }

    /// A host in this process keeps its link; the center connects to any other again unless `kept` is a link.
    async fn connect(
        &self,
        host: &ManagedHost,
        kept: Option<Arc<dyn HostLink>>,
    ) -> Result<Arc<dyn HostLink>, LinkError> {
        let unreachable =
            |reason: &str| LinkError::Unreachable { host: host.name.clone(), reason: reason.to_owned() };
        let Some(Record::Host(record)) = self.inventory.record(&host.me) else {
            return Err(unreachable("it has been removed"));
        };
        if record.fingerprint.is_empty() {
            return host
                .any_link()
                .ok_or_else(|| unreachable("it runs in the center's process and has not been attached"));
        }
        if let Some(link) = kept {
            return Ok(link);
        }
        let address = Address { host: record.name.clone(), port: record.port };
        self.connector.connect(&address, &record.fingerprint).await
    }
}

/// Whether another attempt would fail too: the host refuses the center, or it is a different host. Any other fault, such
/// as that of a host that has too many sessions or is just starting, may pass.
fn is_final(error: &FollowError) -> bool {
    match error {
        FollowError::WrongHost(_) => true,
        FollowError::Link(LinkError::Fault(fault)) => {
            [data_id!(InvalidLogin), data_id!(NoClientCertificate), data_id!(NoPermission)]
                .iter()
                .any(|refusal| fault.is_a(*refusal))
                // The fault for a session that has ended is a kind of NoPermission.
                && !fault.is_a(data_id!(NotAuthenticated))
        }
        FollowError::Link(_) | FollowError::Center(_) => false,
    }
}

#[cfg(test)]
mod tests {
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
