//! `com.vmware.vcenter.resource_pool`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Error, Record, Value};
use vim::{MoRef, Object, call, field, managed_id, prop, vim};

use crate::inventory::{self, Wanted, above_of, filter, id_at, int, made, name, spec_at, state};
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::{flag, text};

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.resource_pool",
    operations: &[
        Row { name: "create", handler: create, open: false },
        Row { name: "delete", handler: delete, open: false },
        Row { name: "get", handler: get, open: false },
        Row { name: "list", handler: list, open: false },
        Row { name: "update", handler: update, open: false },
    ],
};

/// Pools in one answer.
const MAX_LISTED: usize = 10_000;

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| {
        let of = |field| Wanted::of(filter(ask), field);
        let (ids, names, parents) = (of("resource_pools"), of("names"), of("parent_resource_pools"));
        let (datacenters, hosts, clusters) = (of("datacenters"), of("hosts"), of("clusters"));
        let cluster = managed_id!(ClusterComputeResource);
        inventory::list(
            ask,
            managed_id!(ResourcePool),
            MAX_LISTED,
            |node, state| {
                let parent = || {
                    let parent = node.get(prop!(ManagedEntity.parent));
                    parent.map(|parent| vec![parent.id()]).unwrap_or_default()
                };
                // The hosts of a compute resource that stands alone: those of a cluster share its pools.
                let on_hosts = || {
                    let owner = node.get(prop!(ResourcePool.owner)).filter(|owner| !owner.is_a(cluster));
                    let owner = owner.and_then(|owner| state.find(owner));
                    let hosts = owner.and_then(|owner| owner.get(prop!(ComputeResource.host)));
                    hosts.into_iter().flatten().map(|host| host.id().to_owned()).collect::<Vec<_>>()
                };
                ids.allows(node.me().id())
                    && names.allows(name(node))
                    && parents.allows_any(parent)
                    && hosts.allows_any(on_hosts)
                    && clusters.allows_any(|| above_of(node, state, cluster))
                    && datacenters.allows_any(|| above_of(node, state, managed_id!(Datacenter)))
            },
            |node| {
                let fields = [("resource_pool", node.me().id().into()), ("name", name(node).into())];
                Value::Record(Record::new("vcenter.resource_pool.summary", fields))
            },
        )
    };
    async move { listed(&ask) }.boxed()
}

/// An allocation as clients see it; unset if it is not known.
fn shown(allocation: Option<&Object>) -> Value {
    let Some(allocation) = allocation else { return Value::Unset };
    let shares = allocation.get(field!(ResourceAllocationInfo.shares));
    let level =
        shares.and_then(|shares| shares.get(field!(SharesInfo.level))).map_or("normal", |at| at.name());
    // A number of shares is told with a level of one's own only.
    let count = shares.filter(|_| level == "custom").and_then(|shares| shares.get(field!(SharesInfo.shares)));
    let count = count.map_or(Value::Unset, |count| Value::Long(count.into()));
    let fields = [("level", level.to_uppercase().into()), ("shares", count)];
    let shares = Record::new("vcenter.resource_pool.shares_info", fields);
    let long = |number: Option<i64>| Value::Long(number.unwrap_or(-1));
    let expands = allocation.get(field!(ResourceAllocationInfo.expandableReservation)).unwrap_or_default();
    Value::Record(Record::new(
        "vcenter.resource_pool.resource_allocation_info",
        [
            (
                "reservation",
                Value::Long(allocation.get(field!(ResourceAllocationInfo.reservation)).unwrap_or(0)),
            ),
            ("expandable_reservation", Value::Boolean(expands)),
            ("limit", long(allocation.get(field!(ResourceAllocationInfo.limit)))),
            ("shares", Value::Record(shares)),
        ],
    ))
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let state = state(ask);
        let node = inventory::read(ask, &state, managed_id!(ResourcePool), "resource pool", id_at(ask, 0))?;
        let pools = node.get(prop!(ResourcePool.resourcePool)).into_iter().flatten();
        let config = node.get(prop!(ResourcePool.config));
        let cpu = config.and_then(|config| config.get(field!(ResourceConfigSpec.cpuAllocation)));
        let memory = config.and_then(|config| config.get(field!(ResourceConfigSpec.memoryAllocation)));
        Ok(Value::Record(Record::new(
            "vcenter.resource_pool.info",
            [
                ("name", name(&node).into()),
                ("resource_pools", Value::List(pools.map(|pool| pool.id().into()).collect())),
                ("cpu_allocation", shown(cpu.map(|cpu| &**cpu))),
                ("memory_allocation", shown(memory.map(|memory| &**memory))),
            ],
        )))
    };
    async move { read(&ask) }.boxed()
}

