//! `esfera pool`: resource pools of clusters and hosts.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use vim::{MoRef, Object, Value, call, field, managed_id, vim};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::{Found, Inventory};
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Subcommand)]
pub enum PoolCommand {
    /// List resource pools
    Ls(Target),
    /// Create a resource pool
    #[command(visible_alias = "create")]
    Add {
        pool: String,
        /// Pool that it is made in, or the cluster or host of that pool: by path, name or id; needed if there are several
        #[arg(long = "in", value_name = "POOL")]
        within: Option<String>,
        #[command(flatten)]
        resources: Resources,
        #[command(flatten)]
        target: Target,
    },
    /// Change the name or the resources of a resource pool
    Set {
        /// Pool, by path, name or id
        pool: String,
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        resources: Resources,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a resource pool; its VMs and pools go to the pool that it is in
    Rm {
        /// Pool, by path, name or id
        pool: String,
        #[command(flatten)]
        target: Target,
    },
}

/// The part of a cluster or host that a pool may have. An option that is left out changes nothing.
#[derive(Args)]
pub struct Resources {
    /// CPU that is reserved for the pool, in MHz
    #[arg(long, value_name = "MHZ")]
    cpu_reservation: Option<i64>,
    /// Most CPU, in MHz; -1 for no limit
    #[arg(long, value_name = "MHZ", allow_negative_numbers = true)]
    cpu_limit: Option<i64>,
    /// low, normal, high or a number
    #[arg(long, value_name = "SHARES", value_parser = shares)]
    cpu_shares: Option<Shares>,
    /// Whether pools in this one may reserve more CPU than it has reserved
    #[arg(long, value_name = "BOOL")]
    cpu_expandable: Option<bool>,
    /// Memory that is reserved for the pool, in MiB
    #[arg(long, value_name = "MIB")]
    memory_reservation: Option<i64>,
    /// Most memory, in MiB; -1 for no limit
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    memory_limit: Option<i64>,
    /// low, normal, high or a number
    #[arg(long, value_name = "SHARES", value_parser = shares)]
    memory_shares: Option<Shares>,
    /// Whether pools in this one may reserve more memory than it has reserved
    #[arg(long, value_name = "BOOL")]
    memory_expandable: Option<bool>,
}

/// A `SharesInfo`.
#[derive(Clone)]
struct Shares(Object);

fn shares(text: &str) -> Result<Shares, String> {
    // The server knows how many shares a level has.
    let info = match (text, text.parse::<i32>()) {
        ("low", _) => vim!(SharesInfo { shares: 0, level: "low" }),
        ("normal", _) => vim!(SharesInfo { shares: 0, level: "normal" }),
        ("high", _) => vim!(SharesInfo { shares: 0, level: "high" }),
        (_, Ok(shares)) => vim!(SharesInfo { shares: shares, level: "custom" }),
        (_, Err(_)) => return Err("give low, normal, high or a number".into()),
    };
    Ok(Shares(info.into()))
}

impl Resources {
    fn spec(&self) -> Object {
        let part = |reservation: Option<i64>,
                    limit: Option<i64>,
                    shares: &Option<Shares>,
                    expandable: Option<bool>| {
            let shares = shares.as_ref().map(|given| given.0.clone());
            vim!(ResourceAllocationInfo {
                reservation: reservation,
                expandableReservation: expandable,
                limit: limit,
                shares: shares,
            })
        };
        vim!(ResourceConfigSpec {
            cpuAllocation: part(self.cpu_reservation, self.cpu_limit, &self.cpu_shares, self.cpu_expandable),
            memoryAllocation: part(
                self.memory_reservation,
                self.memory_limit,
                &self.memory_shares,
                self.memory_expandable
            ),
        })
        .into()
    }
}

pub async fn run(command: PoolCommand) -> Result<(), Failure> {
    match command {
        PoolCommand::Ls(target) => list(&target).await,
        PoolCommand::Add { pool, within, resources, target } => {
            add(pool, within.as_deref(), &resources, &target).await
        }
        PoolCommand::Set { pool, name, resources, target } => {
            let client = session::open(&target).await?;
            let inventory = Inventory::of(&client).await?;
            let me = find(&inventory, &pool).await?;
            let set = call!(UpdateConfig { name: name, config: resources.spec() });
            client.invoke(&me, &set).await?;
            Ok(())
        }
        PoolCommand::Rm { pool, target } => {
            let client = session::open(&target).await?;
            let inventory = Inventory::of(&client).await?;
            let me = find(&inventory, &pool).await?;
            inventory.task(&me, call!(Destroy_Task {})).await.map(drop)
        }
    }
}

/// A pool with its path, as `Cluster/gold/silver`: the root pool is called by its cluster or host.
struct Pool {
    found: Found,
    path: String,
}

const NAME: usize = 0;
const PARENT: usize = 1;
const CONFIG: usize = 2;
const VMS: usize = 3;

impl Pool {
    fn is_root(&self) -> bool {
        self.found.reference(PARENT).is_none_or(|parent| !parent.is_a(managed_id!(ResourcePool)))
    }
}

async fn pools(inventory: &Inventory<'_>) -> Result<Vec<Pool>, Failure> {
    let owners = inventory.all(managed_id!(ComputeResource), &["name"]).await?;
    let found = inventory.all(managed_id!(ResourcePool), &["name", "parent", "config", "vm"]).await?;
    let path = |pool: &Found| {
        let mut names = Vec::new();
        let mut at = Some(pool);
        while let Some(here) = at {
            let parent = here.reference(PARENT);
            match owners.iter().find(|owner| Some(&owner.me) == parent) {
                Some(owner) => names.push(owner.text(NAME)),
                None => names.push(here.text(NAME)),
            }
            at = found.iter().find(|other| Some(&other.me) == parent);
        }
        names.reverse();
        names.join("/")
    };
    let paths: Vec<String> = found.iter().map(path).collect();
    let mut pools: Vec<Pool> =
        found.into_iter().zip(paths).map(|(found, path)| Pool { found, path }).collect();
    pools.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(pools)
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let headings =
        ["path", "id", "cpu_reservation", "cpu_limit", "memory_reservation", "memory_limit", "vms"];
    let mut table = Table::new(&headings);
    for pool in pools(&inventory).await? {
        let config = pool.found.object(CONFIG);
        let cpu = config.and_then(|config| config.get(field!(ResourceConfigSpec.cpuAllocation)));
        let memory = config.and_then(|config| config.get(field!(ResourceConfigSpec.memoryAllocation)));
        let reserved = |part: Option<&std::sync::Arc<Object>>| {
            json!(part.and_then(|part| part.get(field!(ResourceAllocationInfo.reservation))))
        };
        let limit = |part: Option<&std::sync::Arc<Object>>| -> Json {
            let limit = part.and_then(|part| part.get(field!(ResourceAllocationInfo.limit)));
            json!(limit.filter(|limit| *limit >= 0))
        };
        let vms = pool.found.at(VMS).map_or(0, |list| list.items().len());
        table.row(vec![
            pool.path.as_str().into(),
            pool.found.me.id().into(),
            reserved(cpu),
            limit(cpu),
            reserved(memory),
            limit(memory),
            json!(vms),
        ]);
    }
    table.print(target.json)
}

/// The pool with this path, name or id.
async fn find(inventory: &Inventory<'_>, name: &str) -> Result<MoRef, Failure> {
    let all = pools(inventory).await?;
    let by_path = all.iter().find(|pool| pool.path == name || pool.found.me.id() == name);
    if let Some(pool) = by_path {
        return Ok(pool.found.me.clone());
    }
    let mut named = all.iter().filter(|pool| pool.found.text(NAME) == name);
    match (named.next(), named.next()) {
        (Some(one), None) => Ok(one.found.me.clone()),
        (None, _) => Err(Failure::not_found("resource pool", name)),
        (Some(one), Some(other)) => {
            let failure =
                Failure::new(Reason::NotFound, format!("several resource pools are named {name:?}"));
            Err(failure.hint(format!("give the path instead, for example {} or {}", one.path, other.path)))
        }
    }
}

async fn add(
    name: String,
    within: Option<&str>,
    resources: &Resources,
    target: &Target,
) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let parent = match within {
        Some(within) => find(&inventory, within).await?,
        None => only_root(&inventory).await?,
    };
    let made =
        client.invoke(&parent, &call!(CreateResourcePool { name: name, spec: resources.spec() })).await?;
    let made = made.as_ref().and_then(Value::as_ref);
    let made =
        made.ok_or_else(|| Failure::new(Reason::Failed, "the server did not name the new resource pool"))?;
    terminal::line(made.id())
}

/// The root pool of the only cluster or host.
async fn only_root(inventory: &Inventory<'_>) -> Result<MoRef, Failure> {
    let mut roots: Vec<Pool> = pools(inventory).await?.into_iter().filter(Pool::is_root).collect();
    match (roots.pop(), roots.len()) {
        (Some(only), 0) => Ok(only.found.me),
        (None, _) => Err(Failure::new(Reason::NotFound, "the inventory has no cluster and no host")),
        (Some(_), others) => {
            let message = format!("there are {} clusters and hosts with pools", others + 1);
            Err(Failure::new(Reason::Usage, message).hint("name one with --in"))
        }
    }
}
