//! The IpPoolManager: ranges of addresses of a datacenter, and the addresses that clients take from them.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vim::{
    DataId, Fault, Kind, List, ManagedId, MoRef, Object, Value, arg, data_id, fault, field, managed_id,
    method, props, vim,
};

use super::in_turn::in_turn;
use crate::common::Common;
use crate::stored::{decode, encode, store_fault};
use crate::{Call, Guard, Manager};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(IpPoolManager);
const POOL: DataId = data_id!(IpPool);
const POOLS: store::Collection<Stored> = store::Collection::new("ip-pool");
const COUNTER: &str = "ip-pool";
/// Pools that may exist.
const MAX_POOLS: usize = 1_000;
const MAX_POOL_BYTES: usize = 64 << 10;
/// Addresses that one pool may have handed out.
const MAX_ALLOCATIONS: usize = 65_536;
/// Parts of one range.
const MAX_PARTS: usize = 256;
const MAX_NAME_BYTES: usize = 255;
const CONFIGURE: &str = "Datacenter.IpPoolConfig";

/// A pool as the store holds it, by its number.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    /// The id of the datacenter.
    datacenter: String,
    /// `IpPool` in VI-JSON, without its counts.
    pool: serde_json::Value,
    /// The address of each allocation, of both families.
    #[serde(default)]
    v4: BTreeMap<String, IpAddr>,
    #[serde(default)]
    v6: BTreeMap<String, IpAddr>,
}

/// The IpPoolManager.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.ip_pool_manager.clone(),
    named: Some(field!(ServiceContent.ipPoolManager).number()),
    properties: |_| Ok(props!(IpPoolManager {})),
    register: |table| {
        in_turn!(
            table.methods,
            MANAGER, QueryIpPools => query;
            MANAGER, CreateIpPool => create;
            MANAGER, UpdateIpPool => update;
            MANAGER, DestroyIpPool => destroy;
            MANAGER, AllocateIpv4Address => allocate_v4;
            MANAGER, AllocateIpv6Address => allocate_v6;
            MANAGER, ReleaseIpAllocation => release;
            MANAGER, QueryIPAllocations => allocations;
        );
        for method in [method!(AllocateIpv4Address), method!(AllocateIpv6Address)] {
            table.methods.guard(MANAGER, method, Guard::Asks(&[CONFIGURE]));
        }
    },
};

fn all(call: &Call) -> Result<Vec<(i32, Stored)>, Fault> {
    let all = POOLS.all(&call.service.core.store).map_err(|error| store_fault(&error))?;
    let mut all: Vec<_> = all.into_iter().filter_map(|(id, pool)| Some((id.parse().ok()?, pool))).collect();
    all.sort_by_key(|(id, _)| *id);
    Ok(all)
}

/// The datacenter that a call names.
fn datacenter(call: &Call, given: &MoRef) -> Result<MoRef, Fault> {
    let state = call.state();
    let me = state.require(given)?.me().clone();
    if me.is_a(managed_id!(Datacenter)) {
        return Ok(me);
    }
    Err(crate::service::invalid_argument("dc", &format!("{me} is not a datacenter")))
}

fn find(call: &Call, datacenter: &MoRef, id: i32) -> Result<Stored, Fault> {
    let found = POOLS.get(&call.service.core.store, &id.to_string()).map_err(|error| store_fault(&error))?;
    found.filter(|pool| pool.datacenter == datacenter.id()).ok_or_else(|| {
        crate::service::invalid_argument("poolId", &format!("The datacenter has no IP pool {id}"))
    })
}

async fn query(call: &Call) -> Reply {
    let datacenter = datacenter(call, call.required(arg!(QueryIpPools.dc))?)?;
    let here = all(call)?.into_iter().filter(|(_, pool)| pool.datacenter == datacenter.id());
    let items: Vec<Value> = here.filter_map(|(id, pool)| Some(shown(call, id, &pool)?.into())).collect();
    Ok((!items.is_empty()).then(|| Value::List(List::new(Kind::Data(POOL), items))))
}

