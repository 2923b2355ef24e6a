//! Reading what clients ask of the network: specifications of switches and port groups, and their policies.

use vim::{Fault, Object, data_id, fault, field};
use vswitch::Vlan;
use vswitch::declare::{
    Balancing, Discovery, DiscoveryOperation, DiscoveryProtocol, Override, ShapingOverride,
};
use vswitch::limits::{MAX_MTU, MAX_RATE, MIN_MTU, MIN_RATE};

use super::show::nic_named;

/// Longest names, as ESXi has them.
const SWITCH_NAME: usize = 31;
const GROUP_NAME: usize = 80;
/// Most ports of a switch, as ESXi has it.
const MOST_PORTS: i32 = 4088;

/// What a specification of a switch says.
#[derive(Debug, Default)]
pub struct SwitchSpec {
    pub ports: Option<i32>,
    pub mtu: Option<u32>,
    pub uplinks: Vec<String>,
    pub discovery: Option<Discovery>,
    pub policy: Override,
}

/// What a specification of a port group says.
#[derive(Debug)]
pub struct GroupSpec {
    pub name: String,
    pub switch: String,
    pub vlan: Vlan,
    pub policy: Override,
}

/// `InvalidArgument` for this property or parameter.
pub fn invalid(property: &str, message: impl std::fmt::Display) -> Fault {
    fault!(InvalidArgument { invalidProperty: property }, "{message}")
}

/// Checks the name of a new switch.
pub fn switch_name(name: &str) -> Result<(), Fault> {
    check_name(name, SWITCH_NAME, "vswitchName")
}

pub(super) fn check_name(name: &str, most: usize, property: &str) -> Result<(), Fault> {
    if name.trim().is_empty() {
        return Err(invalid(property, "The name is empty"));
    }
    if name.chars().count() > most {
        return Err(invalid(property, format_args!("The name has more than {most} characters")));
    }
    match name.chars().any(char::is_control) {
        true => Err(invalid(property, "The name has control characters")),
        false => Ok(()),
    }
}

/// Reads a `HostVirtualSwitchSpec`.
pub fn switch(spec: &Object) -> Result<SwitchSpec, Fault> {
    let ports = spec.get(field!(HostVirtualSwitchSpec.numPorts));
    if let Some(ports) = ports.filter(|ports| !(0..=MOST_PORTS).contains(ports)) {
        return Err(invalid(
            "spec.numPorts",
            format_args!("{ports} ports: a switch has at most {MOST_PORTS}"),
        ));
    }
    let mtu = match spec.get(field!(HostVirtualSwitchSpec.mtu)) {
        None => None,
        Some(mtu) => {
            let fits = u32::try_from(mtu).ok().filter(|mtu| (MIN_MTU..=MAX_MTU).contains(mtu));
            let wrong = || {
                invalid(
                    "spec.mtu",
                    format_args!("An MTU of {mtu} bytes: {MIN_MTU} to {MAX_MTU} are possible"),
                )
            };
            Some(fits.ok_or_else(wrong)?)
        }
    };
    let mut read = SwitchSpec { ports, mtu, ..SwitchSpec::default() };
    if let Some(bridge) = spec.get(field!(HostVirtualSwitchSpec.bridge)) {
        if !bridge.is_a(data_id!(HostVirtualSwitchBondBridge)) {
            let message =
                format_args!("A bridge of type {} is not supported; give a bond", bridge.type_name());
            return Err(fault!(NotSupported {}, "{message}"));
        }
        let nics = bridge.get(field!(HostVirtualSwitchBondBridge.nicDevice));
        read.uplinks = nics.into_iter().flatten().map(|nic| nic_named(nic).to_owned()).collect();
        let discovery = bridge.get(field!(HostVirtualSwitchBondBridge.linkDiscoveryProtocolConfig));
        read.discovery = discovery.map(|it| self::discovery(it)).transpose()?;
    }
    if let Some(wanted) = spec.get(field!(HostVirtualSwitchSpec.policy)) {
        read.policy = policy(wanted, "spec.policy")?;
    }
    Ok(read)
}

fn discovery(config: &Object) -> Result<Discovery, Fault> {
    Ok(Discovery {
        protocol: known(config.get(field!(LinkDiscoveryProtocolConfig.protocol)), &PROTOCOLS)?,
        operation: known(config.get(field!(LinkDiscoveryProtocolConfig.operation)), &OPERATIONS)?,
    })
}

/// Words of the API for discovery.
const PROTOCOLS: [(&str, DiscoveryProtocol); 2] =
    [("cdp", DiscoveryProtocol::Cdp), ("lldp", DiscoveryProtocol::Lldp)];
const OPERATIONS: [(&str, DiscoveryOperation); 4] = [
    ("none", DiscoveryOperation::None),
    ("listen", DiscoveryOperation::Listen),
    ("advertise", DiscoveryOperation::Advertise),
    ("both", DiscoveryOperation::Both),
];

fn known<T: Copy>(text: Option<&str>, words: &[(&str, T)]) -> Result<T, Fault> {
    let text = text.unwrap_or_default();
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let possible = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let message = format_args!("\"{text}\": {possible} are possible");
        invalid("spec.bridge.linkDiscoveryProtocolConfig", message)
    })
}

/// The API's words for protocol and operation.
pub(super) fn discovery_words(discovery: Discovery) -> (&'static str, &'static str) {
    let protocol = PROTOCOLS.iter().find(|(_, known)| *known == discovery.protocol);
    let operation = OPERATIONS.iter().find(|(_, known)| *known == discovery.operation);
    (protocol.expect("all are in the list").0, operation.expect("all are in the list").0)
}

