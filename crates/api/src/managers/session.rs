//! The SessionManager: logging in and out, and the list of sessions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vim::{
    Fault, Kind, List, ManagedId, Value, arg, data_id, fault, field, managed_id, method, prop, props, ty, vim,
};

use crate::common::Common;
use crate::session::random_uuid;
use crate::stored::store_fault;
use crate::ticket::LocalTickets;
use crate::{Account, Call, Manager, Methods, Service, Session};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(SessionManager);
/// The language of messages.
const LOCALE: &str = "en";
/// How long a ticket for cloning a session works.
const CLONE_TICKET_LIFETIME: Duration = Duration::from_secs(30);
/// Unused tickets of this kind.
const MAX_CLONE_TICKETS: usize = 1_000;
/// The longest user name that is looked up and written to logs and events.
const MAX_USER_NAME_BYTES: usize = 256;
/// The longest message to all users.
const MAX_MESSAGE_BYTES: usize = 16 << 10;
const COLLECTION: &str = "session-manager";
const MESSAGE: &str = "message";

/// Secrets that stand for a session for a short time.
type CloneTickets = Arc<Mutex<HashMap<String, (Instant, Arc<Session>)>>>;

/// The SessionManager.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.session_manager.clone(),
    named: Some(field!(ServiceContent.sessionManager).number()),
    properties: |common| {
        let message = common.core.store.get(COLLECTION, MESSAGE)?;
        Ok(props!(SessionManager {
            messageLocaleList: [LOCALE, "es"],
            supportedLocaleList: [LOCALE, "en_US", "es", "es_ES"],
            defaultLocale: LOCALE,
            message: message.map(|message| String::from_utf8_lossy(&message).into_owned()),
        }))
    },
    register: |table| register(table.methods),
};

fn register(methods: &mut Methods) {
    methods.on(MANAGER, method!(LoginExtensionByCertificate), login_by_certificate);
    methods.on(MANAGER, method!(Logout), logout);
    methods.on(MANAGER, method!(SessionIsActive), |call| async move { is_active(&call) });
    methods.on(MANAGER, method!(TerminateSession), terminate);
    methods.on(MANAGER, method!(SetLocale), |call| async move {
        let locale = call.required(arg!(SetLocale.locale))?;
        check_locale(locale)?;
        call.session()?.set_locale(locale);
        Ok(None)
    });
    methods.on(MANAGER, method!(ImpersonateUser), impersonate);
    let local = Arc::new(LocalTickets::default());
    let given = local.clone();
    methods.on(MANAGER, method!(AcquireLocalTicket), move |call| {
        let tickets = given.clone();
        async move { local_ticket(&call, &tickets).await }
    });
    methods.on(MANAGER, method!(Login), move |call| {
        let tickets = local.clone();
        async move { login(call, &tickets).await }
    });
    methods.on(MANAGER, method!(UpdateServiceMessage), update_message);
    methods.on(MANAGER, method!(AcquireGenericServiceTicket), |call| async move { service_ticket(&call) });
    let tickets = CloneTickets::default();
    let given = tickets.clone();
    methods.on(MANAGER, method!(AcquireCloneTicket), move |call| {
        let tickets = given.clone();
        async move { clone_ticket(&call, &tickets) }
    });
    methods.on(MANAGER, method!(CloneSession), move |call| {
        let tickets = tickets.clone();
        async move { clone_session(&call, &tickets).await }
    });
    methods.compute(MANAGER, prop!(SessionManager.currentSession).number(), |_, session, _, _| {
        Some(<ty!(UserSession)>::from(session).into())
    });
    methods.compute(MANAGER, prop!(SessionManager.sessionList).number(), |service, _, _, _| {
        let mut sessions = service.core.sessions.all();
        sessions.sort_by_key(|session| session.login_time);
        let list = sessions.iter().map(|session| <ty!(UserSession)>::from(&**session).into());
        Some(Value::List(List::new(Kind::Data(data_id!(UserSession)), list.collect::<Vec<Value>>())))
    });
}

fn check_locale(locale: &str) -> Result<(), Fault> {
    let well_formed = !locale.is_empty()
        && locale.len() <= 64
        && locale.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@'));
    if well_formed {
        Ok(())
    } else {
        Err(fault!(InvalidLocale {}, "{locale:?} is not a locale; use en or en_US"))
    }
}

