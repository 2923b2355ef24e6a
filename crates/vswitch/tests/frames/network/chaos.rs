//! Random changes of a declaration, and of the kernel's state behind the engine's back, all from a seed.

use vswitch::declare::{
    Balancing, Declaration, MirrorDestination, MirrorSession, MirrorSource, Port, ShapingOverride,
};
use vswitch::kernel::Kernel;
use vswitch::layout::{MemberKey, Port as Entry, StationKey, Target};
use vswitch::plan::Step;
use vswitch::{Mac, Vlan};

use super::{Network, adapter, port_group};

/// xorshift64*: small, and the same everywhere.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn maybe(&mut self) -> Option<bool> {
        *self.one(&[None, Some(false), Some(true)])
    }
}

/// Changes something on which the ports of port group 1 and the uplink up0 do not depend. `guests` may be ports of any
/// other.
pub fn change(declared: &mut Declaration, guests: &[Port], chance: &mut Chance) {
    let switch = &mut declared.switches[0];
    let kind = chance.below(12);
    if let 0..=4 = kind {
        let at = 1 + usize::try_from(chance.below(switch.port_groups.len() as u64 - 1)).unwrap();
        let group = &mut switch.port_groups[at];
        match kind {
            0 => {
                let some = Vlan::Ranges(vec![(0, 0), (10, 25)].try_into().unwrap());
                let of = [0, 10, 20, 4095].map(|vlan| Vlan::try_from(vlan).unwrap());
                group.vlan = chance.one(&[&of[..], &[some]].concat()).clone();
            }
            1 => {
                group.policy.promiscuous = chance.maybe();
                group.policy.forged_transmits = chance.maybe();
                group.policy.mac_changes = chance.maybe();
            }
            2 => {
                let of = [Balancing::Port, Balancing::SourceMac, Balancing::IpHash, Balancing::Explicit];
                group.policy.balancing = Some(*chance.one(&of));
                let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
                let orders = [
                    (&["up0", "up1"][..], &[][..]),
                    (&["up1"], &["up0"]),
                    (&[], &["up0", "up1"]),
                    (&["up0"], &[]),
                ];
                let (active, standby) = chance.one(&orders);
                group.policy.order = Some((names(active), names(standby)));
            }
            3 => {
                let rate = *chance.one(&[1_000_000, 100_000_000]);
                let enabled = chance.maybe();
                let by =
                    ShapingOverride { enabled, average: Some(rate), peak: Some(2 * rate), burst: Some(rate) };
                *if chance.below(2) == 0 { &mut group.policy.outbound } else { &mut group.policy.inbound } =
                    by;
            }
            _ => group.policy.failback = Some(true),
        }
        return;
    }
    let guest = chance.one(guests);
    match kind {
        5 => switch.mtu = *chance.one(&[1500, 2000, 9000]),
        6 => match switch.uplinks.len() {
            1 => switch.uplinks.push("up1".into()),
            _ => switch.uplinks.truncate(1),
        },
        7 => match switch.port_groups.iter().position(|group| group.number == 4) {
            Some(at) => _ = switch.port_groups.remove(at),
            None => switch.port_groups.push(port_group(4, 30)),
        },
        8 if declared.mirrors.is_empty() => declared.mirrors.push(MirrorSession {
            number: 0,
            source: MirrorSource::Ports { transmitted: vec!["c1".into()], received: vec!["c2".into()] },
            destination: MirrorDestination::Ports { interfaces: vec!["c3".into()], vlan: None },
            every: 1,
            length: Some(64),
            strip_vlan: true,
            normal_traffic: chance.below(2) == 0,
        }),
        8 => declared.mirrors.clear(),
        9 if declared.adapters.is_empty() => {
            let mut one = adapter(1, "10.2.0.1", 24);
            one.port_group = 2;
            declared.adapters.push(one);
        }
        9 => declared.adapters.clear(),
        _ => {
            declared.ports.retain(|port| port.interface != guest.interface);
            if chance.below(4) > 0 {
                let port_group = u32::try_from(1 + chance.below(4)).unwrap();
                let guest_mac = [None, Some(Mac([2, 0, 0, 0, 7, 7]))][usize::from(chance.below(3) == 0)];
                let blocked = chance.below(4) == 0;
                declared.ports.push(Port { port_group, guest_mac, blocked, ..guest.clone() });
            }
        }
    }
}

/// Damages something on which those do not depend, and returns a description.
pub fn spoil(net: &Network, maps: &mut Kernel, kept: &[u32], guests: &[Port], chance: &mut Chance) -> String {
    let (queue, mirror) = net.own_pairs();
    let guest = chance.one(guests).interface.clone();
    let command = |namespace: &str, command: String| {
        // A missing object cannot be damaged.
        net.run(namespace, &command);
        command
    };
    match chance.below(10) {
        0 => {
            let found = maps.read().unwrap();
            let mut steps: Vec<Step> = Vec::new();
            steps.extend(found.ports.keys().filter(|key| !kept.contains(key)).map(|key| Step::NoPort(*key)));
            let stations = found.stations.iter().filter(|(_, target)| !kept.contains(&target.ifindex));
            steps.extend(stations.map(|(key, _)| Step::NoStation(*key)));
            steps.extend(found.groups.keys().map(|key| Step::NoGroup(*key)));
            steps.extend(found.members.keys().map(|key| Step::NoMember(*key)));
            steps.extend(found.teams.keys().filter(|team| **team != 1).map(|key| Step::NoTeam(*key)));
            steps.retain(|_| chance.below(2) == 0);
            steps.iter().for_each(|step| maps.apply(step).unwrap());
            format!("{} entries removed", steps.len())
        }
        1 => {
            let wrong = Target { ifindex: 9999, number: 4000, ..Target::default() };
            for at in 0..5 {
                let key = StationKey { network: 1, vlan: at, mac: [2, 9, 9, 9, 9, 9] };
                maps.apply(&Step::Station(key, wrong)).unwrap();
                maps.apply(&Step::Member(MemberKey { list: 777, position: at.into() }, wrong)).unwrap();
                let entry = Entry { number: 4000, network: 3, ..Entry::default() };
                maps.apply(&Step::Port(9999 + u32::from(at), entry)).unwrap();
            }
            "foreign entries".into()
        }
        2 => {
            let index = net.links().get(&guest).map_or(0, |link| link.index);
            let pin = net.pins().join(format!("links/{index}-from_port"));
            format!("{guest} loses its program: {:?}", std::fs::remove_file(pin).is_ok())
        }
        3 => command("host", format!("ip link set {guest} down")),
        4 => command("host", format!("ip link set {guest} mtu 1300")),
        5 => command(
            "host",
            format!("ip link delete {}", chance.one(&["vmk1", queue.near.as_str(), mirror.near.as_str()])),
        ),
        6 => {
            let all = [
                queue.near.as_str(),
                queue.far.as_str(),
                mirror.near.as_str(),
                mirror.far.as_str(),
                "vmk1-port",
                "vmk1",
            ];
            let own = chance.one(&all);
            command("host", format!("ip link set {own} down"))
        }
        7 => command("wire", format!("ip link set w-up1 {}", chance.one(&["down", "up"]))),
        8 => command("host", format!("ip link set up1 {}", chance.one(&["down", "up"]))),
        _ => command("host", format!("tc qdisc delete dev {} root", queue.near)),
    }
}
