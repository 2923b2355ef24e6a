//! `esfera tag`: tags, and the objects that they are attached to.

use api::client::Client;
use clap::{Args, Subcommand};
use serde_json::{Map, Value as Json, json};
use vim::{MoRef, managed_id};

use super::category::{self, text};
use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

const TAGS: &str = "/api/cis/tagging/tag";
const ASSOCIATION: &str = "/api/cis/tagging/tag-association";

#[derive(Subcommand)]
pub enum TagCommand {
    /// List tags: all, those of a category, or those on an object
    Ls {
        /// Object by its name or id
        object: Option<String>,
        #[arg(long)]
        category: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Create a tag
    #[command(visible_alias = "create")]
    Add {
        tag: String,
        #[arg(long)]
        category: String,
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        target: Target,
    },
    /// Change a tag
    Set(Set),
    /// Remove a tag, from all objects
    Rm {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        target: Target,
    },
    /// List the objects that a tag is attached to
    Objects {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        target: Target,
    },
    /// Attach a tag to objects
    Attach(Change),
    /// Detach a tag from objects
    Detach(Change),
}

/// A tag.
#[derive(Args)]
pub struct Which {
    /// Tag by its name or id
    tag: String,
    /// Category of the tag, if several categories have a tag of this name
    #[arg(long)]
    category: Option<String>,
}

#[derive(Args)]
pub struct Set {
    #[command(flatten)]
    which: Which,
    /// New name
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Change {
    #[command(flatten)]
    which: Which,
    /// Objects by their names or ids
    #[arg(required = true)]
    objects: Vec<String>,
    #[command(flatten)]
    target: Target,
}

pub async fn run(command: TagCommand) -> Result<(), Failure> {
    match command {
        TagCommand::Ls { object, category, target } => {
            list(object.as_deref(), category.as_deref(), &target).await
        }
        TagCommand::Add { tag, category, description, target } => {
            let client = session::open(&target).await?;
            let category = text(&category::named(&client, &category).await?, "id");
            let spec = json!({ "name": tag, "description": description, "category_id": category });
            let id = client.automation("POST", TAGS, Some(&spec)).await?;
            terminal::line(id.as_str().unwrap_or_default())
        }
        TagCommand::Set(set) => change(&set).await,
        TagCommand::Rm { which, target } => {
            let client = session::open(&target).await?;
            let id = which.find(&client).await?;
            client.automation("DELETE", &format!("{TAGS}/{id}"), None).await?;
            Ok(())
        }
        TagCommand::Objects { which, target } => objects(&which, &target).await,
        TagCommand::Attach(change) => attach(&change, "attach").await,
        TagCommand::Detach(change) => attach(&change, "detach").await,
    }
}

impl Which {
    /// The tag's id.
    async fn find(&self, client: &Client) -> Result<String, Failure> {
        let category = match &self.category {
            Some(name) => Some(text(&category::named(client, name).await?, "id")),
            None => None,
        };
        let tags = tags(client, category.as_deref()).await?;
        let mut found = tags.iter().filter(|one| one["name"] == *self.tag || one["id"] == *self.tag);
        match (found.next(), found.next()) {
            (Some(tag), None) => Ok(text(tag, "id")),
            (None, _) => Err(Failure::not_found("tag", &self.tag).hint("esfera tag ls lists the tags")),
            (Some(_), Some(_)) => {
                let message = format!("several categories have a tag {:?}", self.tag);
                Err(Failure::new(Reason::NotFound, message).hint("name the category with --category"))
            }
        }
    }
}

/// All tags, or those of the category with this id.
async fn tags(client: &Client, category: Option<&str>) -> Result<Vec<Json>, Failure> {
    let ids = match category {
        Some(id) => {
            let path = format!("{TAGS}?action=list-tags-for-category");
            client.automation("POST", &path, Some(&json!({ "category_id": id }))).await?
        }
        None => client.automation("GET", TAGS, None).await?,
    };
    shown(client, &ids).await
}

/// The tags with these ids.
async fn shown(client: &Client, ids: &Json) -> Result<Vec<Json>, Failure> {
    let mut all = Vec::new();
    for id in ids.as_array().into_iter().flatten() {
        let path = format!("{TAGS}/{}", id.as_str().unwrap_or_default());
        all.push(client.automation("GET", &path, None).await?);
    }
    Ok(all)
}

/// The object of the inventory with this name or id, as tags name it.
async fn object(client: &Client, name: &str) -> Result<Json, Failure> {
    let inventory = Inventory::of(client).await?;
    let me: MoRef = inventory.named(managed_id!(ManagedEntity), "object", name).await?;
    Ok(json!({ "type": me.type_name(), "id": me.id() }))
}

async fn list(on: Option<&str>, category: Option<&str>, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let wanted = match category {
        Some(name) => Some(text(&category::named(&client, name).await?, "id")),
        None => None,
    };
    let tags = match on {
        Some(name) => {
            let asked = json!({ "object_id": object(&client, name).await? });
            let path = format!("{ASSOCIATION}?action=list-attached-tags");
            let ids = client.automation("POST", &path, Some(&asked)).await?;
            shown(&client, &ids).await?
        }
        None => tags(&client, wanted.as_deref()).await?,
    };
    let categories = category::all(&client).await?;
    let name_of = |id: &Json| categories.iter().find(|one| one["id"] == *id).map(|one| text(one, "name"));
    let fits = |tag: &&Json| wanted.as_deref().is_none_or(|wanted| tag["category_id"] == *wanted);
    let mut rows: Vec<(Option<String>, &Json)> =
        tags.iter().filter(fits).map(|tag| (name_of(&tag["category_id"]), tag)).collect();
    rows.sort_by_key(|(category, tag)| (category.clone(), text(tag, "name")));
    let mut table = Table::new(&["category", "name", "description", "id"]);
    for (category, tag) in rows {
        table.row(vec![json!(category), tag["name"].clone(), tag["description"].clone(), tag["id"].clone()]);
    }
    table.print(target.json)
}

async fn change(set: &Set) -> Result<(), Failure> {
    let client = session::open(&set.target).await?;
    let id = set.which.find(&client).await?;
    let mut spec = Map::new();
    for (field, given) in [("name", &set.name), ("description", &set.description)] {
        spec.extend(given.as_ref().map(|given| (field.to_owned(), json!(given))));
    }
    client.automation("PATCH", &format!("{TAGS}/{id}"), Some(&Json::Object(spec))).await?;
    Ok(())
}

async fn objects(which: &Which, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let path = format!("{ASSOCIATION}/{}?action=list-attached-objects", which.find(&client).await?);
    let listed = client.automation("POST", &path, None).await?;
    let inventory = Inventory::of(&client).await?;
    let known = inventory.all(managed_id!(ManagedEntity), &["name"]).await?;
    let mut table = Table::new(&["name", "type", "id"]);
    for object in listed.as_array().into_iter().flatten() {
        let name = known.iter().find(|one| object["id"] == one.me.id()).map(|one| one.text(0));
        table.row(vec![json!(name), object["type"].clone(), object["id"].clone()]);
    }
    table.print(target.json)
}

async fn attach(change: &Change, verb: &str) -> Result<(), Failure> {
    let client = session::open(&change.target).await?;
    let id = change.which.find(&client).await?;
    for name in &change.objects {
        let asked = json!({ "object_id": object(&client, name).await? });
        client.automation("POST", &format!("{ASSOCIATION}/{id}?action={verb}"), Some(&asked)).await?;
    }
    Ok(())
}
