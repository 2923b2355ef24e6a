//! The OpenAPI document of the operations that are done here, made of the table. As in vSphere's own documents, an action stands behind
//! the path that it is a part of: `/vcenter/vm/{vm}/power?action=start`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use vapi::{
    ErrorKind, Operation, OperationId, Parameter, Query, Segment, StructureId, TaskUse, Type, Verb, schema,
};

use crate::operation::full_name;
use crate::route::{action_of, without_action};

/// The path of the document below `/api`.
pub(crate) const PATH: &str = "/openapi.json";

/// Collects the structures that the operations use.
#[derive(Default)]
struct Document {
    waiting: Vec<StructureId>,
    seen: BTreeSet<StructureId>,
}

/// The document of these operations.
pub(crate) fn document(operations: impl Iterator<Item = OperationId>) -> Json {
    let mut document = Document::default();
    let mut paths: BTreeMap<String, Map<String, Json>> = BTreeMap::new();
    for id in operations {
        let operation = schema().at(id);
        let Some(verb) = operation.verb else { continue };
        let method = match verb {
            Verb::Get => "get",
            Verb::Post => "post",
            Verb::Put => "put",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
        };
        let shown = document.operation(id, operation);
        paths.entry(path(operation)).or_default().insert(method.to_owned(), shown);
    }
    let mut schemas = Map::new();
    while let Some(id) = document.waiting.pop() {
        let row = &schema().structures[id.index()];
        let fields: Vec<&Parameter> = row.fields.iter().collect();
        schemas.insert(row.name.to_owned(), document.object(&fields));
    }
    schemas.insert("Error".to_owned(), error());
    json!({
        "openapi": "3.0.3",
        "info": { "title": "Esfera automation API", "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": "/api" }],
        "security": [{ "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "header", "name": "vmware-api-session-id" },
                "password": { "type": "http", "scheme": "basic" },
            },
        },
    })
}

fn error() -> Json {
    let kinds: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.word()).collect();
    let message = json!({
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "default_message": { "type": "string" },
            "args": { "type": "array", "items": { "type": "string" } },
        },
    });
    json!({
        "type": "object",
        "required": ["error_type", "messages"],
        "properties": {
            "error_type": { "type": "string", "enum": kinds },
            "messages": { "type": "array", "items": message },
        },
    })
}

fn path(operation: &Operation) -> String {
    let action = action_of(operation);
    let segments = match &action {
        Some(action) => without_action(&operation.path, action),
        None => &operation.path,
    };
    let mut path = String::new();
    for segment in segments {
        match segment {
            Segment::Fixed(word) => path.push_str(&format!("/{word}")),
            Segment::Parameter(number) => path.push_str(&format!("/{{{}}}", name(operation, *number))),
        }
    }
    let fixed = operation.query.iter().filter_map(|part| match part {
        Query::Fixed(name, value) => Some(format!("{name}={value}")),
        Query::Present(_) | Query::Parameter(..) => None,
    });
    let query: Vec<String> = fixed.chain(action.map(|action| format!("action={action}"))).collect();
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

fn name(operation: &Operation, number: u16) -> &'static str {
    operation.parameters[usize::from(number)].name
}

impl Document {
    fn operation(&mut self, id: OperationId, operation: &Operation) -> Json {
        let mut parameters = Vec::new();
        let mut placed: BTreeSet<u16> = operation.body.into_iter().collect();
        for segment in &operation.path {
            if let Segment::Parameter(number) = segment {
                placed.insert(*number);
                let parameter = &operation.parameters[usize::from(*number)];
                parameters.push(self.parameter("path", parameter.name, &parameter.ty, true));
            }
        }
        for (header, number) in &operation.headers {
            placed.insert(*number);
            let parameter = &operation.parameters[usize::from(*number)];
            parameters.push(self.parameter("header", header, &parameter.ty, !is_optional(&parameter.ty)));
        }
        for part in &operation.query {
            match part {
                Query::Parameter(name, number) => {
                    placed.insert(*number);
                    self.in_query(name, &operation.parameters[usize::from(*number)].ty, &mut parameters);
                }
                Query::Present(name) => parameters.push(self.parameter("query", name, &Type::String, true)),
                Query::Fixed(..) => {}
            }
        }
        let open = (0..).zip(&operation.parameters).filter(|(number, _)| !placed.contains(number));
        let open: Vec<&Parameter> = open.map(|(_, parameter)| parameter).collect();
        let mut body = None;
        if matches!(operation.verb, Some(Verb::Get | Verb::Delete)) {
            for parameter in open {
                self.in_query(parameter.name, &parameter.ty, &mut parameters);
            }
        } else if let Some(number) = operation.body {
            let ty = &operation.parameters[usize::from(number)].ty;
            body = Some((self.ty(ty), !is_optional(ty)));
        } else if let [only] = open.as_slice()
            && matches!(only.ty, Type::Structure(_))
        {
            body = Some((self.ty(&only.ty), true));
        } else if !open.is_empty() {
            body = Some((self.object(&open), open.iter().any(|one| !is_optional(&one.ty))));
        }
        let mut shown = json!({ "operationId": full_name(id), "parameters": parameters });
        if let Some((schema, required)) = body {
            let content = json!({ "application/json": { "schema": schema } });
            shown["requestBody"] = json!({ "required": required, "content": content });
        }
        if operation.task == TaskUse::Never && operation.path.as_slice() == [Segment::Fixed("session")] {
            shown["security"] = match operation.name {
                "create" => json!([{ "password": [] }]),
                _ => json!([{ "session": [] }]),
            };
        }
        shown["responses"] = self.responses(operation);
        shown
    }

