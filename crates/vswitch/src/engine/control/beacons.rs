//! Beacon probing at work: beacons go out and come in on the uplinks of every switch that has a port group with beacon
//! probing.
//!
//! Beacons are sent untagged and in the VLANs of those port groups. A beacon that arrives in any of them shows that the
//! uplinks hear each other; VLANs are not judged separately.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};

use super::ears::Speech;
use crate::beacon::{Beacon, Health, Host, Key, Probe};
use crate::declare::{Declaration, Switch};
use crate::limits::BEACON_VLANS;
use crate::packet::PacketSocket;
use crate::plan::Links;
use crate::{Error, Result};

pub(super) struct Beacons {
    /// Like the key, made anew at every start, since only this host needs them.
    host: Host,
    key: Key,
    /// By number of the switch.
    probed: BTreeMap<u32, Probed>,
    isolated: BTreeSet<String>,
}

/// The state of a switch.
struct Probed {
    probe: Probe,
    /// By position.
    uplinks: Vec<String>,
    /// The ifindexes of those with a link, by position.
    running: BTreeMap<u8, u32>,
    vlans: BTreeSet<u16>,
}

impl Beacons {
    pub(super) fn new() -> Result<Self> {
        let (mut host, mut key) = ([0; 16], [0; 32]);
        let made = getrandom(&mut host, GetRandomFlags::empty())
            .and_then(|_| getrandom(&mut key, GetRandomFlags::empty()));
        made.map_err(|errno| Error::Random { source: errno.into() })?;
        Ok(Self { host, key: Key(key), probed: BTreeMap::new(), isolated: BTreeSet::new() })
    }

    /// Sets the uplinks. A switch whose uplinks changed is judged afresh.
    pub(super) fn see(&mut self, now: Duration, declared: &Declaration, links: &Links) {
        let mut before = std::mem::take(&mut self.probed);
        for switch in &declared.switches {
            let Some(vlans) = vlans(switch) else { continue };
            let known = before.remove(&switch.number).filter(|known| known.uplinks == switch.uplinks);
            let mut probed = known.unwrap_or_else(|| Probed::new(switch));
            let (all, running) = probed.look(links);
            probed.probe.set_links(&all);
            (probed.running, probed.vlans) = (running, vlans);
            self.probed.insert(switch.number, probed);
        }
        self.judge(now);
    }

    /// The beacons to receive, by ifindex.
    pub(super) fn ears(&self) -> impl Iterator<Item = (u32, Speech)> {
        let running = self.probed.values().flat_map(|probed| probed.running.values());
        running.map(|index| (*index, Speech::Beacon(self.host)))
    }

    pub(super) fn hear(&mut self, now: Duration, index: u32, frame: &[u8]) {
        let Ok(beacon) = Beacon::parse(frame, &self.host, &self.key) else { return };
        let Some(probed) = self.probed.get_mut(&beacon.switch) else { return };
        let receiver = probed.running.iter().find(|(_, running)| **running == index);
        if receiver.is_some_and(|(position, _)| probed.probe.hear(now, *position, &beacon)) {
            self.judge(now);
        }
    }

    /// When [`Self::tick`] must be called next.
    pub(super) fn next(&self) -> Option<Duration> {
        self.probed.values().map(|probed| probed.probe.next()).min()
    }

    /// Judges, and sends due beacons.
    pub(super) fn tick(&mut self, now: Duration, packets: &PacketSocket) {
        self.judge(now);
        for (number, probed) in &mut self.probed {
            let Some(sequence) = probed.probe.send(now) else { continue };
            for (position, index) in &probed.running {
                let beacon = Beacon { host: self.host, switch: *number, uplink: *position, sequence };
                for vlan in &probed.vlans {
                    if let Err(error) = packets.send(*index, &beacon.build(&self.key, *vlan)) {
                        tracing::debug!(ifindex = index, vlan, %error, "cannot send a beacon");
                    }
                }
            }
        }
    }