/// A pool with its number and counts, without the networks that no longer exist.
fn shown(call: &Call, id: i32, stored: &Stored) -> Option<Object> {
    let decoded = decode(POOL, stored.pool.to_string().as_bytes())?;
    let mut pool = Object::clone(&decoded);
    let state = call.state();
    let associated: Vec<Value> = pool
        .get(field!(IpPool.networkAssociation))
        .into_iter()
        .flatten()
        .filter(|at| {
            at.get(field!(IpPoolAssociation.network)).is_none_or(|network| state.find(network).is_some())
        })
        .map(|at| Value::Object(at.clone()))
        .collect();
    let kind = Kind::Data(data_id!(IpPoolAssociation));
    let list = (!associated.is_empty()).then(|| Value::List(List::new(kind, associated)));
    pool.put(field!(IpPool.networkAssociation).number(), list);
    pool.set(field!(IpPool.id), id);
    let count = |n: u128| i32::try_from(n).unwrap_or(i32::MAX);
    for (family, taken, available, allocated) in [
        (
            Family::V4,
            &stored.v4,
            field!(IpPool.availableIpv4Addresses),
            field!(IpPool.allocatedIpv4Addresses),
        ),
        (
            Family::V6,
            &stored.v6,
            field!(IpPool.availableIpv6Addresses),
            field!(IpPool.allocatedIpv6Addresses),
        ),
    ] {
        let size: u128 = ranges(&pool, family).unwrap_or_default().iter().map(|range| range.1).sum();
        pool.set(available, count(size.saturating_sub(taken.len() as u128)));
        pool.set(allocated, count(taken.len() as u128));
    }
    Some(pool)
}

async fn create(call: &Call) -> Reply {
    let datacenter = datacenter(call, call.required(arg!(CreateIpPool.dc))?)?;
    let pool = call.required(arg!(CreateIpPool.pool))?;
    let (known, state) = (all(call)?, call.state());
    if known.len() >= MAX_POOLS {
        return Err(fault!(
            OutOfBounds { argumentName: "pool" },
            "The limit of {MAX_POOLS} IP pools is reached; destroy some"
        ));
    }
    check(call, &datacenter, pool, None, &known)?;
    let mut batch = store::Batch::new();
    batch.reserve(COUNTER, 1);
    let core = &call.service.core;
    let committed = core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    let number = committed.reserved.first().map_or(0, |range| range.start);
    let id =
        i32::try_from(number).map_err(|_| fault!(RuntimeFault {}, "All numbers of IP pools are used up"))?;
    let stored = Stored {
        datacenter: datacenter.id().to_owned(),
        pool: kept(pool)?,
        v4: BTreeMap::new(),
        v6: BTreeMap::new(),
    };
    // Those of datacenters that no longer exist go with the next change.
    let gone = known.iter().filter(|(_, pool)| state.find_id(&pool.datacenter).is_none()).map(|(id, _)| *id);
    write(call, gone.collect(), Some((id, &stored))).await?;
    Ok(Some(Value::Int(id)))
}

async fn update(call: &Call) -> Reply {
    let datacenter = datacenter(call, call.required(arg!(UpdateIpPool.dc))?)?;
    let pool = call.required(arg!(UpdateIpPool.pool))?;
    let id = pool
        .get(field!(IpPool.id))
        .ok_or_else(|| crate::service::invalid_argument("pool.id", "The number of the IP pool is missing"))?;
    let old = find(call, &datacenter, id)?;
    check(call, &datacenter, pool, Some(id), &all(call)?)?;
    let mut merged = decode(POOL, old.pool.to_string().as_bytes())
        .map_or_else(|| Object::new(POOL), |known| Object::clone(&known));
    for (number, value) in pool.fields() {
        merged.put(*number, Some(value.clone()));
    }
    let new = Stored { pool: kept(&merged)?, ..old };
    write(call, Vec::new(), Some((id, &new))).await
}

