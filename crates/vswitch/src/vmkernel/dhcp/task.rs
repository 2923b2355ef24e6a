//! A client with sockets and a clock: one task per adapter.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::super::arp::{self, Arp};
use super::super::client::{self, LONGEST_SLEEP, Telling};
use super::super::guards::hear;
use super::client::{Action, Lease, Machine};
use super::frame::{self, CLIENT_PORT, SERVER_PORT};
use crate::Mac;
use crate::declare::StackName;
use crate::frame::ETHER_ARP;
use crate::hearing::Hearing;
use crate::limits::{ARP_FRAME, DHCP_FRAME};
use crate::packet::{Instruction, PacketSocket};

const IPV4: u16 = 0x0800;

/// Passes whole frames with an unfragmented UDP datagram to the client's port; as `tcpdump -dd` prints filters.
const FILTER: [Instruction; 9] = [
    // Protocol of the frame, protocol of the packet, and fragment bits.
    (0x28, 0, 0, 12),
    (0x15, 0, 8, IPV4 as u32),
    (0x30, 0, 0, 23),
    (0x15, 0, 6, 17),
    (0x28, 0, 0, 20),
    (0x45, 4, 0, 0x3fff),
    // x = length of the header; the port is 2 bytes behind it.
    (0xb1, 0, 0, 14),
    (0x48, 0, 0, 16),
    (0x15, 0, 1, CLIENT_PORT as u32),
];
/// Pass all of it; pass nothing.
const VERDICTS: [Instruction; 2] = [(0x06, 0, 0, 0x4_0000), (0x06, 0, 0, 0)];

/// The properties that identify a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub device: String,
    pub index: u32,
    pub mac: Mac,
    pub stack: StackName,
    pub port_group: u32,
    pub host_name: String,
}

impl super::super::client::Identity for Identity {
    fn device(&self) -> &str {
        &self.device
    }

    fn stack(&self) -> &StackName {
        &self.stack
    }
}

/// An offered address, and the other station that has it.
pub(crate) type Taken = (Ipv4Addr, Mac);

/// A running client.
pub(crate) type Client = client::Client<Identity, Lease, Taken>;

/// The sockets of a client.
struct Sockets {
    frames: Hearing,
    /// Sends to one server. Answers arrive as frames too and are not read here; but without this socket the kernel
    /// would answer that the port is unreachable.
    datagrams: UdpSocket,
    /// Receives claims of an address; only while the client probes for it.
    arp: Hearing,
}

/// Starts a client in the namespace of the adapter; the runtime that the thread has entered drives it. `found` is an
/// address of the interface, with its remaining seconds. `changed` is notified of every change.
pub(crate) fn start(
    identity: Identity,
    found: Option<(Ipv4Addr, u32)>,
    changed: Arc<Notify>,
) -> io::Result<Client> {
    let sockets = Sockets::open(&identity)?;
    let left = found.map(|(address, seconds)| (address, Duration::from_secs(seconds.into())));
    let seed = client::seed(&identity.device);
    let machine = Machine::new(identity.mac, &identity.host_name, left, seed, Duration::ZERO);
    let (began, own) = (Instant::now(), identity.clone());
    let run = |telling, stopped| {
        Running { sockets, machine, began, identity: own, telling, probing: None }.run(stopped)
    };
    Ok(Client::start(identity, found.is_some(), changed, run))
}

impl Sockets {
    fn open(identity: &Identity) -> io::Result<Self> {
        let filter: Vec<Instruction> = FILTER.into_iter().chain(VERDICTS).collect();
        let frames = Hearing::new(PacketSocket::listen(identity.index, IPV4, &filter)?)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket: OwnedFd = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        // The socket is never read.
        sockopt::set_socket_recv_buffer_size(&socket, 0)?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT))?;
        let datagrams = UdpSocket::from_std(socket.into())?;
        datagrams.bind_device(Some(identity.device.as_bytes()))?;
        let arp = Hearing::new(PacketSocket::listen(identity.index, ETHER_ARP, &arp::deaf())?)?;
        Ok(Self { frames, datagrams, arp })
    }
}