async fn login(call: Call, local: &LocalTickets) -> Reply {
    let user = call.required(arg!(Login.userName))?;
    let password = call.required(arg!(Login.password))?;
    let locale = call.arg(arg!(Login.locale)).filter(|locale| !locale.is_empty()).unwrap_or(LOCALE);
    check_locale(locale)?;
    if user.len() > MAX_USER_NAME_BYTES {
        return Err(fault!(
            InvalidLogin {},
            "Cannot complete login due to an incorrect user name or password."
        ));
    }
    if call.session.is_some() {
        return Err(already_authenticated(&call).await);
    }
    let by_ticket = local.redeem(user, password).and_then(|user| call.service.authority.named(&user));
    let login = match by_ticket {
        Some(account) => Ok(account),
        None => call.service.authority.login(user, password).await,
    };
    match login {
        Ok(account) => begin(&call, account, locale).await,
        Err(fault) => {
            tracing::warn!(user, address = %call.peer.address, "a login was refused");
            tell_refused(&call.service, user, call.peer.address).await;
            Err(fault)
        }
    }
}

/// Leaves the event of a login that was refused, and those that came with it.
pub(crate) async fn tell_refused(service: &Service, user: &str, address: IpAddr) {
    service
        .core
        .events
        .post(vim!(BadUsernameSessionEvent { userName: user, ipAddress: address.to_string() }))
        .await;
    service.post_unposted().await;
}

/// A session that logs in again stays as it is, as with vSphere.
async fn already_authenticated(call: &Call) -> Fault {
    let event = vim!(AlreadyAuthenticatedSessionEvent { userName: call.user() });
    call.service.core.events.post(event).await;
    fault!(InvalidLogin {}, "The session has logged in already; log out first")
}

/// Opens a session in the place of the present one, as another user, whose rights a token of the caller narrows as well.
async fn impersonate(call: Call) -> Reply {
    let session = call.session()?.clone();
    let user = call.required(arg!(ImpersonateUser.userName))?;
    let locale = call.arg(arg!(ImpersonateUser.locale)).filter(|locale| !locale.is_empty());
    let locale = locale.map_or_else(|| session.locale().as_str().to_owned(), str::to_owned);
    check_locale(&locale)?;
    let Some(account) = call.service.authority.named(user).filter(|_| !session.account.extension) else {
        return Err(fault!(InvalidLogin {}, "The user {user:?} cannot log in"));
    };
    let account = Account { narrowed: session.account.narrowed.clone(), ..account };
    tracing::warn!(user = call.user(), becomes = account.name, "a session becomes that of another user");
    let begun = begin(&call, account, &locale).await?;
    call.service.core.sessions.close(&session.key);
    Ok(begun)
}

/// Writes a password that works once into a file that only this daemon's user can read: whoever reads it is the administrator of the
/// machine.
async fn local_ticket(call: &Call, tickets: &LocalTickets) -> Reply {
    let user = call.required(arg!(AcquireLocalTicket.userName))?;
    let account = call.service.authority.named(user).filter(|_| call.peer.address.is_loopback());
    let Some(account) = account else {
        return Err(fault!(
            InvalidLogin {},
            "Local tickets are for users of this server, on its own machine"
        ));
    };
    let file = tickets.issue(&account.name).map_err(|error| {
        tracing::warn!(%error, "a local ticket cannot be written");
        fault!(InvalidLogin {}, "The server cannot write another ticket now; log in with a password")
    })?;
    Ok(Some(
        vim!(SessionManagerLocalTicket {
            userName: &account.name,
            passwordFilePath: file.display().to_string()
        })
        .into(),
    ))
}

async fn login_by_certificate(call: Call) -> Reply {
    let locale = call.arg(arg!(LoginExtensionByCertificate.locale)).unwrap_or(LOCALE);
    check_locale(locale)?;
    let Some(certificate) = call.peer.certificate.clone() else {
        return Err(fault!(
            NoClientCertificate {},
            "This login needs a client certificate on the TLS connection"
        ));
    };
    let account = call.service.authority.login_by_certificate(&certificate).await?;
    begin(&call, account, locale).await
}

/// Opens a session for an account that has proved its identity by other means than those here, and hands it to the server that received
/// the call.
///
/// # Errors
/// `InvalidLogin` for a call that has a session, `InvalidLocale`, those of too many sessions.
pub async fn begin_session(call: &Call, account: Account, locale: Option<&str>) -> Reply {
    let locale = locale.filter(|locale| !locale.is_empty()).unwrap_or(LOCALE);
    check_locale(locale)?;
    if call.session.is_some() {
        return Err(already_authenticated(call).await);
    }
    begin(call, account, locale).await
}

/// Opens a session and hands it to the server that received the call.
async fn begin(call: &Call, account: Account, locale: &str) -> Reply {
    let session = call.service.core.sessions.open(account, &call.peer, locale)?;
    let shown = <ty!(UserSession)>::from(&*session);
    let event = vim!(UserLoginSessionEvent {
        userName: &session.account.name,
        ipAddress: session.address.to_string(),
        userAgent: &session.user_agent,
        locale: locale,
        sessionId: session.public_id(),
    });
    call.service.core.events.post(event).await;
    let _ = call.new_session.set(session);
    Ok(Some(shown.into()))
}

