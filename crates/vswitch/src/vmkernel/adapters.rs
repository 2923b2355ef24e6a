//! The adapters of a host: reading their state, planning, and applying the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use super::dhcp::Identity;
use super::guards::{Guarded, Guards};
use super::leases::{Leases, Need};
use super::leases6::Leases6;
use super::names::{Prefix, port_interface};
use super::netlink::{Refusal, Routing};
use super::plan::{self, Step};
use super::stacks::Stacks;
use super::view::View;
use super::wanted::{self, wanted};
use super::{AdapterState, StackState, pairs, settings};
use crate::declare::{Adapter, Declaration, Ipv4Config, Stack, StackName};
use crate::{Error, Result};

/// The adapters of a host.
pub(crate) struct Adapters {
    prefix: Prefix,
    stacks: Stacks,
    adapters: Vec<Adapter>,
    declared: Vec<Stack>,
    leases: Leases,
    leases6: Leases6,
    changed: Arc<Notify>,
    guards: Guards,
    /// The last read content of each stack.
    views: BTreeMap<StackName, View>,
    /// Errors found in the present pass, and those of the last complete one.
    found: Trouble,
    trouble: Trouble,
}

/// Errors by object.
#[derive(Default)]
struct Trouble {
    /// By device.
    adapters: BTreeMap<String, String>,
    stacks: BTreeMap<StackName, String>,
    /// Gateways that no address reaches. These are not refused: an administrator who gives an adapter an address in
    /// another network sets the gateway before or after that.
    unreachable: BTreeMap<StackName, String>,
}

impl Adapters {
    /// In the host's network namespace, which the calling thread has entered; `namespace` is its file, if it has one.
    pub(crate) fn open(prefix: &str, namespace: Option<PathBuf>) -> Result<Self> {
        let prefix = Prefix::new(prefix).ok_or_else(|| Error::Prefix { prefix: prefix.into() })?;
        let stacks = Stacks::open(prefix.clone(), namespace)
            .map_err(|source| Error::Socket { kind: "netlink", source })?;
        let changed = Arc::<Notify>::default();
        Ok(Self {
            guards: Guards::new(changed.clone()),
            leases: Leases::new(changed.clone()),
            leases6: Leases6::new(changed.clone()),
            changed,
            prefix,
            stacks,
            adapters: Vec::new(),
            declared: Vec::new(),
            views: BTreeMap::new(),
            found: Trouble::default(),
            trouble: Trouble::default(),
        })
    }

    /// Notified when a DHCP client has got or lost an address, so that everything must be configured again.
    pub(crate) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// Sets the declared adapters and stacks.
    pub(crate) fn declare(&mut self, declared: &Declaration) {
        self.adapters.clone_from(&declared.adapters);
        self.declared.clone_from(&declared.stacks);
        self.stacks.look_for_strays();
    }

    /// Makes the pairs of adapters, and removes those that are not declared any more. True if interfaces changed.
    pub(crate) async fn connect(&mut self) -> bool {
        let mut has_changed = false;
        self.found = Trouble::default();
        self.leases.end_unneeded(&self.adapters).await;
        self.leases6.end_unneeded(&self.stacks, &self.adapters).await;
        let used: BTreeSet<StackName> = self.adapters.iter().map(|adapter| adapter.stack.clone()).collect();
        self.found.stacks.extend(self.stacks.ensure(&used).await);
        let views = self.read(false).await;
        if let Some(host) = views.get(&StackName::default()) {
            for step in pairs::plan(&self.prefix, &self.adapters, host, &views) {
                has_changed = true;
                self.apply_pair(step).await;
            }
        }
        let declared = self.declared.iter().map(|stack| stack.name.clone());
        self.found
            .stacks
            .extend(self.stacks.remove_all_but(&used.into_iter().chain(declared).collect()).await);
        has_changed
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
        let made = view.links.get(&port).ok_or("the new interface has disappeared")?;
        host.set_alias(made.index, &self.prefix.port_mark(&adapter.device)).await?;
        host.set_up(made.index).await
    }

