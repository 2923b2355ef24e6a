//! VMkernel adapters: the host's own interfaces on the switch.
//!
//! An adapter is a veth pair. One end, `vmk0-port` in the host's network namespace, is an ordinary port of the switch; the other,
//! `vmk0`, is in the namespace of its TCP/IP stack and has the MAC, the addresses and the routes. The default stack is the
//! host's own namespace, the others are namespaces of ours.
//!
//! Like the rest of the switch it reconciles: [`pairs`] and [`plan`] say what differs, [`Adapters`] carries it out. What works
//! is not touched, so neither a daemon's restart nor a neighbour's change costs an adapter a packet.

mod names;
mod namespace;
mod netlink;
mod pairs;
mod plan;
mod settings;
mod source;
mod stacks;
mod state;
mod takeover;
mod view;
mod wanted;

pub use names::port_interface;
pub use source::Source;
pub use state::{AdapterState, StackState};
pub use takeover::{Takeover, takeover};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use self::names::{Prefix, device_number};
use self::netlink::{Refusal, Routing};
use self::plan::Step;
use self::stacks::Stacks;
use self::view::View;
use self::wanted::{Given, wanted};
use crate::declare::{Adapter, Declaration, Ipv4Config, Port, Stack, StackName};
use crate::limits::{ADAPTERS, ADDRESSES, MAX_MTU, MIN_MTU, ROUTES, STACKS};
use crate::{Error, Result};

/// The adapters of a host.
pub(crate) struct Adapters {
    prefix: Prefix,
    stacks: Stacks,
    adapters: Vec<Adapter>,
    declared: Vec<Stack>,
    /// What was last read of each stack.
    views: BTreeMap<StackName, View>,
    /// What is found to be wrong, and what was when everything was looked at last.
    found: Trouble,
    trouble: Trouble,
}

/// What is wrong.
#[derive(Default)]
struct Trouble {
    /// By device.
    adapters: BTreeMap<String, String>,
    stacks: BTreeMap<StackName, String>,
}

/// A declaration in which each adapter's end at the switch is a port.
pub(crate) fn with_ports(mut declared: Declaration) -> Declaration {
    let ports = declared.adapters.iter().map(|adapter| Port {
        interface: port_interface(&adapter.device),
        port_group: adapter.port_group,
        mac: adapter.mac,
        guest_mac: None,
        blocked: false,
    });
    declared.ports.extend(ports);
    declared
}

/// Whether an interface is an end of an adapter, by its name.
pub(crate) fn is_end(interface: &str) -> bool {
    device_number(interface.strip_suffix("-port").unwrap_or(interface)).is_some()
}

/// Whether adapters and stacks can be as they are declared.
pub(crate) fn check(declared: &Declaration) -> Result<()> {
    let most = |what, asked, most| {
        if asked > most { Err(Error::Limit { what, asked, most }) } else { Ok(()) }
    };
    most("VMkernel adapters of a host", declared.adapters.len(), ADAPTERS)?;
    most("TCP/IP stacks of a host", declared.stacks.len(), STACKS)?;
    for stack in &declared.stacks {
        most("routes of a TCP/IP stack", stack.routes.len(), ROUTES)?;
    }
    let mut devices = BTreeSet::new();
    for adapter in &declared.adapters {
        most(
            "IPv6 addresses of an adapter",
            adapter.ipv6.as_ref().map_or(0, |ipv6| ipv6.addresses.len()),
            ADDRESSES,
        )?;
        let wrong =
            wrong(adapter).or((!devices.insert(&adapter.device)).then_some("there are two of that name"));
        if let Some(reason) = wrong {
            return Err(Error::Adapter { device: adapter.device.clone(), reason: reason.into() });
        }
    }
    Ok(())
}

fn wrong(adapter: &Adapter) -> Option<&'static str> {
    let bad_ipv6 = |(address, prefix): &(std::net::Ipv6Addr, u8)| *prefix > 128 || address.is_multicast();
    let bad_ipv4 = match adapter.ipv4 {
        Ipv4Config::Static { address, prefix } => {
            prefix > 32 || address.is_multicast() || address.is_broadcast() || address.is_unspecified()
        }
        _ => false,
    };
    [
        (device_number(&adapter.device).is_none(), "a device is named `vmk` and a number from 0 to 255"),
        (adapter.mac.is_group() || adapter.mac == crate::Mac::ZERO, "its MAC is that of a group, or none"),
        (!(MIN_MTU..=MAX_MTU).contains(&adapter.mtu), "its MTU is not between 1280 and 9000"),
        (bad_ipv4, "its IPv4 address is none that an interface can have"),
        (
            adapter.ipv6.iter().flat_map(|ipv6| &ipv6.addresses).any(bad_ipv6),
            "an IPv6 address is none of an interface",
        ),
    ]
    .into_iter()
    .find_map(|(is_wrong, reason)| is_wrong.then_some(reason))
}

