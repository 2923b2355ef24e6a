//! Showing the answer of an esxcli command: by its hints for people, by its types as JSON for programs.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};
use vim::soap::Element;
use vim::{Object, field};

use crate::client::failure::Failure;
use crate::client::output::Table;
use crate::client::terminal;

/// The kinds of fields, by the wire's name of a structure and of the field.
#[derive(Default)]
pub struct Types(HashMap<(String, String), String>);

impl Types {
    /// Reads a `DynamicTypeMgrAllTypeInfo`.
    pub fn of(told: &Object) -> Self {
        let mut types = HashMap::new();
        for data in told.get(field!(DynamicTypeMgrAllTypeInfo.dataTypeInfo)).into_iter().flatten() {
            let owner = data.get(field!(DynamicTypeMgrDataTypeInfo.wsdlName)).unwrap_or_default();
            for known in data.get(field!(DynamicTypeMgrDataTypeInfo.property)).into_iter().flatten() {
                let name = known.get(field!(DynamicTypeMgrPropertyTypeInfo.name)).unwrap_or_default();
                let kind = known.get(field!(DynamicTypeMgrPropertyTypeInfo.type)).unwrap_or_default();
                types.insert((owner.to_owned(), name.to_owned()), kind.to_owned());
            }
        }
        Self(types)
    }

    fn kind(&self, owner: &str, field: &str) -> &str {
        self.0.get(&(owner.to_owned(), field.to_owned())).map_or("string", |kind| kind)
    }
}

/// Prints an answer of the method that its help describes.
pub fn print(answer: &Element, method: &Element, types: &Types, json: bool) -> Result<(), Failure> {
    if json {
        terminal::json(&to_json(answer, types))
    } else {
        terminal::lines(to_lines(answer, &Hints::of(method)))
    }
}

fn to_json(answer: &Element, types: &Types) -> Json {
    match answer.xsi_type.as_deref().unwrap_or_default() {
        "ArrayOfDataObject" => answer.children.iter().map(|row| object(row, types)).collect(),
        scalar @ ("boolean" | "long" | "string") => value(&answer.text, scalar),
        _ => object(answer, types),
    }
}

fn object(row: &Element, types: &Types) -> Json {
    let owner = row.xsi_type.as_deref().unwrap_or_default();
    let mut object = Map::new();
    for field in &row.children {
        let kind = types.kind(owner, &field.name);
        let read = match kind.strip_suffix("[]") {
            _ if !field.children.is_empty() => self::object(field, types),
            Some(element) => value(&field.text, element),
            None => value(&field.text, kind),
        };
        if kind.ends_with("[]") {
            let list = object.entry(field.name.clone()).or_insert_with(|| json!([]));
            list.as_array_mut().into_iter().for_each(|list| list.push(read.clone()));
        } else {
            object.insert(field.name.clone(), read);
        }
    }
    Json::Object(object)
}

fn value(text: &str, kind: &str) -> Json {
    match kind {
        "boolean" => text.parse::<bool>().map_or_else(|_| json!(text), Json::from),
        "long" | "int" => text.parse::<i64>().map_or_else(|_| json!(text), Json::from),
        _ => json!(text),
    }
}

/// The form in which an answer is shown.
struct Hints {
    table: bool,
    /// The names of all fields for display, by structure.
    fields: Vec<(String, Vec<String>)>,
}

impl Hints {
    fn of(method: &Element) -> Self {
        let mut hints = Self { table: false, fields: Vec::new() };
        for hint in method.all("hints") {
            let (key, value) = (hint.get("key").unwrap_or_default(), hint.get("value").unwrap_or_default());
            if key == "formatter" {
                hints.table = value == "table";
            } else if let Some(structure) = key.strip_prefix("fields:") {
                hints.fields.push((structure.to_owned(), value.split(',').map(str::to_owned).collect()));
            }
        }
        hints
    }

    /// The names of a row's fields for display, in order. Without a hint, those of the row itself.
    fn fields(&self, row: &Element) -> Vec<String> {
        let ty = row.xsi_type.as_deref().unwrap_or_default();
        let known = self.fields.iter().find(|(structure, _)| ty.ends_with(&**structure));
        known.map_or_else(|| row.children.iter().map(|field| field.name.clone()).collect(), |it| it.1.clone())
    }
}

