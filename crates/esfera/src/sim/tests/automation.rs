//! Every operation of the automation API's table is called in each encoding: without a session, by a user who may only read, and with
//! missing, wrong and surplus parameters. Each call gives the error that the table names, and none changes anything.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use vapi::{ErrorKind, Form, Operation, OperationId, Query, Segment, Type, Verb, schema};

use super::nobody_gets_through::{differences, picture, root};
use super::*;

const READER: &str = "reader";
const FORMS: [Form; 3] = [Form::Api, Form::Rest, Form::Rpc];

/// Operations that end the session by which the others are called.
const LEFT_OUT: [&str; 1] = ["cis.session.delete"];

/// Errors that every operation may raise.
const ALWAYS: [ErrorKind; 3] =
    [ErrorKind::InvalidArgument, ErrorKind::Unauthorized, ErrorKind::UnableToAllocateResource];

/// A connection to the server.
struct Wire {
    stream: BufReader<TcpStream>,
    key: Option<String>,
}

impl Wire {
    async fn to(at: std::net::SocketAddr, key: Option<&str>) -> Self {
        let stream = BufReader::new(TcpStream::connect(at).await.unwrap());
        Self { stream, key: key.map(str::to_owned) }
    }

    async fn ask(&mut self, asked: &Asked, more: &str) -> (u16, Json) {
        let body = asked.body.as_ref().map(Json::to_string).unwrap_or_default();
        let mut head = format!("{} {} HTTP/1.1\r\nHost: sim\r\n", asked.method, asked.target);
        if let Some(key) = &self.key {
            let _ = write!(head, "vmware-api-session-id: {key}\r\n");
        }
        let _ = write!(head, "{more}Content-Length: {}\r\n\r\n", body.len());
        self.stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{asked:?} is not answered: {line:?}"));
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).await.unwrap();
            match line.trim_end().split_once(':') {
                None => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap();
                }
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// A request.
#[derive(Debug)]
struct Asked {
    method: &'static str,
    target: String,
    body: Option<Json>,
}

/// In which way the parameters of a call are not those of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    Missing,
    Wrong,
    Surplus,
}

/// A value of the type, with nothing that is optional.
fn value(ty: &Type, depth: usize) -> vapi::Value {
    use vapi::Value;
    match ty {
        Type::Void | Type::Optional(_) => Value::Unset,
        Type::Boolean => Value::Boolean(true),
        Type::Long => Value::Long(1),
        Type::Double => Value::Double(1.0),
        Type::Binary => Value::Binary(vec![1]),
        Type::Enum(id) => schema().enums[id.index()].values.first().copied().unwrap_or("X").into(),
        Type::List(inner) | Type::Set(inner) if depth > 0 => Value::List(vec![value(inner, depth - 1)]),
        Type::List(_) | Type::Set(_) => Value::List(Vec::new()),
        Type::Map(_) => Value::Map(Vec::new()),
        Type::Structure(id) => {
            let fields = &schema().structures[id.index()].fields;
            let fields = fields.iter().map(|field| value(&field.ty, depth.saturating_sub(1))).collect();
            Value::Record(vapi::Record { ty: *id, fields })
        }
        Type::Opaque | Type::AnyStructure | Type::AnyError => Value::Opaque(json!({ "a": 1 })),
        Type::DateTime => "2026-01-01T00:00:00.000Z".into(),
        _ => "unknown-1".into(),
    }
}

fn encoded(form: Form, ty: &Type) -> Json {
    vapi::write(form, ty, &value(ty, 4))
}

