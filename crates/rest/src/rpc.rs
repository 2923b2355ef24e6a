//! JSON-RPC 2.0 at `POST /api`, as the automation SDKs speak it.

use http::{Response, StatusCode};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};
use vapi::{Error, ErrorKind, Form, Operation, OperationId, Value, read, schema, write, write_error};

use crate::operation::unauthenticated;
use crate::web::{self, bound};

/// JSON-RPC's own errors.
const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;

/// An `invoke`, of which only the input is still text.
#[derive(Debug)]
pub(crate) struct Invocation<'a> {
    /// As the client gave it, to be given back.
    pub(crate) id: Json,
    pub(crate) operation: OperationId,
    pub(crate) input: Option<&'a RawValue>,
    pub(crate) credentials: Option<(String, String)>,
    /// The key of a session.
    pub(crate) session: Option<String>,
}

/// Why a request is not an invocation.
#[derive(Debug)]
pub(crate) enum Refused {
    /// JSON-RPC's own error.
    Protocol(Box<Response<Vec<u8>>>),
    /// An error of the automation API, with the request's id.
    Raised(Json, Error),
}

/// The parts of every request of JSON-RPC.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// The parameters of `invoke`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Params<'a> {
    service_id: String,
    operation_id: String,
    #[serde(borrow)]
    input: Option<Input<'a>>,
    ctx: Option<Context>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Input<'a> {
    #[serde(borrow, rename = "STRUCTURE")]
    structure: Option<Structure<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Structure<'a> {
    #[serde(borrow, rename = "operation-input")]
    input: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    #[serde(rename = "securityCtx")]
    security: Option<Security>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Security {
    user_name: Option<String>,
    password: Option<String>,
    session_id: Option<String>,
}

/// Reads a request, and makes no values of the operation's input yet.
///
/// # Errors
/// [`Refused`], which says what to answer.
pub(crate) fn decode(body: &[u8]) -> Result<Invocation<'_>, Refused> {
    let request: Request<'_> = serde_json::from_slice(body).unwrap_or_default();
    let id = request.id.and_then(plain).unwrap_or_default();
    let refuse = |code, message| Err(Refused::Protocol(protocol_error(&id, code, message)));
    let is = |part: Option<&RawValue>, wanted: &str| {
        part.and_then(|part| serde_json::from_str::<String>(part.get()).ok())
            .is_some_and(|text| text == wanted)
    };
    if !is(request.jsonrpc, "2.0") {
        return refuse(INVALID_REQUEST, "the request must be one of JSON-RPC 2.0");
    }
    if !is(request.method, "invoke") {
        return refuse(METHOD_NOT_FOUND, "the method must be invoke");
    }
    let params = request.params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok());
    let Some(params) =
        params.filter(|params| !params.service_id.is_empty() && !params.operation_id.is_empty())
    else {
        return refuse(INVALID_REQUEST, "params must name serviceId and operationId");
    };
    if let Err(error) = bound(body) {
        return Err(Refused::Raised(id, error));
    }
    let (service, name) = (&params.service_id, &params.operation_id);
    let Some(operation) = schema().operation(service, name) else {
        let text = format!("The service {service} has no operation {name}");
        return Err(Refused::Raised(
            id,
            Error::new(ErrorKind::OperationNotFound, "vapi.method.input.invalid.interface", text),
        ));
    };
    let security = params.ctx.and_then(|context| context.security).unwrap_or_default();
    Ok(Invocation {
        operation,
        input: params.input.and_then(|input| input.structure?.input),
        credentials: security.user_name.zip(security.password),
        session: security.session_id,
        id,
    })
}

/// The key of the session that the beginning of a request names.
pub(crate) fn session_key(beginning: &[u8]) -> Option<String> {
    const NAME: &str = "\"sessionId\"";
    let text = String::from_utf8_lossy(beginning);
    let (_, after) = text.split_once(NAME)?;
    let value = after.trim_start().strip_prefix(':')?;
    serde_json::Deserializer::from_str(value).into_iter::<String>().next()?.ok()
}

/// The answer to a large request that names a session that has ended, by the beginning of the request. A client takes only an answer with
/// its id for one of JSON-RPC: where the id comes after the parameters, it is unknown, and the status says what is wrong.
pub(crate) fn ended(beginning: &[u8]) -> Response<Vec<u8>> {
    let id = id_of(beginning);
    let mut response = answer(&id, Err(&unauthenticated()));
    if id.is_null() {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    }
    response
}

/// The id of a request, by its beginning; null if the beginning has none.
fn id_of(beginning: &[u8]) -> Json {
    let mut id = Json::Null;
    // The request is cut off, so that reading it fails, but not before the id.
    let _ = serde::Deserializer::deserialize_map(
        &mut serde_json::Deserializer::from_slice(beginning),
        IdFinder(&mut id),
    );
    id
}

/// Keeps the id of a request that is read as far as it goes.
struct IdFinder<'a>(&'a mut Json);

