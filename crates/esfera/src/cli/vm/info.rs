//! `esfera vm info`

use clap::Args;
use serde_json::json;
use vim::Value;

use crate::client::failure::Failure;
use crate::client::inventory::{Found, Inventory};
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;

#[derive(Args)]
pub struct Info {
    vm: String,
    #[command(flatten)]
    target: Target,
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

pub async fn run(Info { vm, target }: Info) -> Result<(), Failure> {
    let client = session::open(&target).await?;
    let inventory = Inventory::of(&client).await?;
    let me = inventory.vm(&vm).await?;
    let paths: Vec<&str> = DETAILS.iter().map(|(_, path)| *path).collect();
    let found = inventory.read(&me, &paths).await?;
    let mut table = Table::new(&["property", "value"]);
    for (place, (title, _)) in DETAILS.iter().enumerate() {
        table.row(vec![(*title).into(), plain(&found, place)]);
    }
    table.print(target.json)
}

fn plain(found: &Found, place: usize) -> serde_json::Value {
    match found.number(place) {
        Some(number) => number.into(),
        None => json!(found.at(place).and_then(Value::as_str)),
    }
}
