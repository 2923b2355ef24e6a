//! The switch's internal pairs of interfaces, and those of earlier versions, which used the same names on all hosts.

use super::Switching;
use crate::Result;
use crate::kernel::Program;
use crate::link::Pair;
use crate::plan::Own;

/// Their names.
#[derive(Debug)]
pub(super) struct Pairs {
    pub(super) queue: Pair,
    pub(super) mirror: Pair,
}

impl Pairs {
    pub(super) fn of(host: &str) -> Self {
        Self { queue: Pair::queue(host), mirror: Pair::mirror(host) }
    }
}

impl Switching {
    /// The internal interfaces that exist, for the planner.
    pub(super) fn own_indexes(&self) -> Own {
        let index = |pair: &Pair| self.links.get(&pair.near).map(|link| link.index);
        Own { queue: index(&self.own.queue), mirror: index(&self.own.mirror) }
    }

    /// The far ends that exist, and the program that each needs.
    pub(super) fn own_ends(&self) -> impl Iterator<Item = (String, u32, Program)> {
        let own = [(&self.own.queue, Program::FromQueue), (&self.own.mirror, Program::FromMirror)];
        own.into_iter()
            .filter_map(|(pair, program)| Some((pair.far.clone(), self.links.get(&pair.far)?.index, program)))
    }

    /// Attaches a program at its far end, before anything enters at the near end.
    pub(super) async fn attach_own(&mut self, program: Program) -> Result<()> {
        let found = self.own_ends().find(|(_, _, needed)| *needed == program);
        if let Some((far, index, program)) = found {
            self.attach_one(&far, index, program).await?;
            self.attached.insert(index, (far, program, self.mtu(index)));
        }
        Ok(())
    }

    /// Makes a pair if it does not exist, and sets it up if it is down or from another engine, which may have been
    /// killed before it did so. True if this engine has put it to work before.
    pub(super) async fn prepare_pair(&mut self, pair: &Pair) -> Result<bool> {
        let far = self.links.get(&pair.far).map(|link| link.index);
        let is_ours = far.is_some_and(|far| self.attached.contains_key(&far));
        let runs = |end| self.links.get(end).is_some_and(|link| link.running);
        if !self.links.contains_key(&pair.near) {
            self.netlink.make_pair(pair).await?;
        } else if !is_ours || !runs(&pair.near) || !runs(&pair.far) {
            self.netlink.set_pair_up(pair).await?;
        } else {
            return Ok(true);
        }
        self.links = self.netlink.all().await?;
        Ok(is_ours)
    }

    /// Takes over the pairs that an earlier version of this host's daemon left at work: they go on under their new
    /// names without losing a frame. Where the kernel cannot rename an interface that is up, new pairs are made, and
    /// [`Self::remove_former`] removes the old ones afterwards.
    pub(super) async fn adopt_former(&mut self) -> Result<()> {
        let former = [
            (Pair::former_queue(), self.own.queue.clone(), Program::FromQueue),
            (Pair::former_mirror(), self.own.mirror.clone(), Program::FromMirror),
        ];
        for (former, own, program) in former {
            let (Some(near), Some(far)) = (self.links.get(&former.near), self.links.get(&former.far)) else {
                continue;
            };
            let (near, far) = (near.index, far.index);
            // Pairs of other hosts stay.
            let is_ours = self.kernel.attached().contains(&(far, program));
            if !is_ours || self.links.contains_key(&own.near) {
                continue;
            }
            if let Err(error) = self.netlink.rename(&former.far, far, &own.far).await {
                tracing::info!(%error, "cannot rename an interface of an earlier version; replacing it");
                continue;
            }
            if let Err(error) = self.netlink.rename(&former.near, near, &own.near).await {
                tracing::warn!(%error, "cannot rename an interface of an earlier version; removing it");
                self.netlink.remove_pair(&former, near).await?;
            }
            self.links = self.netlink.all().await?;
        }
        Ok(())
    }

    /// Removes a pair of an earlier version that this host does not use any more, identified by the attached program.
    pub(super) async fn remove_former(&self, name: &str, index: u32, program: Program) {
        let former = match program {
            Program::FromQueue => Pair::former_queue(),
            Program::FromMirror => Pair::former_mirror(),
            Program::FromPort | Program::FromUplink | Program::ForgetLearned => return,
        };
        if former.far == name
            && let Err(error) = self.netlink.remove_pair(&former, index).await
        {
            tracing::warn!(%error, "cannot remove an interface of an earlier version");
        }
    }
}
