//! `esfera net switch`: standard switches.

use clap::{Args, Subcommand};
use serde_json::json;
use vim::{Object, call, field, vim};

use super::network::Network;
use super::policy::{PolicySettings, set_policy};
use crate::client::failure::Failure;
use crate::client::output::{Table, text, words};
use crate::client::target::OnHost;

#[derive(Subcommand)]
pub enum SwitchCommand {
    /// List standard switches
    Ls(OnHost),
    /// Make a standard switch
    Add {
        switch: String,
        #[command(flatten)]
        settings: SwitchSettings,
        #[command(flatten)]
        on: OnHost,
    },
    /// Change a standard switch; what is not named stays
    Set {
        switch: String,
        #[command(flatten)]
        settings: SwitchSettings,
        #[command(flatten)]
        on: OnHost,
    },
    /// Remove a standard switch with its port groups
    Rm {
        switch: String,
        #[command(flatten)]
        on: OnHost,
    },
}

#[derive(Args)]
pub struct SwitchSettings {
    /// A network card that becomes an uplink, in place of the present ones; may be repeated. --uplink "" for none
    #[arg(long)]
    pub uplink: Option<Vec<String>>,
    /// Largest payload of a frame in bytes
    #[arg(long)]
    pub mtu: Option<i32>,
    #[command(flatten)]
    pub policy: PolicySettings,
}

pub async fn run(command: SwitchCommand) -> Result<(), Failure> {
    match command {
        SwitchCommand::Ls(on) => list(&on).await,
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
    // Unset items of a policy stay. Writing back the policy that was read would restore the old order of uplinks.
    let changes = policy.is_set().then(|| set_policy(vim!(HostNetworkPolicy {}).into(), policy));
    spec.set(field!(HostVirtualSwitchSpec.policy), changes);
}

async fn list(on: &OnHost) -> Result<(), Failure> {
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
    table.print(on.target.json)
}

/// The uplinks of a switch.
pub(super) fn uplinks(switch: &Object) -> Vec<&str> {
    let spec = switch.get(field!(HostVirtualSwitch.spec));
    let bridge = spec.and_then(|spec| spec.get(field!(HostVirtualSwitchSpec.bridge)));
    let uplinks = bridge.and_then(|bridge| bridge.get(field!(HostVirtualSwitchBondBridge.nicDevice)));
    uplinks.into_iter().flatten().collect()
}
