//! The groups that each port has joined, for as long as it keeps reporting them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::queriers::{Place, Queriers};
use super::{Family, Membership, Message, is_always_flooded, mac_of};
use crate::Mac;
use crate::limits::{SNOOP_GROUPS, SNOOP_GROUPS_PER_PORT, SNOOP_LEAVE, SNOOP_MEMBER};

/// The sender of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A port of a VM or a VMkernel adapter.
    Port(u32),
    /// An uplink.
    Uplink(u32),
}

/// The effect of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// Filters change, or may change.
    pub changes: bool,
    /// False if a membership did not fit: a port in [`SNOOP_GROUPS_PER_PORT`] groups, or a host with [`SNOOP_GROUPS`],
    /// gets no more until others end. The switch keeps nothing from that port until it has answered another query.
    pub fits: bool,
}

/// All memberships of a host's ports. Times count from a fixed moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memberships {
    /// When each port's membership ends.
    members: BTreeMap<(Place, IpAddr), BTreeMap<u32, Duration>>,
    /// How many groups each port is in.
    per_port: BTreeMap<u32, usize>,
    total: usize,
    queriers: Queriers,
    /// Ports, their network and VLAN, and since when their reports are complete.
    ports: BTreeMap<u32, (Place, Duration)>,
}

impl Memberships {
    /// Records a message.
    ///
    /// From uplinks only queries count: ports behind them are not on this host. A query from a port is ignored, so that
    /// a guest cannot make itself the querier to which all groups go.
    pub fn hear(&mut self, now: Duration, place: Place, origin: Origin, message: &Message) -> Effect {
        let mut effect = Effect { changes: false, fits: true };
        match (origin, message) {
            (Origin::Uplink(uplink), Message::Query { family, source, group, response }) => {
                let answered = group.is_none().then_some(*response);
                self.queriers.hear(now, (place, *family), uplink, !source.is_unspecified(), answered);
            }
            (Origin::Port(port), Message::Report(list)) => {
                for membership in list {
                    let more = self.set(now, place, port, *membership);
                    effect.changes |= more.changes;
                    effect.fits &= more.fits;
                }
                if !effect.fits {
                    effect.changes |= self.doubt(now, port);
                }
            }
            (Origin::Uplink(_), Message::Report(_)) | (Origin::Port(_), Message::Query { .. }) => {}
        }
        effect
    }

    fn set(&mut self, now: Duration, place: Place, port: u32, membership: Membership) -> Effect {
        let key = (place, membership.group);
        let mut effect = Effect { changes: false, fits: true };
        let until = self.members.get_mut(&key).and_then(|ports| ports.get_mut(&port));
        match (until, membership.is_member) {
            (Some(until), true) => *until = now + SNOOP_MEMBER,
            // Other members behind the same port have this long to report that they remain.
            (Some(until), false) => *until = (*until).min(now + SNOOP_LEAVE),
            (None, false) => {}
            (None, true) => {
                let mine = self.per_port.entry(port).or_default();
                effect.fits = *mine < SNOOP_GROUPS_PER_PORT && self.total < SNOOP_GROUPS;
                if effect.fits {
                    *mine += 1;
                    self.total += 1;
                    self.members.entry(key).or_default().insert(port, now + SNOOP_MEMBER);
                    effect.changes = self.is_filtered(place, membership.group);
                }
            }
        }
        effect
    }

    /// Whether another member of this group changes its receivers.
    fn is_filtered(&self, place: Place, group: IpAddr) -> bool {
        let family = if group.is_ipv4() { Family::V4 } else { Family::V6 };
        !is_always_flooded(mac_of(group)) && self.queriers.is_answered((place, family))
    }

    /// Forgets ports that were removed or have moved.
    pub fn keep_ports(&mut self, ports: &BTreeMap<u32, Place>) {
        self.ports.retain(|port, (place, _)| ports.get(port) == Some(place));
        let known: BTreeSet<u32> = self.ports.keys().copied().collect();
        self.retain(|member, _| known.contains(&member));
    }

