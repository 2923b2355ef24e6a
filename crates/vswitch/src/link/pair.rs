//! The switch's internal interfaces: veth pairs whose near end takes frames that need more work, and at whose far end a
//! program of the data plane sends them on.

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
    /// For traffic shaping: queues delay entering frames. `host` tells hosts of one network namespace apart.
    pub fn queue(host: &str) -> Self {
        Self::named(&format!("esf-q{:08x}", digest(host)), "-o")
    }

    /// For mirroring: copies leave it as they would look on a wire.
    pub fn mirror(host: &str) -> Self {
        Self::named(&format!("esf-m{:08x}", digest(host)), "-o")
    }

    /// The name that earlier versions gave the first, whatever the host.
    pub fn former_queue() -> Self {
        Self::named("esf-queue", "-out")
    }

    /// The name that earlier versions gave the second.
    pub fn former_mirror() -> Self {
        Self::named("esf-mirror", "-out")
    }

    fn named(near: &str, far: &str) -> Self {
        Self { near: near.into(), far: format!("{near}{far}") }
    }
}

/// A number for the host's name (FNV-1a), since names of interfaces have only 15 bytes.
fn digest(host: &str) -> u32 {
    host.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Makes the kernel segment and checksum the frames that enter a pair.
///
/// # Errors
/// `Link`.
pub fn leave_nothing(pair: &Pair) -> Result<()> {
    ethtool::leave_nothing(&pair.near).map_err(|error| failed(&pair.near, "turn its offloads off")(&error))
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

    /// Sets up both ends of a pair, as [`Self::make_pair`] does: the daemon that made it may have been killed first.
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

    /// Removes a pair, by the index of its near end.
    ///
    /// # Errors
    /// `Link`.
    pub async fn remove_pair(&self, pair: &Pair, near: u32) -> Result<()> {
        self.answer(&pair.near, "remove it", self.handle.link().del(near).execute()).await
    }

    /// Renames an interface that is up, which kernels before 6.2 refuse.
    ///
    /// # Errors
    /// `Link`.
    pub async fn rename(&self, name: &str, index: u32, new: &str) -> Result<()> {
        self.set(name, "rename it", LinkUnspec::new_with_index(index).name(new)).await
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
