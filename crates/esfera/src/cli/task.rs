//! `esfera task …` and `esfera events`

use serde_json::json;
use vim::{MoRef, Object, Value, call, field, managed_id, vim};

use super::args::{EventsArgs, TaskCommand};
use super::failure::Failure;
use super::inventory::Inventory;
use super::output::Table;
use super::session;

pub async fn run(TaskCommand::Ls(target): TaskCommand) -> Result<(), Failure> {
    let client = session::open(&target).await?;
    let inventory = Inventory::of(&client).await?;
    let manager = inventory.manager(field!(ServiceContent.taskManager))?;
    let recent = inventory.read(&manager, &["recentTask"]).await?;
    let mut table = Table::new(&["id", "operation", "on", "user", "state", "started", "error"]);
    for task in recent.at(0).into_iter().flat_map(Value::items).filter_map(Value::as_ref) {
        let found = inventory.read(task, &["info"]).await?;
        if let Some(info) = found.object(0) {
            table.row(row(task, info));
        }
    }
    table.print(target.json);
    Ok(())
}

fn row(task: &MoRef, info: &Object) -> Vec<serde_json::Value> {
    let reason =
        info.get(field!(TaskInfo.reason)).filter(|reason| reason.is_a(vim::data_id!(TaskReasonUser)));
    let error = info.get(field!(TaskInfo.error)).and_then(|error| vim::Fault::from_localized(error));
    vec![
        task.id().into(),
        json!(info.get(field!(TaskInfo.descriptionId))),
        json!(info.get(field!(TaskInfo.entityName))),
        json!(reason.and_then(|reason| reason.get(field!(TaskReasonUser.userName)))),
        json!(info.get(field!(TaskInfo.state)).map(|state| state.name())),
        json!(info.get(field!(TaskInfo.startTime)).map(|time| time.to_string())),
        json!(error.map(|fault| fault.to_string())),
    ]
}

pub async fn events(args: EventsArgs) -> Result<(), Failure> {
    let client = session::open(&args.target).await?;
    let inventory = Inventory::of(&client).await?;
    let manager = inventory.manager(field!(ServiceContent.eventManager))?;
    let entity = match &args.vm {
        Some(name) => {
            let vm = inventory.named(managed_id!(VirtualMachine), "virtual machine", name).await?;
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
    table.print(args.target.json);
    Ok(())
}