    /// Sets the present ports by number, each with its network and VLAN. Nothing that a new or moved port reported
    /// earlier counts.
    pub fn know_ports(&mut self, now: Duration, ports: &BTreeMap<u32, Place>) {
        self.keep_ports(ports);
        for (port, place) in ports {
            self.ports.entry(*port).or_insert((*place, now));
        }
    }

    /// Sets the uplinks that have a link; queriers behind other uplinks are forgotten.
    pub fn know_uplinks(&mut self, uplinks: &BTreeSet<u32>) {
        self.queriers.retain_uplinks(uplinks);
    }

    /// Records that reports of this port before `until` were lost. True if the port may now receive more than before.
    pub fn doubt(&mut self, until: Duration, port: u32) -> bool {
        let Some((_, since)) = self.ports.get_mut(&port) else { return false };
        let was_certain = self.queriers.last_answered().is_some_and(|asked| *since <= asked);
        let is_news = until > *since;
        *since = until.max(*since);
        is_news && was_certain
    }

    /// As [`Self::doubt`], for all ports.
    pub fn doubt_all(&mut self, now: Duration) {
        self.ports.values_mut().for_each(|(_, since)| *since = now);
    }

    /// Forgets what has ended; true if anything had. The caller calls it about once a second, so that a guest's
    /// messages cost the same however many memberships there are.
    pub fn expire(&mut self, now: Duration) -> bool {
        let before = self.total;
        self.retain(|_, until| until > now);
        self.queriers.expire(now) || before != self.total
    }

    fn retain(&mut self, keep: impl Fn(u32, Duration) -> bool) {
        let (per_port, total) = (&mut self.per_port, &mut self.total);
        self.members.retain(|_, ports| {
            ports.retain(|port, until| {
                let kept = keep(*port, *until);
                if !kept {
                    *total -= 1;
                    if let Some(count) = per_port.get_mut(port) {
                        *count -= 1;
                    }
                }
                kept
            });
            !ports.is_empty()
        });
        per_port.retain(|_, count| *count > 0);
    }

    /// The uplink behind which the querier is. Without one, members do not repeat their reports, so groups of this
    /// protocol must be flooded (RFC 4541, 2.1.2).
    pub fn querier(&self, place: Place, family: Family) -> Option<u32> {
        self.queriers.uplink((place, family))
    }

    /// The places with a query that all members have had time to answer, and the time of the last such query.
    pub fn answered(&self) -> impl Iterator<Item = (Place, Family, Duration)> {
        self.queriers.answered()
    }

    /// Whether all memberships of a port are known, given that members have answered the query of that time. A port for
    /// which they are not, such as one that came from another host in mid-life, must receive everything.
    pub fn is_certain(&self, port: u32, asked: Duration) -> bool {
        self.ports.get(&port).is_some_and(|(_, since)| *since <= asked)
    }

