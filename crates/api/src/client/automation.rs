//! Operations of the automation API, for what the vSphere API has no method.

use bytes::Bytes;
use http::Method;
use serde_json::Value as Json;

use super::call::http_error;
use super::wire::Ask;
use super::{CallError, Client};

impl Client {
    /// Calls an operation (`POST`, `/api/vcenter/…`) with the client's session, and returns its answer; null if it answers nothing.
    ///
    /// # Errors
    /// [`CallError::Http`] with the server's message, or another [`CallError`].
    pub async fn automation(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Json, CallError> {
        let wire = &self.0.wire;
        let method = method.parse::<Method>().map_err(|error| CallError::Usage(error.to_string()))?;
        let ask = Ask {
            idempotent: method == Method::GET,
            method,
            path: path.to_owned(),
            body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
            session: self.session_key(),
            timeout: wire.timeouts.call,
            acting: None,
        };
        let answer = wire.ask(&ask).await?;
        let json = serde_json::from_slice::<Json>(answer.body()).unwrap_or_default();
        if answer.status().is_success() {
            return Ok(json);
        }
        match json["messages"][0]["default_message"].as_str() {
            Some(message) => Err(CallError::Http {
                peer: wire.peer(),
                status: answer.status().as_u16(),
                message: message.to_owned(),
            }),
            None => Err(http_error(wire, &answer)),
        }
    }
}
