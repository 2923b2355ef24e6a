//! `esfera schedule add`

use clap::{Args, ValueEnum};
use vim::{MoRef, Object, Value, call, field, schema, vim};

use super::when::When;
use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Args)]
pub struct Add {
    name: String,
    /// The operation on the VM
    #[arg(value_enum, required_unless_present = "method", conflicts_with = "method")]
    operation: Option<Operation>,
    /// Any method by its name in the API, such as EnterMaintenanceMode_Task
    #[arg(long)]
    method: Option<String>,
    /// The next parameter of the method: a text or number, or Type:id for an object; - leaves one out
    #[arg(long = "arg", requires = "method", allow_hyphen_values = true)]
    arguments: Vec<String>,
    /// The VM by name or id
    #[arg(long, group = "subject")]
    vm: Option<String>,
    /// The host by name or id
    #[arg(long, group = "subject")]
    host: Option<String>,
    /// Any object, as Type:id; of a folder, all that is directly in it
    #[arg(long, group = "subject")]
    object: Option<String>,
    #[arg(long, default_value = "")]
    description: String,
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, ValueEnum)]
enum Operation {
    PowerOn,
    PowerOff,
    Shutdown,
    Reset,
    Suspend,
    /// A snapshot named after the scheduled task, without memory
    Snapshot,
}

pub async fn run(args: Add) -> Result<(), Failure> {
    let scheduler = args.when.scheduler()?;
    let action = action(&args)?;
    let client = session::open(&args.target).await?;
    let inventory = Inventory::of(&client).await?;
    let object = object(&args, &inventory).await?;
    let manager = inventory.manager(field!(ServiceContent.scheduledTaskManager))?;
    let spec = vim!(ScheduledTaskSpec {
        name: args.name,
        description: args.description,
        enabled: true,
        scheduler: scheduler,
        action: action,
    });
    let made = client.invoke(&manager, &call!(CreateObjectScheduledTask { obj: object, spec: spec })).await?;
    let made = made.as_ref().and_then(Value::as_ref);
    let made =
        made.ok_or_else(|| Failure::new(Reason::Failed, "the server did not name the scheduled task"))?;
    terminal::line(made.id())
}

async fn object(args: &Add, inventory: &Inventory<'_>) -> Result<MoRef, Failure> {
    if let Some(vm) = &args.vm {
        return inventory.vm(vm).await;
    }
    if let Some(host) = &args.host {
        return inventory.host(host).await;
    }
    let object = args.object.as_deref().ok_or_else(|| {
        Failure::new(Reason::Usage, "the object is missing").hint("name it with --vm, --host or --object")
    })?;
    reference(object).ok_or_else(|| {
        Failure::new(Reason::Usage, format!("{object:?} names no object"))
            .hint("write its type and id, as in Folder:group-v3")
    })
}

fn reference(text: &str) -> Option<MoRef> {
    let (ty, id) = text.split_once(':')?;
    Some(MoRef::new(schema().find_managed(ty)?, id))
}

fn action(args: &Add) -> Result<Object, Failure> {
    let (name, values): (&str, Vec<Option<Value>>) = match (args.operation, &args.method) {
        (_, Some(method)) => (method, args.arguments.iter().map(|text| argument(text)).collect()),
        (Some(Operation::PowerOn), _) => ("PowerOnVM_Task", vec![]),
        (Some(Operation::PowerOff), _) => ("PowerOffVM_Task", vec![]),
        (Some(Operation::Shutdown), _) => ("ShutdownGuest", vec![]),
        (Some(Operation::Reset), _) => ("ResetVM_Task", vec![]),
        (Some(Operation::Suspend), _) => ("SuspendVM_Task", vec![]),
        (Some(Operation::Snapshot), _) => {
            let values =
                [args.name.as_str().into(), args.description.as_str().into(), false.into(), false.into()];
            ("CreateSnapshot_Task", values.into_iter().map(Some).collect())
        }
        (None, None) => return Err(Failure::new(Reason::Usage, "the operation is missing")),
    };
    let arguments: Vec<_> =
        values.into_iter().map(|value| vim!(MethodActionArgument { value: value })).collect();
    Ok(vim!(MethodAction { name: name, argument: arguments }).into())
}

/// The server turns text into the parameter's type.
fn argument(text: &str) -> Option<Value> {
    if text == "-" {
        return None;
    }
    Some(reference(text).map_or_else(|| Value::from(text), Value::Ref))
}
