//! The pair of interfaces that copies of mirrors pass. It exists before anything is mirrored, and goes afterwards.

use std::collections::BTreeMap;

use super::Switching;
use crate::Result;
use crate::kernel::Program;
use crate::layout::Mirrored;
use crate::limits::MIRROR_DESTINATIONS;
use crate::link::leave_nothing;

impl Switching {
    pub(super) async fn prepare_mirror(&mut self) -> Result<()> {
        let pair = self.own.mirror.clone();
        if self.declared.mirrors.is_empty() || self.prepare_pair(&pair).await? {
            return Ok(());
        }
        // Otherwise every checksum inside an encapsulated frame would be wrong, so mirroring needs it.
        let ready = leave_nothing(&self.own.mirror);
        self.links = self.netlink.all().await?;
        if let (Err(_), Some(link)) = (&ready, self.links.get(&self.own.mirror.near)) {
            self.netlink.remove_pair(&self.own.mirror, link.index).await?;
            self.links = self.netlink.all().await?;
            return ready;
        }
        self.attach_own(Program::FromMirror).await
    }

    pub(super) async fn tidy_mirror(&mut self) -> Result<()> {
        if !self.declared.mirrors.is_empty() {
            return Ok(());
        }
        if let Some(link) = self.links.get(&self.own.mirror.near) {
            self.netlink.remove_pair(&self.own.mirror, link.index).await?;
            self.links = self.netlink.all().await?;
        }
        Ok(())
    }

    /// The counters of active sessions.
    pub(super) fn mirrored(&self) -> Result<BTreeMap<u32, Mirrored>> {
        let mut sessions: BTreeMap<u32, Mirrored> = BTreeMap::new();
        let destinations = u32::try_from(MIRROR_DESTINATIONS).expect("is small");
        for mirror in self.actual.extras.mirrors.keys() {
            let done = self.kernel.mirrored(*mirror)?;
            let sum = sessions.entry(mirror / destinations).or_default();
            (sum.seen, sum.sent) = (sum.seen + done.seen, sum.sent + done.sent);
        }
        Ok(sessions)
    }
}