async fn destroy(call: &Call) -> Reply {
    let datacenter = datacenter(call, call.required(arg!(DestroyIpPool.dc))?)?;
    let id = call.required(arg!(DestroyIpPool.id))?;
    let stored = find(call, &datacenter, id)?;
    let in_use = !stored.v4.is_empty() || !stored.v6.is_empty();
    if in_use && !call.required(arg!(DestroyIpPool.force))? {
        return Err(fault!(
            InvalidState {},
            "Addresses of the IP pool {id} are in use; release them, or use force"
        ));
    }
    write(call, vec![id], None).await
}

/// Refuses a pool that makes no sense, and one with the name of another in the datacenter.
fn check(
    call: &Call,
    datacenter: &MoRef,
    pool: &Object,
    id: Option<i32>,
    known: &[(i32, Stored)],
) -> Result<(), Fault> {
    let name = pool.get(field!(IpPool.name));
    if id.is_none() || name.is_some() {
        let name = name.unwrap_or_default();
        if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(crate::service::invalid_argument(
                "pool.name",
                &format!("A name has 1 to {MAX_NAME_BYTES} bytes and no control characters"),
            ));
        }
        let same = |other: &Stored| other.pool.get("name").and_then(|name| name.as_str()) == Some(name);
        let mut others =
            known.iter().filter(|(at, other)| Some(*at) != id && other.datacenter == datacenter.id());
        if others.any(|(_, other)| same(other)) {
            return Err(crate::service::invalid_argument(
                "pool.name",
                &format!("The datacenter has an IP pool {name:?} already"),
            ));
        }
    }
    for family in [Family::V4, Family::V6] {
        ranges(pool, family)?;
    }
    let state = call.state();
    for at in pool.get(field!(IpPool.networkAssociation)).into_iter().flatten() {
        if let Some(network) = at.get(field!(IpPoolAssociation.network)) {
            state.require(network)?;
            call.check(network, "Network.Assign")?;
        }
    }
    Ok(())
}

/// The part of a pool that is kept: not its number, nor what is counted.
fn kept(pool: &Object) -> Result<serde_json::Value, Fault> {
    let mut pool = Object::clone(pool);
    pool.put(field!(IpPool.id).number(), None);
    for counted in [
        field!(IpPool.availableIpv4Addresses).number(),
        field!(IpPool.availableIpv6Addresses).number(),
        field!(IpPool.allocatedIpv4Addresses).number(),
        field!(IpPool.allocatedIpv6Addresses).number(),
    ] {
        pool.put(counted, None);
    }
    let text = encode(POOL, &Arc::new(pool));
    if text.len() > MAX_POOL_BYTES {
        return Err(crate::service::invalid_argument(
            "pool",
            &format!("An IP pool has at most {MAX_POOL_BYTES} bytes"),
        ));
    }
    serde_json::from_slice(&text)
        .map_err(|error| fault!(RuntimeFault {}, "The pool cannot be stored: {error}"))
}

async fn write(call: &Call, gone: Vec<i32>, new: Option<(i32, &Stored)>) -> Reply {
    let mut batch = store::Batch::new();
    gone.iter().for_each(|id| POOLS.delete(&mut batch, &id.to_string()));
    if let Some((id, stored)) = new {
        POOLS.put(&mut batch, &id.to_string(), stored).map_err(|error| store_fault(&error))?;
    }
    call.service.core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    Ok(None)
}

async fn allocate_v4(call: &Call) -> Reply {
    let datacenter = datacenter(call, call.required(arg!(AllocateIpv4Address.dc))?)?;
    let id = call.required(arg!(AllocateIpv4Address.poolId))?;
    allocate(call, &datacenter, id, call.required(arg!(AllocateIpv4Address.allocationId))?, Family::V4).await
}

async fn allocate_v6(call: &Call) -> Reply {
    let datacenter = datacenter(call, call.required(arg!(AllocateIpv6Address.dc))?)?;
    let id = call.required(arg!(AllocateIpv6Address.poolId))?;
    allocate(call, &datacenter, id, call.required(arg!(AllocateIpv6Address.allocationId))?, Family::V6).await
}

