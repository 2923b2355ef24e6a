//! Users, tokens and identity sources as JSON over HTTP, below `/esfera`, as far as vSphere's methods have no parameter for it. `esfera user` and `esfera token` use
//! it, on hosts and on the center, with the session of the vSphere API.

use std::sync::Arc;

use async_trait::async_trait;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use vim::{DateTime, Fault, data_id, fault};

use super::identity::NewSource;
use super::who::Who;
use super::{Accounts, Edit, Person};
use crate::files::unescape;
use crate::server::{Door, Protocol};
use crate::{Service, Session};

const ROOT: &str = "/esfera/";

/// Serves the accounts of a daemon.
pub struct AccountsDoor(pub Arc<Accounts>);

/// The changes of a user that are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// Empty for none.
    email: Option<String>,
    full_name: Option<String>,
    enabled: Option<bool>,
    password_expires: Option<bool>,
}

/// A test of an identity source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    user: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    role: i32,
    days: i64,
}

#[async_trait]
impl Protocol for AccountsDoor {
    fn serves(&self, path: &str) -> bool {
        path.starts_with(ROOT)
    }

    fn unauthenticated(&self, _: &Parts, _: &[u8]) -> Response<Vec<u8>> {
        refused(&not_authenticated())
    }

    async fn answer(&self, door: &Door, request: &Parts, body: &[u8]) -> Response<Vec<u8>> {
        let Some(session) = door.session() else { return refused(&not_authenticated()) };
        let _active = session.begin();
        match self.0.serve(&session, door.service(), request, body).await {
            Ok(Json::Null) => answer(StatusCode::NO_CONTENT, Vec::new()),
            Ok(json) => answer(StatusCode::OK, json.to_string().into_bytes()),
            Err(fault) => refused(&fault),
        }
    }
}

impl Accounts {
    async fn serve(
        &self,
        session: &Arc<Session>,
        service: &Arc<Service>,
        request: &Parts,
        body: &[u8],
    ) -> Result<Json, Fault> {
        let path = request.uri.path().strip_prefix(ROOT).unwrap_or_default();
        let segments: Option<Vec<String>> = path.split('/').map(unescape).collect();
        let segments = segments.unwrap_or_default();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let who = Who::of_session(session, service);
        match (&request.method, segments.as_slice()) {
            (&Method::GET, ["users"]) => {
                self.may_manage(&who)?;
                let people = self.plain_names();
                Ok(people
                    .iter()
                    .filter_map(|name| self.person(name))
                    .map(|person| self.shown(&person))
                    .collect())
            }
            (&Method::PATCH, ["users", name]) => {
                self.may_manage(&who)?;
                let change: Change = read(body)?;
                let edit = Edit {
                    full_name: change.full_name.as_deref(),
                    email: change.email.as_deref(),
                    enabled: change.enabled,
                    password_stays: change.password_expires.map(|expires| !expires),
                    ..Edit::default()
                };
                self.change_user(&who, name, &edit).await.map(|()| Json::Null)
            }
            (&Method::POST, ["users", name, "unlock"]) => {
                self.may_manage(&who)?;
                self.unlock_user(&who, name).await.map(|()| Json::Null)
            }
            (&Method::GET, ["tokens"]) => {
                let all = request.uri.query() == Some("all=true");
                if all {
                    self.may_manage(&who)?;
                }
                let tokens = self.tokens((!all).then_some(who.account().name.as_str()));
                Ok(tokens.iter().map(|token| self.shown_token(token)).collect())
            }
            (&Method::POST, ["tokens"]) => {
                not_by_token(&who)?;
                let new: NewToken = read(body)?;
                let (id, token) = self.add_token(&who.account().name, &new.name, new.role, new.days).await?;
                tracing::info!(user = who.account().name, token = id, name = new.name, "a token was made");
                Ok(json!({ "id": id, "token": token }))
            }
            (&Method::DELETE, ["tokens", id]) => {
                let mine = self.tokens(Some(&who.account().name)).iter().any(|token| token.id == *id);
                if !mine {
                    self.may_manage(&who)?;
                }
                not_by_token(&who)?;
                self.remove_token(id).await?;
                who.service().core.sessions.close_of_token(id);
                tracing::info!(user = who.account().name, token = id, "a token was removed");
                Ok(Json::Null)
            }
            (&Method::GET, ["identity-sources"]) => {
                self.may_administer(&who)?;
                Ok(self.shown_sources())
            }
            (&Method::POST, ["identity-sources"]) => {
                self.put_source(&who, read(body)?, false).await.map(|()| Json::Null)
            }
            (&Method::PUT, ["identity-sources", domain]) => {
                let new: NewSource = read(body)?;
                if !new.is_for(domain) {
                    return Err(crate::service::invalid_argument("domain", "The domain of a source stays"));
                }
                self.put_source(&who, new, true).await.map(|()| Json::Null)
            }
            (&Method::DELETE, ["identity-sources", domain]) => {
                self.remove_source(&who, domain).await.map(|()| Json::Null)
            }
            (&Method::POST, ["identity-sources", domain, "test"]) => {
                let test: Test = read(body)?;
                self.test_source(&who, domain, test.user.as_deref()).await
            }
            _ => Err(fault!(NotFound {}, "{} {} is unknown here", request.method, request.uri.path())),
        }
    }

