//! `esfera net port`: ports of VMs and VMkernel adapters.

use clap::Subcommand;
use serde_json::json;
use vim::field;

use super::network::Network;
use crate::client::failure::Failure;
use crate::client::output::{Table, text, words};
use crate::client::target::OnHost;

#[derive(Subcommand)]
pub enum PortCommand {
    /// List ports
    Ls(OnHost),
}

pub async fn run(PortCommand::Ls(on): PortCommand) -> Result<(), Failure> {
    let network = Network::of(&on).await?;
    let mut table = Table::new(&["port", "port_group", "vlan", "mac", "of"]);
    for group in network.groups() {
        let Some(spec) = group.get(field!(HostPortGroup.spec)) else { continue };
        for port in group.get(field!(HostPortGroup.port)).into_iter().flatten() {
            let macs = port.get(field!(HostPortGroupPort.mac)).map(|macs| macs.iter().collect());
            table.row(vec![
                text(port.get(field!(HostPortGroupPort.key))),
                text(spec.get(field!(HostPortGroupSpec.name))),
                json!(spec.get(field!(HostPortGroupSpec.vlanId))),
                words(macs),
                text(port.get(field!(HostPortGroupPort.r#type))),
            ]);
        }
    }
    table.print(on.target.json)
}