/// The next message of a server.
async fn message(frames: &mut Hearing, room: &mut [u8]) -> io::Result<super::Message> {
    loop {
        let length = frames.next(room).await?;
        if let Some((_, message)) = frame::read(&room[..length]) {
            return Ok(message);
        }
    }
}

struct Running {
    sockets: Sockets,
    machine: Machine,
    began: Instant,
    identity: Identity,
    telling: Telling<Lease, Taken>,
    /// The address whose claims are received.
    probing: Option<Ipv4Addr>,
}

impl Running {
    async fn run(mut self, mut stopped: oneshot::Receiver<bool>) {
        let mut room = vec![0; DHCP_FRAME];
        let mut small = [0; ARP_FRAME];
        loop {
            let due = self.machine.due().min(self.began.elapsed() + LONGEST_SLEEP);
            let actions = tokio::select! {
                stop = &mut stopped => {
                    if stop == Ok(true) && let Some(action) = self.machine.release() {
                        self.act(action).await;
                    }
                    return;
                }
                message = message(&mut self.sockets.frames, &mut room) => match message {
                    Ok(message) => self.machine.hear(self.began.elapsed(), &message),
                    Err(error) => {
                        // The interface is down or gone; the next reconciliation handles that.
                        tracing::debug!(device = self.identity.device, %error, "cannot listen to DHCP servers");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        Vec::new()
                    }
                },
                packet = hear(&mut self.sockets.arp, &mut small) => match (packet, self.machine.probed()) {
                    (Ok(packet), Some(address)) => match packet.claims(address, self.identity.mac) {
                        Some(other) => self.machine.conflict(self.began.elapsed(), address, other),
                        None => Vec::new(),
                    },
                    // The packet arrived before the filter changed.
                    (Ok(_), None) => Vec::new(),
                    (Err(error), _) => {
                        tracing::debug!(device = self.identity.device, %error, "cannot receive answers to probes");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        Vec::new()
                    }
                },
                () = sleep_until(self.began + due) => self.machine.wake(self.began.elapsed()),
            };
            let was_probing = self.probing.is_some();
            for action in actions {
                self.act(action).await;
            }
            if was_probing && self.machine.probed().is_none() {
                self.probing = None;
                if let Err(error) = self.sockets.arp.set_filter(&arp::deaf()) {
                    tracing::debug!(device = self.identity.device, %error, "cannot narrow the filter of a socket");
                }
            }
        }
    }

    async fn act(&mut self, action: Action) {
        let device = &self.identity.device;
        let sent = match action {
            Action::Broadcast(from, message) => {
                tracing::debug!(device, kind = ?message.kind, "to all DHCP servers");
                self.sockets.frames.send(self.identity.index, &frame::write(&message, from))
            }
            Action::Unicast(server, message) => {
                tracing::debug!(device, kind = ?message.kind, %server, "to a DHCP server");
                let to = SocketAddrV4::new(server, SERVER_PORT);
                self.sockets.datagrams.send_to(&message.encode(), to).await.map(|_| ())
            }
            Action::Probe(address) => {
                tracing::debug!(device, %address, "probing for the address");
                let sockets = &self.sockets.arp;
                let ready = match self.probing.replace(address) == Some(address) {
                    true => Ok(()),
                    false => sockets.set_filter(&arp::filter(address)),
                };
                let probe = Arp::probe(self.identity.mac, address).frame();
                ready.and_then(|()| sockets.send(self.identity.index, &probe))
            }
            Action::Taken(address, other) => {
                tracing::warn!(device, %address, mac = %other, "a DHCP server gave an address that another station has");
                self.telling.is_taken((address, other));
                Ok(())
            }
            Action::Have(lease, given) => {
                tracing::info!(device, address = %lease.address, server = %lease.server, seconds = lease.seconds,
                    "a DHCP server gave an address");
                self.telling.have(lease, self.began + given);
                Ok(())
            }
            Action::Lose => {
                tracing::warn!(device, "lost the address from a DHCP server");
                self.telling.nothing();
                Ok(())
            }
        };
        // The state machine repeats it.
        if let Err(error) = sent {
            tracing::debug!(device, %error, "cannot send to DHCP servers");
        }
    }
}