    fn shown(&self, person: &Person) -> Json {
        let policy = self.policy.load();
        let groups = self.realm.key(&person.name).map(|key| policy.groups_of(&key)).unwrap_or_default();
        let groups = groups.iter().filter_map(|key| policy.groups().get(key)).map(|group| &group.name);
        let time = |time: Option<DateTime>| time.map(|time| time.to_string());
        json!({
            "name": person.name,
            "full_name": person.full_name,
            "email": person.email,
            "enabled": person.enabled,
            "locked": person.locked,
            "administrator": person.administrator,
            "groups": groups.collect::<Vec<_>>(),
            "password_set": time(person.password_set),
            "password_ends": time(person.password_ends),
        })
    }

    fn shown_token(&self, token: &super::tokens::Listed) -> Json {
        let role = self.policy.load().roles.get(&token.role).map(|role| role.name.clone());
        json!({
            "id": token.id,
            "user": token.user,
            "name": token.name,
            "role": role,
            "made": token.made.to_string(),
            "ends": token.ends.to_string(),
        })
    }
}

/// A token makes and removes no token: it would outlive itself.
fn not_by_token(who: &Who) -> Result<(), Fault> {
    match &who.account().narrowed {
        None => Ok(()),
        Some(_) => {
            Err(fault!(NotSupported {}, "A session that a token has begun makes and removes no tokens"))
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body)
        .map_err(|error| fault!(InvalidRequest {}, "The body is not as expected: {error}"))
}

fn not_authenticated() -> Fault {
    fault!(NotAuthenticated {}, "The session is not authenticated.")
}

/// Faults look like those of VI-JSON.
fn refused(fault: &Fault) -> Response<Vec<u8>> {
    let kinds = [
        (data_id!(NotAuthenticated), StatusCode::UNAUTHORIZED),
        (data_id!(NoPermission), StatusCode::FORBIDDEN),
        (data_id!(UserNotFound), StatusCode::NOT_FOUND),
        (data_id!(NotFound), StatusCode::NOT_FOUND),
        (data_id!(AlreadyExists), StatusCode::CONFLICT),
        (data_id!(SystemError), StatusCode::INTERNAL_SERVER_ERROR),
    ];
    let kind =
        kinds.iter().find(|(ty, _)| fault.is_a(*ty)).map_or(StatusCode::BAD_REQUEST, |(_, status)| *status);
    let mut text = Vec::new();
    vim::json::write_fault(&mut text, fault, vim::api_release());
    answer(kind, text)
}

fn answer(status: StatusCode, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