    /// The ports that joined each MAC's groups. MACs of [`super::is_always_flooded`] may be among them.
    pub fn groups(&self) -> BTreeMap<(Place, Mac), BTreeSet<u32>> {
        let mut groups: BTreeMap<(Place, Mac), BTreeSet<u32>> = BTreeMap::new();
        for ((place, group), ports) in &self.members {
            groups.entry((*place, mac_of(*group))).or_default().extend(ports.keys());
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { network: 1, vlan: 10 };

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn say(group: &str, is_member: bool) -> Message {
        Message::Report(vec![Membership { group: group.parse().unwrap(), is_member }])
    }

    fn query(source: &str) -> Message {
        let source: IpAddr = source.parse().unwrap();
        let family = if source.is_ipv4() { Family::V4 } else { Family::V6 };
        Message::Query { family, source, group: None, response: s(10) }
    }

    fn members(table: &mut Memberships, now: u64, group: &str) -> Vec<u32> {
        table.expire(s(now));
        let key = (PLACE, mac_of(group.parse().unwrap()));
        table.groups().get(&key).into_iter().flatten().copied().collect()
    }

    #[test]
    fn a_membership_lasts_as_long_as_it_is_repeated() {
        let mut table = Memberships::default();
        table.hear(s(0), PLACE, Origin::Port(1), &say("239.1.1.1", true));
        table.hear(s(100), PLACE, Origin::Port(2), &say("239.1.1.1", true));
        table.hear(s(200), PLACE, Origin::Port(1), &say("239.1.1.1", true));
        assert_eq!(members(&mut table, 359, "239.1.1.1"), [1, 2]);
        assert_eq!(members(&mut table, 360, "239.1.1.1"), [1]);
        assert_eq!(members(&mut table, 460, "239.1.1.1"), []);
        assert_eq!(table, Memberships::default());
    }

    #[test]
    fn a_member_that_leaves_is_out_unless_another_behind_the_port_stays() {
        let mut table = Memberships::default();
        for port in [1, 2] {
            table.hear(s(0), PLACE, Origin::Port(port), &say("239.1.1.1", true));
            table.hear(s(10), PLACE, Origin::Port(port), &say("239.1.1.1", false));
        }
        table.hear(s(11), PLACE, Origin::Port(2), &say("239.1.1.1", true));
        assert_eq!(members(&mut table, 11, "239.1.1.1"), [1, 2]);
        assert_eq!(members(&mut table, 12, "239.1.1.1"), [2]);
        table.hear(s(12), PLACE, Origin::Port(3), &say("239.1.1.1", false));
        assert_eq!(members(&mut table, 12, "239.1.1.1"), [2]);
    }

    #[test]
    fn groups_that_share_a_mac_share_their_members_and_places_do_not() {
        let mut table = Memberships::default();
        table.hear(s(0), PLACE, Origin::Port(1), &say("239.1.1.1", true));
        table.hear(s(0), PLACE, Origin::Port(2), &say("238.129.1.1", true));
        table.hear(s(0), Place { vlan: 11, ..PLACE }, Origin::Port(3), &say("239.1.1.1", true));
        assert_eq!(members(&mut table, 1, "239.1.1.1"), [1, 2]);
        assert_eq!(table.groups().len(), 2);
        table.hear(s(1), PLACE, Origin::Port(1), &say("239.1.1.1", false));
        assert_eq!(members(&mut table, 3, "239.1.1.1"), [2]);
        table.know_ports(s(3), &[(1, PLACE)].into());
        assert_eq!(members(&mut table, 3, "239.1.1.1"), []);
    }

    #[test]
    fn only_uplinks_have_queriers() {
        let mut table = Memberships::default();
        table.hear(s(0), PLACE, Origin::Port(1), &query("10.0.0.66"));
        assert_eq!(table.querier(PLACE, Family::V4), None);
        table.hear(s(0), PLACE, Origin::Uplink(7), &query("10.0.0.1"));
        // A switch that queries in a router's stead does not displace a router.
        table.hear(s(1), PLACE, Origin::Uplink(8), &query("0.0.0.0"));
        table.hear(s(1), PLACE, Origin::Uplink(8), &say("239.1.1.1", true));
        assert_eq!(table.querier(PLACE, Family::V4), Some(7));
        assert_eq!((table.querier(PLACE, Family::V6), table.groups().len()), (None, 0));
        table.hear(s(2), PLACE, Origin::Uplink(7), &query("0.0.0.0"));
        table.expire(s(256));
        assert_eq!(table.querier(PLACE, Family::V4), Some(7));
        table.expire(s(257));
        assert_eq!(table.querier(PLACE, Family::V4), None);
        table.hear(s(300), PLACE, Origin::Uplink(8), &query("fe80::1"));
        assert_eq!(table.querier(PLACE, Family::V6), Some(8));
        table.know_uplinks(&[7].into());
        assert_eq!(table, Memberships::default());
    }

    #[test]
    fn a_port_is_certain_once_it_has_answered_a_query() {
        let mut table = Memberships::default();
        table.know_ports(s(10), &[(1, PLACE), (2, PLACE)].into());
        let certain = |table: &Memberships, asked| [1, 2].map(|port| table.is_certain(port, s(asked)));
        assert_eq!(certain(&table, 9), [false, false]);
        assert_eq!(certain(&table, 10), [true, true]);
        let moved = Place { vlan: 11, ..PLACE };
        table.know_ports(s(20), &[(1, PLACE), (2, moved)].into());
        assert_eq!(certain(&table, 19), [true, false]);
        // It joins more groups than the limit.
        for number in 0..=u8::MAX {
            let effect = table.hear(s(21), PLACE, Origin::Port(1), &say(&format!("239.1.1.{number}"), true));
            assert!(effect.fits);
        }
        assert!(!table.hear(s(22), PLACE, Origin::Port(1), &say("239.1.2.1", true)).fits);
        assert_eq!((certain(&table, 21), certain(&table, 22)), ([false, true], [true, true]));
        table.doubt_all(s(30));
        assert_eq!(certain(&table, 29), [false, false]);
        table.know_ports(s(31), &[(2, moved)].into());
        assert_eq!((certain(&table, 40), table.groups().len()), ([false, true], 0));
    }

    #[test]
    fn only_what_changes_filters_is_said_to() {
        let mut table = Memberships::default();
        table.know_ports(s(0), &[(1, PLACE), (2, PLACE)].into());
        let changes = |table: &mut Memberships, at, origin, message: &Message| {
            table.hear(s(at), PLACE, origin, message).changes
        };
        let (one, uplink) = (Origin::Port(1), Origin::Uplink(7));
        let (join, leave) = (say("239.1.1.1", true), say("239.1.1.1", false));
        assert!(!changes(&mut table, 1, one, &join), "nobody asks");
        assert!(!changes(&mut table, 2, uplink, &query("10.0.0.1")), "not all have answered");
        assert!(!table.doubt(s(2), 2), "it gets all anyway");
        assert!(table.expire(s(20)), "all have");
        for (name, origin, message, expected) in [
            ("what is known", one, &join, false),
            ("one more", Origin::Port(2), &join, true),
            ("one that is to end", one, &leave, false),
            ("one that never was", Origin::Port(2), &say("239.1.1.2", false), false),
            ("of the link", one, &say("224.0.0.251", true), false),
            ("of a protocol that nobody asks by", one, &say("ff3e::1234:5", true), false),
            ("nothing", one, &Message::Report(vec![]), false),
            ("from outside", uplink, &say("239.1.1.9", true), false),
            ("a query", uplink, &query("10.0.0.1"), false),
            ("a guest's query", one, &query("10.0.0.66"), false),
        ] {
            assert_eq!(changes(&mut table, 21, origin, message), expected, "{name}");
        }
        assert!(table.expire(s(24)), "one has ended");
        // A doubt that begins now did not exist before.
        assert!(!table.doubt(s(0), 1), "another had its number then");
        assert!(table.doubt(s(33), 1) && !table.doubt(s(33), 1) && !table.doubt(s(33), 9));
        assert!(!table.is_certain(1, s(32)) && table.is_certain(2, s(32)));
    }

    #[test]
    fn a_guest_cannot_fill_the_table() {
        let mut table = Memberships::default();
        let group =
            |number: usize| IpAddr::from((0xef01_0000 + u32::try_from(number).unwrap()).to_be_bytes());
        let join = |number| Message::Report(vec![Membership { group: group(number), is_member: true }]);
        for number in 0..SNOOP_GROUPS_PER_PORT {
            assert!(table.hear(s(0), PLACE, Origin::Port(1), &join(number)).fits);
        }
        assert!(!table.hear(s(1), Place { vlan: 11, ..PLACE }, Origin::Port(1), &join(0)).fits);
        assert!(table.hear(s(1), PLACE, Origin::Port(1), &join(0)).fits, "one that is known is repeated");
        assert!(table.hear(s(1), PLACE, Origin::Port(2), &join(0)).fits, "another port is not concerned");
        assert!(table.expire(s(260)) && !table.expire(s(260)));
        assert!(table.hear(s(260), PLACE, Origin::Port(1), &join(99_999)).fits, "others have ended");
        for port in 100.. {
            if !(0..SNOOP_GROUPS_PER_PORT)
                .all(|number| table.hear(s(260), PLACE, Origin::Port(port), &join(number)).fits)
            {
                break;
            }
        }
        assert_eq!(table.members.values().map(BTreeMap::len).sum::<usize>(), SNOOP_GROUPS);
    }
}
