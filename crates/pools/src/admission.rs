//! Whether the reservations of pools fit into each other.
//!
//! A pool takes from its parent what it reserves, and if it is expandable also what its children reserve beyond that, up to
//! its limit. A pool that is not expandable gives its children its own reservation and no more; the root pool gives what
//! the hosts have. Only a change that makes a shortage, or makes one worse, is refused: hosts may have gone meanwhile, and
//! then every step back must be open.

use std::collections::HashMap;
use std::hash::Hash;

use vim::{Fault, fault};

use crate::{Allocation, MAX_DEPTH, MAX_POOLS};

/// A pool as admission sees it.
pub struct Member<'a, K> {
    pub me: K,
    /// None for the root pool, whose own allocations do not count.
    pub parent: Option<K>,
    pub cpu: &'a Allocation,
    pub memory: &'a Allocation,
}

/// The resources that the root pool gives.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    pub mhz: i64,
    pub mib: i64,
}

/// Of a pool: what its children take, and what it can give them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Balance {
    used: i64,
    gives: i64,
}

impl Balance {
    fn shortage(self) -> i64 {
        self.used.saturating_sub(self.gives).max(0)
    }
}

/// Admits a change of the pools of one compute resource from `before` to `after`. Without a known `capacity` the root pool
/// gives all that is asked.
///
/// # Errors
/// `InsufficientCpuResourcesFault`, `InsufficientMemoryResourcesFault`.
pub fn admit<K: Copy + Eq + Hash>(
    before: &[Member<'_, K>],
    after: &[Member<'_, K>],
    capacity: Option<Capacity>,
) -> Result<(), Fault> {
    let cpu = worse(before, after, |pool| pool.cpu, capacity.map(|all| all.mhz));
    if let Some(Balance { used, gives }) = cpu {
        return Err(fault!(
            InsufficientCpuResourcesFault { unreserved: gives, requested: used },
            "The pools would reserve {used} MHz where {gives} MHz are there to reserve"
        ));
    }
    let memory = worse(before, after, |pool| pool.memory, capacity.map(|all| all.mib));
    if let Some(Balance { used, gives }) = memory {
        return Err(fault!(
            InsufficientMemoryResourcesFault {
                unreserved: gives.saturating_mul(1 << 20),
                requested: used.saturating_mul(1 << 20)
            },
            "The pools would reserve {used} MiB where {gives} MiB are there to reserve"
        ));
    }
    Ok(())
}

/// Refuses a change by which the pools are too many, or too many above each other.
///
/// # Errors
/// `InsufficientResourcesFault`.
pub fn bound<K: Copy + Eq + Hash>(before: &[Member<'_, K>], after: &[Member<'_, K>]) -> Result<(), Fault> {
    let (count, depth) = (after.len().saturating_sub(1), depth(after));
    if count > MAX_POOLS && after.len() > before.len() {
        return Err(fault!(
            InsufficientResourcesFault {},
            "There are {MAX_POOLS} resource pools, as many as there may be; remove some first"
        ));
    }
    if depth > MAX_DEPTH && depth > self::depth(before) {
        return Err(fault!(
            InsufficientResourcesFault {},
            "Resource pools may be {MAX_DEPTH} above each other, the root pool counted"
        ));
    }
    Ok(())
}

/// How many pools are above each other at most.
fn depth<K: Copy + Eq + Hash>(pools: &[Member<'_, K>]) -> usize {
    let parents: HashMap<K, Option<K>> = pools.iter().map(|pool| (pool.me, pool.parent)).collect();
    let of = |pool: &Member<'_, K>| {
        let mut at = pool.parent;
        let mut depth = 1;
        while let Some(parent) = at {
            depth += 1;
            at = parents.get(&parent).copied().flatten();
        }
        depth
    };
    pools.iter().map(of).max().unwrap_or(0)
}

type Part<K> = for<'a> fn(&'a Member<'_, K>) -> &'a Allocation;

/// The balance of a pool whose shortage is larger than it was.
fn worse<K: Copy + Eq + Hash>(
    before: &[Member<'_, K>],
    after: &[Member<'_, K>],
    part: Part<K>,
    all: Option<i64>,
) -> Option<Balance> {
    let old: HashMap<K, i64> =
        balances(before, part, all).into_iter().map(|(pool, balance)| (pool, balance.shortage())).collect();
    let mut now = balances(after, part, all).into_iter();
    now.find(|(pool, now)| now.shortage() > old.get(pool).copied().unwrap_or(0)).map(|(_, balance)| balance)
}

/// The part of its parent that a pool takes while its children take `used`.
fn demand(allocation: &Allocation, used: i64) -> i64 {
    if allocation.expandable { allocation.reservation.max(used) } else { allocation.reservation }
}

/// The balance of each pool. `all` is what the root pool has.
fn balances<K: Copy + Eq + Hash>(
    pools: &[Member<'_, K>],
    part: Part<K>,
    all: Option<i64>,
) -> Vec<(K, Balance)> {
    let mut below: HashMap<K, Vec<&Member<'_, K>>> = HashMap::new();
    for pool in pools {
        if let Some(parent) = pool.parent {
            below.entry(parent).or_default().push(pool);
        }
    }
    // Parents come before their children, so the way back meets children first.
    let mut order: Vec<&Member<'_, K>> = pools.iter().filter(|pool| pool.parent.is_none()).collect();
    let mut at = 0;
    while at < order.len() {
        order.extend(below.get(&order[at].me).into_iter().flatten());
        at += 1;
    }
    let mut used: HashMap<K, i64> = HashMap::new();
    let mut balances = Vec::with_capacity(order.len());
    for pool in order.into_iter().rev() {
        let own = part(pool);
        let taken = used.get(&pool.me).copied().unwrap_or(0);
        let gives = match pool.parent {
            None => all.unwrap_or(i64::MAX),
            Some(_) if !own.expandable => own.reservation,
            Some(_) if own.limit >= 0 => own.limit,
            Some(_) => i64::MAX,
        };
        balances.push((pool.me, Balance { used: taken, gives }));
        if let Some(parent) = pool.parent {
            let sum = used.entry(parent).or_default();
            *sum = sum.saturating_add(demand(own, taken));
        }
    }
    balances
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(reservation: i64, expandable: bool, limit: i64) -> Allocation {
        Allocation { reservation, expandable, limit, ..Allocation::default() }
    }

    /// Whether pools are admitted whose parents and memory these are: the pools 1, 2, … below the root pool 0 of 1000 MiB.
    fn admitted(before: &[(u32, Allocation)], after: &[(u32, Allocation)]) -> bool {
        let root = Allocation::default();
        let all = Some(Capacity { mhz: 1000, mib: 1000 });
        admit(&list(&root, before), &list(&root, after), all).is_ok()
    }

    fn list<'a>(root: &'a Allocation, of: &'a [(u32, Allocation)]) -> Vec<Member<'a, u32>> {
        let top = Member { me: 0, parent: None, cpu: root, memory: root };
        let others = (1..).zip(of).map(|(me, (parent, memory))| Member {
            me,
            parent: Some(*parent),
            cpu: root,
            memory,
        });
        std::iter::once(top).chain(others).collect()
    }

    #[test]
    fn a_reservation_is_admitted_where_its_parents_have_it() {
        let cases = [
            ("all that there is", vec![(0, part(1000, true, -1))], true),
            ("more than there is", vec![(0, part(1001, true, -1))], false),
            ("together more than there is", vec![(0, part(600, true, -1)), (0, part(600, true, -1))], false),
            ("from its parent", vec![(0, part(600, false, -1)), (1, part(600, false, -1))], true),
            ("its parent does not expand", vec![(0, part(600, false, -1)), (1, part(601, false, -1))], false),
            ("its parent expands", vec![(0, part(600, true, -1)), (1, part(1000, false, -1))], true),
            ("expands beyond the host", vec![(0, part(0, true, -1)), (1, part(1001, false, -1))], false),
            ("expands beyond its limit", vec![(0, part(100, true, 500)), (1, part(501, false, -1))], false),
            (
                "through two pools that expand",
                vec![(0, part(0, true, -1)), (1, part(0, true, -1)), (2, part(1001, true, -1))],
                false,
            ),
            (
                "a pool that does not expand is taken once",
                vec![(0, part(1000, false, -1)), (1, part(500, true, -1)), (1, part(500, true, -1))],
                true,
            ),
        ];
        for (case, pools, expected) in cases {
            assert_eq!(admitted(&[], &pools), expected, "{case}");
        }
    }

    #[test]
    fn a_shortage_that_is_there_already_forbids_only_what_makes_it_worse() {
        let short = [(0, part(900, true, -1)), (0, part(900, true, -1))];
        let better = [(0, part(900, true, -1)), (0, part(500, true, -1))];
        let worse = [(0, part(901, true, -1)), (0, part(900, true, -1))];
        assert!(admitted(&short, &short) && admitted(&short, &better));
        assert!(!admitted(&short, &worse));
    }

    #[test]
    fn pools_are_bounded_in_number_and_in_depth() {
        let root = Allocation::default();
        let chain = |pools: u32| (0..pools).map(|parent| (parent, part(0, true, -1))).collect::<Vec<_>>();
        let flat = |pools: usize| vec![(0, part(0, true, -1)); pools];
        let deepest = u32::try_from(MAX_DEPTH - 1).unwrap();
        let cases = [
            (chain(deepest - 1), chain(deepest), true),
            (chain(deepest), chain(deepest + 1), false),
            // They were there before there was the limit.
            (chain(deepest + 2), chain(deepest + 1), true),
            (flat(MAX_POOLS - 1), flat(MAX_POOLS), true),
            (flat(MAX_POOLS), flat(MAX_POOLS + 1), false),
            (flat(MAX_POOLS + 1), flat(MAX_POOLS + 1), true),
        ];
        for (before, after, expected) in cases {
            let outcome = bound(&list(&root, &before), &list(&root, &after));
            assert_eq!(outcome.is_ok(), expected, "{} to {}", before.len(), after.len());
        }
    }

    #[test]
    fn without_a_known_capacity_only_pools_bound_each_other() {
        let root = Allocation::default();
        let much = [(0, part(i64::MAX, true, -1)), (0, part(i64::MAX, true, -1))];
        admit(&[], &list(&root, &much), None).unwrap();
        let inner = [(0, part(5, false, -1)), (1, part(6, false, -1))];
        let fault = admit(&[], &list(&root, &inner), None).unwrap_err();
        assert_eq!(fault.type_name(), "InsufficientMemoryResourcesFault");
    }
}
