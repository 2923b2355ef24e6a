//! Reading and changing a network namespace over one netlink socket in it.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use futures_util::{Stream, StreamExt, TryStreamExt};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo,
};
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, IpVersion, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use tokio::time::timeout;

use super::view::{Address, Interface, Lifetime, Origin, Route, Rule, View};
use crate::Mac;
use crate::limits::NETLINK;

/// The protocol number of Esfera's routes and rules (`rtm_protocol`; 0-4 are the kernel's, below 200 are routing
/// daemons').
const OURS: u8 = 229;
/// The lifetime that the kernel reports for a permanent address.
const FOREVER: u32 = u32::MAX;

/// The kernel's reason, in words.
pub(crate) type Refusal = String;

/// A netlink socket, and the namespace that it was opened in.
#[derive(Clone)]
pub(crate) struct Routing {
    pub(super) handle: Handle,
}

impl Routing {
    /// In the namespace of the calling thread; the runtime that the thread has entered drives it.
    pub(crate) fn open() -> std::io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Everything, or only the interfaces.
    pub(crate) async fn read(&self, all: bool) -> Result<View, Refusal> {
        let links = dump(self.handle.link().get().execute()).await?;
        let mut view = View { links: links.iter().filter_map(interface).collect(), ..View::default() };
        if all {
            let addresses = dump(self.handle.address().get().execute()).await?;
            view.addresses = addresses.iter().filter_map(address).collect();
            for family in [AddressFamily::Inet, AddressFamily::Inet6] {
                let mut asked = RouteMessage::default();
                asked.header.address_family = family;
                let routes = dump(self.handle.route().get(asked).execute()).await?;
                view.routes.extend(routes.iter().filter_map(route));
            }
            for version in [IpVersion::V4, IpVersion::V6] {
                let rules = dump(self.handle.rule().get(version).execute()).await?;
                view.rules.extend(rules.iter().filter_map(rule));
            }
        }
        Ok(view)
    }

