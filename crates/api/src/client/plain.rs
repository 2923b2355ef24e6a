//! Requests in plain JSON, below `/esfera`.

use bytes::Bytes;
use http::Method;
use serde_json::Value as Json;

use super::wire::Ask;
use super::{CallError, Client};

impl Client {
    /// Sends a request with the session; null for an answer without a body.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn plain(&self, method: Method, path: &str, body: Option<&Json>) -> Result<Json, CallError> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let session = self.session_key();
        let (idempotent, timeout) = (method == Method::GET, self.0.wire.timeouts.call);
        let ask = Ask { method, path: path.to_owned(), body, session, timeout, idempotent, acting: None };
        let answer = self.ask(&ask).await?;
        if answer.body().is_empty() {
            return Ok(Json::Null);
        }
        serde_json::from_slice(answer.body()).map_err(|error| self.unreadable(&error.to_string()))
    }
}
