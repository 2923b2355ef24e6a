//! Network interfaces of the calling thread's namespace: listing them, following their changes, and the settings that
//! ports need.

mod ethtool;
mod pair;
mod queue;
mod quiet;

pub use ethtool::{permanent_mac, speed};
pub use pair::{Pair, leave_nothing};
pub use quiet::{is_silent, restore, silence};

use std::fmt::Display;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::proto::Connection;
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, MulticastGroup, new_multicast_connection};
use tokio::time::timeout;

use crate::limits::{NETLINK, NETLINK_TRIES};
use crate::plan::{Link, Links};
use crate::{Error, Result};

/// An open netlink socket.
#[derive(Clone)]
pub struct Netlink {
    handle: Handle,
}

/// A change of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It exists, in this state.
    Is(String, Link),
    /// It was removed.
    Gone(String),
    /// The socket overflowed: anything may have happened.
    Lost,
}

/// Changes of interfaces as they happen.
pub struct Events {
    messages: BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
}

fn failed(interface: &str, what: &'static str) -> impl FnOnce(&dyn Display) -> Error {
    let interface = interface.to_owned();
    move |reason| Error::Link { interface, what, reason: reason.to_string() }
}

fn unlisted(reason: &dyn Display) -> Error {
    Error::Links { reason: reason.to_string() }
}

/// Repeats a failing request a limited number of times.
async fn again<T>(mut ask: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    for _ in 1..NETLINK_TRIES {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => tracing::warn!(%error, "asking the kernel again"),
        }
    }
    ask().await
}

impl Netlink {
    /// Opens a socket in the thread's network namespace; the current runtime drives it.
    ///
    /// # Errors
    /// `Socket`.
    pub fn open() -> Result<(Self, Events)> {
        let opened = new_multicast_connection(&[MulticastGroup::Link]);
        let (connection, handle, messages): (Connection<RouteNetlinkMessage>, _, _) =
            opened.map_err(|source| Error::Socket { kind: "netlink", source })?;
        tokio::spawn(connection);
        Ok((Self { handle }, Events { messages: messages.map(|(message, _)| message).boxed() }))
    }

    /// All interfaces.
    ///
    /// # Errors
    /// `Links`.
    pub async fn all(&self) -> Result<Links> {
        let found = timeout(NETLINK, self.handle.link().get().execute().try_collect::<Vec<_>>()).await;
        let found = found.map_err(|late| unlisted(&late))?.map_err(|error| unlisted(&error))?;
        Ok(found.iter().filter_map(read).collect())
    }

    /// As [`Self::all`], for a starting engine: repeats the request if the kernel does not answer in time.
    ///
    /// # Errors
    /// `Links`.
    pub async fn all_at_start(&self) -> Result<Links> {
        again(async || self.all().await).await
    }

    /// Makes an interface ready to be a port: up, with this MTU, and promiscuous if it is an uplink.
    ///
    /// # Errors
    /// `Link`.
    pub async fn prepare(&self, name: &str, index: u32, mtu: u32, promiscuous: bool) -> Result<()> {
        let message = LinkUnspec::new_with_index(index).up().mtu(mtu);
        let message = if promiscuous { message.promiscuous(true) } else { message };
        self.set(name, "set it up with its MTU", message).await
    }

    /// Ends the promiscuous mode of a former uplink.
    ///
    /// # Errors
    /// `Link`.
    pub async fn release(&self, name: &str, index: u32) -> Result<()> {
        self.set(name, "end promiscuous mode", LinkUnspec::new_with_index(index).promiscuous(false)).await
    }

    /// The MTU of an interface, in bytes.
    ///
    /// # Errors
    /// `Link`.
    pub async fn mtu(&self, name: &str, index: u32) -> Result<u32> {
        let mut found = self.handle.link().get().match_index(index).execute();
        let found = timeout(NETLINK, found.try_next()).await;
        let found = found.map_err(|late| failed(name, "read its MTU")(&late))?;
        let found = found.map_err(|error| failed(name, "read its MTU")(&error))?;
        let mtu = found.iter().flat_map(|link| &link.attributes).find_map(|attribute| match attribute {
            LinkAttribute::Mtu(mtu) => Some(*mtu),
            _ => None,
        });
        mtu.ok_or_else(|| failed(name, "read its MTU")(&"the kernel does not report it"))
    }

    /// Gives an interface another MTU.
    ///
    /// # Errors
    /// `Link`.
    pub async fn set_mtu(&self, name: &str, index: u32, mtu: u32) -> Result<()> {
        self.set(name, "set its MTU", LinkUnspec::new_with_index(index).mtu(mtu)).await
    }

    async fn set(
        &self,
        name: &str,
        what: &'static str,
        message: LinkMessageBuilder<LinkUnspec>,
    ) -> Result<()> {
        self.answer(name, what, self.handle.link().set(message.build()).execute()).await
    }

    /// Waits for the kernel's answer.
    async fn answer(
        &self,
        name: &str,
        what: &'static str,
        request: impl Future<Output = Result<(), rtnetlink::Error>>,
    ) -> Result<()> {
        let answer = timeout(NETLINK, request).await;
        answer.map_err(|late| failed(name, what)(&late))?.map_err(|error| failed(name, what)(&error))
    }
}

impl Events {
    /// The next change; `None` when the socket is closed.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let message = self.messages.next().await?;
            match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                    if let Some((name, link)) = read(&link) {
                        return Some(Event::Is(name, link));
                    }
                }
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
                    if let Some((name, _)) = read(&link) {
                        return Some(Event::Gone(name));
                    }
                }
                NetlinkPayload::Overrun(_) => return Some(Event::Lost),
                _ => {}
            }
        }
    }
}

/// Name, number and state.
fn read(message: &LinkMessage) -> Option<(String, Link)> {
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let running = message.header.flags.contains(LinkFlags::Up | LinkFlags::Running);
    Some((name, Link { index: message.header.index, running }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_core::NetlinkHeader;

    #[tokio::test]
    async fn lost_events_are_reported() {
        let message = |payload| NetlinkMessage::new(NetlinkHeader::default(), payload);
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName("up0".into()));
        let messages = [
            NetlinkPayload::Noop,
            NetlinkPayload::Overrun(vec![]),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)),
        ];
        let messages = futures_util::stream::iter(messages.map(message)).boxed();
        let seen: Vec<Event> = futures_util::stream::unfold(Events { messages }, async |mut events| {
            events.next().await.map(|event| (event, events))
        })
        .collect()
        .await;
        assert_eq!(seen, [Event::Lost, Event::Gone("up0".into())]);
    }

    #[tokio::test]
    async fn a_kernel_that_answers_late_is_asked_again_but_not_for_ever() {
        for (late, asked, is_answered) in [(0, 1, true), (3, 4, true), (NETLINK_TRIES, NETLINK_TRIES, false)]
        {
            let mut count = 0;
            let answer = again(async || {
                count += 1;
                if count > late { Ok(count) } else { Err(unlisted(&"too late")) }
            });
            assert_eq!(answer.await.is_ok(), is_answered);
            assert_eq!(count, asked);
        }
    }
}
