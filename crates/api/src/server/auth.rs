//! The sender of a request: a session by cookie or header, a user with a password, or a ticket.

use std::net::IpAddr;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use vim::{Fault, MoRef, data_id, fault};

use super::app::{App, Remote};
use super::throttle::Attempt;
use super::{SESSION_COOKIE, SESSION_HEADER};
use crate::session::{Active, Peer};
use crate::{Account, Session, Snapshot};

/// The cookie that carries a ticket for one request.
const TICKET_COOKIE: &str = "vmware_cgi_ticket";
const MAX_USER_AGENT_BYTES: usize = 256;

/// The sender of a request for a file, a screenshot or a capture.
pub(super) struct Admitted {
    pub account: Account,
    /// That of the ticket, if one is used; none for a password.
    session: Option<Arc<Session>>,
    /// Keeps the session in use until the answer has been sent: it is not idle during a long transfer.
    pub active: Option<Active>,
}

/// The session that a request names.
pub(super) enum Named {
    /// The request has no session's key.
    Nothing,
    /// The key of no session: it has ended, most likely.
    Ended,
    Found(Arc<Session>),
}

impl Named {
    pub(super) fn session(&self) -> Option<Arc<Session>> {
        match self {
            Self::Found(session) => Some(session.clone()),
            Self::Nothing | Self::Ended => None,
        }
    }
}

/// Why the server refuses a request for a file, a screenshot or a capture.
#[derive(Debug)]
pub(super) enum Refusal {
    NotLoggedIn,
    /// A privilege is missing.
    Forbidden(&'static str),
    /// A status with an explanation.
    Because(StatusCode, String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::NotLoggedIn => {
                let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"Esfera\"")];
                (StatusCode::UNAUTHORIZED, ask, "log in first\n").into_response()
            }
            Self::Forbidden(privilege) => {
                (StatusCode::FORBIDDEN, format!("the privilege {privilege} is missing\n")).into_response()
            }
            Self::Because(status, words) => (status, format!("{words}\n")).into_response(),
        }
    }
}

impl Admitted {
    /// Completes when the session has ended, and never without a session.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let session = self.session.clone();
        async move {
            match session {
                Some(session) => session.ended().cancelled().await,
                None => std::future::pending().await,
            }
        }
    }
}

impl App {
    /// Finds out who sends a request for a file, a screenshot or a capture.
    pub(super) async fn admit(
        &self,
        remote: &Remote,
        headers: &HeaderMap,
        method: &Method,
        uri: &Uri,
    ) -> Result<Admitted, Refusal> {
        let whole = uri.path_and_query().map_or("/", |whole| whole.as_str());
        let found = self.account(remote, headers, method, whole).await;
        let (account, session) = found.ok_or(Refusal::NotLoggedIn)?;
        let active = session.as_ref().map(Session::begin);
        Ok(Admitted { account, session, active })
    }

    /// Finds out who sends a GET request, and refuses it if the account lacks the privilege on the object that `find` looks up.
    pub(super) async fn admit_to(
        &self,
        remote: &Remote,
        headers: &HeaderMap,
        uri: &Uri,
        privilege: &'static str,
        find: impl FnOnce(&Snapshot) -> Result<MoRef, Refusal>,
    ) -> Result<(Admitted, MoRef), Refusal> {
        let who = self.admit(remote, headers, &Method::GET, uri).await?;
        let state = self.site.service.core.tree.snapshot();
        let object = find(&state)?;
        if self.site.service.authority.allows(&who.account, &object, privilege, &state) {
            Ok((who, object))
        } else {
            Err(Refusal::Forbidden(privilege))
        }
    }

    /// The session that a request's cookie or header names, if it has not ended.
    pub(super) fn session(&self, remote: &Remote, headers: &HeaderMap) -> Option<Arc<Session>> {
        self.session_of(remote, key_of(headers)?)
    }

    /// The same for a caller to whom it matters whether the request names a session that has ended.
    pub(super) fn named(&self, remote: &Remote, headers: &HeaderMap) -> Named {
        self.named_by(remote, key_of(headers))
    }

    /// The session with this key, if a request has one.
    pub(super) fn named_by(&self, remote: &Remote, key: Option<&str>) -> Named {
        match key {
            None => Named::Nothing,
            Some(key) => self.session_of(remote, key).map_or(Named::Ended, Named::Found),
        }
    }

    /// The session with this key, to whose account the connection belongs from now on.
    pub(super) fn session_of(&self, remote: &Remote, key: &str) -> Option<Arc<Session>> {
        let session = self.site.service.core.sessions.find(key)?;
        remote.place.admit(&session.account.name);
        Some(session)
    }