/// Hands out the first free address. An allocation that has one keeps it.
async fn allocate(call: &Call, datacenter: &MoRef, id: i32, allocation: &str, family: Family) -> Reply {
    call.check(datacenter, CONFIGURE)?;
    if allocation.is_empty() || allocation.len() > MAX_NAME_BYTES || allocation.chars().any(char::is_control)
    {
        return Err(crate::service::invalid_argument(
            "allocationId",
            &format!("An allocation has a name of 1 to {MAX_NAME_BYTES} bytes without control characters"),
        ));
    }
    let mut stored = find(call, datacenter, id)?;
    let pool = decode(POOL, stored.pool.to_string().as_bytes());
    let pool = pool.ok_or_else(|| fault!(RuntimeFault {}, "The IP pool {id} is damaged"))?;
    let taken = match family {
        Family::V4 => &mut stored.v4,
        Family::V6 => &mut stored.v6,
    };
    if let Some(known) = taken.get(allocation) {
        return Ok(Some(Value::from(known.to_string())));
    }
    let full = || fault!(RuntimeFault {}, "The IP pool {id} has no free address");
    if taken.len() >= MAX_ALLOCATIONS {
        return Err(full());
    }
    let address = free(&ranges(&pool, family)?, taken.values(), family).ok_or_else(full)?;
    taken.insert(allocation.to_owned(), address);
    write(call, Vec::new(), Some((id, &stored))).await?;
    Ok(Some(Value::from(address.to_string())))
}

async fn release(call: &Call) -> Reply {
    let datacenter = datacenter(call, call.required(arg!(ReleaseIpAllocation.dc))?)?;
    let id = call.required(arg!(ReleaseIpAllocation.poolId))?;
    let allocation = call.required(arg!(ReleaseIpAllocation.allocationId))?;
    let mut stored = find(call, &datacenter, id)?;
    let found = [stored.v4.remove(allocation), stored.v6.remove(allocation)];
    if found.iter().all(Option::is_none) {
        return Err(crate::service::invalid_argument(
            "allocationId",
            &format!("The IP pool {id} has no allocation {allocation:?}"),
        ));
    }
    write(call, Vec::new(), Some((id, &stored))).await
}

async fn allocations(call: &Call) -> Reply {
    let datacenter = datacenter(call, call.required(arg!(QueryIPAllocations.dc))?)?;
    let stored = find(call, &datacenter, call.required(arg!(QueryIPAllocations.poolId))?)?;
    // An extension begins the names of its allocations with its key.
    let key = call.required(arg!(QueryIPAllocations.extensionKey))?;
    let all = stored.v4.iter().chain(&stored.v6).filter(|(allocation, _)| allocation.starts_with(key));
    let items = all.map(|(allocation, address)| {
        vim!(IpPoolManagerIpAllocation { ipAddress: address.to_string(), allocationId: allocation.as_str() })
            .into()
    });
    let items: Vec<Value> = items.collect();
    Ok(Some(Value::List(List::new(Kind::Data(data_id!(IpPoolManagerIpAllocation)), items))))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn number(self, text: &str) -> Option<u128> {
        match self {
            Self::V4 => text.parse::<Ipv4Addr>().ok().map(|address| u128::from(u32::from(address))),
            Self::V6 => text.parse::<Ipv6Addr>().ok().map(u128::from),
        }
    }

    fn address(self, number: u128) -> Option<IpAddr> {
        match self {
            Self::V4 => u32::try_from(number).ok().map(|number| Ipv4Addr::from(number).into()),
            Self::V6 => Some(Ipv6Addr::from(number).into()),
        }
    }

    fn last(self) -> u128 {
        match self {
            Self::V4 => u128::from(u32::MAX),
            Self::V6 => u128::MAX,
        }
    }
}