    /// Gives adapters their addresses and routes, and takes those of `uplinks`, whose frames now go to the switch.
    pub(crate) async fn configure(&mut self, uplinks: &[String]) {
        self.views = self.read(true).await;
        let names: Vec<StackName> = self.views.keys().cloned().collect();
        for name in names {
            let (given, given6) =
                (|device: &str| self.leases.given(device), |device: &str| self.leases6.given(device));
            let wanted = wanted(&name, &self.adapters, &self.declared, given, given6);
            let uplinks = if name.is_default() { uplinks } else { &[] };
            self.settings(&name, &wanted);
            let Some(view) = self.views.get(&name) else { continue };
            let plan = plan::plan(&wanted, view, uplinks);
            if let Some(problem) = plan.problems.into_iter().next() {
                if self.trouble.unreachable.get(&name) != Some(&problem) {
                    tracing::warn!(stack = %name, problem, "a gateway is not used");
                }
                self.found.unreachable.insert(name.clone(), problem);
            }
            let Some(routing) = self.stacks.routing(&name) else { continue };
            let is_right = plan.steps.is_empty();
            for (device, step) in plan.steps {
                tracing::debug!(device, ?step, "configuring a VMkernel adapter");
                let result = apply(&routing, &step).await;
                self.note(device, result);
            }
            if !is_right {
                match routing.read(true).await {
                    Ok(view) => _ = self.views.insert(name.clone(), view),
                    Err(refusal) => _ = self.found.stacks.insert(name, format!("cannot be read: {refusal}")),
                }
            }
        }
        let needs = self.adapters.iter().filter_map(|adapter| self.need(adapter)).collect();
        let mut failed = self.leases.start(&self.stacks, needs).await;
        failed.extend(self.leases6.start(&self.stacks, &self.adapters, &self.views).await);
        for (device, refusal) in failed {
            self.note(device, Err(refusal));
        }
        let guarded = self.adapters.iter().filter_map(|adapter| self.guarded(adapter)).collect();
        self.guards.keep(&self.stacks, guarded);
        self.trouble = std::mem::take(&mut self.found);
    }

