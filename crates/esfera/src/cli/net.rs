//! `esfera net …`: standard switches, port groups and network cards of a host; VMkernel adapters are in `net_vmk`.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use vim::{Field, MoRef, Object, Value, call, field, managed_id, vim};

use super::failure::{Failure, Reason};
use super::inventory::Inventory;
use super::net_args::{
    Balancing, NetCommand, NicCommand, OnHost, PolicySettings, PortCommand, PortgroupCommand, SwitchCommand,
    SwitchSettings,
};
use super::net_ports;
use super::output::Table;
use super::{net_vmk, session};

pub async fn run(command: NetCommand) -> Result<(), Failure> {
    match command {
        NetCommand::Switch(command) => switch(command).await,
        NetCommand::Portgroup(command) => portgroup(command).await,
        NetCommand::Nic(NicCommand::Ls(on)) => list_nics(&on).await,
        NetCommand::Port(PortCommand::Ls(on)) => net_ports::list(&on).await,
        NetCommand::Capture(args) => net_ports::capture(args).await,
        NetCommand::Vmk(command) => net_vmk::run(command).await,
    }
}

/// A host's network: where to ask, and what it is.
pub(super) struct Network {
    pub(super) client: api::client::Client,
    system: MoRef,
    /// The HostVirtualNicManager, which says what VMkernel adapters carry.
    pub(super) adapters: MoRef,
    pub(super) info: Arc<Object>,
}

impl Network {
    pub(super) async fn of(on: &OnHost) -> Result<Self, Failure> {
        let client = session::open(&on.target).await?;
        let inventory = Inventory::of(&client).await?;
        let host = match &on.host {
            Some(name) => inventory.host(name).await?,
            None => only_host(&inventory).await?,
        };
        let paths = ["configManager.networkSystem", "configManager.virtualNicManager", "config.network"];
        let found = inventory.read(&host, &paths).await?;
        let missing = || Failure::new(Reason::Failed, "the host shows no network; is it connected?");
        let system = found.reference(0).cloned().ok_or_else(missing)?;
        let adapters = found.reference(1).cloned().ok_or_else(missing)?;
        let info = found.at(2).and_then(Value::as_object).cloned().ok_or_else(missing)?;
        Ok(Self { client, system, adapters, info })
    }

    async fn ask(&self, call: vim::Args) -> Result<(), Failure> {
        self.answer(call).await.map(drop)
    }

    /// Asks the HostNetworkSystem for something that has a result.
    pub(super) async fn answer(&self, call: vim::Args) -> Result<Option<Value>, Failure> {
        Ok(self.client.invoke(&self.system, &call).await?)
    }

    fn switches(&self) -> Vec<&Arc<Object>> {
        self.info.get(field!(HostNetworkInfo.vswitch)).into_iter().flatten().collect()
    }

    pub(super) fn groups(&self) -> Vec<&Arc<Object>> {
        self.info.get(field!(HostNetworkInfo.portgroup)).into_iter().flatten().collect()
    }

    /// What the switch was made with, to be changed.
    fn switch_spec(&self, name: &str) -> Result<Object, Failure> {
        let found = self
            .switches()
            .into_iter()
            .find(|switch| switch.get(field!(HostVirtualSwitch.name)) == Some(name));
        let spec = found.and_then(|switch| switch.get(field!(HostVirtualSwitch.spec)));
        spec.map(|spec| Object::clone(spec)).ok_or_else(|| Failure::not_found("standard switch", name))
    }

    fn group_spec(&self, name: &str) -> Result<Object, Failure> {
        let specs = self.groups().into_iter().filter_map(|group| group.get(field!(HostPortGroup.spec)));
        let found = specs.into_iter().find(|spec| spec.get(field!(HostPortGroupSpec.name)) == Some(name));
        found.map(|spec| Object::clone(spec)).ok_or_else(|| Failure::not_found("port group", name))
    }
}

pub(super) async fn only_host(inventory: &Inventory<'_>) -> Result<MoRef, Failure> {
    let hosts = inventory.all(managed_id!(HostSystem), &["name"]).await?;
    match hosts.as_slice() {
        [only] => Ok(only.me.clone()),
        [] => Err(Failure::new(Reason::NotFound, "there is no host")),
        several => {
            let names: Vec<&str> = several.iter().map(|host| host.text(0)).collect();
            let failure = Failure::new(Reason::Usage, format!("there are {} hosts", several.len()));
            Err(failure.hint(format!("say which with --host: {}", names.join(", "))))
        }
    }
}

async fn switch(command: SwitchCommand) -> Result<(), Failure> {
    match command {
        SwitchCommand::Ls(on) => list_switches(&on).await,
        SwitchCommand::Add { switch, settings, on } => {
            let network = Network::of(&on).await?;
            let mut spec = Object::from(vim!(HostVirtualSwitchSpec { numPorts: 0 }));
            set_switch(&mut spec, settings);
            network.ask(call!(AddVirtualSwitch { vswitchName: switch, spec: spec })).await
        }
        SwitchCommand::Set { switch, settings, on } => {
            let network = Network::of(&on).await?;
            let mut spec = network.switch_spec(&switch)?;
            set_switch(&mut spec, settings);
            network.ask(call!(UpdateVirtualSwitch { vswitchName: switch, spec: spec })).await
        }
        SwitchCommand::Rm { switch, on } => {
            Network::of(&on).await?.ask(call!(RemoveVirtualSwitch { vswitchName: switch })).await
        }
    }
}

