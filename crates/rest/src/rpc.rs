//! JSON-RPC 2.0 at `POST /api`, as the automation SDKs speak it.

use http::{Response, StatusCode};
use serde_json::{Map, Value as Json, json};
use vapi::{Error, ErrorKind, Form, Operation, OperationId, Value, read, schema, write, write_error};

use crate::web;

/// JSON-RPC's own errors.
const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;

/// An `invoke`, decoded.
pub(crate) struct Invocation {
    /// As the client gave it, to be given back.
    pub(crate) id: Json,
    pub(crate) operation: OperationId,
    pub(crate) input: Map<String, Json>,
    pub(crate) credentials: Option<(String, String)>,
    /// The key of a session.
    pub(crate) session: Option<String>,
}

/// Why a request is not an invocation.
pub(crate) enum Refused {
    /// JSON-RPC's own error.
    Protocol(Box<Response<Vec<u8>>>),
    /// An error of the automation API, with the request's id.
    Raised(Json, Error),
}

/// Reads a request.
///
/// # Errors
/// [`Refused`], which says what to answer.
pub(crate) fn decode(body: &[u8]) -> Result<Invocation, Refused> {
    let request: Json = serde_json::from_slice(body).unwrap_or_default();
    let id = request.get("id").cloned().unwrap_or_default();
    let text = |json: Option<&Json>| json.and_then(Json::as_str).map(str::to_owned);
    if request.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
        return Err(Refused::Protocol(protocol_error(&id, INVALID_REQUEST, "a JSON-RPC 2.0 request is due")));
    }
    if request.get("method").and_then(Json::as_str) != Some("invoke") {
        return Err(Refused::Protocol(protocol_error(&id, METHOD_NOT_FOUND, "the only method is invoke")));
    }
    let params = request.get("params").unwrap_or(&Json::Null);
    let (service, name) = (text(params.get("serviceId")), text(params.get("operationId")));
    let (Some(service), Some(name)) = (service, name) else {
        return Err(Refused::Protocol(protocol_error(
            &id,
            INVALID_REQUEST,
            "serviceId and operationId are due",
        )));
    };
    let Some(operation) = schema().operation(&service, &name) else {
        let text = format!("The service {service} has no operation {name}");
        return Err(Refused::Raised(
            id,
            Error::new(ErrorKind::OperationNotFound, "vapi.method.input.invalid.interface", text),
        ));
    };
    let input =
        params.get("input").and_then(|input| input.get("STRUCTURE")?.get("operation-input")?.as_object());
    let security = params.get("ctx").and_then(|context| context.get("securityCtx")).unwrap_or(&Json::Null);
    let user = text(security.get("userName"));
    Ok(Invocation {
        operation,
        input: input.cloned().unwrap_or_default(),
        credentials: user.zip(text(security.get("password"))),
        session: text(security.get("sessionId")),
        id,
    })
}

/// Reads the parameters, in the order of the table.
///
/// # Errors
/// `invalid_argument` that names the parameter.
pub(crate) fn input(operation: &Operation, given: &Map<String, Json>) -> Result<Vec<Value>, Error> {
    let invalid =
        |text: String| Error::new(ErrorKind::InvalidArgument, "vapi.data.structure.field.invalid", text);
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