    /// Makes a veth pair: `port` here, and `device` in this namespace or another.
    pub(crate) async fn add_pair(
        &self,
        port: &str,
        device: &str,
        (mac, mtu): (Mac, u32),
        namespace: Option<BorrowedFd<'_>>,
    ) -> Result<(), Refusal> {
        let mut peer = LinkMessageBuilder::<LinkUnspec>::new().name(device).address(mac.0.to_vec()).mtu(mtu);
        if let Some(namespace) = namespace {
            peer = peer.setns_by_fd(namespace.as_raw_fd());
        }
        let pair = LinkMessageBuilder::<LinkVeth>::new(port, device)
            .mtu(mtu)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())));
        done(self.handle.link().add(pair.build()).execute()).await
    }

    pub(crate) async fn remove_link(&self, index: u32) -> Result<(), Refusal> {
        done(self.handle.link().del(index).execute()).await
    }

    pub(crate) async fn set_alias(&self, index: u32, alias: &str) -> Result<(), Refusal> {
        self.set(LinkUnspec::new_with_index(index).alias(alias)).await
    }

    pub(crate) async fn set_up(&self, index: u32) -> Result<(), Refusal> {
        self.set(LinkUnspec::new_with_index(index).up()).await
    }

    pub(crate) async fn set_mac(&self, index: u32, mac: Mac) -> Result<(), Refusal> {
        self.set(LinkUnspec::new_with_index(index).address(mac.0.to_vec())).await
    }

    pub(crate) async fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), Refusal> {
        self.set(LinkUnspec::new_with_index(index).mtu(mtu)).await
    }

    async fn set(&self, message: LinkMessageBuilder<LinkUnspec>) -> Result<(), Refusal> {
        done(self.handle.link().set(message.build()).execute()).await
    }

    /// Adds an address, or changes its lifetime.
    pub(crate) async fn add_address(
        &self,
        index: u32,
        (address, prefix): (IpAddr, u8),
        lifetime: Option<Lifetime>,
    ) -> Result<(), Refusal> {
        let mut request = self.handle.address().add(index, address, prefix).replace();
        if let Some(lifetime) = lifetime {
            let mut cache = CacheInfo::default();
            (cache.ifa_valid, cache.ifa_preferred) = (lifetime.valid, lifetime.preferred);
            request.message_mut().attributes.push(AddressAttribute::CacheInfo(cache));
        }
        done(request.execute()).await
    }

    pub(crate) async fn remove_address(&self, index: u32, address: (IpAddr, u8)) -> Result<(), Refusal> {
        // The message that would add the address identifies it.
        let mut request = self.handle.address().add(index, address.0, address.1);
        let message = request.message_mut().clone();
        removed(self.handle.address().del(message).execute()).await
    }

    /// Adds a route before others to the same destination, which stay.
    pub(crate) async fn add_route(&self, route: &Route) -> Result<(), Refusal> {
        let request = RouteNetlinkMessage::NewRoute(route_message(route)?);
        self.request(request, NLM_F_CREATE).await
    }

    pub(crate) async fn remove_route(&self, route: &Route) -> Result<(), Refusal> {
        removed(self.handle.route().del(route_message(route)?).execute()).await
    }

    pub(crate) async fn add_rule(&self, rule: &Rule) -> Result<(), Refusal> {
        self.request(RouteNetlinkMessage::NewRule(rule_message(rule)), NLM_F_CREATE | NLM_F_EXCL).await
    }

    pub(crate) async fn remove_rule(&self, rule: &Rule) -> Result<(), Refusal> {
        removed(self.handle.rule().del(rule_message(rule)).execute()).await
    }

    pub(super) async fn request(&self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Refusal> {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut handle = self.handle.clone();
        done(async move {
            let mut answers = handle.request(message)?;
            while let Some(answer) = answers.next().await {
                if let NetlinkPayload::Error(error) = answer.payload
                    && error.code.is_some()
                {
                    return Err(rtnetlink::Error::NetlinkError(error));
                }
            }
            Ok(())
        })
        .await
    }
}

pub(super) async fn dump<T>(
    stream: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, Refusal> {
    match timeout(NETLINK, stream.try_collect()).await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(late) => Err(late.to_string()),
    }
}

async fn done(request: impl Future<Output = Result<(), rtnetlink::Error>>) -> Result<(), Refusal> {
    finish(request, &[]).await
}

/// A removal succeeds if the object is already gone: an address goes with its interface, a route with its address.
async fn removed(request: impl Future<Output = Result<(), rtnetlink::Error>>) -> Result<(), Refusal> {
    finish(request, &[libc::ESRCH, libc::ENODEV, libc::EADDRNOTAVAIL, libc::ENOENT]).await
}

async fn finish(
    request: impl Future<Output = Result<(), rtnetlink::Error>>,
    fine: &[i32],
) -> Result<(), Refusal> {
    match timeout(NETLINK, request).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(rtnetlink::Error::NetlinkError(error))) => {
            let error = error.to_io();
            if error.raw_os_error().is_some_and(|code| fine.contains(&code)) {
                Ok(())
            } else {
                Err(error.to_string())
            }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(late) => Err(late.to_string()),
    }
}

fn interface(message: &LinkMessage) -> Option<(String, Interface)> {
    let mut found = Interface { index: message.header.index, ..Interface::default() };
    let (mut name, mut link, mut is_veth) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Address(bytes) => found.mac = bytes.as_slice().try_into().ok().map(Mac),
            LinkAttribute::Mtu(mtu) => found.mtu = *mtu,
            LinkAttribute::IfAlias(alias) => found.alias = Some(alias.clone()),
            LinkAttribute::Link(index) => link = Some(*index),
            LinkAttribute::LinkInfo(infos) => {
                is_veth = infos.contains(&LinkInfo::Kind(InfoKind::Veth));
            }
            _ => {}
        }
    }
    found.up = message.header.flags.contains(LinkFlags::Up);
    found.running = message.header.flags.contains(LinkFlags::Up | LinkFlags::Running);
    found.veth_peer = link.filter(|_| is_veth);
    Some((name?, found))
}