fn set_switch(spec: &mut Object, settings: SwitchSettings) {
    let SwitchSettings { uplink, mtu, policy } = settings;
    if let Some(mtu) = mtu {
        spec.set(field!(HostVirtualSwitchSpec.mtu), mtu);
    }
    if let Some(uplinks) = uplink {
        let uplinks: Vec<String> = uplinks.into_iter().filter(|name| !name.is_empty()).collect();
        spec.set(
            field!(HostVirtualSwitchSpec.bridge),
            vim!(HostVirtualSwitchBondBridge { nicDevice: uplinks }),
        );
    }
    // What a switch's policy does not say stays as it is. What was read would say the old order of uplinks.
    let changes = policy.is_said().then(|| set_policy(vim!(HostNetworkPolicy {}).into(), policy));
    spec.set(field!(HostVirtualSwitchSpec.policy), changes);
}

impl PolicySettings {
    fn is_said(&self) -> bool {
        let words =
            [self.promiscuous, self.mac_changes, self.forged_transmits, self.failback, self.notify_switches];
        words.iter().any(Option::is_some)
            || self.balancing.is_some()
            || self.active.is_some()
            || self.standby.is_some()
    }
}

/// The policy with what is asked for.
fn set_policy(mut policy: Object, settings: PolicySettings) -> Object {
    let mut security = match policy.get(field!(HostNetworkPolicy.security)) {
        Some(known) => Object::clone(known),
        None => vim!(HostNetworkSecurityPolicy {}).into(),
    };
    put(&mut security, field!(HostNetworkSecurityPolicy.allowPromiscuous), settings.promiscuous);
    put(&mut security, field!(HostNetworkSecurityPolicy.macChanges), settings.mac_changes);
    put(&mut security, field!(HostNetworkSecurityPolicy.forgedTransmits), settings.forged_transmits);
    policy.set(field!(HostNetworkPolicy.security), security);
    let mut teaming = match policy.get(field!(HostNetworkPolicy.nicTeaming)) {
        Some(known) => Object::clone(known),
        None => vim!(HostNicTeamingPolicy {}).into(),
    };
    if let Some(balancing) = settings.balancing {
        let word = match balancing {
            Balancing::Port => "loadbalance_srcid",
            Balancing::Mac => "loadbalance_srcmac",
            Balancing::Ip => "loadbalance_ip",
            Balancing::Explicit => "failover_explicit",
            Balancing::Load => "loadbalance_loadbased",
        };
        teaming.set(field!(HostNicTeamingPolicy.policy), word);
    }
    put(&mut teaming, field!(HostNicTeamingPolicy.notifySwitches), settings.notify_switches);
    put(&mut teaming, field!(HostNicTeamingPolicy.rollingOrder), settings.failback.map(|failback| !failback));
    if settings.active.is_some() || settings.standby.is_some() {
        let order = vim!(HostNicOrderPolicy {
            activeNic: settings.active.unwrap_or_default(),
            standbyNic: settings.standby.unwrap_or_default(),
        });
        teaming.set(field!(HostNicTeamingPolicy.nicOrder), order);
    }
    policy.set(field!(HostNetworkPolicy.nicTeaming), teaming);
    policy
}

/// Sets what is said.
fn put(object: &mut Object, field: Field<vim::kind::Boolean>, value: Option<bool>) {
    if value.is_some() {
        object.set(field, value);
    }
}

async fn portgroup(command: PortgroupCommand) -> Result<(), Failure> {
    match command {
        PortgroupCommand::Ls(on) => list_groups(&on).await,
        PortgroupCommand::Add { portgroup, switch, vlan, policy, on } => {
            let network = Network::of(&on).await?;
            let policy = set_policy(vim!(HostNetworkPolicy {}).into(), policy);
            let spec = vim!(HostPortGroupSpec {
                name: portgroup,
                vlanId: vlan,
                vswitchName: switch,
                policy: policy,
            });
            network.ask(call!(AddPortGroup { portgrp: spec })).await
        }
        PortgroupCommand::Set { portgroup, rename, vlan, policy, on } => {
            let network = Network::of(&on).await?;
            let mut spec = network.group_spec(&portgroup)?;
            if let Some(name) = rename {
                spec.set(field!(HostPortGroupSpec.name), name);
            }
            if let Some(vlan) = vlan {
                spec.set(field!(HostPortGroupSpec.vlanId), vlan);
            }
            let known = spec.get(field!(HostPortGroupSpec.policy)).map(|policy| Object::clone(policy));
            let known = known.unwrap_or_else(|| vim!(HostNetworkPolicy {}).into());
            spec.set(field!(HostPortGroupSpec.policy), set_policy(known, policy));
            network.ask(call!(UpdatePortGroup { pgName: portgroup, portgrp: spec })).await
        }
        PortgroupCommand::Rm { portgroup, on } => {
            Network::of(&on).await?.ask(call!(RemovePortGroup { pgName: portgroup })).await
        }
    }
}

