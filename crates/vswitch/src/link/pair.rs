//! Interfaces of the switch's own: veth pairs whose near end takes frames that need something before they go on, and at whose far
//! end a program of the data plane sends them on.

use rtnetlink::{LinkUnspec, LinkVeth};

use super::{Netlink, failed, offload, silence};
use crate::Result;
use crate::limits::OWN_MTU;

/// The names of both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub near: &'static str,
    pub far: &'static str,
}

/// Traffic shaping: queues delay what enters.
pub const QUEUE: Pair = Pair { near: "esf-queue", far: "esf-queue-out" };

/// Mirroring: copies leave as they would be on a wire.
pub const MIRROR: Pair = Pair { near: "esf-mirror", far: "esf-mirror-out" };

/// Lets what enters a pair be cut into segments and get its checksums.
///
/// # Errors
/// `Link`.
pub fn leave_nothing(pair: Pair) -> Result<()> {
    offload::leave_nothing(pair.near)
        .map_err(|error| failed(pair.near, "let it leave no work to others")(&error))
}

impl Netlink {
    /// Makes a pair and sets it up.
    ///
    /// # Errors
    /// `Link`.
    pub async fn make_pair(&self, pair: Pair) -> Result<()> {
        let message = LinkVeth::new(pair.near, pair.far);
        self.answer(pair.near, "make it", self.handle.link().add(message.build()).execute()).await?;
        self.set_pair_up(pair).await
    }

    /// Sets both ends of a pair up as [`Self::make_pair`] does: whoever made it may have been killed before it did.
    ///
    /// # Errors
    /// `Link`.
    pub async fn set_pair_up(&self, pair: Pair) -> Result<()> {
        let links = self.all().await?;
        for end in [pair.near, pair.far] {
            if let Err(error) = silence(end) {
                tracing::warn!(interface = end, %error, "cannot keep the host's own IPv6 off an interface");
            }
            if let Some(link) = links.get(end) {
                let message = LinkUnspec::new_with_index(link.index).up().mtu(OWN_MTU);
                self.set(end, "set it up with its MTU", message).await?;
            }
        }
        Ok(())
    }

    /// Removes a pair, by the number of its near end.
    ///
    /// # Errors
    /// `Link`.
    pub async fn remove_pair(&self, pair: Pair, near: u32) -> Result<()> {
        self.answer(pair.near, "remove it", self.handle.link().del(near).execute()).await
    }
}