pub(super) fn address(message: &AddressMessage) -> Option<Address> {
    let (mut local, mut any, mut lifetime) = (None, None, Lifetime::whole(FOREVER));
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point link, `Address` is the other end's.
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => any = Some(*address),
            AddressAttribute::CacheInfo(cache) => {
                lifetime = Lifetime { valid: cache.ifa_valid, preferred: cache.ifa_preferred };
            }
            AddressAttribute::Flags(more) => flags = *more,
            _ => {}
        }
    }
    Some(Address {
        index: message.header.index,
        address: local.or(any)?,
        prefix: message.header.prefix_len,
        lifetime: (lifetime.valid != FOREVER).then_some(lifetime),
        link_local: message.header.scope != AddressScope::Universe
            && local.or(any).is_some_and(|address| address.is_ipv6()),
        settled: !flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed),
        duplicate: flags.contains(AddressFlags::Dadfailed),
    })
}

fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let unspecified = match header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let mut found = Route {
        destination: unspecified,
        prefix: header.destination_prefix_length,
        gateway: None,
        index: 0,
        table: header.table.into(),
        metric: 0,
        origin: match header.protocol {
            RouteProtocol::Kernel | RouteProtocol::Ra | RouteProtocol::IcmpRedirect => Origin::Kernel,
            protocol if u8::from(protocol) == OURS => Origin::Ours,
            _ => Origin::Other,
        },
    };
    if header.kind != RouteType::Unicast {
        return None;
    }
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => found.destination = ip(address)?,
            RouteAttribute::Gateway(address) => found.gateway = Some(ip(address)?),
            RouteAttribute::Oif(index) => found.index = *index,
            RouteAttribute::Table(table) => found.table = *table,
            RouteAttribute::Priority(metric) => found.metric = *metric,
            _ => {}
        }
    }
    (found.index != 0).then_some(found)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

fn route_message(route: &Route) -> Result<RouteMessage, Refusal> {
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.destination, route.prefix)
        .map_err(|error| error.to_string())?
        .output_interface(route.index)
        .table_id(route.table);
    if route.metric != 0 {
        builder = builder.priority(route.metric);
    }
    match route.gateway {
        Some(gateway) => builder = builder.gateway(gateway).map_err(|error| error.to_string())?,
        None if route.destination.is_ipv4() => builder = builder.scope(RouteScope::Link),
        None => {}
    }
    builder = match route.origin {
        Origin::Ours => builder.protocol(RouteProtocol::from(OURS)),
        // Routes of other programs are only ever removed, and then their origin does not matter.
        _ => builder.protocol(RouteProtocol::Unspec),
    };
    if route.origin != Origin::Ours {
        builder = builder.scope(RouteScope::NoWhere);
    }
    Ok(builder.build())
}

fn rule(message: &RuleMessage) -> Option<Rule> {
    let (mut source, mut table, mut priority, mut ours) = (None, u32::from(message.header.table), 0, false);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Source(address) => source = Some(*address),
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Priority(number) => priority = *number,
            RuleAttribute::Protocol(protocol) => ours = u8::from(*protocol) == OURS,
            _ => {}
        }
    }
    Some(Rule { source: source.filter(|_| ours)?, table, priority })
}

fn rule_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    (message.header.family, message.header.src_len) = match rule.source {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![
        RuleAttribute::Source(rule.source),
        RuleAttribute::Table(rule.table),
        RuleAttribute::Priority(rule.priority),
        RuleAttribute::Protocol(RouteProtocol::from(OURS)),
    ];
    message
}
