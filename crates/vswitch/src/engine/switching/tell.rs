//! The reports of the engine: announcements to physical switches, the published state, and the flows to export.

use std::collections::BTreeMap;

use super::Switching;
use crate::engine::flows::Wanted;
use crate::engine::state::State;
use crate::layout::{PORT_UPLINK, TEAM_SLOTS};
use crate::notify::{self, Scene};

impl Switching {
    /// Announces MACs that have moved since `before` to physical switches.
    pub(super) fn notify(&self, before: Scene<'_>) {
        let now = Scene { ports: &self.actual.ports, teams: &self.actual.teams };
        let wanted = |group| {
            let found = self.declared.port_group(group);
            found.is_some_and(|(switch, group)| switch.policy_of(group).teaming.notify_switches)
        };
        let read_learned = || {
            self.kernel.learned().unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot notify the physical switch of learned MACs");
                vec![]
            })
        };
        for (uplink, frame) in notify::notices(before, now, wanted, read_learned) {
            if let Err(error) = self.packets.send(uplink, &frame) {
                tracing::warn!(uplink, %error, "cannot notify the physical switch");
            }
        }
    }

    pub(super) fn publish(&self) {
        let names: BTreeMap<u32, &String> =
            self.links.iter().map(|(name, link)| (link.index, name)).collect();
        let uplink = |port: &crate::layout::Port| {
            let team = self.actual.teams.get(&port.team)?;
            names.get(&team.slot[usize::from(port.slot) % TEAM_SLOTS].ifindex)
        };
        let ports = self.actual.ports.iter().filter(|(_, port)| port.flags & PORT_UPLINK == 0);
        let uplinks =
            ports.filter_map(|(index, port)| Some(((*names.get(index)?).clone(), (*uplink(port)?).clone())));
        let state = State {
            links: self.links.clone(),
            isolated: self.control.isolated().clone(),
            seats: self.seats.clone(),
            uplinks: uplinks.collect(),
            adapters: self.adapters.adapter_states(),
            stacks: self.adapters.stack_states(),
        };
        self.publish.send_if_modified(|old| {
            let changed = *old != state;
            *old = state;
            changed
        });
        self.watch_flows();
    }

    /// Says which flows to export to which collectors, and from which adapters.
    pub(super) fn watch_flows(&self) {
        let state = self.publish.borrow();
        self.watching.set(Wanted::new(&self.declared, &self.links, &self.numbers, &state));
    }
}
