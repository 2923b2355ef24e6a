//! `esfera schedule`

mod add;
mod when;

use clap::Subcommand;
use serde_json::json;
use vim::{Args, MoRef, Object, Value, call, data_id, field, schema};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::{Found, Inventory};
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;

#[derive(Subcommand)]
pub enum ScheduleCommand {
    /// List scheduled tasks with their next and last runs
    Ls(Target),
    /// Schedule an operation; all times are UTC
    Add(Box<add::Add>),
    /// Run a scheduled task now
    Run(Named),
    /// Let a scheduled task run at its times
    Enable(Named),
    /// Keep a scheduled task from running at its times
    Disable(Named),
    /// Remove a scheduled task
    Rm(Named),
}

#[derive(clap::Args)]
pub struct Named {
    /// Its name or id
    task: String,
    #[command(flatten)]
    target: Target,
}

pub async fn run(command: ScheduleCommand) -> Result<(), Failure> {
    match command {
        ScheduleCommand::Ls(target) => list(&target).await,
        ScheduleCommand::Add(args) => add::run(*args).await,
        ScheduleCommand::Run(named) => on(&named, |_| call!(RunScheduledTask {})).await,
        ScheduleCommand::Enable(named) => on(&named, |info| enable(info, true)).await,
        ScheduleCommand::Disable(named) => on(&named, |info| enable(info, false)).await,
        ScheduleCommand::Rm(named) => on(&named, |_| call!(RemoveScheduledTask {})).await,
    }
}

/// The call that enables or disables a task: its specification, with nothing else changed.
fn enable(info: &Object, enabled: bool) -> Args {
    let spec = data_id!(ScheduledTaskSpec);
    let known = schema().data(spec).fields.len();
    let fields = info.fields().iter().filter(|(number, _)| usize::from(*number) < known).cloned().collect();
    let mut spec = Object::from_fields(spec, fields);
    spec.set(field!(ScheduledTaskSpec.enabled), enabled);
    call!(ReconfigureScheduledTask { spec: spec })
}

async fn on(named: &Named, what: impl Fn(&Object) -> Args) -> Result<(), Failure> {
    let client = session::open(&named.target).await?;
    let inventory = Inventory::of(&client).await?;
    let (task, info) = find(&inventory, &named.task).await?;
    client.invoke(&task, &what(&info)).await?;
    Ok(())
}

/// The scheduled task with this name or id.
async fn find(inventory: &Inventory<'_>, name: &str) -> Result<(MoRef, Object), Failure> {
    let all = all(inventory).await?;
    let mut matching = all.into_iter().filter_map(|found| {
        let info = found.object(0)?.clone();
        let is_named = info.get(field!(ScheduledTaskSpec.name)) == Some(name);
        (is_named || found.me.id() == name).then_some((found.me, info))
    });
    match (matching.next(), matching.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Failure::not_found("scheduled task", name)),
        (Some(one), Some(other)) => {
            let message = format!("several scheduled tasks are named {name:?}");
            let hint = format!("give the id instead, for example {} or {}", one.0.id(), other.0.id());
            Err(Failure::new(Reason::NotFound, message).hint(hint))
        }
    }
}

async fn all(inventory: &Inventory<'_>) -> Result<Vec<Found>, Failure> {
    let manager = inventory.manager(field!(ServiceContent.scheduledTaskManager))?;
    let listed = inventory.read(&manager, &["scheduledTask"]).await?;
    let mut found = Vec::new();
    for task in listed.at(0).into_iter().flat_map(Value::items).filter_map(Value::as_ref) {
        found.push(inventory.read(task, &["info"]).await?);
    }
    Ok(found)
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let headings = ["id", "name", "operation", "on", "user", "enabled", "next", "last", "state", "error"];
    let mut table = Table::new(&headings);
    for found in all(&inventory).await? {
        let Some(info) = found.object(0) else { continue };
        let object = info.get(field!(ScheduledTaskInfo.taskObject));
        table.row(row(&found.me, info, &name_of(&inventory, object).await));
    }
    table.print(target.json)
}

async fn name_of(inventory: &Inventory<'_>, object: Option<&MoRef>) -> String {
    let Some(object) = object else { return String::new() };
    if !object.is_a(vim::managed_id!(ManagedEntity)) {
        return object.id().to_owned();
    }
    let read = inventory.read(object, &["name"]).await;
    read.map_or_else(|_| object.id().to_owned(), |found| found.text(0).to_owned())
}

fn row(me: &MoRef, info: &Object, on: &str) -> Vec<serde_json::Value> {
    let action =
        info.get(field!(ScheduledTaskSpec.action)).filter(|action| action.is_a(data_id!(MethodAction)));
    let time = |time: Option<vim::DateTime>| json!(time.map(|time| time.to_string()));
    let error = info.get(field!(ScheduledTaskInfo.error)).and_then(|error| vim::Fault::from_localized(error));
    vec![
        me.id().into(),
        json!(info.get(field!(ScheduledTaskSpec.name))),
        json!(action.and_then(|action| action.get(field!(MethodAction.name)))),
        on.into(),
        json!(info.get(field!(ScheduledTaskInfo.lastModifiedUser))),
        json!(info.get(field!(ScheduledTaskSpec.enabled))),
        time(info.get(field!(ScheduledTaskInfo.nextRunTime))),
        time(info.get(field!(ScheduledTaskInfo.prevRunTime))),
        json!(info.get(field!(ScheduledTaskInfo.state)).map(|state| state.name())),
        json!(error.map(|fault| fault.to_string())),
    ]
}
