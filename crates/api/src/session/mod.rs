//! Sessions of clients, and the objects that belong to them and end with them: property filters, collectors and views.

mod all;

pub use all::{Sessions, Times};

use std::any::Any;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use vim::{DateTime, Fault, MoRef, Value, fault, vim};

use crate::budget::Budget;
pub use crate::budget::MAX_SESSION_BYTES;
use crate::locals::Locals;
use crate::tls::Chain;
use crate::{Account, Snapshot};

/// Sessions at the same time. When there are as many, the one of the account with the most sessions that was idle for the longest time
/// ends in favour of a new one; if all of that account's are at work, the longest idle one of any account.
pub const MAX_SESSIONS: usize = 4_000;
/// Sessions of one account; its longest idle one ends in favour of a new one.
pub const MAX_ACCOUNT_SESSIONS: usize = 1_000;
/// Filters, collectors and views of one session.
pub const MAX_OBJECTS: usize = 1_000;
/// A session ends after this time without use, unless an administrator has set another.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// An object that belongs to one session. Its methods are in the same table as all others and find it by [`Session::object`].
pub trait SessionObject: Any + Send + Sync {
    fn me(&self) -> &MoRef;
    /// The current value of the property with this number, in this state of the tree.
    fn property(&self, number: u16, session: &Session, state: &Snapshot) -> Option<Value>;
}

/// One logged-in client.
pub struct Session {
    /// The secret that the client sends with each request.
    pub key: String,
    pub account: Account,
    pub login_time: DateTime,
    pub address: IpAddr,
    pub user_agent: String,
    locale: ArcSwap<String>,
    last_active_us: AtomicI64,
    calls: AtomicI64,
    under_way: AtomicUsize,
    objects: Mutex<HashMap<String, Arc<dyn SessionObject>>>,
    locals: Locals,
    ended: CancellationToken,
    /// The memory that its requests and answers may take.
    pub(crate) budget: Budget,
}

/// The client that logs in.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: IpAddr,
    pub user_agent: String,
    /// The client's certificate chain, if it sent one.
    pub certificate: Option<Arc<Chain>>,
}

impl Session {
    fn new(account: Account, peer: &Peer, locale: &str) -> Self {
        let now = DateTime::now();
        Self {
            key: random_key(),
            account,
            login_time: now,
            address: peer.address,
            user_agent: peer.user_agent.clone(),
            locale: ArcSwap::from_pointee(locale.to_owned()),
            last_active_us: AtomicI64::new(now.as_micros()),
            calls: AtomicI64::new(0),
            under_way: AtomicUsize::new(0),
            objects: Mutex::default(),
            locals: Locals::default(),
            ended: CancellationToken::new(),
            budget: Budget::default(),
        }
    }

    /// The language of its messages.
    pub fn locale(&self) -> Arc<String> {
        self.locale.load_full()
    }

    pub fn set_locale(&self, locale: &str) {
        self.locale.store(Arc::new(locale.to_owned()));
    }

    /// A session in which the daemon works for an account by itself, with the account's rights of now. Nobody can log in to it, and it is
    /// not listed.
    pub fn internal(account: Account, purpose: &str) -> Arc<Self> {
        let peer = Peer {
            address: IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
            user_agent: purpose.into(),
            certificate: None,
        };
        Arc::new(Self::new(account, &peer, "en"))
    }

    /// Notes that a request begins; the session is active until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> Active {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.last_active_us.store(DateTime::now().as_micros(), Ordering::Relaxed);
        Active(self.clone())
    }

    pub fn last_active(&self) -> DateTime {
        DateTime::from_micros(self.last_active_us.load(Ordering::Relaxed))
    }

    pub fn calls(&self) -> i64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Cancelled when the session has ended: waits on its behalf stop then.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// The bytes of the session's large answers that the client has not read; at most [`MAX_SESSION_BYTES`].
    pub fn unread_bytes(&self) -> usize {
        self.budget.unread_bytes()
    }

    /// The session's object with this reference.
    pub fn object(&self, reference: &MoRef) -> Option<Arc<dyn SessionObject>> {
        let objects = self.objects.lock();
        objects.get(reference.id()).filter(|object| object.me().is_a(reference.ty())).cloned()
    }

    /// The session's object with this reference, as its Rust type.
    ///
    /// # Errors
    /// `ManagedObjectNotFound` if the session has no such object.
    pub fn object_as<T: SessionObject>(&self, reference: &MoRef) -> Result<Arc<T>, Fault> {
        let object: Option<Arc<dyn Any + Send + Sync>> = self.object(reference).map(|object| object as _);
        object.and_then(|object| object.downcast().ok()).ok_or_else(|| {
            fault!(
                ManagedObjectNotFound { obj: reference },
                "The session has no {reference}; it may have been destroyed"
            )
        })
    }

    /// Adds an object.
    ///
    /// # Errors
    /// `OutOfBounds` when the session holds too many.
    pub fn add(&self, object: Arc<dyn SessionObject>) -> Result<(), Fault> {
        let mut objects = self.objects.lock();
        if objects.len() >= MAX_OBJECTS {
            return Err(fault!(
                OutOfBounds { argumentName: "session" },
                "A session may hold {MAX_OBJECTS} views and filters; destroy those that are no longer used"
            ));
        }
        objects.insert(object.me().id().to_owned(), object);
        Ok(())
    }

    /// State that a part of this crate keeps for the session and that no client sees: made at first use, dropped with the session.
    pub(crate) fn local<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.locals.get()
    }

    /// The session's objects of this Rust type, in no order.
    pub(crate) fn objects_as<T: SessionObject>(&self) -> Vec<Arc<T>> {
        let objects = self.objects.lock();
        let any = objects.values().map(|object| object.clone() as Arc<dyn Any + Send + Sync>);
        any.filter_map(|object| object.downcast().ok()).collect()
    }

    /// Removes an object and returns it, if it existed.
    pub fn remove(&self, reference: &MoRef) -> Option<Arc<dyn SessionObject>> {
        self.objects.lock().remove(reference.id())
    }

    /// A new id for an object of this session, in the form that vSphere uses.
    pub fn new_object_id(&self) -> String {
        format!("session[{}]{}", self.public_id(), random_uuid())
    }

    /// Names the session without its secret: `UserSession.key` shows this to others.
    pub fn public_id(&self) -> &str {
        &self.key[..36]
    }
}

/// A request of the session that is under way. While one exists the session is not idle.
pub struct Active(Arc<Session>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.last_active_us.store(DateTime::now().as_micros(), Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// 72 hexadecimal digits and dashes: twice a random UUID. The first half may be shown, the second is the secret.
fn random_key() -> String {
    format!("{}{}", random_uuid(), random_uuid())
}

pub(crate) fn random_uuid() -> String {
    let bits: u128 = rand::random();
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        (bits >> 80) & 0xffff,
        (bits >> 64) & 0x0fff | 0x4000,
        (bits >> 48) & 0x3fff | 0x8000,
        bits & 0xffff_ffff_ffff
    )
}

/// The session as the API shows it.
impl From<&Session> for vim::ty!(UserSession) {
    fn from(session: &Session) -> Self {
        vim!(UserSession {
            key: session.public_id(),
            userName: &session.account.name,
            fullName: &session.account.full_name,
            loginTime: session.login_time,
            lastActiveTime: session.last_active(),
            locale: session.locale().as_str(),
            messageLocale: session.locale().as_str(),
            extensionSession: session.account.extension,
            ipAddress: session.address.to_string(),
            userAgent: &session.user_agent,
            callCount: session.calls(),
        })
    }
}
