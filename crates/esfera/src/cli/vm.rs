//! `esfera vm …`

use serde_json::json;
use vim::{MoRef, Value, call, managed_id, vim};

use super::args::{PowerOperation, Target, VmCommand};
use super::failure::{Failure, Reason};
use super::inventory::{Found, Inventory};
use super::output::Table;
use super::session;

pub async fn run(command: VmCommand) -> Result<(), Failure> {
    match command {
        VmCommand::Ls(target) => list(&target).await,
        VmCommand::Info { vm, target } => info(&vm, &target).await,
        VmCommand::Create(create) => super::vm_create::run(create).await,
        VmCommand::Power { vm, operation, target } => power(&vm, operation, &target).await,
        VmCommand::Reconfigure { vm, rename, cpus, memory, annotation, add_disk, iso, target } => {
            let client = session::open(&target).await?;
            let inventory = Inventory::of(&client).await?;
            let me = inventory.vm(&vm).await?;
            let devices = inventory.read(&me, &["config.hardware.device"]).await?;
            let mut changes = Vec::new();
            if let Some(size) = add_disk {
                changes.extend(super::devices::new_disk(&devices, size)?);
            }
            if let Some(path) = iso {
                changes.push(super::devices::insert_iso(&devices, &path)?);
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
        VmCommand::Snapshot(command) => super::snapshot::run(command).await,
        VmCommand::Console { vm, listen, target } => super::console::run(&vm, listen, &target).await,
        VmCommand::Destroy { vm, yes, target } => destroy(&vm, yes, &target).await,
    }
}

const LISTED: [&str; 6] = [
    "name",
    "runtime.powerState",
    "runtime.host",
    "summary.config.numCpu",
    "summary.config.memorySizeMB",
    "guest.ipAddress",
];

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let hosts = inventory.all(managed_id!(HostSystem), &["name"]).await?;
    let host_name = |host: &MoRef| hosts.iter().find(|found| found.me == *host).map(|found| found.text(0));
    let mut table = Table::new(&["name", "id", "power", "host", "cpus", "memory_mib", "address"]);
    for vm in inventory.all(managed_id!(VirtualMachine), &LISTED).await? {
        table.row(vec![
            vm.text(0).into(),
            vm.me.id().into(),
            vm.text(1).into(),
            json!(vm.reference(2).and_then(host_name)),
            json!(vm.number(3)),
            json!(vm.number(4)),
            json!(vm.at(5).and_then(Value::as_str)),
        ]);
    }
    table.print(target.json);
    Ok(())
}

const DETAILS: [(&str, &str); 12] = [
    ("name", "name"),
    ("power", "runtime.powerState"),
    ("connection", "runtime.connectionState"),
    ("guest", "config.guestFullName"),
    ("cpus", "config.hardware.numCPU"),
    ("memory_mib", "config.hardware.memoryMB"),
    ("firmware", "config.firmware"),
    ("files", "config.files.vmPathName"),
    ("uuid", "config.uuid"),
    ("tools", "guest.toolsRunningStatus"),
    ("address", "guest.ipAddress"),
    ("annotation", "config.annotation"),
];

async fn info(name: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let me = inventory.vm(name).await?;
    let paths: Vec<&str> = DETAILS.iter().map(|(_, path)| *path).collect();
    let found = inventory.read(&me, &paths).await?;
    let mut table = Table::new(&["property", "value"]);
    for (place, (title, _)) in DETAILS.iter().enumerate() {
        table.row(vec![(*title).into(), plain(&found, place)]);
    }
    table.print(target.json);
    Ok(())
}

fn plain(found: &Found, place: usize) -> serde_json::Value {
    match found.number(place) {
        Some(number) => number.into(),
        None => json!(found.at(place).and_then(Value::as_str)),
    }
}

async fn power(name: &str, operation: PowerOperation, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let vm = inventory.vm(name).await?;
    let call = match operation {
        PowerOperation::On => call!(PowerOnVM_Task {}),
        PowerOperation::Off => call!(PowerOffVM_Task {}),
        PowerOperation::Reset => call!(ResetVM_Task {}),
        PowerOperation::Suspend => call!(SuspendVM_Task {}),
        PowerOperation::Shutdown => call!(ShutdownGuest {}),
        PowerOperation::Reboot => call!(RebootGuest {}),
    };
    inventory.task(&vm, call).await.map(drop)
}

async fn destroy(name: &str, yes: bool, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let vm = inventory.vm(name).await?;
    if !yes && !session::confirm(&format!("Delete {name} and its disks?")) {
        return Err(Failure::new(Reason::Usage, "nothing was deleted")
            .hint("give --yes to delete without being asked"));
    }
    inventory.task(&vm, call!(Destroy_Task {})).await.map(drop)
}
