//! `esfera vapp`: pools of VMs that start and stop as a whole.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use vim::{ManagedId, MoRef, Object, Value, call, data_id, field, managed_id, vim};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

const VAPP: ManagedId = managed_id!(VirtualApp);

#[derive(Subcommand)]
pub enum VappCommand {
    /// List vApps
    Ls(Target),
    /// Show the order in which a vApp starts what is in it
    Show {
        vapp: String,
        #[command(flatten)]
        target: Target,
    },
    /// Create a vApp
    #[command(visible_alias = "add")]
    Create {
        vapp: String,
        /// Cluster, resource pool or vApp that it is made in; needed if there are several clusters
        #[arg(long = "in", value_name = "POOL")]
        within: Option<String>,
        /// Folder of VMs, by id or name [default: the one of the datacenter]
        #[arg(long)]
        folder: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Move VMs into a vApp
    Put {
        vapp: String,
        #[arg(required = true)]
        vms: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Move VMs out of a vApp, to the pool and the folder that it is in
    Take {
        vapp: String,
        #[arg(required = true)]
        vms: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Set how a vApp starts and stops one of its VMs
    Order(Order),
    /// Start the VMs of a vApp in their order
    Start {
        vapp: String,
        #[command(flatten)]
        target: Target,
    },
    /// Stop the VMs of a vApp in the reverse order
    Stop {
        vapp: String,
        /// Power off all VMs at once, whatever their settings are
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Suspend the VMs of a vApp
    Suspend {
        vapp: String,
        #[command(flatten)]
        target: Target,
    },
    /// Rename a vApp
    Rename {
        vapp: String,
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a vApp from the inventory with its VMs, whose files stay
    Unregister {
        vapp: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove an empty vApp
    Rm {
        vapp: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Args)]
pub struct Order {
    vapp: String,
    vm: String,
    /// Lower numbers start first, equal ones together
    #[arg(long)]
    order: Option<i32>,
    /// Seconds before the next number starts
    #[arg(long)]
    start_delay: Option<i32>,
    /// End that delay as soon as the guest gives a sign of life
    #[arg(long)]
    wait_for_guest: Option<bool>,
    /// Seconds before the next number stops
    #[arg(long)]
    stop_delay: Option<i32>,
    #[arg(long, value_enum)]
    stop: Option<StopAction>,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum StopAction {
    None,
    PowerOff,
    GuestShutdown,
    Suspend,
}

impl StopAction {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PowerOff => "powerOff",
            Self::GuestShutdown => "guestShutdown",
            Self::Suspend => "suspend",
        }
    }
}

pub async fn run(command: VappCommand) -> Result<(), Failure> {
    match command {
        VappCommand::Ls(target) => list(&target).await,
        VappCommand::Show { vapp, target } => show(&vapp, &target).await,
        VappCommand::Create { vapp, within, folder, target } => {
            create(&vapp, within.as_deref(), folder.as_deref(), &target).await
        }
        VappCommand::Put { vapp, vms, target } => shift(&vapp, &vms, &target, true).await,
        VappCommand::Take { vapp, vms, target } => shift(&vapp, &vms, &target, false).await,
        VappCommand::Order(order) => set_order(order).await,
        VappCommand::Start { vapp, target } => on_vapp(&vapp, &target, call!(PowerOnVApp_Task {})).await,
        VappCommand::Stop { vapp, force, target } => {
            on_vapp(&vapp, &target, call!(PowerOffVApp_Task { force: force })).await
        }
        VappCommand::Suspend { vapp, target } => on_vapp(&vapp, &target, call!(SuspendVApp_Task {})).await,
        VappCommand::Rename { vapp, name, target } => {
            on_vapp(&vapp, &target, call!(Rename_Task { newName: name })).await
        }
        VappCommand::Unregister { vapp, target } => {
            on_vapp(&vapp, &target, call!(unregisterVApp_Task {})).await
        }
        VappCommand::Rm { vapp, target } => remove(&vapp, &target).await,
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let mut table = Table::new(&["name", "id", "state", "vms", "vapps"]);
    for vapp in inventory.all(VAPP, &["name", "summary.vAppState", "vm", "resourcePool"]).await? {
        let count = |place| json!(vapp.at(place).map_or(0, |list| list.items().len()));
        table.row(vec![vapp.text(0).into(), vapp.me.id().into(), vapp.text(1).into(), count(2), count(3)]);
    }
    table.print(target.json)
}

async fn show(name: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let vapp = inventory.named(VAPP, "vApp", name).await?;
    let found = inventory.read(&vapp, &["vAppConfig"]).await?;
    let mut table =
        Table::new(&["name", "id", "order", "start_delay", "wait_for_guest", "stop_delay", "stop"]);
    let mut rows: Vec<(i32, Vec<serde_json::Value>)> = Vec::new();
    let entities = found.object(0).and_then(|config| config.get(field!(VAppConfigInfo.entityConfig)));
    for entity in entities.into_iter().flatten() {
        let Some(key) = entity.get(field!(VAppEntityConfigInfo.key)) else { continue };
        let name = inventory.read(key, &["name"]).await?;
        let order = entity.get(field!(VAppEntityConfigInfo.startOrder)).unwrap_or(0);
        let row = vec![
            name.text(0).into(),
            key.id().into(),
            json!(order),
            json!(entity.get(field!(VAppEntityConfigInfo.startDelay))),
            json!(entity.get(field!(VAppEntityConfigInfo.waitingForGuest))),
            json!(entity.get(field!(VAppEntityConfigInfo.stopDelay))),
            json!(entity.get(field!(VAppEntityConfigInfo.stopAction))),
        ];
        rows.push((order, row));
    }
    rows.sort_by_key(|(order, _)| *order);
    rows.into_iter().for_each(|(_, row)| table.row(row));
    table.print(target.json)
}

/// The pool for a new vApp: the one of this name, or the root pool of a cluster.
async fn pool_for(inventory: &Inventory<'_>, within: Option<&str>) -> Result<MoRef, Failure> {
    let mut clusters = inventory.all(managed_id!(ComputeResource), &["name", "resourcePool"]).await?;
    if let Some(name) = within {
        clusters.retain(|cluster| cluster.text(0) == name || cluster.me.id() == name);
        if clusters.is_empty() {
            return inventory.named(managed_id!(ResourcePool), "cluster, resource pool or vApp", name).await;
        }
    } else {
        clusters.retain(|cluster| cluster.me.is_a(managed_id!(ClusterComputeResource)));
    }
    match clusters.as_slice() {
        [one] => one
            .reference(1)
            .cloned()
            .ok_or_else(|| Failure::new(Reason::Denied, "you may not see the resource pool of the cluster")),
        [] => Err(Failure::new(Reason::Usage, "the inventory has no cluster")
            .hint("name a resource pool with --in")),
        _ => Err(Failure::new(Reason::Usage, "there are several clusters").hint("name one with --in")),
    }
}

async fn create(
    name: &str,
    within: Option<&str>,
    folder: Option<&str>,
    target: &Target,
) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let pool = pool_for(&inventory, within).await?;
    let folder = if pool.is_a(VAPP) {
        None
    } else {
        Some(match folder {
            Some(folder) => inventory.named(managed_id!(Folder), "folder", folder).await?,
            None => vm_folder(&inventory, &pool).await?,
        })
    };
    let allocation = || vim!(ResourceAllocationInfo {});
    let call = call!(CreateVApp {
        name: name,
        resSpec: ResourceConfigSpec { cpuAllocation: allocation(), memoryAllocation: allocation() },
        configSpec: VAppConfigSpec {},
        vmFolder: folder,
    });
    let made = client.invoke(&pool, &call).await?;
    let made = made.as_ref().and_then(Value::as_ref);
    let made = made.ok_or_else(|| Failure::new(Reason::Failed, "the server did not name the new vApp"))?;
    terminal::line(made.id())
}

/// The folder of VMs of the datacenter that an object is in.
async fn vm_folder(inventory: &Inventory<'_>, object: &MoRef) -> Result<MoRef, Failure> {
    let hidden = || Failure::new(Reason::Denied, "you may not see the datacenter of the resource pool");
    let mut at = object.clone();
    while !at.is_a(managed_id!(Datacenter)) {
        at = inventory.read(&at, &["parent"]).await?.reference(0).cloned().ok_or_else(hidden)?;
    }
    inventory.read(&at, &["vmFolder"]).await?.reference(0).cloned().ok_or_else(hidden)
}

/// Moves VMs into the vApp, or out of it.
async fn shift(name: &str, vms: &[String], target: &Target, into: bool) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let vapp = inventory.named(VAPP, "vApp", name).await?;
    let mut list: Vec<MoRef> = Vec::new();
    for vm in vms {
        list.push(inventory.vm(vm).await?);
    }
    let pool =
        if into { Some(vapp) } else { inventory.read(&vapp, &["parent"]).await?.reference(0).cloned() };
    let pool =
        pool.ok_or_else(|| Failure::new(Reason::Denied, "you may not see the resource pool of the vApp"))?;
    client.invoke(&pool, &call!(MoveIntoResourcePool { list: list })).await?;
    Ok(())
}

async fn set_order(order: Order) -> Result<(), Failure> {
    let client = session::open(&order.target).await?;
    let inventory = Inventory::of(&client).await?;
    let vapp = inventory.named(VAPP, "vApp", &order.vapp).await?;
    let vm = inventory.vm(&order.vm).await?;
    let mut entity = Object::new(data_id!(VAppEntityConfigInfo));
    entity.set(field!(VAppEntityConfigInfo.key), &vm);
    entity.set(field!(VAppEntityConfigInfo.startOrder), order.order);
    entity.set(field!(VAppEntityConfigInfo.startDelay), order.start_delay);
    entity.set(field!(VAppEntityConfigInfo.waitingForGuest), order.wait_for_guest);
    entity.set(field!(VAppEntityConfigInfo.stopDelay), order.stop_delay);
    entity.set(field!(VAppEntityConfigInfo.stopAction), order.stop.map(StopAction::name));
    client
        .invoke(&vapp, &call!(UpdateVAppConfig { spec: VAppConfigSpec { entityConfig: [entity] } }))
        .await?;
    Ok(())
}

async fn on_vapp(name: &str, target: &Target, call: vim::Args) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let vapp = inventory.named(VAPP, "vApp", name).await?;
    inventory.task(&vapp, call).await.map(drop)
}

/// Removes a vApp. The API would remove the VMs in it, with their disks: not by this verb.
async fn remove(name: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let vapp = inventory.named(VAPP, "vApp", name).await?;
    let found = inventory.read(&vapp, &["vm", "resourcePool"]).await?;
    let count: usize = [0, 1].iter().map(|place| found.at(*place).map_or(0, |list| list.items().len())).sum();
    if count > 0 {
        return Err(Failure::new(Reason::Failed, format!("the vApp {name} is not empty: it holds {count}"))
            .hint("take out what it holds first, or unregister it with its VMs"));
    }
    inventory.task(&vapp, call!(Destroy_Task {})).await.map(drop)
}