    /// The present IPv4 address of an adapter, to be guarded.
    fn guarded(&self, adapter: &Adapter) -> Option<Guarded> {
        let view = self.views.get(&adapter.stack)?;
        let link = view.links.get(&adapter.device).filter(|link| link.up)?;
        let own = view.addresses.iter().filter(|address| address.index == link.index);
        let address = own.into_iter().find_map(|own| match own.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })?;
        let (device, stack) = (adapter.device.clone(), adapter.stack.clone());
        Some(Guarded { device, index: link.index, mac: adapter.mac, stack, address })
    }

    fn settings(&mut self, name: &StackName, wanted: &wanted::Wanted) {
        let Some(view) = self.views.get(name) else { return };
        let there = wanted.adapters.values().filter(|adapter| view.links.contains_key(&adapter.device));
        let there: Vec<_> =
            there.map(|adapter| (adapter.device.clone(), settings::of_adapter(adapter))).collect();
        let stack = self.declared.iter().find(|stack| stack.name == *name);
        let algorithm = stack.and_then(|stack| stack.congestion_control.as_deref());
        let algorithm = algorithm.map(|name| settings::congestion_control(name).to_owned());
        if let Some(algorithm) = algorithm.clone().filter(|_| !name.is_default()) {
            let allow = move || settings::allow_congestion_control(&algorithm);
            if let Ok(Err(error)) = self.stacks.run(&StackName::default(), allow) {
                tracing::debug!(%error, stack = %name, "cannot allow the stack's congestion control algorithm");
            }
        }
        let body = move || {
            let of_stack = algorithm.map_or(Ok(()), |name| settings::set_congestion_control(&name));
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

    /// The client that an adapter needs, if the adapter exists and uses DHCP, and the address that the interface still
    /// has.
    fn need(&self, adapter: &Adapter) -> Option<Need> {
        let view = self.views.get(&adapter.stack)?;
        let link = view.links.get(&adapter.device).filter(|link| link.up)?;
        let stack = self.declared.iter().find(|stack| stack.name == adapter.stack);
        let identity = Identity {
            device: adapter.device.clone(),
            index: link.index,
            mac: adapter.mac,
            stack: adapter.stack.clone(),
            port_group: adapter.port_group,
            host_name: stack.map(|stack| stack.dns.host_name.clone()).unwrap_or_default(),
        };
        let found = view.addresses.iter().find_map(|has| match (has.address, has.lifetime) {
            (IpAddr::V4(address), Some(left)) if has.index == link.index => Some((address, left.valid)),
            _ => None,
        });
        (adapter.ipv4 == Ipv4Config::Dhcp).then_some((identity, found))
    }

    /// Keeps the first error of a device.
    fn note(&mut self, device: String, result: Result<(), Refusal>) {
        if let Err(refusal) = result {
            if self.trouble.adapters.get(&device) != Some(&refusal) {
                tracing::warn!(device, %refusal, "cannot bring a VMkernel adapter to its declared state");
            }
            self.found.adapters.entry(device).or_insert(refusal);
        }
    }

    /// The first error.
    pub(crate) fn result(&self) -> Result<()> {
        if let Some((device, reason)) = self.trouble.adapters.iter().next() {
            return Err(Error::Adapter { device: device.clone(), reason: reason.clone() });
        }
        match self.trouble.stacks.iter().next() {
            Some((name, reason)) => Err(Error::Stack { name: name.to_string(), reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// The observed state of adapters, by device.
    pub(crate) fn adapter_states(&self) -> BTreeMap<String, AdapterState> {
        let state = |adapter: &Adapter| {
            let view = self.views.get(&adapter.stack);
            let error = self.trouble.adapters.get(&adapter.device).cloned();
            let namespace = self.stacks.file(&adapter.stack);
            let mut seen = AdapterState::seen(adapter, view, namespace, error);
            seen.lease = self.leases.lease(&adapter.device);
            let four = [self.guards.conflict(&adapter.device), self.leases.taken(&adapter.device)];
            let four = four.into_iter().flatten().map(|(address, mac)| (address.into(), Some(mac)));
            seen.conflicts.extend(four);
            seen.lease6 = self.leases6.lease(&adapter.device);
            seen.conflicts.extend(self.leases6.taken(&adapter.device).map(|address| (address.into(), None)));
            (adapter.device.clone(), seen)
        };
        self.adapters.iter().map(state).collect()
    }

    /// The observed state of stacks.
    pub(crate) fn stack_states(&self) -> BTreeMap<StackName, StackState> {
        let mut states: BTreeMap<StackName, StackState> = self
            .views
            .keys()
            .map(|name| (name.clone(), StackState { namespace: self.stacks.file(name), error: None }))
            .collect();
        for (name, error) in self.trouble.unreachable.iter().chain(&self.trouble.stacks) {
            states.entry(name.clone()).or_default().error = Some(error.clone());
        }
        states
    }
}

async fn apply(routing: &Routing, step: &Step) -> Result<(), Refusal> {
    match step {
        Step::Mac(index, mac) => routing.set_mac(*index, *mac).await,
        Step::Mtu(index, mtu) => routing.set_mtu(*index, *mtu).await,
        Step::Address(index, address, lifetime) => routing.add_address(*index, *address, *lifetime).await,
        Step::Up(index) => routing.set_up(*index).await,
        Step::Route(route) => routing.add_route(route).await,
        Step::Rule(rule) => routing.add_rule(rule).await,
        Step::NoRule(rule) => routing.remove_rule(rule).await,
        Step::NoRoute(route) => routing.remove_route(route).await,
        Step::NoAddress(index, address) => routing.remove_address(*index, *address).await,
    }
}
