//! `esfera customization`: specifications for the customization of guests.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;
use vim::{Kind, Release, Value, call, data_id, field};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Subcommand)]
pub enum CustomizationCommand {
    /// List customization specifications
    Ls(Target),
    /// Print a customization specification, in JSON; passwords are not in it
    Export {
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Keep the customization specification in a file, as export prints it
    Import {
        file: PathBuf,
        /// Replace the one of the same name
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a customization specification
    Rm {
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

const ITEM: Kind = Kind::Data(data_id!(CustomizationSpecItem));

fn newest() -> Release {
    vim::api_release()
}

pub async fn run(command: CustomizationCommand) -> Result<(), Failure> {
    match command {
        CustomizationCommand::Ls(target) => list(&target).await,
        CustomizationCommand::Export { name, target } => export(&name, &target).await,
        CustomizationCommand::Import { file, replace, target } => import(file, replace, &target).await,
        CustomizationCommand::Rm { name, target } => {
            let client = session::open(&target).await?;
            let manager =
                Inventory::of(&client).await?.manager(field!(ServiceContent.customizationSpecManager))?;
            client.invoke(&manager, &call!(DeleteCustomizationSpec { name: name })).await?;
            Ok(())
        }
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let manager = inventory.manager(field!(ServiceContent.customizationSpecManager))?;
    let found = inventory.read(&manager, &["info"]).await?;
    let mut table = Table::new(&["name", "guest", "description", "version", "changed"]);
    for info in found.at(0).into_iter().flat_map(Value::items).filter_map(Value::as_object) {
        table.row(vec![
            json!(info.get(field!(CustomizationSpecInfo.name))),
            json!(info.get(field!(CustomizationSpecInfo.type))),
            json!(info.get(field!(CustomizationSpecInfo.description))),
            json!(info.get(field!(CustomizationSpecInfo.changeVersion))),
            json!(info.get(field!(CustomizationSpecInfo.lastUpdateTime)).map(|time| time.to_string())),
        ]);
    }
    table.print(target.json)
}

async fn export(name: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let manager = Inventory::of(&client).await?.manager(field!(ServiceContent.customizationSpecManager))?;
    let item = client.invoke(&manager, &call!(GetCustomizationSpec { name: name })).await?;
    let item = item.ok_or_else(|| Failure::not_found("customization specification", name))?;
    let mut text = Vec::new();
    vim::json::write_value(&mut text, ITEM, false, &item, newest());
    let value = serde_json::from_slice(&text).context("the specification cannot be written")?;
    terminal::json(&value)
}

async fn import(file: PathBuf, replace: bool, target: &Target) -> Result<(), Failure> {
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let item = match vim::json::read_value(ITEM, false, &text) {
        Ok(Value::Object(item)) => item,
        Ok(_) => {
            return Err(Failure::new(Reason::Usage, "the file does not hold a customization specification"));
        }
        Err(error) => {
            return Err(Failure::new(
                Reason::Usage,
                format!("the file cannot be read as a specification: {error}"),
            ));
        }
    };
    let client = session::open(target).await?;
    let manager = Inventory::of(&client).await?.manager(field!(ServiceContent.customizationSpecManager))?;
    let info = item.get(field!(CustomizationSpecItem.info));
    let name =
        info.and_then(|info| info.get(field!(CustomizationSpecInfo.name))).unwrap_or_default().to_owned();
    let known = client.invoke(&manager, &call!(DoesCustomizationSpecExist { name: name })).await?;
    let call = if replace && known == Some(Value::Boolean(true)) {
        call!(OverwriteCustomizationSpec { item: item })
    } else {
        call!(CreateCustomizationSpec { item: item })
    };
    client.invoke(&manager, &call).await?;
    Ok(())
}
