//! `esfera net portgroup`: port groups of standard switches.

use clap::Subcommand;
use serde_json::json;
use vim::{Object, call, field, vim};

use super::network::Network;
use super::policy::{PolicySettings, set_policy};
use crate::client::failure::Failure;
use crate::client::output::{Table, text, words};
use crate::client::target::OnHost;

#[derive(Subcommand)]
pub enum PortgroupCommand {
    /// List port groups
    Ls(OnHost),
    /// Make a port group
    Add {
        portgroup: String,
        /// Standard switch that it belongs to
        #[arg(long, default_value = "vSwitch0")]
        switch: String,
        /// 0 for none, 1-4094, 4095 for all
        #[arg(long, default_value_t = 0)]
        vlan: i32,
        #[command(flatten)]
        policy: PolicySettings,
        #[command(flatten)]
        on: OnHost,
    },
    /// Change a port group; what is not named stays
    Set {
        portgroup: String,
        #[arg(long)]
        rename: Option<String>,
        /// 0 for none, 1-4094, 4095 for all
        #[arg(long)]
        vlan: Option<i32>,
        #[command(flatten)]
        policy: PolicySettings,
        #[command(flatten)]
        on: OnHost,
    },
    /// Remove a port group
    Rm {
        portgroup: String,
        #[command(flatten)]
        on: OnHost,
    },
}

pub async fn run(command: PortgroupCommand) -> Result<(), Failure> {
    match command {
        PortgroupCommand::Ls(on) => list(&on).await,
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

async fn list(on: &OnHost) -> Result<(), Failure> {
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
    table.print(on.target.json)
}

/// The items that a security policy allows.
fn allowed(security: &Object) -> Vec<&'static str> {
    let items = [
        ("promiscuous", security.get(field!(HostNetworkSecurityPolicy.allowPromiscuous))),
        ("mac-changes", security.get(field!(HostNetworkSecurityPolicy.macChanges))),
        ("forged-transmits", security.get(field!(HostNetworkSecurityPolicy.forgedTransmits))),
    ];
    items.into_iter().filter(|(_, allowed)| *allowed == Some(true)).map(|(name, _)| name).collect()
}
