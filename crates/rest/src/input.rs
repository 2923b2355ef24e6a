//! The parameters of an operation, gathered from path, query, headers and body, and read by their types.

use std::collections::HashSet;

use http::HeaderMap;
use serde_json::{Map, Value as Json};
use vapi::{
    Error, ErrorKind, Form, Operation, Parameter, Problem, Query, Record, TaskUse, Type, Value, Verb,
};
use vapi::{read, read_text, schema};

use crate::route::action_of;

/// A request below `/api` or `/rest`, decoded.
pub(crate) struct Given<'a> {
    pub(crate) form: Form,
    /// Parameters of the path by their numbers.
    pub(crate) path: Vec<(u16, String)>,
    pub(crate) query: &'a [(String, String)],
    pub(crate) headers: &'a HeaderMap,
    /// None if the request has no body.
    pub(crate) body: Option<Json>,
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, "com.vmware.vapi.data.invalid", text)
}

/// The query's pairs, of which each is taken at most once.
struct Left<'a> {
    form: Form,
    query: &'a [(String, String)],
    /// Positions of the pairs that a parameter has taken.
    taken: HashSet<usize>,
}

/// Reads the parameters, in the order of the table.
///
/// # Errors
/// `invalid_argument` that names the parameter and the field, or the part of the query that belongs to no parameter.
pub(crate) fn gather(operation: &Operation, given: &Given<'_>) -> Result<Vec<Value>, Error> {
    let body = body_parts(operation, given)?;
    let mut left = Left { form: given.form, query: given.query, taken: HashSet::new() };
    let mut values = Vec::with_capacity(operation.parameters.len());
    for (number, parameter) in (0..).zip(&operation.parameters) {
        let value = match (text_of(operation, number, given), body.get(parameter.name)) {
            (Some(text), _) => read_text(&parameter.ty, text, parameter.name),
            (None, Some(json)) => read(given.form, &parameter.ty, json, parameter.name),
            (None, None) => from_query(operation, number, parameter, &mut left),
        };
        values.push(value.map_err(|problem| invalid(problem.to_string()))?);
    }
    match left.surplus(operation) {
        Some(key) => Err(invalid(format!("{} has no parameter {key:?} in its query", operation.name))),
        None => Ok(values),
    }
}

/// The text of a parameter that stands in the path or a header.
fn text_of<'a>(operation: &Operation, number: u16, given: &'a Given<'_>) -> Option<&'a str> {
    let in_path = given.path.iter().find(|(at, _)| *at == number).map(|(_, text)| text.as_str());
    in_path.or_else(|| {
        let (header, _) = operation.headers.iter().find(|(_, at)| *at == number)?;
        given.headers.get(*header)?.to_str().ok()
    })
}

/// The parts of the body by the names of their parameters.
fn body_parts(operation: &Operation, given: &Given<'_>) -> Result<Map<String, Json>, Error> {
    let Some(body) = &given.body else { return Ok(Map::new()) };
    let named = |number: u16| operation.parameters[usize::from(number)].name;
    if let (Form::Api, Some(number)) = (given.form, operation.body) {
        return Ok([(named(number).to_owned(), body.clone())].into_iter().collect());
    }
    let open: Vec<&str> = (0..)
        .zip(&operation.parameters)
        .filter(|(number, _)| text_of(operation, *number, given).is_none())
        .map(|(_, parameter)| parameter.name)
        .collect();
    match (body, open.as_slice()) {
        (Json::Object(parts), _) if parts.keys().all(|name| open.contains(&name.as_str())) => {
            Ok(parts.clone())
        }
        // Some operations take their only parameter as the body, and the table does not say which.
        (body, [only]) if given.form == Form::Api => {
            Ok([((*only).to_owned(), body.clone())].into_iter().collect())
        }
        (Json::Object(parts), _) => {
            let unknown = parts.keys().find(|name| !open.contains(&name.as_str())).map_or("", String::as_str);
            Err(invalid(format!("{} has no parameter {unknown:?}", operation.name)))
        }
        _ => Err(invalid(format!("the body of {} must be an object", operation.name))),
    }
}

