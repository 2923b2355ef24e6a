//! `esfera session`

use clap::Subcommand;
use serde_json::json;
use vim::{Object, Value, call, field};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;

#[derive(Subcommand)]
pub enum SessionCommand {
    /// List the sessions of the server
    Ls(Target),
    /// End sessions of others
    Rm {
        /// The sessions' ids, as `ls` shows them
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
}

pub async fn run(command: SessionCommand) -> Result<(), Failure> {
    match command {
        SessionCommand::Ls(target) => list(&target).await,
        SessionCommand::Rm { ids, target } => {
            let client = session::open(&target).await?;
            let manager = Inventory::of(&client).await?.manager(field!(ServiceContent.sessionManager))?;
            client.invoke(&manager, &call!(TerminateSession { sessionId: ids })).await?;
            Ok(())
        }
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let manager = Inventory::of(&client).await?.manager(field!(ServiceContent.sessionManager))?;
    let sessions = client.property(&manager, "sessionList").await?;
    let current = client.property(&manager, "currentSession").await?;
    let current =
        current.as_ref().and_then(Value::as_object).and_then(|own| own.get(field!(UserSession.key)));
    let current =
        current.ok_or_else(|| Failure::new(Reason::Denied, "the session has ended; log in again"))?;
    let mut sessions: Vec<&Object> = sessions
        .iter()
        .flat_map(Value::items)
        .filter_map(Value::as_object)
        .map(|session| &**session)
        .collect();
    sessions.sort_by_key(|session| session.get(field!(UserSession.loginTime)).map(|time| time.as_micros()));
    let mut table = Table::new(&["id", "user", "address", "agent", "since", "last_active", "calls", "mine"]);
    for session in sessions {
        let time = |time: Option<vim::DateTime>| json!(time.map(|time| time.to_string()));
        table.row(vec![
            json!(session.get(field!(UserSession.key))),
            json!(session.get(field!(UserSession.userName))),
            json!(session.get(field!(UserSession.ipAddress))),
            json!(session.get(field!(UserSession.userAgent))),
            time(session.get(field!(UserSession.loginTime))),
            time(session.get(field!(UserSession.lastActiveTime))),
            json!(session.get(field!(UserSession.callCount))),
            json!(session.get(field!(UserSession.key)) == Some(current)),
        ]);
    }
    table.print(target.json)
}