async fn logout(call: Call) -> Reply {
    let session = call.session()?;
    call.service.core.sessions.close(&session.key);
    let event = vim!(UserLogoutSessionEvent {
        userName: &session.account.name,
        ipAddress: session.address.to_string(),
        userAgent: &session.user_agent,
        callCount: session.calls(),
        sessionId: session.public_id(),
        loginTime: session.login_time,
    });
    call.service.core.events.post(event).await;
    Ok(None)
}

fn is_active(call: &Call) -> Reply {
    let id = call.required(arg!(SessionIsActive.sessionID))?;
    let user = call.required(arg!(SessionIsActive.userName))?;
    let sessions = call.service.core.sessions.all();
    let active = sessions.iter().any(|session| session.public_id() == id && session.account.name == user);
    Ok(Some(Value::Boolean(active)))
}

async fn terminate(call: Call) -> Reply {
    let mine = call.session()?;
    let mut ending = Vec::new();
    for id in call.required(arg!(TerminateSession.sessionId))? {
        if id == mine.public_id() {
            return Err(crate::service::invalid_argument(
                "sessionId",
                "A session cannot terminate itself; use Logout",
            ));
        }
        let sessions = call.service.core.sessions.all();
        let session = sessions.into_iter().find(|session| session.public_id() == id);
        ending.push(session.ok_or_else(|| fault!(NotFound {}, "The session {id:?} does not exist"))?);
    }
    for session in ending {
        call.service.core.sessions.close(&session.key);
        let event = vim!(SessionTerminatedEvent {
            userName: call.user(),
            sessionId: session.public_id(),
            terminatedUsername: &session.account.name,
        });
        call.service.core.events.post(event).await;
    }
    Ok(None)
}

async fn update_message(call: Call) -> Reply {
    let message = call.required(arg!(UpdateServiceMessage.message))?;
    let mut batch = store::Batch::new();
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(crate::service::invalid_argument("message", "The message is too long"));
    }
    batch.put(COLLECTION, MESSAGE, message.as_bytes());
    let core = &call.service.core;
    let before = core.tree.snapshot();
    let before = before.find(&call.this).and_then(|node| node.get(prop!(SessionManager.message)));
    let event = vim!(GlobalMessageChangedEvent {
        userName: call.user(),
        message: message,
        prevMessage: before.map(str::to_owned),
    });
    core.events.post_all(vec![event.into()], batch).await.map_err(|error| store_fault(&error))?;
    core.tree.write(|w| w.set(&call.this, props!(SessionManager { message: message })));
    Ok(None)
}

/// Does `AcquireGenericServiceTicket` for a request to this server.
///
/// # Errors
/// `NotSupported` for a ticket of another kind, `InvalidArgument` without a URL, `OutOfBounds` if too many are unused.
pub fn service_ticket(call: &Call) -> Reply {
    let session = call.session()?;
    let spec = call.required(arg!(AcquireGenericServiceTicket.spec))?;
    if !spec.is_a(data_id!(SessionManagerHttpServiceRequestSpec)) {
        return Err(fault!(
            NotSupported {},
            "Tickets exist for HTTP requests only, not for {}",
            spec.type_name()
        ));
    }
    let url = spec
        .get(field!(SessionManagerHttpServiceRequestSpec.url))
        .ok_or_else(|| crate::service::invalid_argument("spec.url", "The URL of the request is missing"))?;
    let method = spec.get(field!(SessionManagerHttpServiceRequestSpec.method));
    let id = call.service.core.tickets.for_request(session, url, method)?;
    Ok(Some(vim!(SessionManagerGenericServiceTicket { id: id, ticketType: "HttpServiceTicket" }).into()))
}

fn clone_ticket(call: &Call, tickets: &CloneTickets) -> Reply {
    let session = call.session()?;
    let mut tickets = tickets.lock();
    let now = Instant::now();
    tickets.retain(|_, (ends, session)| *ends > now && !session.ended().is_cancelled());
    if tickets.len() >= MAX_CLONE_TICKETS {
        return Err(fault!(
            RuntimeFault {},
            "{MAX_CLONE_TICKETS} tickets are unused, which is the limit; try again in a minute"
        ));
    }
    let ticket = format!("cst-{}{}", random_uuid(), random_uuid());
    tickets.insert(ticket.clone(), (now + CLONE_TICKET_LIFETIME, session.clone()));
    Ok(Some(Value::from(ticket)))
}

async fn clone_session(call: &Call, tickets: &CloneTickets) -> Reply {
    let ticket = call.required(arg!(CloneSession.cloneTicket))?;
    let taken = tickets.lock().remove(ticket);
    let valid = taken.filter(|(ends, session)| *ends > Instant::now() && !session.ended().is_cancelled());
    let Some((_, original)) = valid else {
        return Err(fault!(InvalidLogin {}, "The ticket is unknown, was used already, or has expired"));
    };
    begin(call, original.account.clone(), &original.locale()).await
}
