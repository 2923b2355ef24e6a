//! Interfaces of the switch's own: veth pairs whose near end takes frames that need something before they go on, and at whose far
//! end a program of the data plane sends them on.

use rtnetlink::{LinkUnspec, LinkVeth};

use super::{Netlink, ethtool, failed, silence};
use crate::Result;
use crate::limits::OWN_MTU;

/// The names of both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub near: String,
    pub far: String,
}

impl Pair {
    /// For traffic shaping: queues delay what enters. `host` tells hosts of one network namespace from each other.
    pub fn queue(host: &str) -> Self {
        Self::named(&format!("esf-q{:08x}", digest(host)), "-o")
    }

    /// For mirroring: copies leave as they would be on a wire.
    pub fn mirror(host: &str) -> Self {
        Self::named(&format!("esf-m{:08x}", digest(host)), "-o")
    }

    /// What versions before named the first, whatever the host.
    pub fn former_queue() -> Self {
        Self::named("esf-queue", "-out")
    }

    /// And the second.
    pub fn former_mirror() -> Self {
        Self::named("esf-mirror", "-out")
    }

    fn named(near: &str, far: &str) -> Self {
        Self { near: near.into(), far: format!("{near}{far}") }
    }
}

/// A name of an interface has room for 15 bytes, so the host's is a number in it (FNV-1a).
fn digest(host: &str) -> u32 {
    host.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Lets what enters a pair be cut into segments and get its checksums.
///
/// # Errors
/// `Link`.
pub fn leave_nothing(pair: &Pair) -> Result<()> {
    ethtool::leave_nothing(&pair.near)
        .map_err(|error| failed(&pair.near, "let it leave no work to others")(&error))
}

impl Netlink {
    /// Makes a pair and sets it up.
    ///
    /// # Errors
    /// `Link`.
    pub async fn make_pair(&self, pair: &Pair) -> Result<()> {
        let message = LinkVeth::new(&pair.near, &pair.far);
        self.answer(&pair.near, "make it", self.handle.link().add(message.build()).execute()).await?;
        self.set_pair_up(pair).await
    }

    /// Sets both ends of a pair up as [`Self::make_pair`] does: whoever made it may have been killed before it did.
    ///
    /// # Errors
    /// `Link`.
    pub async fn set_pair_up(&self, pair: &Pair) -> Result<()> {
        let links = self.all().await?;
        for end in [&pair.near, &pair.far] {
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
    pub async fn remove_pair(&self, pair: &Pair, near: u32) -> Result<()> {
        self.answer(&pair.near, "remove it", self.handle.link().del(near).execute()).await
    }

    /// Gives an interface that is up another name, which kernels before 6.2 refuse.
    ///
    /// # Errors
    /// `Link`.
    pub async fn rename(&self, name: &str, index: u32, new: &str) -> Result<()> {
        self.set(name, "give it another name", LinkUnspec::new_with_index(index).name(new)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_two_hosts_have_names_of_their_own_that_fit() {
        let longest = "h".repeat(64);
        let hosts = ["host-1", "host-2", &longest];
        let pairs = hosts.iter().flat_map(|host| [Pair::queue(host), Pair::mirror(host)]);
        let names: Vec<String> = pairs.flat_map(|pair| [pair.near, pair.far]).collect();
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        assert!(names.iter().all(|name| name.len() < 16), "{names:?}");
        assert_eq!(Pair::queue("host-1"), Pair::queue("host-1"));
    }
}
