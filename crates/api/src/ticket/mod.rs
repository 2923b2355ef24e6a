//! Tickets: secrets that stand for one HTTP request (`AcquireGenericServiceTicket`) or one console (`AcquireTicket`).
//!
//! Each works once, only for a short time, and only while the session lasts that was given it; its holder needs no session.

mod local;

pub(crate) use local::LocalTickets;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use vim::{Fault, fault};

use crate::Account;
use crate::Session;
use crate::session::random_uuid;

/// How long a ticket works after it was issued.
pub const LIFETIME: Duration = Duration::from_secs(120);
/// Unused tickets at the same time.
pub const MAX_TICKETS: usize = 10_000;

/// Bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// The source of a console's bytes: a VM's VNC server or serial port.
#[async_trait]
pub trait Console: Send + Sync {
    /// Opens it.
    ///
    /// # Errors
    /// Says for the log why it cannot be reached.
    async fn open(&self) -> io::Result<Box<dyn ByteStream>>;
}

/// A console behind a Unix socket.
#[derive(Clone, Debug)]
pub struct UnixConsole(pub PathBuf);

#[async_trait]
impl Console for UnixConsole {
    async fn open(&self) -> io::Result<Box<dyn ByteStream>> {
        Ok(Box::new(tokio::net::UnixStream::connect(&self.0).await?))
    }
}

/// All tickets that have not been used yet.
#[derive(Default)]
pub struct Tickets {
    waiting: Mutex<HashMap<String, Ticket>>,
}

struct Ticket {
    ends: Instant,
    /// The session that was given the ticket, which ends with it.
    session: Arc<Session>,
    stands_for: StandsFor,
}

enum StandsFor {
    Request { method: String, target: String },
    Console(Arc<dyn Console>),
}

impl Tickets {
    /// A ticket for one request by this session's account. `method` is `httpGet` (the default) or `GET`; `url` may be whole or begin with the
    /// path.
    ///
    /// # Errors
    /// `OutOfBounds` when there are [`MAX_TICKETS`] unused ones.
    pub fn for_request(
        &self,
        session: &Arc<Session>,
        url: &str,
        method: Option<&str>,
    ) -> Result<String, Fault> {
        let stands_for =
            StandsFor::Request { method: plain_method(method.unwrap_or("httpGet")), target: target_of(url) };
        self.issue(session, stands_for, Instant::now())
    }

    /// A ticket for one connection to a console, at `/ticket/{id}`.
    ///
    /// # Errors
    /// `OutOfBounds` when there are [`MAX_TICKETS`] unused ones.
    pub fn for_console(&self, session: &Arc<Session>, console: Arc<dyn Console>) -> Result<String, Fault> {
        self.issue(session, StandsFor::Console(console), Instant::now())
    }

    /// Uses up the ticket if it is for this request, and returns the account that it stands for, with the session that was given it.
    /// `target` is path and query.
    pub(crate) fn redeem_request(
        &self,
        id: &str,
        method: &str,
        target: &str,
    ) -> Option<(Account, Arc<Session>)> {
        let method = plain_method(method);
        let target = target_of(target);
        let fits = |stands_for: &StandsFor| matches!(stands_for, StandsFor::Request { method: m, target: t, .. } if *m == method && *t == target);
        let session = self.take(id, fits, Instant::now())?.session;
        Some((session.account.clone(), session))
    }

    /// Uses up the ticket and returns its console, with the session that was given the ticket.
    pub(crate) fn redeem_console(&self, id: &str) -> Option<(Arc<dyn Console>, Arc<Session>)> {
        let fits = |stands_for: &StandsFor| matches!(stands_for, StandsFor::Console(_));
        let ticket = self.take(id, fits, Instant::now())?;
        match ticket.stands_for {
            StandsFor::Console(console) => Some((console, ticket.session)),
            StandsFor::Request { .. } => None,
        }
    }

    fn issue(&self, session: &Arc<Session>, stands_for: StandsFor, now: Instant) -> Result<String, Fault> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MAX_TICKETS {
            waiting.retain(|_, ticket| ticket.works(now));
        }
        if waiting.len() >= MAX_TICKETS {
            return Err(fault!(
                OutOfBounds { argumentName: "ticket" },
                "{MAX_TICKETS} tickets are unused, which is the limit; use them or wait until they expire"
            ));
        }
        let id = random_uuid();
        waiting.insert(id.clone(), Ticket { ends: now + LIFETIME, session: session.clone(), stands_for });
        Ok(id)
    }

    fn take(&self, id: &str, fits: impl Fn(&StandsFor) -> bool, now: Instant) -> Option<Ticket> {
        let mut waiting = self.waiting.lock();
        if !fits(&waiting.get(id)?.stands_for) {
            return None;
        }
        waiting.remove(id).filter(|ticket| ticket.works(now))
    }
}

impl Ticket {
    /// Whether neither the ticket nor its session has ended.
    fn works(&self, now: Instant) -> bool {
        self.ends > now && !self.session.ended().is_cancelled()
    }
}

/// `httpGet` and `get` as `GET`.
fn plain_method(method: &str) -> String {
    let method = method.to_ascii_uppercase();
    method.strip_prefix("HTTP").unwrap_or(&method).to_owned()
}

/// Path and query of a URL, unescaped: clients escape the same URL in different ways.
fn target_of(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => url,
    };
    crate::files::unescape(&path.replace('+', " ")).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sessions;

    fn session() -> (Sessions, Arc<Session>) {
        let account = Account { name: "root".into(), ..Account::default() };
        let sessions = Sessions::default();
        let session = sessions.open(account, &crate::testing::peer(None), "en").unwrap();
        (sessions, session)
    }

    #[test]
    fn a_ticket_works_once_and_only_for_its_request() {
        let tickets = Tickets::default();
        let (_sessions, root) = session();
        let url = "https://host:443/folder/a%20b.iso?dcPath=ha-datacenter&dsName=ds%201";
        let id = tickets.for_request(&root, url, Some("httpPut")).unwrap();
        let target = "/folder/a b.iso?dcPath=ha-datacenter&dsName=ds+1";
        assert!(tickets.redeem_request(&id, "GET", target).is_none(), "another method");
        assert!(tickets.redeem_request(&id, "PUT", "/folder/c.iso?dsName=ds%201").is_none(), "another file");
        assert!(tickets.redeem_console(&id).is_none(), "another use");
        let redeemed = tickets.redeem_request(&id, "PUT", target);
        assert_eq!(redeemed.map(|(account, _)| account), Some(root.account.clone()));
        assert!(tickets.redeem_request(&id, "PUT", target).is_none(), "a second time");
    }

    #[test]
    fn a_ticket_ends_by_itself_and_with_its_session() {
        let tickets = Tickets::default();
        let (sessions, root) = session();
        let console = || StandsFor::Console(Arc::new(UnixConsole("/nowhere".into())));
        let now = Instant::now();
        let id = tickets.issue(&root, console(), now).unwrap();
        assert!(tickets.take(&id, |_| true, now + LIFETIME).is_none());
        let ids = [(); 2].map(|()| tickets.issue(&root, console(), now).unwrap());
        assert!(tickets.take(&ids[0], |_| true, now).is_some());
        sessions.close(&root.key);
        assert!(tickets.take(&ids[1], |_| true, now).is_none());
    }
}
