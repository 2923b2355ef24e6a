//! `esfera events`

use clap::Args;
use serde_json::json;
use vim::{Object, Value, call, field, vim};

use crate::client::failure::Failure;
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;

#[derive(Args)]
pub struct Events {
    /// Only events of this VM
    #[arg(long)]
    pub vm: Option<String>,
    /// Most events to show
    #[arg(long, default_value_t = 50)]
    pub max: i32,
    #[command(flatten)]
    pub target: Target,
}

pub async fn run(args: Events) -> Result<(), Failure> {
    let client = session::open(&args.target).await?;
    let inventory = Inventory::of(&client).await?;
    let manager = inventory.manager(field!(ServiceContent.eventManager))?;
    let entity = match &args.vm {
        Some(name) => {
            let vm = inventory.vm(name).await?;
            Some(vim!(EventFilterSpecByEntity { entity: vm, recursion: "self" }))
        }
        None => None,
    };
    let filter = vim!(EventFilterSpec { entity: entity, maxCount: args.max });
    let answer = client.invoke(&manager, &call!(QueryEvents { filter: filter })).await?;
    let mut events: Vec<&Object> =
        answer.iter().flat_map(Value::items).filter_map(Value::as_object).map(|event| &**event).collect();
    events.sort_by_key(|event| event.get(field!(Event.key)));
    let mut table = Table::new(&["time", "type", "user", "message"]);
    for event in events {
        table.row(vec![
            json!(event.get(field!(Event.createdTime)).map(|time| time.to_string())),
            event.type_name().into(),
            json!(event.get(field!(Event.userName))),
            json!(event.get(field!(Event.fullFormattedMessage))),
        ]);
    }
    table.print(args.target.json)
}
