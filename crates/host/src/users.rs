//! The users that QEMU processes run as. Hosts of one lab are on one machine, and VMs of the same number on two of them must not
//! share a user: so each host has a range of its own, which follows from its identity and is kept.

use store::{Batch, Collection, Store};
use uuid::Uuid;

use crate::Result;

const FIRST: Collection<u32> = Collection::new("host-users");
const KEY: &str = "first";
/// A range that systemd keeps free, so that neither people nor containers are in it (its page "Users, Groups, UIDs and GIDs").
const FREE: std::ops::Range<u32> = 0x7000_0000..0x7ffe_0000;
/// Users of one host; its VMs have fewer.
const RANGE: u32 = 1 << 16;

/// The first user of this host. One that had VMs before there were ranges has `old`, since their files are owned by those.
///
/// # Errors
/// The store's.
pub(crate) async fn first(store: &Store, host: Uuid, old: Option<u32>) -> Result<u32> {
    if let Some(first) = FIRST.get(store, KEY)? {
        return Ok(first);
    }
    let first = old.unwrap_or_else(|| of(host));
    let mut batch = Batch::new();
    FIRST.put(&mut batch, KEY, &first)?;
    store.commit(batch).await?;
    Ok(first)
}

/// The first user of the range of a host.
fn of(host: Uuid) -> u32 {
    let ranges = (FREE.end - FREE.start) / RANGE;
    let (high, low) = host.as_u64_pair();
    let at = (high ^ low) % u64::from(ranges);
    FREE.start + u32::try_from(at).unwrap_or(0) * RANGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_hosts_have_users_of_their_own_and_keep_them() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let store = Store::in_memory().unwrap();
        let first = super::first(&store, one, None).await.unwrap();
        let other = super::first(&Store::in_memory().unwrap(), two, None).await.unwrap();
        assert!(first.abs_diff(other) >= RANGE, "{first} and {other}");
        assert_eq!(super::first(&store, one, Some(200_000)).await.unwrap(), first);
        let old = Store::in_memory().unwrap();
        for known in [Some(200_000), None] {
            assert_eq!(super::first(&old, one, known).await.unwrap(), 200_000, "its VMs have them");
        }
        for n in 0..1000 {
            let first = of(Uuid::from_u128(n << 7));
            assert!(FREE.contains(&first) && first + RANGE <= FREE.end);
        }
    }
}