/// An allocation as a specification asks for it. Fields that it leaves out are those of `usual`.
fn allocation(spec: Option<&Record>, usual: bool) -> Result<Object, Error> {
    let long = |name: &str| match spec.and_then(|spec| spec.get(name)) {
        Some(Value::Long(number)) => Some(*number),
        _ => None,
    };
    let mut made: Object = vim!(ResourceAllocationInfo {
        reservation: long("reservation").or(usual.then_some(0)),
        expandableReservation: flag(spec, "expandable_reservation").or(usual.then_some(true)),
        limit: long("limit").or(usual.then_some(-1)),
    })
    .into();
    let shares = spec.and_then(|spec| spec.get("shares")).and_then(Value::as_record);
    let level = shares.and_then(|shares| text(shares, "level")).map(str::to_lowercase);
    if let Some(level) = level.or_else(|| usual.then(|| "normal".to_owned())) {
        let count = match shares {
            Some(shares) => int(shares, "shares")?,
            None => None,
        };
        let level = match level.as_str() {
            "low" => vim::vim_enum!(SharesLevel.low),
            "high" => vim::vim_enum!(SharesLevel.high),
            "custom" => vim::vim_enum!(SharesLevel.custom),
            _ => vim::vim_enum!(SharesLevel.normal),
        };
        let shares = vim!(SharesInfo { shares: count.unwrap_or(0), level: level });
        made.set(field!(ResourceAllocationInfo.shares), shares);
    }
    Ok(made)
}

fn part<'a>(spec: Option<&'a Record>, name: &str) -> Option<&'a Record> {
    spec.and_then(|spec| spec.get(name)).and_then(Value::as_record)
}

fn config(spec: Option<&Record>, usual: bool) -> Result<Object, Error> {
    let cpu = allocation(part(spec, "cpu_allocation"), usual)?;
    let memory = allocation(part(spec, "memory_allocation"), usual)?;
    let mut config: Object = vim!(ResourceConfigSpec {}).into();
    config.put(field!(ResourceConfigSpec.cpuAllocation).number(), Some(cpu.into()));
    config.put(field!(ResourceConfigSpec.memoryAllocation).number(), Some(memory.into()));
    Ok(config)
}

fn create(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let spec = spec_at(&ask, 0);
        let field = |name| spec.and_then(|spec| text(spec, name)).unwrap_or_default();
        let parent = MoRef::new(managed_id!(ResourcePool), field("parent"));
        let args = call!(CreateResourcePool { name: field("name"), spec: config(spec, true)? });
        made(inventory::call(&ask, &parent, args).await?.as_ref())
    }
    .boxed()
}

fn update(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let (me, spec) = (MoRef::new(managed_id!(ResourcePool), id_at(&ask, 0)), spec_at(&ask, 1));
        let name = spec.and_then(|spec| text(spec, "name"));
        let args = call!(UpdateConfig { name: name, config: config(spec, false)? });
        inventory::call(&ask, &me, args).await.map(|_| Value::Unset)
    }
    .boxed()
}

fn delete(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let me = MoRef::new(managed_id!(ResourcePool), id_at(&ask, 0));
        inventory::task(&ask, &me, call!(Destroy_Task {})).await.map(|_| Value::Unset)
    }
    .boxed()
}
