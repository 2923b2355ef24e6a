//! `esfera events`

use clap::Args;
use serde_json::json;
use vim::{DateTime, Object, Value, call, field, vim};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;

#[derive(Args)]
pub struct Events {
    /// Only events of this VM
    #[arg(long)]
    pub vm: Option<String>,
    /// Only events of this type or one derived from it, such as VmPoweredOnEvent; repeatable
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only events that this user caused
    #[arg(long)]
    pub user: Option<String>,
    /// Only events of this category: info, warning, error, user
    #[arg(long)]
    pub category: Option<String>,
    /// Only events of this task, by the chain that its events show
    #[arg(long)]
    pub chain: Option<i32>,
    /// Only events since this time
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only events until this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Most events to show
    #[arg(long, default_value_t = 50)]
    pub max: i32,
    #[command(flatten)]
    pub target: Target,
}

pub async fn run(args: Events) -> Result<(), Failure> {
    let (since, until) = (time(args.since.as_deref())?, time(args.until.as_deref())?);
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
    let user =
        args.user.map(|user| vim!(EventFilterSpecByUsername { systemUser: false, userList: vec![user] }));
    let is_timed = since.is_some() || until.is_some();
    let filter = vim!(EventFilterSpec {
        entity: entity,
        time: is_timed.then(|| vim!(EventFilterSpecByTime { beginTime: since, endTime: until })),
        userName: user,
        category: args.category.into_iter().collect::<Vec<_>>(),
        eventTypeId: args.types,
        eventChainId: args.chain,
        maxCount: args.max,
    });
    let answer = client.invoke(&manager, &call!(QueryEvents { filter: filter })).await?;
    let mut events: Vec<&Object> =
        answer.iter().flat_map(Value::items).filter_map(Value::as_object).map(|event| &**event).collect();
    events.sort_by_key(|event| event.get(field!(Event.key)));
    let mut table = Table::new(&["time", "type", "user", "chain", "message"]);
    for event in events {
        table.row(vec![
            json!(event.get(field!(Event.createdTime)).map(|time| time.to_string())),
            event.type_name().into(),
            json!(event.get(field!(Event.userName))),
            json!(event.get(field!(Event.chainId))),
            json!(event.get(field!(Event.fullFormattedMessage))),
        ]);
    }
    table.print(args.target.json)
}

fn time(text: Option<&str>) -> Result<Option<DateTime>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || {
        Failure::new(Reason::Usage, format!("{text:?} is not a time"))
            .hint("write it as in 2026-12-24T18:00:00Z")
    };
    DateTime::parse(text).map(Some).ok_or_else(wrong)
}
