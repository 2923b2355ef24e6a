//! `esfera passwd`: a user changes his own password, also when it has expired and he cannot log in.

use std::io::{BufRead, stdin};

use api::tls::Trust;
use clap::Args;
use vim::{call, field};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::session::{Saved, ask_new_password, ask_password, connect, normal};
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Args)]
pub struct Passwd {
    /// User; the one of the last login unless it is given
    user: Option<String>,
    /// Read the old and the new password from the standard input, a line each
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    target: Target,
}

pub async fn run(args: Passwd) -> Result<(), Failure> {
    let saved = Saved::load()?;
    let unknown = || {
        Failure::new(Reason::Usage, "the server is unknown")
            .hint("esfera login https://HOST --user USER remembers the server and its certificate")
    };
    let url = args.target.url.as_deref().map(normal).or(saved.current).ok_or_else(unknown)?;
    let session = saved.sessions.get(&url).ok_or_else(unknown)?;
    let user = args.user.as_deref().unwrap_or(&session.user);
    let trust = session.thumbprint.clone().map_or(Trust::Insecure, Trust::Thumbprint);
    let (old, new) = if args.stdin {
        let line = || {
            let mut line = String::new();
            let read = stdin().lock().read_line(&mut line);
            let read = read
                .map_err(|error| Failure::new(Reason::Failed, format!("cannot read the password: {error}")));
            read.map(|_| line.trim_end_matches(['\r', '\n']).to_owned())
        };
        (line()?, line()?)
    } else {
        (ask_password(&format!("Old password of {user} on {url}:"))?, ask_new_password(user)?)
    };
    let client = connect(&url, trust).await?;
    let manager = Inventory::of(&client).await?.manager(field!(ServiceContent.accountManager))?;
    client
        .invoke(&manager, &call!(ChangePassword { user: user, oldPassword: old, newPassword: new }))
        .await?;
    if args.target.json {
        terminal::json(&serde_json::json!({ "user": user }))
    } else {
        terminal::line(format!("The password of {user} is changed; his sessions have ended."))
    }
}