impl Adapters {
    /// In the host's network namespace, which the calling thread is in; `namespace` is its file, if it has one.
    pub(crate) fn open(prefix: &str, namespace: Option<PathBuf>) -> Result<Self> {
        let refused = |reason: String| Error::Namespace { name: prefix.into(), reason };
        let words = "a host's prefix is up to 64 letters, digits, `-`, `_` and `.`";
        let prefix = Prefix::new(prefix).ok_or_else(|| refused(words.into()))?;
        let stacks = Stacks::open(prefix.clone(), namespace).map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            prefix,
            stacks,
            adapters: Vec::new(),
            declared: Vec::new(),
            views: BTreeMap::new(),
            found: Trouble::default(),
            trouble: Trouble::default(),
        })
    }

    /// Takes over what is declared.
    pub(crate) fn declare(&mut self, declared: &Declaration) {
        self.adapters.clone_from(&declared.adapters);
        self.declared.clone_from(&declared.stacks);
        self.stacks.look_for_strays();
    }

    /// Makes the pairs of adapters, and removes those that are not declared any more.
    pub(crate) async fn connect(&mut self) {
        self.found = Trouble::default();
        let used: BTreeSet<StackName> = self.adapters.iter().map(|adapter| adapter.stack.clone()).collect();
        self.found.stacks.extend(self.stacks.ensure(&used).await);
        let views = self.read(false).await;
        if let Some(host) = views.get(&StackName::default()) {
            for step in pairs::plan(&self.prefix, &self.adapters, host, &views) {
                self.apply_pair(step).await;
            }
        }
        let declared = self.declared.iter().map(|stack| stack.name.clone());
        self.found
            .stacks
            .extend(self.stacks.remove_all_but(&used.into_iter().chain(declared).collect()).await);
    }

    async fn read(&mut self, all: bool) -> BTreeMap<StackName, View> {
        let mut views = BTreeMap::new();
        for (name, routing) in self.stacks.all() {
            match routing.read(all).await {
                Ok(view) => _ = views.insert(name, view),
                Err(refusal) => _ = self.found.stacks.insert(name, format!("cannot be read: {refusal}")),
            }
        }
        views
    }

    async fn apply_pair(&mut self, step: pairs::Step) {
        let (device, result) = match step {
            pairs::Step::Remove(port, index) => {
                tracing::info!(port, "removing a VMkernel adapter");
                (port, self.stacks.host().remove_link(index).await)
            }
            pairs::Step::Make(at) => {
                let device = self.adapters[at].device.clone();
                tracing::info!(device, "making a VMkernel adapter");
                (device, self.make(&self.adapters[at]).await)
            }
            pairs::Step::Mark(at, index) => {
                let device = &self.adapters[at].device;
                (device.clone(), self.stacks.host().set_alias(index, &self.prefix.port_mark(device)).await)
            }
            pairs::Step::Up(at, index) => {
                (self.adapters[at].device.clone(), self.stacks.host().set_up(index).await)
            }
        };
        self.note(device, result);
    }

    async fn make(&self, adapter: &Adapter) -> Result<(), Refusal> {
        let (host, port) = (self.stacks.host(), port_interface(&adapter.device));
        let namespace = self.stacks.namespace(&adapter.stack);
        host.add_pair(&port, &adapter.device, (adapter.mac, adapter.mtu), namespace).await?;
        let view = host.read(false).await?;
        let made = view.links.get(&port).ok_or("it was made and is gone")?;
        host.set_alias(made.index, &self.prefix.port_mark(&adapter.device)).await?;
        host.set_up(made.index).await
    }

    /// Gives adapters their addresses and routes. `uplinks` are interfaces whose frames go to the switch: adapters have instead
    /// what they had.
    pub(crate) async fn configure(&mut self, uplinks: &[String]) {
        self.views = self.read(true).await;
        let names: Vec<StackName> = self.views.keys().cloned().collect();
        for name in names {
            let wanted = wanted(&name, &self.adapters, &self.declared, |_| Given::Unknown);
            let uplinks = if name.is_default() { uplinks } else { &[] };
            self.settings(&name, &wanted);
            let Some(view) = self.views.get(&name) else { continue };
            let plan = plan::plan(&wanted, view, uplinks);
            if let Some(problem) = plan.problems.into_iter().next() {
                self.found.stacks.entry(name.clone()).or_insert(problem);
            }
            if plan.steps.is_empty() {
                continue;
            }
            let Some(routing) = self.stacks.routing(&name) else { continue };
            for (device, step) in plan.steps {
                tracing::debug!(device, ?step, "configuring a VMkernel adapter");
                let result = apply(&routing, &step).await;
                self.note(device, result);
            }
            match routing.read(true).await {
                Ok(view) => _ = self.views.insert(name, view),
                Err(refusal) => _ = self.found.stacks.insert(name, format!("cannot be read: {refusal}")),
            }
        }
        self.trouble = std::mem::take(&mut self.found);
    }

    fn settings(&mut self, name: &StackName, wanted: &wanted::Wanted) {
        let Some(view) = self.views.get(name) else { return };
        let there = wanted.adapters.values().filter(|adapter| view.links.contains_key(&adapter.device));
        let there: Vec<_> =
            there.map(|adapter| (adapter.device.clone(), settings::of_adapter(adapter))).collect();
        let stack = self.declared.iter().find(|stack| stack.name == *name);
        let algorithm = stack.and_then(|stack| stack.congestion_control.as_deref());
        let algorithm = algorithm.map(|name| settings::congestion_control(name).to_owned());
        let body = move || {
            let of_stack =
                algorithm.map_or(Ok(()), |name| settings::set("ipv4/tcp_congestion_control", &name));
            let of_adapters: Vec<_> =
                there.into_iter().map(|(device, settings)| (device, settings::apply(&settings))).collect();
            (of_stack, of_adapters)
        };
        match self.stacks.run(name, body) {
            Ok((of_stack, of_adapters)) => {
                for (device, result) in of_adapters {
                    self.note(device, result);
                }
                if let Err(refusal) = of_stack {
                    self.found.stacks.entry(name.clone()).or_insert(refusal);
                }
            }
            Err(error) => _ = self.found.stacks.insert(name.clone(), error.to_string()),
        }
    }

    /// The first that went wrong is kept.
    fn note(&mut self, device: String, result: Result<(), Refusal>) {
        if let Err(refusal) = result {
            tracing::warn!(device, %refusal, "a VMkernel adapter is not as it was declared");
            self.found.adapters.entry(device).or_insert(refusal);
        }
    }

    /// What went wrong first.
    pub(crate) fn result(&self) -> Result<()> {
        if let Some((device, reason)) = self.trouble.adapters.iter().next() {
            return Err(Error::Adapter { device: device.clone(), reason: reason.clone() });
        }
        match self.trouble.stacks.iter().next() {
            Some((name, reason)) => Err(Error::Namespace { name: name.to_string(), reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// What is seen of adapters, by device.
    pub(crate) fn adapter_states(&self) -> BTreeMap<String, AdapterState> {
        let state = |adapter: &Adapter| {
            let view = self.views.get(&adapter.stack);
            let error = self.trouble.adapters.get(&adapter.device).cloned();
            let namespace = self.stacks.file(&adapter.stack);
            (adapter.device.clone(), AdapterState::seen(adapter, view, namespace, error))
        };
        self.adapters.iter().map(state).collect()
    }

    /// What is seen of stacks.
    pub(crate) fn stack_states(&self) -> BTreeMap<StackName, StackState> {
        let mut states: BTreeMap<StackName, StackState> = self
            .views
            .keys()
            .map(|name| (name.clone(), StackState { namespace: self.stacks.file(name), error: None }))
            .collect();
        for (name, error) in &self.trouble.stacks {
            states.entry(name.clone()).or_default().error = Some(error.clone());
        }
        states
    }
}

async fn apply(routing: &Routing, step: &Step) -> Result<(), Refusal> {
    match step {
        Step::Mac(index, mac) => routing.set_mac(*index, *mac).await,
        Step::Mtu(index, mtu) => routing.set_mtu(*index, *mtu).await,
        Step::Address(index, address, valid) => routing.add_address(*index, *address, *valid).await,
        Step::Up(index) => routing.set_up(*index).await,
        Step::Route(route) => routing.add_route(route).await,
        Step::Rule(rule) => routing.add_rule(rule).await,
        Step::NoRule(rule) => routing.remove_rule(rule).await,
        Step::NoRoute(route) => routing.remove_route(route).await,
        Step::NoAddress(index, address) => routing.remove_address(*index, *address).await,
    }
}
