//! `esfera category`: categories of tags.

use api::client::Client;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value as Json, json};

use crate::client::failure::Failure;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

const CATEGORIES: &str = "/api/cis/tagging/category";

#[derive(Subcommand)]
pub enum CategoryCommand {
    /// List categories
    Ls(Target),
    /// Create a category
    #[command(visible_alias = "create")]
    Add(Add),
    /// Change a category
    Set(Set),
    /// Remove a category with its tags
    Rm {
        category: String,
        #[command(flatten)]
        target: Target,
    },
}

/// How many tags of a category one object may have.
#[derive(Clone, Copy, ValueEnum)]
enum Cardinality {
    Single,
    Multiple,
}

impl Cardinality {
    fn word(self) -> &'static str {
        match self {
            Self::Single => "SINGLE",
            Self::Multiple => "MULTIPLE",
        }
    }
}

#[derive(Args)]
pub struct Add {
    category: String,
    #[arg(long, default_value = "")]
    description: String,
    /// How many tags of the category one object may have
    #[arg(long, default_value = "multiple")]
    cardinality: Cardinality,
    /// Type of the objects that its tags are for, as `VirtualMachine`; all types without it
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub struct Set {
    category: String,
    /// New name
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    description: Option<String>,
    /// From `single` to `multiple` only
    #[arg(long)]
    cardinality: Option<Cardinality>,
    /// Further type of the objects that its tags are for
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    #[command(flatten)]
    target: Target,
}

pub async fn run(command: CategoryCommand) -> Result<(), Failure> {
    match command {
        CategoryCommand::Ls(target) => list(&target).await,
        CategoryCommand::Add(add) => create(&add).await,
        CategoryCommand::Set(set) => change(&set).await,
        CategoryCommand::Rm { category, target } => {
            let client = session::open(&target).await?;
            let id = text(&named(&client, &category).await?, "id");
            client.automation("DELETE", &format!("{CATEGORIES}/{id}"), None).await?;
            Ok(())
        }
    }
}

/// All categories, in the order of their names.
pub(super) async fn all(client: &Client) -> Result<Vec<Json>, Failure> {
    let mut all = Vec::new();
    for id in client.automation("GET", CATEGORIES, None).await?.as_array().into_iter().flatten() {
        let path = format!("{CATEGORIES}/{}", id.as_str().unwrap_or_default());
        all.push(client.automation("GET", &path, None).await?);
    }
    all.sort_by_key(|category| text(category, "name"));
    Ok(all)
}

/// The category with this name or id.
pub(super) async fn named(client: &Client, name: &str) -> Result<Json, Failure> {
    let found = all(client).await?.into_iter().find(|one| one["name"] == name || one["id"] == name);
    let hint = "esfera category ls lists the categories";
    found.ok_or_else(|| Failure::not_found("category", name).hint(hint))
}

/// A text of an answer.
pub(super) fn text(of: &Json, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let mut table = Table::new(&["name", "cardinality", "types", "description", "id"]);
    for category in all(&client).await? {
        let cardinality = text(&category, "cardinality").to_lowercase();
        let types = category["associable_types"].clone();
        let (name, description) = (category["name"].clone(), category["description"].clone());
        table.row(vec![name, cardinality.into(), types, description, category["id"].clone()]);
    }
    table.print(target.json)
}

async fn create(add: &Add) -> Result<(), Failure> {
    let client = session::open(&add.target).await?;
    let spec = json!({
        "name": add.category,
        "description": add.description,
        "cardinality": add.cardinality.word(),
        "associable_types": add.types,
    });
    let id = client.automation("POST", CATEGORIES, Some(&spec)).await?;
    terminal::line(id.as_str().unwrap_or_default())
}

async fn change(set: &Set) -> Result<(), Failure> {
    let client = session::open(&set.target).await?;
    let category = named(&client, &set.category).await?;
    let mut spec = Map::new();
    let cardinality = set.cardinality.map(|cardinality| cardinality.word().to_owned());
    for (field, given) in
        [("name", &set.name), ("description", &set.description), ("cardinality", &cardinality)]
    {
        spec.extend(given.as_ref().map(|given| (field.to_owned(), json!(given))));
    }
    if !set.types.is_empty() {
        let known = category["associable_types"].as_array().into_iter().flatten().cloned();
        let more = set.types.iter().map(|ty| json!(ty));
        let mut types: Vec<Json> = known.chain(more).collect();
        types.sort_by_key(Json::to_string);
        types.dedup();
        spec.insert("associable_types".to_owned(), Json::Array(types));
    }
    let path = format!("{CATEGORIES}/{}", text(&category, "id"));
    client.automation("PATCH", &path, Some(&Json::Object(spec))).await?;
    Ok(())
}
