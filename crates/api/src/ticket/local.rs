//! Tickets in files (`AcquireLocalTicket`): a password that works once, for whoever can read a file of the daemon's own user.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::session::random_uuid;

/// How long a ticket works.
const LIFETIME: Duration = Duration::from_secs(60);
/// Unused tickets, and so files.
const MAX_TICKETS: usize = 50;

/// The unused tickets, by their passwords.
#[derive(Default)]
pub(crate) struct LocalTickets(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Made for the first ticket, and removed with the daemon.
    directory: Option<PathBuf>,
    tickets: HashMap<String, Ticket>,
}

struct Ticket {
    user: String,
    file: PathBuf,
    ends: Instant,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.tickets.clear();
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

impl LocalTickets {
    /// A ticket for this user; returns its file.
    ///
    /// # Errors
    /// If there are too many, or the file cannot be written.
    pub(crate) fn issue(&self, user: &str) -> io::Result<PathBuf> {
        let mut waiting = self.0.lock();
        let now = Instant::now();
        waiting.tickets.retain(|_, ticket| ticket.ends > now);
        if waiting.tickets.len() >= MAX_TICKETS {
            return Err(io::Error::other(format!("{MAX_TICKETS} tickets are unused, which is the limit")));
        }
        let directory = match &waiting.directory {
            Some(directory) => directory.clone(),
            None => {
                let directory = std::env::temp_dir().join(format!("esfera-tickets-{}", random_uuid()));
                std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
                waiting.directory.insert(directory).clone()
            }
        };
        let password = format!("{}{}", random_uuid(), random_uuid());
        let path = directory.join(random_uuid());
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let ticket = Ticket { user: user.to_owned(), file: path.clone(), ends: now + LIFETIME };
        file.write_all(password.as_bytes())?;
        waiting.tickets.insert(password, ticket);
        Ok(path)
    }

    /// Uses up the ticket with this password if it is for this user, and returns his canonical name.
    pub(crate) fn redeem(&self, user: &str, password: &str) -> Option<String> {
        let mut waiting = self.0.lock();
        let ticket = waiting.tickets.get(password)?;
        if !ticket.user.eq_ignore_ascii_case(user) {
            return None;
        }
        let ticket = waiting.tickets.remove(password)?;
        (ticket.ends > Instant::now()).then(|| ticket.user.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_local_ticket_works_once_for_its_user_and_leaves_no_file() {
        let tickets = LocalTickets::default();
        let file = tickets.issue("root").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let password = std::fs::read_to_string(&file).unwrap();
        assert_eq!(tickets.redeem("eve", &password), None);
        assert_eq!(tickets.redeem("root", "guess"), None);
        assert_eq!(tickets.redeem("root", &password).as_deref(), Some("root"));
        assert!(!file.exists());
        assert_eq!(tickets.redeem("root", &password), None);
        for _ in 0..MAX_TICKETS {
            tickets.issue("root").unwrap();
        }
        assert!(tickets.issue("root").is_err());
        let directory = file.parent().unwrap().to_owned();
        drop(tickets);
        assert!(!directory.exists());
    }
}