/// A parameter, or the fields of a filter, in the query.
fn from_query(
    operation: &Operation,
    number: u16,
    parameter: &Parameter,
    left: &mut Left<'_>,
) -> Result<Value, Problem> {
    let key = operation.query.iter().find_map(|part| match part {
        Query::Parameter(key, at) if *at == number => Some(*key),
        _ => None,
    });
    let name = key.unwrap_or(parameter.name);
    let in_query = key.is_some() || matches!(operation.verb, Some(Verb::Get | Verb::Delete));
    let found = if in_query { left.named(&parameter.ty, name)? } else { None };
    match (found, &parameter.ty) {
        (Some(value), _) => Ok(value),
        (None, Type::Optional(_)) => Ok(Value::Unset),
        (None, Type::List(_) | Type::Set(_)) if in_query => Ok(Value::List(Vec::new())),
        (None, _) => Err(Problem { path: parameter.name.into(), text: "the parameter is missing".into() }),
    }
}

impl<'a> Left<'a> {
    /// The value of this name in the query: all of its texts for a list, its fields for a structure.
    fn named(&mut self, ty: &Type, name: &str) -> Result<Option<Value>, Problem> {
        match ty {
            Type::Optional(inner) => self.named(inner, name),
            Type::List(inner) | Type::Set(inner) => {
                // `/rest` numbers them: `filter.names.1=a`.
                let numbered = |key: &str| {
                    let digits = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
                    let digits = digits.filter(|digits| !digits.is_empty());
                    digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                };
                let texts = self.take(|key| key == name || numbered(key));
                let items = texts.into_iter().map(|text| read_text(inner, text, name));
                let items = items.collect::<Result<Vec<_>, _>>()?;
                Ok((!items.is_empty()).then_some(Value::List(items)))
            }
            Type::Structure(id) => {
                let fields = &schema().structures[id.index()].fields;
                let mut any = false;
                let mut values = Vec::with_capacity(fields.len());
                for field in fields {
                    let key = match self.form {
                        Form::Rest => format!("{name}.{}", field.name),
                        _ => field.name.to_owned(),
                    };
                    let value = self.named(&field.ty, &key)?;
                    any |= value.is_some();
                    values.push(value.unwrap_or(Value::Unset));
                }
                Ok(any.then_some(Value::Record(Record { ty: *id, fields: values })))
            }
            _ => match self.take(|key| key == name).as_slice() {
                [] => Ok(None),
                [text] => read_text(ty, text, name).map(Some),
                _ => Err(Problem { path: name.into(), text: "the parameter must stand once".into() }),
            },
        }
    }

    /// The texts of the pairs with such a name.
    fn take(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<&'a str> {
        let found = self.query.iter().enumerate().filter(|(_, (key, _))| wanted(key));
        let found = found.map(|(at, (_, text))| {
            self.taken.insert(at);
            text.as_str()
        });
        found.collect()
    }

    /// The name of a pair that is neither a parameter nor chooses the operation.
    fn surplus(&self, operation: &Operation) -> Option<&'a str> {
        let action = action_of(operation);
        let chooses = |key: &str, value: &str| {
            let fixed = operation.query.iter().any(|part| match part {
                Query::Fixed(name, _) | Query::Present(name) => *name == key,
                Query::Parameter(..) => false,
            });
            fixed
                || (self.form == Form::Rest && key == "~action")
                || (key == "action" && action.as_deref() == Some(value))
                || (operation.task != TaskUse::Never && key == "vmw-task")
        };
        let left = self.query.iter().enumerate().filter(|(at, _)| !self.taken.contains(at));
        left.map(|(_, (key, value))| (key.as_str(), value))
            .find(|(key, value)| !chooses(key, value))
            .map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gathered(service: &str, name: &str, given: &Given<'_>) -> Result<Vec<Value>, String> {
        let operation = schema().at(schema().operation(service, name).unwrap());
        gather(operation, given).map_err(|error| error.messages[0].text.clone())
    }

