//! The seam for protocols of other crates, which are served on paths beside SOAP and VI-JSON.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use vim::{Args, Fault, MoRef, api_release};

use super::app::{App, Remote};
use super::auth::{Named, basic, peer};
use super::body;
use super::invoke::{Asked, Done};
use crate::managers::tell_refused;
use crate::{Account, Actor, Service, Session};

/// Finds the key of a session in the beginning of a body.
pub type SessionFinder = fn(&[u8]) -> Option<String>;

/// A protocol on paths of its own.
#[async_trait]
pub trait Protocol: Send + Sync {
    /// Whether requests for the path are the protocol's.
    fn serves(&self, path: &str) -> bool;

    /// For a request whose body names its session: finds the session's key in the beginning of the body. The server
    /// reads only small bodies without a session.
    fn session_finder(&self, _request: &Parts) -> Option<SessionFinder> {
        None
    }

    /// The answer that makes the client log in again, to a large request that names a session that has ended. Of its body only a
    /// beginning has been read, or nothing.
    fn unauthenticated(&self, request: &Parts, beginning: &[u8]) -> Response<Vec<u8>>;

    /// Answers a request, whose body has been read within the limits.
    async fn answer(&self, door: &Door, request: &Parts, body: &[u8]) -> Response<Vec<u8>>;
}

/// The means that a protocol has to serve the client of a request.
pub struct Door {
    app: Arc<App>,
    remote: Remote,
    headers: HeaderMap,
}

impl Door {
    /// The session that the request's header or cookie names.
    pub fn session(&self) -> Option<Arc<Session>> {
        self.app.session(&self.remote, &self.headers)
    }

    /// The session with this key.
    pub fn session_of(&self, key: &str) -> Option<Arc<Session>> {
        self.app.session_of(&self.remote, key)
    }

    /// User and password of the request's `Authorization`.
    pub fn credentials(&self) -> Option<(String, String)> {
        basic(&self.headers)
    }

    /// The account with this password, without a session. A wrong password slows down its address and is an event.
    ///
    /// # Errors
    /// Those of `Login`.
    pub async fn authenticate(&self, user: &str, password: &str) -> Result<Account, Fault> {
        let (service, address) = (self.app.site.service.clone(), self.remote.address);
        let (name, password) = (user.to_owned(), password.to_owned());
        let login = async move {
            let login = service.authority.login(&name, &password).await;
            match &login {
                Ok(_) => service.post_unposted().await,
                Err(_) => tell_refused(&service, &name, address).await,
            }
            login
        };
        self.app.guard_login(&self.remote, user, login).await
    }

    pub fn service(&self) -> &Arc<Service> {
        &self.app.site.service
    }

    /// Calls a method of an object, in the name of a session or of nobody. A login that is refused slows down its address.
    ///
    /// # Errors
    /// The method's fault; `NotAuthenticated` and `NoPermission` as for every client.
    pub async fn invoke(
        &self,
        session: Option<&Arc<Session>>,
        this: &MoRef,
        args: Args,
    ) -> Result<Done, Fault> {
        self.invoke_with(session, this, args, None).await
    }

    /// The same for a login, of which `token` holds the SAML token as XML.
    ///
    /// # Errors
    /// As [`Door::invoke`].
    pub async fn invoke_with(
        &self,
        session: Option<&Arc<Session>>,
        this: &MoRef,
        args: Args,
        token: Option<Arc<str>>,
    ) -> Result<Done, Fault> {
        let asked = Asked {
            remote: self.remote.clone(),
            peer: peer(&self.remote, &self.headers),
            session: session.cloned(),
            this: this.clone(),
            release: api_release(),
            operation_id: None,
            token,
            acting: None,
        };
        let mut done = self.app.invoke(asked, args).await?;
        // The protocol may call on before it writes its answer.
        done.turn = None;
        Ok(done)
    }
}

/// Answers what no other path serves, if a protocol does.
pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Extension(remote): Extension<Remote>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(protocol) =
        app.site.protocols.iter().find(|protocol| protocol.serves(parts.uri.path())).cloned()
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let door = Door { app, remote, headers: parts.headers.clone() };
    let named = door.app.named(&door.remote, &door.headers);
    let find = protocol.session_finder(&parts);
    let known = |beginning: &[u8]| {
        let key = find.and_then(|find| find(beginning));
        door.app.named_by(&door.remote, key.as_deref())
    };
    let known = find.is_some().then_some(&known as body::Known<'_>);
    let body = match body::read(&parts.headers, body, &named, known).await {
        Ok(body) => body,
        Err(refused) if refused.is_ended() => {
            return protocol.unauthenticated(&parts, &refused.begun).map(Body::from);
        }
        Err(refused) => return (refused.status, refused.why).into_response(),
    };
    let session = match &named {
        Named::Found(session) => Some(session.clone()),
        _ => known.and_then(|known| match known(&body) {
            Named::Found(session) => Some(session),
            _ => None,
        }),
    };
    let user = session.as_ref().map_or("", |session| &session.account.name);
    Actor::new(user, None).does(protocol.answer(&door, &parts, &body)).await.map(Body::from)
}
