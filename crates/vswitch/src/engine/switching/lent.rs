//! The MTU of uplinks. An uplink has its switch's MTU. When it leaves, it gets back its earlier MTU, or keeps one that
//! an administrator set meanwhile.

use super::Switching;
use crate::Result;
use crate::kernel::LentMtu;

/// The mark to keep for an uplink that has the MTU `now` and is about to get `given`.
fn lend(kept: Option<LentMtu>, now: u32, given: u32) -> LentMtu {
    match kept.filter(|kept| is_ours(*kept, now)) {
        Some(kept) => LentMtu { before: kept.before, given, former: now },
        None => LentMtu { before: now, given, former: given },
    }
}

/// The MTU to restore on a former uplink that has the MTU `now`; `None` if it already has that one, or an
/// administrator's.
fn give_back(kept: Option<LentMtu>, now: u32) -> Option<u32> {
    kept.filter(|kept| is_ours(*kept, now) && kept.before != now).map(|kept| kept.before)
}

/// Whether the present MTU came from the switch.
fn is_ours(kept: LentMtu, now: u32) -> bool {
    now == kept.given || now == kept.former
}

impl Switching {
    /// Sets an uplink up with the MTU of its switch.
    pub(super) async fn lend_mtu(&self, name: &str, index: u32, mtu: u32) -> Result<()> {
        let now = self.netlink.mtu(name, index).await?;
        let lent = lend(self.kernel.lent_mtu(index), now, mtu);
        // Before the change, so that the mark exists if the daemon ends here or the interface refuses.
        self.kernel.note_mtu(index, lent);
        self.netlink.prepare(name, index, mtu, true).await?;
        self.kernel.note_mtu(index, LentMtu { former: mtu, ..lent });
        Ok(())
    }

    /// Gives a former uplink its MTU back.
    pub(super) async fn give_mtu_back(&self, name: &str, index: u32) {
        let given = async {
            let now = self.netlink.mtu(name, index).await?;
            match give_back(self.kernel.lent_mtu(index), now) {
                Some(before) => self.netlink.set_mtu(name, index, before).await,
                None => Ok(()),
            }
        };
        if let Err(error) = given.await {
            tracing::warn!(interface = name, %error, "a former uplink keeps the MTU of its switch");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn kept(before: u32, given: u32, former: u32) -> LentMtu {
        LentMtu { before, given, former }
    }

    #[test]
    fn the_kept_mtu_is_the_one_from_before_the_switch() {
        let known = Some(kept(1500, 9000, 9000));
        for (known, now, given, expected) in [
            (None, 1500, 9000, kept(1500, 9000, 9000)),
            // The switch changed its MTU.
            (known, 9000, 4000, kept(1500, 4000, 9000)),
            // The daemon restarted.
            (known, 9000, 9000, kept(1500, 9000, 9000)),
            // The daemon ended before the change, or the interface refused.
            (known, 1500, 9000, kept(1500, 9000, 9000)),
            (Some(kept(1500, 4000, 9000)), 9000, 4000, kept(1500, 4000, 9000)),
            // An administrator set it.
            (known, 2000, 9000, kept(2000, 9000, 9000)),
        ] {
            assert_eq!(lend(known, now, given), expected, "{known:?}, {now}, {given}");
        }
    }

    #[test]
    fn an_mtu_set_by_hand_stays() {
        for (known, now, expected) in [
            (Some(kept(1500, 9000, 9000)), 9000, Some(1500)),
            (Some(kept(1500, 4000, 9000)), 9000, Some(1500)),
            (Some(kept(1500, 9000, 9000)), 2000, None),
            (Some(kept(1500, 1500, 1500)), 1500, None),
            (None, 9000, None),
        ] {
            assert_eq!(give_back(known, now), expected, "{known:?}, {now}");
        }
    }
}