    fn responses(&mut self, operation: &Operation) -> Json {
        let mut responses = Map::new();
        let created = operation.name == "create" && operation.verb == Some(Verb::Post);
        match &operation.output {
            Type::Void => {
                responses.insert("204".to_owned(), json!({ "description": "done" }));
            }
            ty => {
                let content = json!({ "application/json": { "schema": self.ty(ty) } });
                let status = if created { "201" } else { "200" };
                let answer = json!({ "description": "the answer", "content": content });
                responses.insert(status.to_owned(), answer);
                if is_optional(ty) {
                    responses.insert("204".to_owned(), json!({ "description": "nothing" }));
                }
            }
        }
        let named = |kind: &&ErrorKind| {
            operation.errors.iter().any(|error| schema().structures[error.index()].name == kind.name())
        };
        let always = [
            ErrorKind::InvalidArgument,
            ErrorKind::InvalidRequest,
            ErrorKind::Unauthenticated,
            ErrorKind::Unauthorized,
            ErrorKind::InternalServerError,
        ];
        let kinds = ErrorKind::ALL.iter().filter(|kind| always.contains(kind) || named(kind));
        let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for kind in kinds {
            by_status.entry(kind.status()).or_default().push(kind.word());
        }
        let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } });
        for (status, words) in by_status {
            let answer = json!({ "description": words.join(", "), "content": content });
            responses.insert(status.to_string(), answer);
        }
        Json::Object(responses)
    }

    fn parameter(&mut self, place: &str, name: &str, ty: &Type, required: bool) -> Json {
        json!({ "in": place, "name": name, "required": required, "schema": self.ty(ty) })
    }

    /// A parameter in the query: of a structure, its fields.
    fn in_query(&mut self, name: &str, ty: &Type, parameters: &mut Vec<Json>) {
        match ty {
            Type::Optional(inner) => {
                let before = parameters.len();
                self.in_query(name, inner, parameters);
                for parameter in &mut parameters[before..] {
                    parameter["required"] = json!(false);
                }
            }
            Type::Structure(id) => {
                for field in &schema().structures[id.index()].fields {
                    self.in_query(field.name, &field.ty, parameters);
                }
            }
            // A list that is left out is empty.
            Type::List(_) | Type::Set(_) => parameters.push(self.parameter("query", name, ty, false)),
            ty => parameters.push(self.parameter("query", name, ty, true)),
        }
    }

    fn object(&mut self, fields: &[&Parameter]) -> Json {
        let mut properties = Map::new();
        for field in fields {
            properties.insert(field.name.to_owned(), self.ty(&field.ty));
        }
        let required: Vec<&str> =
            fields.iter().filter(|field| !is_optional(&field.ty)).map(|field| field.name).collect();
        let mut object = json!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            object["required"] = json!(required);
        }
        object
    }

    fn ty(&mut self, ty: &Type) -> Json {
        match ty {
            Type::Void => json!({}),
            Type::Boolean => json!({ "type": "boolean" }),
            Type::Long => json!({ "type": "integer", "format": "int64" }),
            Type::Double => json!({ "type": "number", "format": "double" }),
            Type::Secret => json!({ "type": "string", "format": "password" }),
            Type::DateTime => json!({ "type": "string", "format": "date-time" }),
            Type::Binary => json!({ "type": "string", "format": "byte" }),
            Type::Uri => json!({ "type": "string", "format": "uri" }),
            Type::String | Type::Id(_) => json!({ "type": "string" }),
            Type::Enum(id) => match schema().enums[id.index()].values.as_slice() {
                [] => json!({ "type": "string" }),
                values => json!({ "type": "string", "enum": values }),
            },
            Type::Optional(inner) => self.ty(inner),
            Type::List(inner) => json!({ "type": "array", "items": self.ty(inner) }),
            Type::Set(inner) => json!({ "type": "array", "uniqueItems": true, "items": self.ty(inner) }),
            Type::Map(types) => json!({ "type": "object", "additionalProperties": self.ty(&types.1) }),
            Type::Structure(id) => {
                if self.seen.insert(*id) {
                    self.waiting.push(*id);
                }
                let name = schema().structures[id.index()].name;
                json!({ "$ref": format!("#/components/schemas/{name}") })
            }
            Type::Opaque | Type::AnyStructure => json!({}),
            Type::AnyError => json!({ "$ref": "#/components/schemas/Error" }),
        }
    }
}

fn is_optional(ty: &Type) -> bool {
    matches!(ty, Type::Optional(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_every_structure_that_it_refers_to() {
        let all = crate::served();
        let document = document(all.iter().copied());
        let text = document.to_string();
        let known = document["components"]["schemas"].as_object().unwrap();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(known.contains_key(name), "{name}");
        }
        let paths = document["paths"].as_object().unwrap();
        let shown: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(shown, all.iter().filter(|id| schema().at(**id).verb.is_some()).count());
        assert!(paths["/vcenter/vm/{vm}/power?action=start"]["post"].is_object());
        let names = paths["/vcenter/vm"]["get"]["parameters"].as_array().unwrap();
        assert!(names.iter().any(|one| one["name"] == "names" && one["in"] == "query"));
        assert!(paths["/session"]["post"]["security"][0]["password"].is_array());
    }
}
