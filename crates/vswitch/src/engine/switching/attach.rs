//! Attaching programs to interfaces, and the settings of interfaces while they are ports.

use std::collections::BTreeMap;

use super::Switching;
use crate::Result;
use crate::kernel::Program;
use crate::link::{is_silent, restore, silence};

impl Switching {
    /// The declared interfaces that exist, and the program that each needs.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (String, u32, Program)> {
        let ports = self.declared.ports.iter().map(|port| (&port.interface, Program::FromPort));
        let uplinks = self.declared.switches.iter().flat_map(|switch| &switch.uplinks);
        let uplinks = uplinks.map(|uplink| (uplink, Program::FromUplink));
        ports
            .chain(uplinks)
            .filter_map(|(name, program)| Some((name.clone(), self.links.get(name)?.index, program)))
    }

    /// Attaches missing programs, and detaches those of former ports.
    pub(super) async fn attach(&mut self) -> Result<()> {
        let mut first = Ok(());
        let wanted: BTreeMap<u32, (String, Program)> = self
            .wanted()
            .chain(self.own_ends())
            .map(|(name, index, program)| (index, (name, program)))
            .collect();
        let names: BTreeMap<u32, String> =
            self.links.iter().map(|(name, link)| (link.index, name.clone())).collect();
        for (index, program) in self.kernel.attached() {
            if wanted.get(&index).is_none_or(|(_, needed)| *needed != program) {
                let name = names.get(&index).cloned().unwrap_or_default();
                // Before the link is removed, so that a restarted daemon repeats it if this one ends here.
                if program == Program::FromUplink && names.contains_key(&index) {
                    self.release(&name, index).await;
                }
                self.kernel.detach(&name, index, program);
                self.kernel.note_silent(index, false);
                self.kernel.forget_mtu(index);
                self.remove_former(&name, index, program).await;
            }
        }
        for (index, (name, program)) in &wanted {
            let mtu = self.mtu(*index);
            let done = match self.attached.get(index) {
                Some((known, with, given)) if known == name && with == program => {
                    if *given == mtu {
                        continue;
                    }
                    self.prepare(name, *index, *program).await
                }
                _ => self.attach_one(name, *index, *program).await,
            };
            match done {
                Ok(()) => _ = self.attached.insert(*index, (name.clone(), *program, mtu)),
                Err(error) => {
                    tracing::error!(interface = name, %error, "not connected to the virtual switch");
                    first = first.and(Err(error));
                }
            }
        }
        self.attached.retain(|index, _| wanted.contains_key(index));
        first
    }

    pub(super) async fn attach_one(&mut self, name: &str, index: u32, program: Program) -> Result<()> {
        // The interface was not an uplink before: keep its settings.
        let is_new = program == Program::FromUplink && !self.kernel.attached().contains(&(index, program));
        if is_new {
            self.kernel.note_silent(index, is_silent(name));
            self.kernel.forget_mtu(index);
        }
        if let Err(error) = silence(name) {
            tracing::warn!(interface = name, %error, "cannot keep the host's own IPv6 off a port");
        }
        self.kernel.attach(name, index, program)?;
        self.prepare(name, index, program).await
    }

    /// Restores the settings of a former uplink.
    pub(super) async fn release(&self, name: &str, index: u32) {
        if let Err(error) = self.netlink.release(name, index).await {
            tracing::warn!(%error, "cannot restore a former uplink");
        }
        self.give_mtu_back(name, index).await;
        if !self.kernel.was_silent(index)
            && let Err(error) = restore(name)
        {
            tracing::warn!(interface = name, %error, "the host's own IPv6 stays off a former uplink");
        }
    }

    /// Sets a port's interface up, with the MTU of its switch.
    pub(super) async fn prepare(&self, name: &str, index: u32, program: Program) -> Result<()> {
        match self.mtu(index) {
            0 => Ok(()),
            mtu if program == Program::FromUplink => self.lend_mtu(name, index, mtu).await,
            mtu => self.netlink.prepare(name, index, mtu, false).await,
        }
    }

    /// The MTU of a port's switch; 0 if the interface is not a port.
    pub(super) fn mtu(&self, index: u32) -> u32 {
        self.actual.ports.get(&index).map_or(0, |port| port.mtu)
    }
}
