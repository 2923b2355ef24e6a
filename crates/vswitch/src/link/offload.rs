//! What an interface may leave to whoever gets its frames.

use std::io;

use super::ethtool;

/// `ETHTOOL_STSO`, `ETHTOOL_SGSO`, `ETHTOOL_STXCSUM`, `ETHTOOL_SSG` (linux/ethtool.h): segmentation first, which needs the others.
const OFFLOADS: [u32; 4] = [0x1f, 0x24, 0x17, 0x19];

/// Lets an interface leave nothing to others: what it sends is cut into segments and has its checksums.
///
/// # Errors
/// What the kernel says.
pub(super) fn leave_nothing(interface: &str) -> io::Result<()> {
    OFFLOADS.into_iter().try_for_each(|command| ethtool::set(interface, command, 0))
}