/// The parameters in an object, with the flaw; none if this operation cannot have it.
fn parameters(form: Form, operation: &Operation, numbers: &[u16], flaw: Flaw) -> Option<Map<String, Json>> {
    let all = numbers.iter().map(|number| &operation.parameters[usize::from(*number)]);
    let needed: Vec<_> = all.filter(|parameter| !matches!(parameter.ty, Type::Optional(_))).collect();
    let mut object: Map<String, Json> =
        needed.iter().map(|one| (one.name.to_owned(), encoded(form, &one.ty))).collect();
    let open = |ty: &Type| matches!(ty, Type::Opaque | Type::AnyStructure | Type::AnyError);
    match flaw {
        Flaw::None => {}
        Flaw::Missing => {
            object.remove(needed.first()?.name)?;
        }
        Flaw::Wrong => {
            let one = needed.iter().find(|one| !open(&one.ty))?;
            object.insert(one.name.to_owned(), json!([[{ "wrong": 1 }]]));
        }
        Flaw::Surplus => {
            object.insert("surplus".to_owned(), json!(1));
        }
    }
    Some(object)
}

/// The request for an operation; none if the encoding cannot carry it, or not with this flaw.
fn asked(form: Form, id: OperationId, flaw: Flaw) -> Option<Asked> {
    let (service, operation) = (service_of(id), schema().at(id));
    let all: Vec<u16> = (0..).take(operation.parameters.len()).collect();
    match form {
        Form::Rpc => {
            let input = parameters(form, operation, &all, flaw)?;
            let params = json!({
                "serviceId": format!("com.vmware.{service}"),
                "operationId": operation.name,
                "ctx": { "appCtx": { "opId": "1" } },
                "input": { "STRUCTURE": { "operation-input": input } },
            });
            let body = json!({ "jsonrpc": "2.0", "method": "invoke", "id": "1", "params": params });
            Some(Asked { method: "POST", target: "/api".to_owned(), body: Some(body) })
        }
        Form::Rest => {
            // Texts of headers stand in headers only.
            let body = parameters(form, operation, &all, flaw)?;
            let path = service.replace('.', "/").replace('_', "-");
            let target = format!("/rest/com/vmware/{path}?~action={}", operation.name.replace('_', "-"));
            Some(Asked { method: "POST", target, body: Some(Json::Object(body)) })
        }
        Form::Api => api(operation, &all, flaw),
    }
}

fn api(operation: &Operation, all: &[u16], flaw: Flaw) -> Option<Asked> {
    let method = match operation.verb? {
        Verb::Get => "GET",
        Verb::Post => "POST",
        Verb::Put => "PUT",
        Verb::Patch => "PATCH",
        Verb::Delete => "DELETE",
    };
    let mut path = String::from("/api");
    let mut placed = BTreeSet::new();
    for segment in &operation.path {
        match segment {
            Segment::Fixed(word) => path.push_str(&format!("/{word}")),
            Segment::Parameter(number) => {
                placed.insert(*number);
                // The only parameter of this kind that an operation in the table has as a number or a boolean is not read as text.
                path.push_str("/unknown-1");
            }
        }
    }
    let mut query = Vec::new();
    for part in &operation.query {
        match part {
            Query::Fixed(name, value) => query.push(format!("{name}={value}")),
            Query::Present(name) => query.push((*name).to_owned()),
            Query::Parameter(name, number) => {
                placed.insert(*number);
                let parameter = &operation.parameters[usize::from(*number)];
                if !matches!(parameter.ty, Type::Optional(_)) {
                    query.extend(texts(name, &parameter.ty));
                }
            }
        }
    }
    placed.extend(operation.headers.iter().map(|(_, number)| *number));
    let plain = ["create", "get", "list", "set", "update", "delete"];
    let fixed = operation.query.iter().any(|part| matches!(part, Query::Fixed("action", _)));
    if method == "POST" && !plain.contains(&operation.name) && !fixed {
        query.push(format!("action={}", operation.name.replace('_', "-")));
    }
    let open: Vec<u16> = all.iter().copied().filter(|number| !placed.contains(number)).collect();
    let mut body = None;
    if matches!(method, "GET" | "DELETE") {
        // In a query, a list that is missing is an empty one.
        if flaw == Flaw::Missing || flaw == Flaw::Wrong {
            return None;
        }
        for number in &open {
            let parameter = &operation.parameters[usize::from(*number)];
            if !matches!(parameter.ty, Type::Optional(_)) {
                query.extend(texts(parameter.name, &parameter.ty));
            }
        }
        if flaw == Flaw::Surplus {
            query.push("surplus=1".to_owned());
        }
    } else if let Some(number) = operation.body {
        let parameter = &operation.parameters[usize::from(number)];
        body = match flaw {
            Flaw::None => Some(encoded(Form::Api, &parameter.ty)),
            Flaw::Missing if matches!(parameter.ty, Type::Optional(_)) => return None,
            Flaw::Missing => None,
            Flaw::Wrong if matches!(parameter.ty, Type::Opaque | Type::AnyStructure) => return None,
            Flaw::Wrong => Some(json!(7)),
            Flaw::Surplus if matches!(parameter.ty, Type::Structure(_)) => {
                let mut json = encoded(Form::Api, &parameter.ty);
                json["surplus"] = json!(1);
                Some(json)
            }
            Flaw::Surplus => return None,
        };
    } else {
        let object = parameters(Form::Api, operation, &open, flaw)?;
        let opaque = open.iter().any(|number| {
            matches!(
                operation.parameters[usize::from(*number)].ty,
                Type::Opaque | Type::AnyStructure | Type::Map(_)
            )
        });
        if flaw == Flaw::Surplus && opaque {
            return None;
        }
        if !object.is_empty() {
            body = Some(Json::Object(object));
        }
    }
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    Some(Asked { method, target: format!("{path}{query}"), body })
}

