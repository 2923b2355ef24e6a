//! The guards of adapters' IPv4 addresses, with sockets and a clock: a task for each.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::arp::{self, Arp};
use super::guard::Guard;
use super::stacks::Stacks;
use crate::Mac;
use crate::declare::StackName;
use crate::frame::ETHER_ARP;
use crate::hearing::Hearing;
use crate::limits::ARP_FRAME;
use crate::packet::PacketSocket;

/// Longer timers are set in parts.
const LONGEST_SLEEP: Duration = Duration::from_secs(86_400);

/// The properties that identify a guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guarded {
    pub device: String,
    pub index: u32,
    pub mac: Mac,
    pub stack: StackName,
    pub address: Ipv4Addr,
}

/// Guards by device.
pub(crate) struct Guards {
    running: BTreeMap<String, Running>,
    changed: Arc<Notify>,
}

struct Running {
    of: Guarded,
    conflict: watch::Receiver<Option<Mac>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Guards {
    /// `changed` is notified when a conflict begins or ends.
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        Self { running: BTreeMap::new(), changed }
    }

    /// The other station that has the address of an adapter.
    pub(crate) fn conflict(&self, device: &str) -> Option<(Ipv4Addr, Mac)> {
        let running = self.running.get(device)?;
        let other = *running.conflict.borrow();
        other.map(|other| (running.of.address, other))
    }

    /// Guards these addresses and no others.
    pub(crate) fn keep(&mut self, stacks: &Stacks, needs: Vec<Guarded>) {
        self.running.retain(|_, running| needs.contains(&running.of) && !running.task.is_finished());
        for of in needs {
            if self.running.contains_key(&of.device) {
                continue;
            }
            let (device, runtime) = (of.device.clone(), Handle::current());
            let open = || {
                let _entered = runtime.enter();
                Hearing::new(PacketSocket::listen(of.index, ETHER_ARP, &arp::filter(of.address))?)
            };
            match stacks.run(&of.stack, open).and_then(|opened| opened) {
                Ok(socket) => _ = self.running.insert(device, self.start(socket, of)),
                // The interface has just gone; the next reconciliation handles that.
                Err(error) => tracing::debug!(device, %error, "its address is not guarded"),
            }
        }
    }

    fn start(&self, socket: Hearing, of: Guarded) -> Running {
        let (publish, conflict) = watch::channel(None);
        let task = tokio::spawn(watch_over(socket, of.clone(), publish, self.changed.clone()));
        Running { of, conflict, task }
    }
}

async fn watch_over(
    mut socket: Hearing,
    of: Guarded,
    publish: watch::Sender<Option<Mac>>,
    changed: Arc<Notify>,
) {
    let began = Instant::now();
    let mut guard = Guard::new(of.mac, of.address, Duration::ZERO);
    let mut room = [0; ARP_FRAME];
    loop {
        let due = guard.due().min(began.elapsed() + LONGEST_SLEEP);
        tokio::select! {
            heard = hear(&mut socket, &mut room) => match heard {
                Ok(packet) => guard.hear(began.elapsed(), &packet),
                Err(error) => {
                    tracing::debug!(device = of.device, %error, "cannot guard an address");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
            () = sleep_until(began + due) => {
                if let Some(packet) = guard.wake(began.elapsed())
                    && let Err(error) = socket.send(of.index, &packet.frame())
                {
                    tracing::debug!(device = of.device, %error, "cannot probe for an address");
                }
            }
        }
        let conflict = guard.conflict();
        if *publish.borrow() != conflict {
            let (device, address) = (&of.device, of.address);
            match conflict {
                Some(other) => {
                    tracing::warn!(device, %address, mac = %other, "another station has this address too")
                }
                None => {
                    tracing::info!(device, %address, "the other station does not have this address any more")
                }
            }
            publish.send_replace(conflict);
            changed.notify_one();
        }
    }
}

/// The next packet about the address.
pub(super) async fn hear(socket: &mut Hearing, room: &mut [u8]) -> io::Result<Arp> {
    loop {
        let length = socket.next(room).await?;
        if let Some(packet) = Arp::read(&room[..length]) {
            return Ok(packet);
        }
    }
}