/// A field's name on the wire.
fn wire(display: &str) -> String {
    display.replace(' ', "")
}

fn texts(row: &Element, name: &str) -> Option<String> {
    let all: Vec<&str> = row.all(name).map(|field| &*field.text).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn to_lines(answer: &Element, hints: &Hints) -> Vec<String> {
    match answer.xsi_type.as_deref().unwrap_or_default() {
        "boolean" if answer.text == "true" => Vec::new(),
        "boolean" | "long" => vec![answer.text.clone()],
        // The host may answer a text of several lines, all of it its own.
        "string" => answer.text.split('\n').map(str::to_owned).collect(),
        "ArrayOfDataObject" if hints.table => table(&answer.children, hints),
        "ArrayOfDataObject" => {
            let mut shown = Vec::new();
            for row in &answer.children {
                shown.push(row.children.first().map(|field| field.text.clone()).unwrap_or_default());
                lines(row, hints, 1, &mut shown);
                shown.push(String::new());
            }
            shown
        }
        _ => {
            let mut shown = Vec::new();
            lines(answer, hints, 1, &mut shown);
            shown
        }
    }
}

fn table(rows: &[Element], hints: &Hints) -> Vec<String> {
    let Some(first) = rows.first() else { return Vec::new() };
    let fields = hints.fields(first);
    let mut table = Table::headed(fields.clone());
    for row in rows {
        table.row(fields.iter().map(|field| json!(texts(row, &wire(field)))).collect());
    }
    table.to_lines()
}

/// Adds `Field: value` of each field that the row has.
fn lines(row: &Element, hints: &Hints, depth: usize, shown: &mut Vec<String>) {
    let indent = "   ".repeat(depth);
    for field in hints.fields(row) {
        let name = wire(&field);
        if let Some(inner) = row.all(&name).find(|inner| !inner.children.is_empty()) {
            shown.push(format!("{indent}{field}:"));
            lines(inner, hints, depth + 1, shown);
        } else if let Some(text) = texts(row, &name) {
            shown.push(format!("{indent}{field}: {text}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(table: bool) -> Hints {
        let fields = ["Name", "Num Ports", "Uplinks"].map(str::to_owned).to_vec();
        Hints { table, fields: vec![("Switch".into(), fields)] }
    }

    fn answer() -> Element {
        let text = Element::text;
        let row = vec![text("Name", "v0"), text("NumPorts", "8"), text("Uplinks", "a"), text("Uplinks", "b")];
        let row = Element::of("DataObject", row).typed("VimEsxCLIlistSwitch");
        Element::of("obj", vec![row]).typed("ArrayOfDataObject")
    }

    #[test]
    fn answers_are_shown_as_their_hints_say() {
        let table = to_lines(&answer(), &hints(true));
        assert_eq!(table, ["NAME  NUM PORTS  UPLINKS", "v0    8          a, b"]);
        let block = to_lines(&answer(), &hints(false));
        assert_eq!(block, ["v0", "   Name: v0", "   Num Ports: 8", "   Uplinks: a, b", ""]);
        let done = Element::text("obj", "true").typed("boolean");
        assert!(to_lines(&done, &hints(false)).is_empty());
        let inner = Element::of("DriverInfo", vec![Element::text("Driver", "e1000")]).typed("VimDriver");
        let nested = Element::of("obj", vec![inner]).typed("VimNic");
        assert_eq!(to_lines(&nested, &hints(false)), ["   DriverInfo:", "      Driver: e1000"]);
    }

    #[test]
    fn json_has_the_kinds_that_the_host_tells() {
        let kinds = [("Name", "string"), ("NumPorts", "long"), ("Uplinks", "string[]")];
        let owner = "VimEsxCLIlistSwitch".to_owned();
        let types = kinds.map(|(name, kind)| ((owner.clone(), name.to_owned()), kind.to_owned()));
        let types = Types(types.into_iter().collect());
        assert_eq!(to_json(&answer(), &types), json!([{"Name": "v0", "NumPorts": 8, "Uplinks": ["a", "b"]}]));
        assert_eq!(to_json(&Element::text("obj", "true").typed("boolean"), &types), json!(true));
    }
}
