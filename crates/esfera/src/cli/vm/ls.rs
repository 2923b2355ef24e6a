//! `esfera vm ls`

use serde_json::json;
use vim::{MoRef, Value, managed_id};

use crate::client::failure::Failure;
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;

const LISTED: [&str; 6] = [
    "name",
    "runtime.powerState",
    "runtime.host",
    "summary.config.numCpu",
    "summary.config.memorySizeMB",
    "guest.ipAddress",
];

pub async fn run(target: &Target) -> Result<(), Failure> {
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
    table.print(target.json)
}
