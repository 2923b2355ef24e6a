//! The next hop of a TCP/IP stack towards an address: interface, source address and MAC.

use std::net::Ipv4Addr;

use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::{Refusal, Routing, dump};
use crate::Mac;

/// The first step towards an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hop {
    /// The outgoing interface.
    pub index: u32,
    /// The source address.
    pub source: Ipv4Addr,
    /// MAC of the destination, or of the router towards it; `None` while the stack asks for it.
    pub mac: Option<Mac>,
}

impl Routing {
    /// The present way to an address; makes the stack ask for the MAC if that is unknown or old. `None` without a
    /// route.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub(crate) async fn hop(&self, to: Ipv4Addr) -> Result<Option<Hop>, Refusal> {
        let asked = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, 32).build();
        // The kernel reports a missing route as an error, too; either way no way exists.
        let Ok(routes) = dump(self.handle.route().get(asked).execute()).await else { return Ok(None) };
        let Some((index, source, next)) = routes.first().and_then(|route| first_step(route, to)) else {
            return Ok(None);
        };
        let neighbours = dump(self.handle.neighbours().get().execute()).await?;
        let mac = neighbours.iter().find_map(|neighbour| mac(neighbour, index, next));
        self.use_neighbour(index, next).await?;
        Ok(Some(Hop { index, source, mac }))
    }

    /// Makes the stack do what it does before it sends to a neighbour: ask for its MAC, or verify it.
    async fn use_neighbour(&self, index: u32, address: Ipv4Addr) -> Result<(), Refusal> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = index;
        message.header.state = NeighbourState::None;
        message.header.flags = NeighbourFlags::Use;
        message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(address)));
        self.request(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE).await
    }
}

/// Interface, source address, and next address; `None` for a local destination.
fn first_step(route: &RouteMessage, to: Ipv4Addr) -> Option<(u32, Ipv4Addr, Ipv4Addr)> {
    if route.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut index, mut source, mut next) = (None, None, to);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(number) => index = Some(*number),
            RouteAttribute::PrefSource(RouteAddress::Inet(address)) => source = Some(*address),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => next = *address,
            _ => {}
        }
    }
    Some((index?, source?, next))
}

fn mac(neighbour: &NeighbourMessage, index: u32, address: Ipv4Addr) -> Option<Mac> {
    use NeighbourState as S;
    let known =
        matches!(neighbour.header.state, S::Reachable | S::Stale | S::Delay | S::Probe | S::Permanent);
    if neighbour.header.ifindex != index || !known {
        return None;
    }
    let (mut is_it, mut mac) = (false, None);
    for attribute in &neighbour.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(found)) => is_it = *found == address,
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok().map(Mac),
            _ => {}
        }
    }
    mac.filter(|_| is_it)
}