    fn given<'a>(form: Form, query: &'a [(String, String)], headers: &'a HeaderMap) -> Given<'a> {
        Given { form, path: Vec::new(), query, headers, body: None }
    }

    fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (String::from(*name), String::from(*value))).collect()
    }

    #[test]
    fn a_filter_stands_in_the_query_in_the_way_of_each_root() {
        let headers = HeaderMap::new();
        let api = query(&[("names", "a"), ("names", "b")]);
        let rest = query(&[("filter.names.1", "a"), ("filter.names.2", "b")]);
        for (form, query) in [(Form::Api, &api), (Form::Rest, &rest)] {
            let values = gathered("vcenter.datacenter", "list", &given(form, query, &headers)).unwrap();
            let filter = values[0].as_record().unwrap();
            assert_eq!(filter.get("names"), Some(&Value::List(vec!["a".into(), "b".into()])), "{form:?}");
        }
        let none = gathered("vcenter.datacenter", "list", &given(Form::Api, &[], &headers)).unwrap();
        assert_eq!(none, [Value::Unset]);
    }

    #[test]
    fn a_body_is_the_specification_or_an_object_of_parameters() {
        let headers = HeaderMap::new();
        let spec = json!({ "name": "a", "folder": "group-d1" });
        let bare = Given { body: Some(spec.clone()), ..given(Form::Api, &[], &headers) };
        let wrapped = Given { body: Some(json!({ "spec": spec })), ..given(Form::Rest, &[], &headers) };
        let values = gathered("vcenter.datacenter", "create", &bare).unwrap();
        assert_eq!(values, gathered("vcenter.datacenter", "create", &wrapped).unwrap());
        assert_eq!(values[0].as_record().unwrap().get("name"), Some(&"a".into()));
        let wrong = Given { body: Some(json!({ "spek": 1 })), ..given(Form::Rest, &[], &headers) };
        let error = gathered("vcenter.datacenter", "create", &wrong).unwrap_err();
        assert_eq!(error, "create has no parameter \"spek\"");
        let missing = gathered("vcenter.datacenter", "create", &given(Form::Api, &[], &headers)).unwrap_err();
        assert_eq!(missing, "spec: the parameter is missing");
    }

    #[test]
    fn a_path_holds_ids_and_a_query_numbers_and_booleans() {
        let headers = HeaderMap::new();
        let force = query(&[("force", "true")]);
        let given = Given { path: vec![(0, "datacenter-1".into())], ..given(Form::Api, &force, &headers) };
        let values = gathered("vcenter.datacenter", "delete", &given).unwrap();
        assert_eq!(values, ["datacenter-1".into(), Value::Boolean(true)]);
    }
    #[test]
    fn whatever_the_query_has_beyond_the_parameters_is_refused() {
        let headers = HeaderMap::new();
        for (form, name, pairs, expected) in [
            (Form::Api, "list", &[("nams", "a")][..], "list has no parameter \"nams\" in its query"),
            (
                Form::Api,
                "list",
                &[("names", "a"), ("~action", "delete")],
                "list has no parameter \"~action\" in its query",
            ),
            (Form::Rest, "list", &[("names", "a")], "list has no parameter \"names\" in its query"),
            (
                Form::Rest,
                "list",
                &[("filter.names.x", "a")],
                "list has no parameter \"filter.names.x\" in its query",
            ),
        ] {
            let query = query(pairs);
            let error = gathered("vcenter.datacenter", name, &given(form, &query, &headers)).unwrap_err();
            assert_eq!(error, expected);
        }
        let twice = query(&[("force", "true"), ("force", "false")]);
        let twice = Given { path: vec![(0, "datacenter-1".into())], ..given(Form::Api, &twice, &headers) };
        let error = gathered("vcenter.datacenter", "delete", &twice).unwrap_err();
        assert_eq!(error, "force: the parameter must stand once");
        let action = query(&[("~action", "get")]);
        gathered("cis.session", "get", &given(Form::Rest, &action, &headers)).unwrap();
    }
}
