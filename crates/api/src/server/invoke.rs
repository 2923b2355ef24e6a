//! The way from a decoded request to the objects, the same for every protocol.

use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;
use vim::path::PropertyPath;
use vim::{Args, Fault, MoRef, Release, Value, arg, fault, schema};

use super::app::{App, Remote};
use crate::budget::Share;
use crate::service::{Object, not_authenticated};
use crate::session::Peer;
use crate::tls::{Chain, thumbprint_sha256};
use crate::{Acting, Answer, Call, Session};

/// Characters of a client's name for its operation; the rest is cut off.
const MAX_OPERATION_ID_CHARS: usize = 256;

/// A client's name for its operation, cut to a length that fits into logs.
pub(super) fn operation_id(given: &str) -> Arc<str> {
    given.chars().take(MAX_OPERATION_ID_CHARS).collect::<String>().into()
}

/// A decoded request, with the facts that its protocol carried.
pub(super) struct Asked {
    pub remote: Remote,
    pub peer: Arc<Peer>,
    pub session: Option<Arc<Session>>,
    pub this: MoRef,
    pub release: Release,
    pub operation_id: Option<Arc<str>>,
    /// XML that holds the SAML token of a login.
    pub token: Option<Arc<str>>,
    /// The header in which a center names the user on whose behalf it calls, unread.
    pub acting: Option<String>,
}

/// The answer of a method.
pub struct Done {
    pub result: Option<Answer>,
    /// The session that the call has begun, whose key the client receives.
    pub begun: Option<Arc<Session>>,
    /// The session's turn to put a large answer together.
    pub(crate) turn: Option<Share>,
}

/// The ways in which a call may end before it is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// When the client hangs up, and when the server stops: it changes nothing and may wait for a long time.
    Early,
    /// When the client hangs up: it changes nothing, and may wait for the session's turn.
    WithItsClient,
    /// Never, once it has begun, lest a client that hangs up leave half of a change behind.
    Finished,
}

fn ends(method: &str) -> Ends {
    match method {
        "WaitForUpdates" | "WaitForUpdatesEx" => Ends::Early,
        "CheckForUpdates"
        | "RetrieveProperties"
        | "RetrievePropertiesEx"
        | "ContinueRetrievePropertiesEx" => Ends::WithItsClient,
        _ => Ends::Finished,
    }
}

/// The account whose password or other secret a method tries, as the client names it; none for a method that tries none.
fn account_of(args: &Args, certificate: Option<&Chain>) -> Option<String> {
    let named = match args.method_name() {
        "Login" => args.get(arg!(Login.userName)),
        "ChangePassword" => args.get(arg!(ChangePassword.user)),
        // A signature cannot be guessed, and one count for all tokens would let a stranger slow down everybody's.
        "LoginByToken" => return None,
        // Each certificate counts for itself: nobody holds up others by one that is not trusted.
        name @ "LoginExtensionByCertificate" => {
            let own = certificate.and_then(|chain| chain.first());
            let thumbprint = own.map(|own| thumbprint_sha256(own)).unwrap_or_default();
            return Some(format!("{name} {thumbprint}"));
        }
        // Secrets that name no account count by their kind.
        name if name.starts_with("Login") || name == "CloneSession" => Some(name),
        _ => return None,
    };
    Some(named.unwrap_or_default().to_owned())
}

