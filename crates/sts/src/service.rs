//! Serves `/sts/STSService` and `/lookupservice/sdk`.

use std::sync::Arc;

use api::server::{Door, Protocol};
use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Response, StatusCode};
use vim::DateTime;

use crate::tokens::{Tokens, TokensError, Unacceptable};
use crate::trust::{self, Refusal, Request, Wanted, request};
use crate::{lookup, xml};

const STS: &str = "/sts/STSService";
const LOOKUP: &str = "/lookupservice/sdk";
/// A longer request is not read.
const MAX_BYTES: usize = 64 << 10;

/// The protocol that a center's server is given.
pub struct TokenService {
    tokens: Arc<Tokens>,
    center: String,
}

impl TokenService {
    /// The service over an issuer. `center` is the center's UUID.
    pub fn new(tokens: Arc<Tokens>, center: &str) -> Self {
        Self { tokens, center: center.to_owned() }
    }

    /// Does what a request for a token asks.
    async fn trust(&self, door: &Door, body: &str) -> Result<String, Refusal> {
        let document = xml::parse(body).map_err(Refusal::InvalidRequest)?;
        let Request { wanted, lifetime } = request(document.root_element(), DateTime::now())?;
        drop(document);
        match wanted {
            Wanted::Issue { user, password, renewable } => {
                let account = door.authenticate(&user, &password).await.map_err(|fault| {
                    if fault.is_a(vim::data_id!(InvalidLogin)) {
                        Refusal::FailedAuthentication
                    } else {
                        Refusal::Unavailable(fault.to_string())
                    }
                })?;
                // Its rights are fewer than the user's, which a SAML token does not say.
                if account.narrowed.is_some() {
                    return Err(Refusal::RequestFailed(
                        "A user's token for scripts gets no SAML token; log in with it directly".to_owned(),
                    ));
                }
                let token = self.tokens.issue(&account, lifetime, renewable).map_err(|e| unavailable(&e))?;
                tracing::info!(user = account.name, ends = %token.ends, "issued a SAML token");
                Ok(trust::issued(&token, true))
            }
            Wanted::Renew(presented) => {
                let renewed = self.tokens.renew(&presented, lifetime);
                let token = renewed.map_err(unacceptable)?.map_err(|error| unavailable(&error))?;
                tracing::info!(user = presented.assertion.subject, ends = %token.ends, "renewed a SAML token");
                Ok(trust::issued(&token, false))
            }
            Wanted::Validate(presented) => {
                let problem = self.tokens.accept(&presented).err().map(|problem| problem.to_string());
                Ok(trust::validated(problem.as_deref()))
            }
        }
    }
}

fn unavailable(error: &TokensError) -> Refusal {
    tracing::error!(%error, "a token cannot be issued");
    Refusal::Unavailable("The token cannot be issued because of an internal error".to_owned())
}

fn unacceptable(problem: Unacceptable) -> Refusal {
    Refusal::InvalidSecurityToken(format!("The token is refused: {problem}"))
}

#[async_trait]
impl Protocol for TokenService {
    fn serves(&self, path: &str) -> bool {
        let domain = path.strip_prefix(STS).and_then(|rest| rest.strip_prefix('/'));
        path == STS || path == LOOKUP || domain.is_some_and(|domain| !domain.contains('/'))
    }

    fn unauthenticated(&self, _: &Parts, _: &[u8]) -> Response<Vec<u8>> {
        answer(StatusCode::PAYLOAD_TOO_LARGE, String::new())
    }

    async fn answer(&self, door: &Door, request: &Parts, body: &[u8]) -> Response<Vec<u8>> {
        if request.method != Method::POST {
            return answer(StatusCode::METHOD_NOT_ALLOWED, String::new());
        }
        let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= MAX_BYTES);
        let Some(text) = text else {
            let problem = format!("the message must be UTF-8 of at most {MAX_BYTES} bytes");
            return refused(&Refusal::InvalidRequest(problem));
        };
        if request.uri.path() == LOOKUP {
            let named = request.headers.get(HOST).and_then(|host| host.to_str().ok());
            let host = named.or(request.uri.authority().map(Authority::as_str)).unwrap_or_default();
            let seen = lookup::Seen { host, center: &self.center };
            let (status, out) = lookup::answer(text, &seen);
            return answer(status, out);
        }
        match self.trust(door, text).await {
            Ok(out) => answer(StatusCode::OK, out),
            Err(refusal) => {
                tracing::info!(%refusal, "a request for a token is refused");
                refused(&refusal)
            }
        }
    }
}

fn refused(refusal: &Refusal) -> Response<Vec<u8>> {
    answer(StatusCode::INTERNAL_SERVER_ERROR, trust::refused(refusal))
}

fn answer(status: StatusCode, text: String) -> Response<Vec<u8>> {
    let mut response = Response::new(text.into_bytes());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/xml; charset=utf-8"));
    response
}
