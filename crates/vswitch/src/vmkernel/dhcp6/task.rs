//! A client with a socket and a clock: one task per adapter.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::{MulticastGroup, new_multicast_connection};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::super::client::{self, LONGEST_SLEEP, Telling};
use super::super::netlink;
use super::super::view::Address;
use super::client::{Action, Lease, Machine};
use super::message::Message;
use crate::Mac;
use crate::declare::StackName;
use crate::limits::DHCP6_MESSAGE;

const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
/// All servers and relays of the link (section 7.1).
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// The properties that identify a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub device: String,
    /// The device's number, which identifies the association.
    pub number: u32,
    pub index: u32,
    pub mac: Mac,
    pub stack: StackName,
    pub port_group: u32,
    /// Its settled link-local address.
    pub local: Ipv6Addr,
}

impl super::super::client::Identity for Identity {
    fn device(&self) -> &str {
        &self.device
    }

    fn stack(&self) -> &StackName {
        &self.stack
    }
}

/// A running client; it reports an offered address that another station has.
pub(crate) type Client = client::Client<Identity, Lease, Ipv6Addr>;

/// Starts a client in the namespace of the adapter; the runtime that the thread has entered drives it. `found` is an
/// address of the interface, with its remaining seconds. `changed` is notified of every change.
pub(crate) fn start(
    identity: Identity,
    found: Option<(Ipv6Addr, u32)>,
    changed: Arc<Notify>,
) -> io::Result<Client> {
    let socket = open(&identity)?;
    let (connection, _, messages) = new_multicast_connection(&[MulticastGroup::Ipv6Ifaddr])?;
    tokio::spawn(connection);
    let addresses = messages.map(|(message, _)| message).boxed();
    let left = found.map(|(address, seconds)| (address, Duration::from_secs(seconds.into())));
    let seed = client::seed(&identity.device);
    let machine = Machine::new(identity.mac, identity.number, left, seed, Duration::ZERO);
    let (began, own) = (Instant::now(), identity.clone());
    let run = |telling, stopped| {
        Running { socket, addresses, machine, unsettled: None, began, identity: own, telling }.run(stopped)
    };
    Ok(Client::start(identity, found.is_some(), changed, run))
}

fn open(identity: &Identity) -> io::Result<UdpSocket> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd = socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, None)?;
    sockopt::set_ipv6_v6only(&socket, true)?;
    bind(&socket, &SocketAddrV6::new(identity.local, CLIENT_PORT, 0, identity.index))?;
    let socket = UdpSocket::from_std(socket.into())?;
    socket.bind_device(Some(identity.device.as_bytes()))?;
    Ok(socket)
}

/// The next message of a server. A message longer than the buffer is cut, and then ignored.
async fn message(socket: &UdpSocket, room: &mut [u8]) -> io::Result<Message> {
    loop {
        let length = socket.recv(room).await?;
        if let Some(message) = Message::decode(&room[..length]) {
            return Ok(message);
        }
    }
}

type Addresses = BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>;

/// The next IPv6 address of an interface for which the kernel's duplicate address detection is over, with either
/// result. (An address with a lifetime is removed at once if it is a duplicate.) Waits for ever if the socket is
/// closed.
async fn settled(addresses: &mut Addresses, index: u32) -> Address {
    while let Some(message) = addresses.next().await {
        let (found, is_there) = match &message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(found)) => (found, true),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(found)) => (found, false),
            _ => continue,
        };
        let found = netlink::address(found).filter(|found| found.index == index);
        if let Some(found) = found.filter(|found| found.duplicate || found.settled && is_there) {
            return found;
        }
    }
    std::future::pending().await
}

struct Running {
    socket: UdpSocket,
    addresses: Addresses,
    machine: Machine,
    /// The address that was given, until the kernel has settled it.
    unsettled: Option<Ipv6Addr>,
    began: Instant,
    identity: Identity,
    telling: Telling<Lease, Ipv6Addr>,
}

impl Running {
    async fn run(mut self, mut stopped: oneshot::Receiver<bool>) {
        let mut room = vec![0; DHCP6_MESSAGE];
        loop {
            let due = self.machine.due().min(self.began.elapsed() + LONGEST_SLEEP);
            let actions = tokio::select! {
                stop = &mut stopped => {
                    if stop == Ok(true) {
                        self.release(&mut room).await;
                    }
                    return;
                }
                message = message(&self.socket, &mut room) => match message {
                    Ok(message) => self.machine.hear(self.began.elapsed(), &message),
                    Err(error) => {
                        // The interface is down or gone; the next reconciliation handles that.
                        tracing::debug!(device = self.identity.device, %error, "cannot listen to DHCPv6 servers");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        Vec::new()
                    }
                },
                found = settled(&mut self.addresses, self.identity.index) => match found {
                    Address { address: IpAddr::V6(address), duplicate: true, .. } => {
                        self.machine.conflict(self.began.elapsed(), address)
                    }
                    // Other addresses settle too, and do so again with every router advertisement.
                    Address { address: IpAddr::V6(address), .. } if self.unsettled == Some(address) => {
                        self.unsettled = None;
                        self.telling.changed();
                        Vec::new()
                    }
                    _ => Vec::new(),
                },
                () = sleep_until(self.began + due) => self.machine.wake(self.began.elapsed()),
            };
            for action in actions {
                self.act(action).await;
            }
        }
    }

    /// Tells the server, and waits until it answers. The caller does not wait long enough for a repetition; an
    /// unreleased lease ends by itself.
    async fn release(&mut self, room: &mut [u8]) {
        let Some(release) = self.machine.release(self.began.elapsed()) else { return };
        self.send(&release).await;
        while let Ok(message) = message(&self.socket, room).await {
            if self.machine.is_answer(&message) {
                return;
            }
        }
    }

    async fn act(&mut self, action: Action) {
        let device = &self.identity.device;
        match action {
            Action::Send(message) => self.send(&message).await,
            Action::Taken(address) => {
                tracing::warn!(device, %address, "a DHCPv6 server gave an address that another station has");
                self.telling.is_taken(address);
            }
            Action::Have(lease, given) => {
                tracing::info!(device, address = %lease.address, seconds = lease.seconds,
                    "a DHCPv6 server gave an address");
                self.unsettled = Some(lease.address);
                self.telling.have(lease, self.began + given);
            }
            Action::Lose => {
                tracing::warn!(device, "lost the address from a DHCPv6 server");
                self.telling.nothing();
            }
        }
    }

    /// Sends a message; the state machine repeats failed ones.
    async fn send(&mut self, message: &Message) {
        let device = &self.identity.device;
        tracing::debug!(device, kind = ?message.kind, "to all DHCPv6 servers");
        let to = SocketAddrV6::new(SERVERS, SERVER_PORT, 0, self.identity.index);
        if let Err(error) = self.socket.send_to(&message.encode(), to).await {
            tracing::debug!(device, %error, "cannot send to DHCPv6 servers");
        }
    }
}