/// A parameter as pairs of a query.
fn texts(name: &str, ty: &Type) -> Vec<String> {
    match ty {
        Type::Structure(id) => {
            let fields = &schema().structures[id.index()].fields;
            let needed = fields.iter().filter(|field| !matches!(field.ty, Type::Optional(_)));
            needed.flat_map(|field| texts(field.name, &field.ty)).collect()
        }
        Type::List(inner) | Type::Set(inner) => texts(name, inner),
        Type::Map(_) | Type::Optional(_) => Vec::new(),
        ty => {
            let text = match encoded(Form::Api, ty) {
                Json::String(text) => text,
                other => other.to_string(),
            };
            vec![format!("{name}={text}")]
        }
    }
}

fn service_of(id: OperationId) -> &'static str {
    let has = |service: &&vapi::Service| service.operations.contains(&id.0);
    schema().services.iter().find(has).unwrap().name
}

/// The error of an answer: its kind, and its message. None if the call was done.
fn error(form: Form, status: u16, answer: &Json) -> Result<Option<(ErrorKind, String)>, String> {
    let (word, messages) = match form {
        Form::Api if status < 300 => return Ok(None),
        Form::Rest if status == 200 => return Ok(None),
        Form::Api => (answer["error_type"].as_str().unwrap_or_default().to_lowercase(), &answer["messages"]),
        Form::Rest => {
            let name = answer["type"].as_str().unwrap_or_default();
            (name.rsplit('.').next().unwrap_or_default().to_owned(), &answer["value"]["messages"])
        }
        Form::Rpc => {
            let result = &answer["result"];
            if result.get("output").is_some() {
                return Ok(None);
            }
            let raised = result["error"]["ERROR"].as_object().and_then(|raised| raised.iter().next());
            let Some((name, raised)) = raised else { return Err(format!("{status}: {answer}")) };
            (name.rsplit('.').next().unwrap_or_default().to_owned(), &raised["messages"])
        }
    };
    let kind = ErrorKind::ALL.iter().find(|kind| kind.word().to_lowercase() == word).copied();
    let Some(kind) = kind else { return Err(format!("{status}: {answer}")) };
    if form != Form::Rpc && status != kind.status() {
        return Err(format!("{status} for {kind:?}"));
    }
    let message = match form {
        Form::Rpc => &messages[0]["STRUCTURE"]["com.vmware.vapi.std.localizable_message"]["default_message"],
        _ => &messages[0]["default_message"],
    };
    match message.as_str() {
        Some(text) if !text.is_empty() => Ok(Some((kind, text.to_owned()))),
        _ => Err(format!("{kind:?} says nothing: {answer}")),
    }
}