    fn judge(&mut self, now: Duration) {
        let mut isolated = BTreeSet::new();
        for probed in self.probed.values_mut() {
            for (position, health) in probed.probe.judge(now) {
                let name = probed.uplinks.get(usize::from(position));
                isolated.extend(name.filter(|_| health == Health::Isolated).cloned());
            }
        }
        for uplink in isolated.difference(&self.isolated) {
            tracing::warn!(
                uplink,
                "the uplink is isolated: the others do not receive its beacons, although its link is up"
            );
        }
        for uplink in self.isolated.difference(&isolated) {
            tracing::info!(uplink, "the uplink is not isolated any more");
        }
        self.isolated = isolated;
    }

    /// Uplinks that are cut off although their link is up.
    pub(super) fn isolated(&self) -> &BTreeSet<String> {
        &self.isolated
    }
}

impl Probed {
    fn new(switch: &Switch) -> Self {
        Self {
            probe: Probe::new(switch.number),
            uplinks: switch.uplinks.clone(),
            running: BTreeMap::new(),
            vlans: BTreeSet::new(),
        }
    }

    /// Whether links are up, and the ifindexes of those that are, by position.
    fn look(&self, links: &Links) -> (BTreeMap<u8, bool>, BTreeMap<u8, u32>) {
        let (mut all, mut running) = (BTreeMap::new(), BTreeMap::new());
        for (position, name) in (0..=u8::MAX).zip(&self.uplinks) {
            let link = links.get(name).filter(|link| link.running);
            all.insert(position, link.is_some());
            running.extend(link.map(|link| (position, link.index)));
        }
        (all, running)
    }
}

/// The VLANs to probe, 0 for untagged; `None` if no port group uses beacon probing.
fn vlans(switch: &Switch) -> Option<BTreeSet<u16>> {
    let wants = switch.port_groups.iter().filter(|group| switch.policy_of(group).teaming.beacons);
    let mut groups = wants.peekable();
    groups.peek()?;
    let tags = groups.filter_map(|group| match group.vlan {
        crate::Vlan::Tagged(id) => Some(u16::from(id)),
        crate::Vlan::None | crate::Vlan::Trunk | crate::Vlan::Ranges(_) => None,
    });
    let tags: BTreeSet<u16> = tags.collect();
    Some([0].into_iter().chain(tags).take(BEACON_VLANS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::{Override, Policy, PortGroup};
    use crate::plan::Link;

    fn switch(groups: &[(i32, Option<bool>)]) -> Switch {
        let group = |(number, (vlan, beacons)): (u32, &(i32, Option<bool>))| PortGroup {
            number,
            name: format!("pg{number}"),
            vlan: (*vlan).try_into().unwrap(),
            policy: Override { beacons: *beacons, ..Override::default() },
        };
        Switch {
            number: 1,
            name: "vSwitch0".into(),
            mtu: 1500,
            uplinks: vec!["up0".into(), "up1".into()],
            policy: Policy::default(),
            discovery: None,
            multicast: Default::default(),
            ipfix: None,
            port_groups: (1..).zip(groups).map(group).collect(),
        }
    }

    #[test]
    fn beacons_go_without_a_tag_and_where_port_groups_want_them() {
        let on = Some(true);
        assert_eq!(vlans(&switch(&[(0, None), (10, None)])), None);
        assert_eq!(vlans(&switch(&[(0, None), (10, on), (20, None)])), Some([0, 10].into()));
        assert_eq!(vlans(&switch(&[(4095, on)])), Some([0].into()));
        let many: Vec<_> = (1..200).map(|vlan| (vlan, on)).collect();
        assert_eq!(vlans(&switch(&many)).unwrap().len(), BEACON_VLANS);
    }

    #[test]
    fn only_links_that_are_up_are_listened_to() {
        let mut beacons = Beacons::new().unwrap();
        let switches = vec![switch(&[(0, Some(true))])];
        let declared = Declaration { switches, ..Declaration::default() };
        let link = |index, running| Link { index, running };
        let links = [("up0".to_owned(), link(5, true)), ("up1".to_owned(), link(6, false))].into();
        beacons.see(Duration::ZERO, &declared, &links);
        assert_eq!(beacons.ears().map(|(index, _)| index).collect::<Vec<_>>(), [5]);
        assert_eq!(beacons.next(), Some(Duration::ZERO));
        beacons.see(Duration::ZERO, &Declaration::default(), &links);
        assert_eq!((beacons.ears().count(), beacons.next()), (0, None));
    }
}
