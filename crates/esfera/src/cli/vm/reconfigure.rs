//! `esfera vm reconfigure`

use clap::Args;
use vim::{call, vim};

use super::devices;
use crate::client::failure::Failure;
use crate::client::inventory::Inventory;
use crate::client::session;
use crate::client::target::Target;

#[derive(Args)]
pub struct Reconfigure {
    vm: String,
    #[arg(long)]
    rename: Option<String>,
    /// Virtual CPUs
    #[arg(long)]
    cpus: Option<i32>,
    /// Memory in MiB
    #[arg(long)]
    memory: Option<i64>,
    #[arg(long)]
    annotation: Option<String>,
    /// Add a disk of so many GiB
    #[arg(long)]
    add_disk: Option<i64>,
    /// Insert an ISO image: "[datastore] path"
    #[arg(long)]
    iso: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub async fn run(args: Reconfigure) -> Result<(), Failure> {
    let Reconfigure { vm, rename, cpus, memory, annotation, add_disk, iso, target } = args;
    let client = session::open(&target).await?;
    let inventory = Inventory::of(&client).await?;
    let me = inventory.vm(&vm).await?;
    let devices = inventory.read(&me, &["config.hardware.device"]).await?;
    let mut changes = Vec::new();
    if let Some(size) = add_disk {
        changes.extend(devices::new_disk(&devices, size)?);
    }
    if let Some(path) = iso {
        changes.push(devices::insert_iso(&devices, &path)?);
    }
    let spec = vim!(VirtualMachineConfigSpec {
        name: rename,
        numCPUs: cpus,
        memoryMB: memory,
        annotation: annotation,
        deviceChange: changes,
    });
    inventory.task(&me, call!(ReconfigVM_Task { spec: spec })).await.map(drop)
}