/// Whether the outcome of a call by a user who may only read is one that the table allows.
fn judged(
    id: OperationId,
    served: bool,
    flaw: Flaw,
    found: Option<(ErrorKind, String)>,
) -> Result<(), String> {
    let operation = schema().at(id);
    let name = format!("{}.{}", service_of(id), operation.name);
    match (served, flaw, found) {
        (false, _, Some((ErrorKind::Unsupported, text))) if text.ends_with(&format!(" {name}")) => Ok(()),
        (true, Flaw::None, None) => Ok(()),
        (true, Flaw::None, Some((kind, text))) => {
            let named = operation.errors.iter().any(|error| {
                schema().structures[error.index()].name == kind.name() && kind != ErrorKind::Error
            });
            if named || ALWAYS.contains(&kind) { Ok(()) } else { Err(format!("{kind:?}: {text}")) }
        }
        (true, _, Some((ErrorKind::InvalidArgument, _))) => Ok(()),
        (_, _, found) => Err(format!("{found:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_of_the_automation_api_gives_the_errors_that_its_table_names() {
    let (center, admin) = managed().await;
    center.accounts().create(READER, "", Some("Test!1234")).await.unwrap();
    let rule = vim::vim!(Permission {
        principal: READER,
        group: false,
        roleId: api::accounts::READ_ONLY,
        propagate: true
    });
    let manager = admin.first(managed_id!(AuthorizationManager));
    admin
        .call(&manager, call!(SetEntityPermissions { entity: root(&admin), permission: [rule] }))
        .await
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api::server::serve(center.site(), listener, None, stop.clone()));

    let mut stranger = Wire::to(at, None).await;
    let login = Asked { method: "POST", target: "/api/session".to_owned(), body: None };
    // "reader:Test!1234"
    let (status, key) = stranger.ask(&login, "Authorization: Basic cmVhZGVyOlRlc3QhMTIzNA==\r\n").await;
    assert_eq!(status, 201, "{key}");
    let mut reader = Wire::to(at, key.as_str()).await;
    let before = picture(&admin.service.core.tree.snapshot());
    let served: BTreeSet<OperationId> = rest::served().into_iter().collect();

    let (mut calls, mut wrong) = (0, Vec::new());
    for id in (0..).take(schema().operations.len()).map(OperationId) {
        let name = format!("{}.{}", service_of(id), schema().at(id).name);
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        let by_header = !schema().at(id).headers.is_empty();
        for form in FORMS {
            if form == Form::Rest && by_header {
                continue;
            }
            // The same path is one of VI-JSON, which everybody may ask.
            if form == Form::Api && name == "vcenter.system.hello" {
                continue;
            }
            let Some(plain) = asked(form, id, Flaw::None) else { continue };
            calls += 1;
            let (status, answer) = stranger.ask(&plain, "").await;
            match error(form, status, &answer) {
                Ok(Some((ErrorKind::Unauthenticated, _))) => {}
                other => wrong.push(format!("{name} in {form:?} without a session: {other:?}")),
            }
            // A session begins with a password only.
            let is_served = served.contains(&id) && name != "cis.session.create";
            for flaw in [Flaw::None, Flaw::Missing, Flaw::Wrong, Flaw::Surplus] {
                if name == "cis.session.create" || (!is_served && flaw != Flaw::None) {
                    continue;
                }
                let Some(asked) = asked(form, id, flaw) else { continue };
                calls += 1;
                let (status, answer) = reader.ask(&asked, "").await;
                let judged =
                    error(form, status, &answer).and_then(|found| judged(id, is_served, flaw, found));
                if let Err(why) = judged {
                    wrong.push(format!(
                        "{name} in {form:?}, {flaw:?}: {why} ({} {})",
                        asked.method, asked.target
                    ));
                }
            }
        }
    }
    let after = picture(&admin.service.core.tree.snapshot());
    for changed in differences(&before, &after) {
        wrong.push(format!("{changed} is not as it was"));
    }
    stop.cancel();
    drop((stranger, reader));
    serving.await.unwrap().unwrap();
    assert!(wrong.is_empty(), "of {calls} calls, {} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(calls > 7_000, "{calls}");
}
