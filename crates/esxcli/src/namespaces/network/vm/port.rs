//! `esxcli network vm port`: the ports of a running VM.

use host::Host;
use vm::device::Nic;

use crate::namespaces::worlds::{running, world};
use crate::table::{
    ALL_VMS, Answer, Arguments, CliFault, Namespace, Outcome, Output, Parameter, Row, Structure, number,
    text, texts,
};

static PORT: Structure = Structure {
    name: "VmPort",
    table: false,
    fields: &[
        number("Port ID"),
        text("vSwitch"),
        text("Portgroup"),
        text("DVPort ID"),
        text("MAC Address"),
        text("IP Address"),
        text("Team Uplink"),
        number("Uplink Port ID"),
        texts("Active Filters"),
    ],
};

const WORLD: Parameter =
    Parameter::number("world-id", 'w', "The virtual machine's world, as vm process list shows it").required();

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.vm.port",
    help: "Ports of virtual machines",
    commands: &[reads!(
        "list",
        "List the ports of a running virtual machine",
        ALL_VMS,
        [WORLD],
        Output::Many(&PORT),
        list
    )],
};

fn list(host: &Host, arguments: &Arguments) -> Outcome {
    let wanted = arguments.number("worldid").unwrap_or_default();
    let vm = running(host).find(|vm| world(vm) == Some(wanted));
    let vm = vm.ok_or_else(|| {
        CliFault(format!("Invalid world: no running virtual machine has the world ID {wanted}"))
    })?;
    let (config, seen) = (host.network.config(), host.network.fabric().seen());
    let (vm_config, guest) = (vm.config(), vm.guest());
    let index = |interface: &str| seen.links.get(interface).map(|link| link.index);
    let row = |(key, nic): (i32, &Nic)| {
        let interface = host.network.interface_of(vm.me.id(), key);
        let uplink = seen.uplinks.get(&interface);
        let interfaces = guest.iter().flat_map(|guest| &guest.interfaces);
        let address = interfaces
            .filter(|of| of.mac.eq_ignore_ascii_case(&nic.mac))
            .find_map(|of| of.addresses.iter().find(|(address, _)| address.is_ipv4()));
        Row::new()
            .put("Port ID", index(&interface))
            .put("vSwitch", config.group(&nic.network).map(|(switch, _)| &switch.declared.name))
            .put("Portgroup", &nic.network)
            .put("MAC Address", &nic.mac)
            .put("IP Address", address.map(|(address, _)| address.to_string()))
            .put("Team Uplink", uplink)
            .put("Uplink Port ID", uplink.and_then(|uplink| index(uplink)))
    };
    Ok(Answer::Many(vm_config.nics().map(row).collect()))
}
