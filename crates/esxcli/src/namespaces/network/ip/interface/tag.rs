//! `esxcli network ip interface tag`: the services of VMkernel adapters.

use host::Host;
use vswitch::declare::Service;

use super::adapters::{ADAPTER, adapters};
use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, texts};

static TAGS: Structure = Structure { name: "InterfaceTags", table: false, fields: &[texts("Tags")] };

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "network.ip.interface.tag",
    help: "Services of VMkernel adapters",
    commands: &[reads!(
        "get",
        "Show the services that an adapter carries",
        READ,
        [ADAPTER],
        Output::One(&TAGS),
        get
    )],
};

/// ESXi's tag of a service, if it has one.
fn tag(service: Service) -> Option<&'static str> {
    Some(match service {
        Service::Management => "Management",
        Service::Vmotion => "VMotion",
        Service::FaultToleranceLogging => "faultToleranceLogging",
        Service::VSphereReplication => "vSphereReplication",
        Service::VSphereReplicationNfc => "vSphereReplicationNFC",
        Service::Vsan => "VSAN",
        Service::VsanWitness => "VSANWitness",
        Service::VSphereProvisioning => "vSphereProvisioning",
        Service::VSphereBackupNfc => "vSphereBackupNFC",
        Service::Ptp => "PTP",
        Service::NvmeTcp => "NVMeTCP",
        Service::NvmeRdma => "NVMeRDMA",
        Service::VsanExternal
        | Service::VsanReplication
        | Service::Vnetworking
        | Service::Iscsi
        | Service::Nfs => return None,
    })
}

fn get(host: &Host, arguments: &Arguments) -> Outcome {
    let found = adapters(host, &host.network.config(), arguments)?;
    let services = found.iter().flat_map(|(adapter, _)| &adapter.services);
    let tags: Vec<String> = services.filter_map(|service| tag(*service)).map(str::to_owned).collect();
    Ok(Answer::One(Row::new().put("Tags", tags)))
}
