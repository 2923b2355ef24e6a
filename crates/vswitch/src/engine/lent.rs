//! The MTU of an uplink is its switch's for as long as it is one. What it had before, or what an administrator has given it by hand
//! meanwhile, is what it has when it leaves.

use super::run::Switching;
use crate::Result;
use crate::kernel::LentMtu;

/// What is to be kept of an uplink that has the MTU `now` and is to get `given`.
fn lend(kept: Option<LentMtu>, now: u32, given: u32) -> LentMtu {
    match kept.filter(|kept| is_ours(*kept, now)) {
        Some(kept) => LentMtu { before: kept.before, given, former: now },
        None => LentMtu { before: now, given, former: given },
    }
}

/// What an interface that has the MTU `now` gets when it is no uplink any more; none if that is what it has, or what somebody has set.
fn give_back(kept: Option<LentMtu>, now: u32) -> Option<u32> {
    kept.filter(|kept| is_ours(*kept, now) && kept.before != now).map(|kept| kept.before)
}

/// Whether an uplink has its MTU from the switch.
fn is_ours(kept: LentMtu, now: u32) -> bool {
    now == kept.given || now == kept.former
}

impl Switching {
    /// Sets an uplink up with the MTU of its switch.
    pub(super) async fn lend_mtu(&self, name: &str, index: u32, mtu: u32) -> Result<()> {
        let now = self.netlink.mtu(name, index).await?;
        let lent = lend(self.kernel.lent_mtu(index), now, mtu);
        // First, so that it is known if the daemon ends here, or if the interface refuses.
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
    fn what_is_kept_is_what_was_there_without_the_switch() {
        let known = Some(kept(1500, 9000, 9000));
        for (known, now, given, expected) in [
            (None, 1500, 9000, kept(1500, 9000, 9000)),
            // The switch has another one now.
            (known, 9000, 4000, kept(1500, 4000, 9000)),
            // The daemon starts again.
            (known, 9000, 9000, kept(1500, 9000, 9000)),
            // It ended before it had set it, or the interface has refused.
            (known, 1500, 9000, kept(1500, 9000, 9000)),
            (Some(kept(1500, 4000, 9000)), 9000, 4000, kept(1500, 4000, 9000)),
            // Somebody has set it by hand.
            (known, 2000, 9000, kept(2000, 9000, 9000)),
        ] {
            assert_eq!(lend(known, now, given), expected, "{known:?}, {now}, {given}");
        }
    }

    #[test]
    fn what_somebody_has_set_by_hand_stays() {
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