async fn list_switches(on: &OnHost) -> Result<(), Failure> {
    let network = Network::of(on).await?;
    let mut table = Table::new(&["name", "mtu", "uplinks", "port_groups", "ports_used"]);
    for switch in network.switches() {
        let ports = switch.get(field!(HostVirtualSwitch.numPorts)).unwrap_or_default();
        let free = switch.get(field!(HostVirtualSwitch.numPortsAvailable)).unwrap_or_default();
        let groups = switch.get(field!(HostVirtualSwitch.portgroup)).map_or(0, |groups| groups.len());
        table.row(vec![
            text(switch.get(field!(HostVirtualSwitch.name))),
            json!(switch.get(field!(HostVirtualSwitch.mtu))),
            words(Some(uplinks(switch))),
            json!(groups),
            json!(ports - free),
        ]);
    }
    table.print(on.target.json);
    Ok(())
}

fn uplinks(switch: &Object) -> Vec<&str> {
    let spec = switch.get(field!(HostVirtualSwitch.spec));
    let bridge = spec.and_then(|spec| spec.get(field!(HostVirtualSwitchSpec.bridge)));
    let uplinks = bridge.and_then(|bridge| bridge.get(field!(HostVirtualSwitchBondBridge.nicDevice)));
    uplinks.into_iter().flatten().collect()
}

async fn list_groups(on: &OnHost) -> Result<(), Failure> {
    let network = Network::of(on).await?;
    let mut table =
        Table::new(&["name", "switch", "vlan", "ports", "security", "balancing", "active", "standby"]);
    for group in network.groups() {
        let Some(spec) = group.get(field!(HostPortGroup.spec)) else { continue };
        let policy = group.get(field!(HostPortGroup.computedPolicy));
        let security = policy.and_then(|policy| policy.get(field!(HostNetworkPolicy.security)));
        let teaming = policy.and_then(|policy| policy.get(field!(HostNetworkPolicy.nicTeaming)));
        let order = teaming.and_then(|teaming| teaming.get(field!(HostNicTeamingPolicy.nicOrder)));
        let active = order.and_then(|order| order.get(field!(HostNicOrderPolicy.activeNic)));
        let standby = order.and_then(|order| order.get(field!(HostNicOrderPolicy.standbyNic)));
        table.row(vec![
            text(spec.get(field!(HostPortGroupSpec.name))),
            text(spec.get(field!(HostPortGroupSpec.vswitchName))),
            json!(spec.get(field!(HostPortGroupSpec.vlanId))),
            json!(group.get(field!(HostPortGroup.port)).map_or(0, |ports| ports.len())),
            words(security.map(|security| allowed(security))),
            text(teaming.and_then(|teaming| teaming.get(field!(HostNicTeamingPolicy.policy)))),
            words(active.map(|active| active.iter().collect())),
            words(standby.map(|standby| standby.iter().collect())),
        ]);
    }
    table.print(on.target.json);
    Ok(())
}

/// What a security policy allows, in words.
fn allowed(security: &Object) -> Vec<&'static str> {
    let items = [
        ("promiscuous", security.get(field!(HostNetworkSecurityPolicy.allowPromiscuous))),
        ("mac-changes", security.get(field!(HostNetworkSecurityPolicy.macChanges))),
        ("forged-transmits", security.get(field!(HostNetworkSecurityPolicy.forgedTransmits))),
    ];
    items.into_iter().filter(|(_, allowed)| *allowed == Some(true)).map(|(name, _)| name).collect()
}

async fn list_nics(on: &OnHost) -> Result<(), Failure> {
    let network = Network::of(on).await?;
    let mut table = Table::new(&["name", "switch", "link", "speed_mb", "mac", "driver", "pci"]);
    for nic in network.info.get(field!(HostNetworkInfo.pnic)).into_iter().flatten() {
        let device = nic.get(field!(PhysicalNic.device));
        let uses = |switch: &&&Arc<Object>| uplinks(switch).iter().any(|uplink| Some(*uplink) == device);
        let switches = network.switches();
        let switch = switches.iter().find(uses).and_then(|switch| switch.get(field!(HostVirtualSwitch.name)));
        let link = nic.get(field!(PhysicalNic.linkSpeed));
        table.row(vec![
            text(device),
            text(switch),
            text(Some(if link.is_some() { "up" } else { "down" })),
            json!(link.and_then(|link| link.get(field!(PhysicalNicLinkInfo.speedMb)))),
            text(nic.get(field!(PhysicalNic.mac))),
            text(nic.get(field!(PhysicalNic.driver))),
            text(nic.get(field!(PhysicalNic.pci))),
        ]);
    }
    table.print(on.target.json);
    Ok(())
}

pub(super) fn text(text: Option<&str>) -> Json {
    json!(text)
}

pub(super) fn words(words: Option<Vec<&str>>) -> Json {
    json!(words.unwrap_or_default().join(" "))
}