/// Reads a `HostPortGroupSpec`.
pub fn group(spec: &Object) -> Result<GroupSpec, Fault> {
    let name = spec.get(field!(HostPortGroupSpec.name)).unwrap_or_default().to_owned();
    check_name(&name, GROUP_NAME, "portgrp.name")?;
    let vlan = spec.get(field!(HostPortGroupSpec.vlanId)).unwrap_or_default();
    let vlan = Vlan::try_from(vlan).map_err(|error| invalid("portgrp.vlanId", error))?;
    let switch = spec.get(field!(HostPortGroupSpec.vswitchName)).unwrap_or_default().to_owned();
    let policy = match spec.get(field!(HostPortGroupSpec.policy)) {
        Some(wanted) => policy(wanted, "portgrp.policy")?,
        None => Override::default(),
    };
    Ok(GroupSpec { name, switch, vlan, policy })
}

fn policy(policy: &Object, property: &str) -> Result<Override, Fault> {
    let mut read = Override::default();
    if let Some(security) = policy.get(field!(HostNetworkPolicy.security)) {
        read.promiscuous = security.get(field!(HostNetworkSecurityPolicy.allowPromiscuous));
        read.mac_changes = security.get(field!(HostNetworkSecurityPolicy.macChanges));
        read.forged_transmits = security.get(field!(HostNetworkSecurityPolicy.forgedTransmits));
    }
    if let Some(teaming) = policy.get(field!(HostNetworkPolicy.nicTeaming)) {
        if let Some(name) = teaming.get(field!(HostNicTeamingPolicy.policy)) {
            let unknown = || {
                invalid(&format!("{property}.nicTeaming.policy"), format_args!("There is no policy {name}"))
            };
            read.balancing = Some(balancing(name).ok_or_else(unknown)?);
        }
        read.notify_switches = teaming.get(field!(HostNicTeamingPolicy.notifySwitches));
        read.failback = teaming.get(field!(HostNicTeamingPolicy.rollingOrder)).map(|rolling| !rolling);
        let criteria = teaming.get(field!(HostNicTeamingPolicy.failureCriteria));
        read.beacons = criteria.and_then(|criteria| criteria.get(field!(HostNicFailureCriteria.checkBeacon)));
        read.order = teaming.get(field!(HostNicTeamingPolicy.nicOrder)).map(|order| {
            let active = order.get(field!(HostNicOrderPolicy.activeNic)).map(texts);
            let standby = order.get(field!(HostNicOrderPolicy.standbyNic)).map(texts);
            (active.unwrap_or_default(), standby.unwrap_or_default())
        });
    }
    if let Some(wanted) = policy.get(field!(HostNetworkPolicy.shapingPolicy)) {
        read.outbound = shaping(wanted, &format!("{property}.shapingPolicy"))?;
    }
    Ok(read)
}

fn shaping(policy: &Object, property: &str) -> Result<ShapingOverride, Fault> {
    let rate = |bits: Option<i64>| match bits {
        None => Ok(None),
        Some(bits) => match u64::try_from(bits).ok().filter(|bits| (MIN_RATE..=MAX_RATE).contains(bits)) {
            Some(bits) => Ok(Some(bits)),
            None => {
                Err(invalid(property, format_args!("{bits} bit/s: {MIN_RATE} to {MAX_RATE} are possible")))
            }
        },
    };
    let average = rate(policy.get(field!(HostNetworkTrafficShapingPolicy.averageBandwidth)))?;
    let peak = rate(policy.get(field!(HostNetworkTrafficShapingPolicy.peakBandwidth)))?;
    if let (Some(average), Some(peak)) = (average, peak)
        && peak < average
    {
        return Err(invalid(
            property,
            format_args!("The peak of {peak} bit/s is less than the average of {average}"),
        ));
    }
    let burst = match policy.get(field!(HostNetworkTrafficShapingPolicy.burstSize)) {
        None => None,
        Some(bytes) => {
            let fits = u64::try_from(bytes).ok().filter(|bytes| *bytes > 0);
            Some(fits.ok_or_else(|| invalid(property, format_args!("A burst of {bytes} bytes is none")))?)
        }
    };
    let enabled = policy.get(field!(HostNetworkTrafficShapingPolicy.enabled));
    Ok(ShapingOverride { enabled, average, peak, burst })
}

/// Words of the API for how traffic is spread.
const BALANCING: [(&str, Balancing); 5] = [
    ("loadbalance_srcid", Balancing::Port),
    ("loadbalance_srcmac", Balancing::SourceMac),
    ("loadbalance_ip", Balancing::IpHash),
    ("failover_explicit", Balancing::Explicit),
    // vSphere has it on distributed switches only.
    ("loadbalance_loadbased", Balancing::Load),
];

fn balancing(name: &str) -> Option<Balancing> {
    BALANCING.iter().find(|(word, _)| *word == name).map(|(_, balancing)| *balancing)
}

/// The API's word.
pub(super) fn word(balancing: Balancing) -> &'static str {
    BALANCING.iter().find(|(_, known)| *known == balancing).expect("all are in the list").0
}

/// All words.
pub(super) fn words() -> Vec<&'static str> {
    BALANCING.iter().map(|(word, _)| *word).collect()
}

fn texts<'a>(list: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    list.into_iter().map(str::to_owned).collect()
}