impl<'de> Visitor<'de> for IdFinder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "id" {
                *self.0 = plain(map.next_value::<&RawValue>()?).unwrap_or_default();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The id of a request: a text, a number or null, as JSON-RPC has them.
fn plain(id: &RawValue) -> Option<Json> {
    if id.get().starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(id.get()).ok()
}

/// Reads the parameters, in the order of the table.
///
/// # Errors
/// `invalid_argument` that names the parameter.
pub(crate) fn input(operation: &Operation, given: Option<&RawValue>) -> Result<Vec<Value>, Error> {
    let invalid =
        |text: String| Error::new(ErrorKind::InvalidArgument, "vapi.data.structure.field.invalid", text);
    let given: Map<String, Json> = match given {
        Some(given) => serde_json::from_str(given.get())
            .map_err(|error| invalid(format!("the input must be an object: {error}")))?,
        None => Map::new(),
    };
    if let Some(name) =
        given.keys().find(|name| operation.parameters.iter().all(|known| known.name != **name))
    {
        return Err(invalid(format!("{} has no parameter {name:?}", operation.name)));
    }
    let value = |parameter: &vapi::Parameter| match (given.get(parameter.name), &parameter.ty) {
        (Some(json), ty) => {
            read(Form::Rpc, ty, json, parameter.name).map_err(|problem| invalid(problem.to_string()))
        }
        (None, vapi::Type::Optional(_)) => Ok(Value::Unset),
        (None, _) => Err(invalid(format!("{}: the parameter is missing", parameter.name))),
    };
    operation.parameters.iter().map(value).collect()
}

/// The answer with what an operation gave or raised.
pub(crate) fn answer(id: &Json, outcome: Result<(&Operation, &Value), &Error>) -> Response<Vec<u8>> {
    let result = match outcome {
        Ok((operation, value)) => json!({ "output": write(Form::Rpc, &operation.output, value) }),
        Err(error) => json!({ "error": write_error(Form::Rpc, error) }),
    };
    web::answer(StatusCode::OK, Some(&json!({ "jsonrpc": "2.0", "id": id, "result": result })))
}

fn protocol_error(id: &Json, code: i64, message: &str) -> Box<Response<Vec<u8>>> {
    let error = json!({ "code": code, "message": message });
    Box::new(web::answer(StatusCode::OK, Some(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(service: &str, name: &str, input: &Json) -> String {
        let params = json!({
            "serviceId": service,
            "operationId": name,
            "ctx": { "securityCtx": { "schemeId": "x", "userName": "a", "password": "b" }, "appCtx": {} },
            "input": { "STRUCTURE": { "operation-input": input } },
        });
        json!({ "jsonrpc": "2.0", "method": "invoke", "id": "1", "params": params }).to_string()
    }

    fn code(body: &str) -> i64 {
        let Err(Refused::Protocol(answer)) = decode(body.as_bytes()) else { panic!("{body} is refused") };
        let answer: Json = serde_json::from_slice(answer.body()).unwrap();
        answer["error"]["code"].as_i64().unwrap()
    }

    #[test]
    fn the_input_stays_text_until_it_is_asked_for() {
        let body = request("com.vmware.vcenter.datacenter", "get", &json!({ "datacenter": "datacenter-1" }));
        let invocation = decode(body.as_bytes()).unwrap();
        assert_eq!(invocation.id, json!("1"));
        assert_eq!(invocation.credentials, Some(("a".to_owned(), "b".to_owned())));
        assert_eq!(invocation.session, None);
        let given = invocation.input.unwrap();
        assert!(body.as_bytes().as_ptr_range().contains(&given.get().as_ptr()), "a part of the request");
        let operation = schema().at(invocation.operation);
        assert_eq!(input(operation, Some(given)).unwrap(), ["datacenter-1".into()]);
        let missing = input(operation, None).unwrap_err();
        assert_eq!(missing.messages[0].text, "datacenter: the parameter is missing");
    }

    #[test]
    fn the_session_of_a_large_request_is_found_in_its_beginning() {
        let body =
            br#"{"params": {"ctx": {"securityCtx": {"schemeId": "s", "sessionId" : "k1\"2"}}, "input": "ab"#;
        assert_eq!(session_key(body).as_deref(), Some("k1\"2"));
        for without in [&b"{}"[..], b"\"sessionId\"", b"\"sessionId\": 7", b"\"sessionId\": \"cut", b"\xff"] {
            assert_eq!(session_key(without), None);
        }
    }

    #[test]
    fn a_large_request_of_a_session_that_has_ended_is_answered_by_its_beginning() {
        for (beginning, status, id) in [
            (r#"{"jsonrpc": "2.0", "id": "7", "params": {"input": "ab"#, 200_u16, json!("7")),
            (r#"{"params": {"id": 1}, "id": 8, "method": "inv"#, 200, json!(8)),
            (r#"{"params": {"id": 1, "input": "ab"#, 401, Json::Null),
            ("", 401, Json::Null),
        ] {
            let answer = ended(beginning.as_bytes());
            assert_eq!(answer.status(), status, "{beginning}");
            let answer: Json = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(answer["id"], id, "{beginning}");
            assert!(
                answer["result"]["error"]["ERROR"]["com.vmware.vapi.std.errors.unauthenticated"].is_object()
            );
        }
    }

    #[test]
    fn whatever_is_not_an_invocation_is_refused() {
        let unnamed = json!({ "jsonrpc": "2.0", "method": "invoke" }).to_string();
        for body in ["", "{}", "null", "[]", "{\"jsonrpc\": 2}", &unnamed] {
            assert_eq!(code(body), INVALID_REQUEST, "{body}");
        }
        assert_eq!(code(&json!({ "jsonrpc": "2.0", "method": "list" }).to_string()), METHOD_NOT_FOUND);
        let many = vec!["a"; vim::limits::REQUEST.elements + 1];
        let body = request("vcenter.datacenter", "get", &json!({ "datacenter": many }));
        let Err(Refused::Raised(id, error)) = decode(body.as_bytes()) else { panic!("too many values") };
        assert_eq!((id, error.kind), (json!("1"), ErrorKind::InvalidRequest));
    }
}
