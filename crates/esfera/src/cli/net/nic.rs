//! `esfera net nic`: physical network cards.

use std::sync::Arc;

use clap::Subcommand;
use serde_json::json;
use vim::{Object, field};

use super::network::Network;
use super::switch::uplinks;
use crate::client::failure::Failure;
use crate::client::output::{Table, text};
use crate::client::target::OnHost;

#[derive(Subcommand)]
pub enum NicCommand {
    /// List physical network cards
    Ls(OnHost),
}

pub async fn run(NicCommand::Ls(on): NicCommand) -> Result<(), Failure> {
    let network = Network::of(&on).await?;
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
    table.print(on.target.json)
}