impl App {
    pub(super) async fn invoke(&self, asked: Asked, args: Args) -> Result<Done, Fault> {
        let name = args.method_name();
        let guessed = account_of(&args, asked.remote.certificate.as_deref());
        let Asked { remote, peer, session, this, release, operation_id, token, acting } = asked;
        let service = self.site.service.clone();
        let mut call = Call::new(service.clone(), peer, session.clone(), this.clone(), args);
        call.release = release;
        call.operation_id = operation_id.clone();
        call.token = token;
        // Only a center's session may act on behalf of others.
        if let Some(said) = acting.filter(|_| session.as_ref().is_some_and(|s| s.account.extension)) {
            let acting = Acting::from_header(&said).ok_or_else(|| {
                fault!(InvalidRequest {}, "The header {} is malformed", crate::acting::HEADER)
            })?;
            call.acting = Some(Arc::new(acting));
        }
        let (new_session, turn) = (call.new_session.clone(), call.turn.clone());
        let (shutdown, waited_on) = (self.shutdown.clone(), this.clone());
        let run = async move {
            let work = tokio::spawn(async move { service.answer(call).await });
            let ended = match ends(name) {
                Ends::Early => tokio::select! {
                    ended = AbortOnDropHandle::new(work) => ended,
                    // Sessions end with the daemon: a stopping server does not wait for waits to end.
                    () = shutdown.cancelled() => return Err(not_authenticated(&waited_on, "System.View")),
                },
                Ends::WithItsClient => AbortOnDropHandle::new(work).await,
                Ends::Finished => work.await,
            };
            ended.unwrap_or_else(|error| {
                tracing::error!(method = name, %error, "a method failed because of an internal error");
                Err(fault!(
                    SystemError { reason: "internal error" },
                    "The call failed because of an internal error"
                ))
            })
        };
        let result = match guessed {
            Some(account) => self.guard_login(&remote, &account, run).await,
            None => run.await,
        };
        let turn = turn.lock().take();
        let begun = new_session.get().cloned();
        if let Some(session) = &begun {
            let user = &session.account.name;
            remote.place.admit(user);
            tracing::info!(user, address = %remote.address, session = session.public_id(), "logged in");
        }
        if let Some(session) = session.filter(|session| session.ended().is_cancelled()) {
            let user = &session.account.name;
            tracing::info!(user, address = %remote.address, session = session.public_id(), "logged out");
        }
        match result {
            Ok(result) => Ok(Done { result, begun, turn }),
            Err(fault) => {
                tracing::debug!(
                    method = name,
                    object = %this,
                    operation = operation_id.as_deref(),
                    fault = fault.type_name(),
                    "{fault}"
                );
                Err(fault)
            }
        }
    }

    /// Reads the value at a property path of an object.
    pub(super) fn fetch(&self, asked: &Asked, property: &str) -> Result<Option<Value>, Fault> {
        let service = &self.site.service;
        let state = service.core.tree.snapshot();
        let session = asked.session.as_ref();
        let _active = session.map(Session::begin);
        let object = match service.find(&asked.this, session.map(AsRef::as_ref), &state) {
            Ok(object) => object,
            // A client without a session must not learn whether an object exists.
            Err(_) if session.is_none() => return Err(not_authenticated(&asked.this, "System.View")),
            Err(fault) => return Err(fault),
        };
        let path = PropertyPath::compile(object.me().ty(), property).map_err(|wrong| wrong.to_fault())?;
        let number = path.property();
        let value = match session {
            Some(session) => {
                service.may_read(&object, number, session, &state)?;
                service.property(&object, number, session, &state)
            }
            None => {
                let ty = schema().managed(object.me().ty());
                let privilege = ty.privileges[usize::from(number)].unwrap_or("System.View");
                match &object {
                    Object::Shared(node) if privilege == "System.Anonymous" => node.at(number).cloned(),
                    _ => return Err(not_authenticated(&asked.this, privilege)),
                }
            }
        };
        Ok(value.and_then(|value| path.get(&value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_by_certificate_counts_for_its_certificate_and_a_password_for_its_account() {
        let chain = |own: &[u8]| vec![own.to_vec().into(), b"authority".to_vec().into()];
        let by_certificate = vim::call!(LoginExtensionByCertificate { extensionKey: "esfera" });
        let [one, other] =
            [chain(b"one"), chain(b"other")].map(|chain| account_of(&by_certificate, Some(&chain)));
        assert!(one.is_some() && other.is_some() && one != other);
        assert_ne!(account_of(&by_certificate, None), one);
        let login = vim::call!(Login { userName: "ann", password: "secret" });
        assert_eq!(account_of(&login, Some(&chain(b"one"))).as_deref(), Some("ann"));
        assert_eq!(account_of(&vim::call!(CurrentTime {}), None), None);
    }

    #[test]
    fn a_call_that_changes_nothing_ends_with_its_client_and_no_other_does() {
        assert_eq!(ends("WaitForUpdatesEx"), Ends::Early);
        for waits in ["RetrieveProperties", "RetrievePropertiesEx", "ContinueRetrievePropertiesEx"] {
            assert_eq!(ends(waits), Ends::WithItsClient, "{waits}");
        }
        for changes in ["CreateFilter", "PowerOnVM_Task", "Login", "DestroyPropertyCollector"] {
            assert_eq!(ends(changes), Ends::Finished, "{changes}");
        }
    }
}
