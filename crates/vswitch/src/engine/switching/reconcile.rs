//! The pass that brings the kernel to the declared state.

use std::collections::BTreeSet;

use super::Switching;
use super::learning;
use crate::declare::Teaming;
use crate::kernel::Program;
use crate::limits::PORTS;
use crate::notify::Scene;
use crate::plan::{self, Extra, Fitness, Step, Tables, difference};
use crate::{Error, Result};

/// When the interfaces were last listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Just,
    Before,
}

impl Switching {
    /// Reconciles adapters, which may have been changed by hand.
    pub(super) async fn look_at_adapters(&mut self) {
        self.look_at_adapters_among(Seen::Before).await;
    }

    pub(super) async fn look_at_adapters_among(&mut self, links: Seen) {
        if !self.is_declared {
            return;
        }
        let trouble = self.reconcile_all(links).await.err().map(|error| error.to_string());
        if trouble != self.trouble
            && let Some(error) = &trouble
        {
            tracing::error!(error, "cannot bring the virtual switch to its declared state");
        }
        self.trouble = trouble;
    }

    /// Reconciles adapters, then the kernel: an adapter's port exists when ports are planned, and gets its addresses
    /// once it is connected. Uplinks lose theirs only then.
    pub(super) async fn reconcile_all(&mut self, links: Seen) -> Result<()> {
        let has_changed = self.adapters.connect().await;
        let seen = match links {
            Seen::Just if !has_changed => Ok(()),
            _ => self.netlink.all().await.map(|links| self.links = links),
        };
        let switched = self.reconcile().await;
        let uplinks = self.attached.values().filter(|(_, program, _)| *program == Program::FromUplink);
        let uplinks: Vec<String> = uplinks.map(|(name, _, _)| name.clone()).collect();
        self.adapters.configure(&uplinks).await;
        self.publish();
        seen.and(switched).and(self.adapters.result())
    }

    pub(super) async fn apply_seen(&mut self) {
        if let Err(error) = self.reconcile().await {
            tracing::error!(%error, "cannot bring the virtual switch to its declared state");
        }
    }

    /// Brings the kernel to the declared state, teams first.
    pub(super) async fn reconcile(&mut self) -> Result<()> {
        if !self.is_declared {
            return Ok(());
        }
        self.listening.begin();
        let mut first = Ok(());
        let mut note = |result: Result<()>| {
            if first.is_ok() {
                first = result;
            }
        };
        note(self.number_ports());
        let before = (self.actual.ports.clone(), self.actual.teams.clone());
        let learners = learning::who_learns(&self.actual.extras.learners);
        self.control.see(&self.declared, &self.links);
        let now = self.control.now();
        self.steady.see(now, &self.declared, &self.links);
        let fitness = |teaming: &Teaming, name: &str| {
            let is_cut_off = teaming.beacons && self.control.isolated().contains(name);
            if is_cut_off { Fitness::Broken } else { self.steady.fitness(now, name) }
        };
        let (mut teams, seats) =
            plan::teams(&self.declared, &self.links, &self.numbers, &self.seats, fitness);
        self.seats = seats;
        self.steady_at = self.steady.next(now).map(|time| self.control.on_clock(time));
        let looks = self.looks();
        plan::look_at_teams(&mut teams, &looks);
        for (number, team) in &teams {
            if self.actual.teams.get(number).is_some_and(|old| old != team) {
                note(self.step(&Step::Team(*number, Box::new(*team))));
            }
        }
        note(self.adopt_former().await);
        let queues = plan::queues(&self.declared, &self.links, &self.numbers);
        note(self.prepare_queues(&queues).await);
        note(self.prepare_mirror().await);
        let mut tables =
            plan::tables(&self.declared, &self.links, &self.numbers, self.own_indexes(), &self.placements);
        tables.teams = teams;
        self.listening.filter(&mut tables, &self.links);
        self.watch_flows();
        plan::look_at_ports(&mut tables, &self.numbers, &looks);
        let applied = self.apply(&tables);
        let holds = applied.is_ok();
        note(applied);
        // Learned MACs belong to their port at its place.
        if learners != learning::who_learns(&self.actual.extras.learners) {
            self.forget_gone().await;
        }
        note(self.attach().await);
        self.listening.know(&self.actual.ports, holds);
        self.hold_filters();
        note(self.tidy_queues(&queues).await);
        note(self.tidy_mirror().await);
        self.control.listen(&self.declared, &self.links);
        self.notify(Scene { ports: &before.0, teams: &before.1 });
        self.publish();
        first
    }

    /// Brings the maps to their planned content. After an error the rest is done all the same; a group whose new list
    /// does not fit keeps the old one.
    pub(super) fn apply(&mut self, tables: &Tables) -> Result<()> {
        let (mut first, mut torn) = (Ok(()), BTreeSet::new());
        for step in difference(&self.actual, tables) {
            let is_kept = match &step {
                Step::Group(_, group) => torn.contains(&group.list),
                Step::NoMember(key) if !torn.is_empty() => {
                    self.actual.groups.values().any(|group| group.list == key.list)
                }
                _ => false,
            };
            if is_kept {
                continue;
            }
            let done = self.step(&step);
            if let (Err(_), Step::Member(key, _)) = (&done, &step) {
                torn.insert(key.list);
            }
            first = first.and(done);
        }
        first
    }

    pub(super) fn step(&mut self, step: &Step) -> Result<()> {
        if let Step::Extra(Extra::Mirror(number, Some(_))) = step
            && !self.actual.extras.mirrors.contains_key(number)
        {
            self.kernel.clear_mirrored(*number)?;
        }
        self.kernel.apply(step)?;
        self.actual.apply(step);
        Ok(())
    }

    /// Numbers each interface that becomes a port, and takes back the numbers of former ports.
    pub(super) fn number_ports(&mut self) -> Result<()> {
        let wanted: BTreeSet<u32> = self.wanted().map(|(_, index, _)| index).collect();
        self.numbers.retain(|index, _| wanted.contains(index));
        self.placements.retain(|index, _| wanted.contains(index));
        let used: BTreeSet<u32> = self.numbers.values().copied().collect();
        let most = u32::try_from(PORTS).expect("is small");
        let mut free = (0..most).filter(|number| !used.contains(number));
        for index in wanted {
            if !self.numbers.contains_key(&index) {
                let full = Error::Limit { what: "ports of a host", asked: PORTS + 1, most: PORTS };
                let number = free.next().ok_or(full)?;
                self.kernel.clear_counters(number)?;
                self.numbers.insert(index, number);
            }
        }
        Ok(())
    }
}