    /// The account behind a request that needs no session.
    async fn account(
        &self,
        remote: &Remote,
        headers: &HeaderMap,
        method: &Method,
        target: &str,
    ) -> Option<(Account, Option<Arc<Session>>)> {
        if let Some(session) = self.session(remote, headers) {
            return Some((session.account.clone(), Some(session)));
        }
        if let Some(ticket) = cookie(headers, TICKET_COOKIE) {
            let tickets = &self.site.service.core.tickets;
            let (account, session) = tickets.redeem_request(ticket, method.as_str(), target)?;
            remote.place.admit(&account.name);
            return Some((account, Some(session)));
        }
        let (user, password) = basic(headers)?;
        let (authority, name) = (self.site.service.authority.clone(), user.clone());
        let login = async move { authority.login(&name, &password).await };
        let account = self.guard_login(remote, &user, login).await.ok()?;
        self.site.service.core.sessions.admit(&account).ok()?;
        remote.place.admit(&account.name);
        Some((account, None))
    }

    /// Runs a login to the account, after a delay if wrong passwords came before. Once it has begun it is finished and counts, also if
    /// the client hangs up.
    pub(super) async fn guard_login<T: Send + 'static>(
        &self,
        remote: &Remote,
        account: &str,
        login: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        let counted = self.site.service.authority.counted_as(account);
        let Ok(attempt) = self.throttle.begin(remote.address, &counted).await else {
            tracing::info!(address = %remote.address, "too many logins wait after failed ones; refused one");
            return Err(fault!(
                ResourceInUse { type: "login", name: "login" },
                "Too many logins are waiting after failed ones; try again later"
            ));
        };
        let address = remote.address;
        let work = tokio::spawn(async move {
            let result = login.await;
            settle(attempt, address, result.as_ref().err());
            result
        });
        work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a login failed because of an internal error");
            Err(fault!(
                SystemError { reason: "internal error" },
                "The login failed because of an internal error"
            ))
        })
    }
}

/// Notes the outcome of an attempt to log in. A fault that says nothing of the password counts for nothing.
fn settle(attempt: Attempt, address: IpAddr, fault: Option<&Fault>) {
    match fault {
        None => attempt.end(true),
        // The password was right.
        Some(fault) if fault.is_a(data_id!(PasswordExpired)) => attempt.end(true),
        Some(fault) if fault.is_a(data_id!(InvalidLogin)) => {
            tracing::info!(%address, "a login failed");
            attempt.end(false);
        }
        Some(_) => {}
    }
}

/// The key of a session that a request's header or cookie names.
fn key_of(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get(SESSION_HEADER).and_then(|value| value.to_str().ok()) {
        return Some(unquoted(key));
    }
    if is_foreign(headers) {
        return None;
    }
    cookie(headers, SESSION_COOKIE)
}

/// The client, as its session records it.
pub(super) fn peer(remote: &Remote, headers: &HeaderMap) -> Arc<Peer> {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let user_agent = agent.chars().take(MAX_USER_AGENT_BYTES).collect();
    Arc::new(Peer { address: remote.address, user_agent, certificate: remote.certificate.clone() })
}

/// `Set-Cookie` for a session.
pub(super) fn set_cookie(key: &str, tls: bool) -> String {
    let secure = if tls { "; Secure" } else { "" };
    format!("{SESSION_COOKIE}=\"{key}\"; Path=/; HttpOnly{secure}")
}

/// Whether a browser sends this on behalf of another server's page. It adds our cookie, which must be ignored then.
fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    authority.is_none() || authority != host
}

/// The value of a cookie, without the quotes that some clients keep.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| unquoted(value))
}

/// The key in a SOAP header or cookie, without quotes.
pub(super) fn unquoted(value: &str) -> &str {
    value.trim().trim_matches('"')
}

pub(super) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_with_and_without_quotes_among_others() {
        for line in [
            "vmware_soap_session=\"k-1\"",
            "vmware_soap_session=k-1",
            "a=b; vmware_soap_session=\"k-1\"; c",
            "a=\"x\";vmware_soap_session=k-1",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, line.parse().unwrap());
            assert_eq!(cookie(&headers, SESSION_COOKIE), Some("k-1"), "{line}");
        }
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b".parse().unwrap());
        headers.append(header::COOKIE, "vmware_soap_session=k-1".parse().unwrap());
        assert_eq!(cookie(&headers, SESSION_COOKIE), Some("k-1"));
        headers.clear();
        headers.insert(header::COOKIE, "xvmware_soap_session=k-1".parse().unwrap());
        assert_eq!(cookie(&headers, SESSION_COOKIE), None);
    }

    #[test]
    fn a_page_of_another_server_does_not_act_with_our_cookie() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "center:8443".parse().unwrap());
        assert!(!is_foreign(&headers));
        for (origin, foreign) in
            [("https://center:8443", false), ("https://evil", true), ("null", true), ("https://center", true)]
        {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            assert_eq!(is_foreign(&headers), foreign, "{origin}");
        }
    }

    #[test]
    fn a_password_may_hold_a_colon() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "basic cm9vdDphOmI=".parse().unwrap());
        assert_eq!(basic(&headers), Some(("root".into(), "a:b".into())));
    }
}