/// The first address and the number of addresses of each part of a pool's range, as in `10.20.60.4#10, 10.20.61.0#120`. A pool
/// that is not enabled has none to hand out.
///
/// # Errors
/// `InvalidArgument` for a text of another form.
fn ranges(pool: &Object, family: Family) -> Result<Vec<(u128, u128)>, Fault> {
    let (config, name) = match family {
        Family::V4 => (pool.get(field!(IpPool.ipv4Config)), "ipv4Config"),
        Family::V6 => (pool.get(field!(IpPool.ipv6Config)), "ipv6Config"),
    };
    let Some(config) = config else { return Ok(Vec::new()) };
    let refuse = |field: &str, message: &str| {
        Err(crate::service::invalid_argument(&format!("pool.{name}.{field}"), message))
    };
    for (field, text) in [
        ("subnetAddress", config.get(field!(IpPoolIpPoolConfigInfo.subnetAddress))),
        ("gateway", config.get(field!(IpPoolIpPoolConfigInfo.gateway))),
    ] {
        if text.is_some_and(|text| !text.is_empty() && family.number(text).is_none()) {
            return refuse(field, "It is not an address of this family");
        }
    }
    let text = config.get(field!(IpPoolIpPoolConfigInfo.range)).unwrap_or_default();
    let mut parts = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let part = part.split_once('#').and_then(|(first, count)| {
            let first = family.number(first.trim())?;
            let count: u32 = count.trim().parse().ok().filter(|count| *count > 0)?;
            let count = u128::from(count);
            (count - 1 <= family.last() - first).then_some((first, count))
        });
        match part {
            Some(part) if parts.len() < MAX_PARTS => parts.push(part),
            _ => {
                return refuse(
                    "range",
                    "A range is a list of ADDRESS#COUNT, such as 10.20.60.4#10, 10.20.61.0#120",
                );
            }
        }
    }
    let enabled = config.get(field!(IpPoolIpPoolConfigInfo.ipPoolEnabled)).unwrap_or(false);
    Ok(if enabled { parts } else { Vec::new() })
}

/// The first address of the ranges that is not taken.
fn free<'a>(
    ranges: &[(u128, u128)],
    taken: impl Iterator<Item = &'a IpAddr>,
    family: Family,
) -> Option<IpAddr> {
    let taken: HashSet<&IpAddr> = taken.collect();
    // No more addresses are looked at than there are taken ones, and one more.
    ranges.iter().find_map(|(first, count)| {
        let most = (*count).min(taken.len() as u128 + 1);
        (0..most).filter_map(|at| family.address(first + at)).find(|address| !taken.contains(address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(range: &str, enabled: bool) -> Object {
        vim!(IpPool { ipv4Config: IpPoolIpPoolConfigInfo { range: range, ipPoolEnabled: enabled } }).into()
    }

    #[test]
    fn a_range_is_a_list_of_addresses_with_their_counts() {
        let first = u128::from(u32::from(Ipv4Addr::new(10, 0, 0, 4)));
        let cases: [(&str, Option<usize>); 7] = [
            ("10.0.0.4#10", Some(1)),
            ("10.0.0.4 # 10, 10.0.1.0#5", Some(2)),
            ("", Some(0)),
            ("10.0.0.4", None),
            ("10.0.0.4#0", None),
            ("255.255.255.255#2", None),
            ("fe80::1#3", None),
        ];
        for (text, parts) in cases {
            assert_eq!(ranges(&pool(text, true), Family::V4).ok().map(|parts| parts.len()), parts, "{text}");
        }
        assert_eq!(ranges(&pool("10.0.0.4#10", true), Family::V4).unwrap(), [(first, 10)]);
        assert!(ranges(&pool("10.0.0.4#10", false), Family::V4).unwrap().is_empty(), "it is not enabled");
    }

    #[test]
    fn the_first_free_address_is_handed_out() {
        let ranges = ranges(&pool("10.0.0.4#2, 10.0.1.0#1", true), Family::V4).unwrap();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut taken = Vec::new();
        for expected in ["10.0.0.4", "10.0.0.5", "10.0.1.0"] {
            let next = free(&ranges, taken.iter(), Family::V4).unwrap();
            assert_eq!(next, address(expected));
            taken.push(next);
        }
        assert_eq!(free(&ranges, taken.iter(), Family::V4), None);
    }
}
