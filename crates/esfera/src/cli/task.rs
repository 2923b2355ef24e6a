//! `esfera task`

use clap::Subcommand;
use serde_json::json;
use vim::{MoRef, Object, Value, call, data_id, field, managed_id};

use crate::client::failure::Failure;
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;

#[derive(Subcommand)]
pub enum TaskCommand {
    /// List recent tasks
    Ls(Target),
    /// Stop a task that can be stopped
    Cancel {
        /// Its id, such as task-7
        task: String,
        #[command(flatten)]
        target: Target,
    },
}

pub async fn run(command: TaskCommand) -> Result<(), Failure> {
    match command {
        TaskCommand::Ls(target) => list(&target).await,
        TaskCommand::Cancel { task, target } => {
            let client = session::open(&target).await?;
            client.invoke(&MoRef::new(managed_id!(Task), task), &call!(CancelTask {})).await?;
            Ok(())
        }
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
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
    table.print(target.json)
}

fn row(task: &MoRef, info: &Object) -> Vec<serde_json::Value> {
    let error = info.get(field!(TaskInfo.error)).and_then(|error| vim::Fault::from_localized(error));
    vec![
        task.id().into(),
        json!(info.get(field!(TaskInfo.descriptionId))),
        json!(info.get(field!(TaskInfo.entityName))),
        json!(begun_by(info)),
        json!(info.get(field!(TaskInfo.state)).map(|state| state.name())),
        json!(info.get(field!(TaskInfo.startTime)).map(|time| time.to_string())),
        json!(error.map(|fault| fault.to_string())),
    ]
}

/// The user who began a task, or the scheduled task.
fn begun_by(info: &Object) -> Option<String> {
    let reason = info.get(field!(TaskInfo.reason))?;
    if reason.is_a(data_id!(TaskReasonSchedule)) {
        return reason.get(field!(TaskReasonSchedule.name)).map(|name| format!("schedule {name}"));
    }
    let by = Some(reason).filter(|reason| reason.is_a(data_id!(TaskReasonUser)))?;
    by.get(field!(TaskReasonUser.userName)).map(str::to_owned)
}
