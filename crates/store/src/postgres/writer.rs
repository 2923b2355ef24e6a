//! The writer of a store in PostgreSQL: a thread that applies the waiting batches to the copy, sends what they change to the
//! database, and answers when the database has it. It outlives the connection: while the database is away, batches wait, then
//! they are refused, and a new connection settles which of them the database had taken.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::effects::Effects;
use super::load::fill;
use super::rewrite::{refused, rewrite};
use super::session::{Claimant, Failure, Refusal, Session};
use super::target::Target;
use crate::limits::{IDLE_CHECK, LONGEST_PAUSE, MAX_GROUP_BATCHES, MAX_GROUP_BYTES, OPENING_LIMIT};
use crate::sqlite::{Applied, Keeping, apply_all, begin, open_reader, open_writer};
use crate::writer::{Job, Outage, Waiting};
use crate::{Batch, Error, Result};

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// How long opening waits for a lock: a process that was killed lets go of it in a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// All that the writer needs to begin.
pub(crate) struct Start {
    pub(crate) target: Target,
    /// The file of the copy; one that exists is made anew.
    pub(crate) copy: PathBuf,
    /// Identity of this process, and its name for people.
    pub(crate) claimant: (String, String),
    /// How long batches wait while the database is away.
    pub(crate) patience: Duration,
    pub(crate) outage: watch::Sender<Option<Outage>>,
}

/// Opens the store, tells `opened` so, and runs until every sender is dropped, or until the store can take no more writes, which
/// `stopped` then tells.
pub(crate) fn run(
    start: Start,
    queue: mpsc::Receiver<Job>,
    stopped: &watch::Sender<Option<String>>,
    opened: &std::sync::mpsc::Sender<Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = opened.send(Err(Error::Writer(error.to_string())));
            return;
        }
    };
    runtime.block_on(async {
        let (copy, link) = match open(start).await {
            Ok(parts) => parts,
            Err(error) => {
                let _ = opened.send(Err(error));
                return;
            }
        };
        let _ = opened.send(Ok(()));
        let mut writer = Writer { copy, link, calls: Calls { queue, held: VecDeque::new(), ended: false } };
        if let Err(error) = writer.serve().await {
            tracing::error!(%error, "the store takes no more writes");
            stopped.send_replace(Some(error.to_string()));
        }
    });
}

async fn open(start: Start) -> Result<(Connection, Link)> {
    let Start { target, copy, claimant: (instance, name), patience, outage } = start;
    let claimant = Claimant { instance, name };
    let begun = Instant::now();
    let session = loop {
        let limit = match Session::claim(&target, &claimant, None).await {
            Ok(session) => break session,
            Err(refusal) => (
                match &refusal {
                    Refusal::Failed(Failure::Away(_)) => OPENING_LIMIT,
                    Refusal::Held(_) => LOCK_PATIENCE,
                    _ => Duration::ZERO,
                },
                refused(&target, refusal),
            ),
        };
        if begun.elapsed() >= limit.0 {
            return Err(limit.1);
        }
        sleep(SHORTEST_PAUSE * 4).await;
    };
    for suffix in ["", "-wal", "-shm"] {
        let mut file = copy.as_os_str().to_owned();
        file.push(suffix);
        match std::fs::remove_file(Path::new(&file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Io(format!("{}: {error}", Path::new(&file).display())));
            }
            _ => {}
        }
    }
    let mut connection = open_writer(&copy, Keeping::Copy)?;
    fill(&session.client, &mut connection, session.position)
        .await
        .map_err(|failure| refused(&target, Refusal::Failed(failure)))?;
    tracing::info!(database = %target, position = session.position, "the database is open");
    let process = session.process();
    let link = Link { session: Some(session), process, target, claimant, copy, patience, outage };
    Ok((connection, link))
}

struct Writer {
    copy: Connection,
    link: Link,
    calls: Calls,
}

/// Batches that wait.
struct Calls {
    queue: mpsc::Receiver<Job>,
    /// Taken from the queue while the database was away. The bytes that may wait bound them.
    held: VecDeque<Job>,
    ended: bool,
}

/// The connection to the database, and all that is needed for another one.
struct Link {
    session: Option<Session>,
    /// The server's process of the last connection.
    process: i32,
    target: Target,
    claimant: Claimant,
    copy: PathBuf,
    patience: Duration,
    outage: watch::Sender<Option<Outage>>,
}

/// Why a connection is not sought any longer.
enum End {
    /// Nobody can send batches any longer.
    Closed,
    /// For this reason the store must not write.
    Stopped(Error),
}

impl Writer {
    async fn serve(&mut self) -> Result<()> {
        loop {
            let group = match self.next().await {
                Ok(Some(group)) => group,
                Ok(None) => return Ok(()),
                Err(failure) => {
                    match self.link.back(failure, &mut Vec::new(), &mut self.calls).await {
                        Ok(_) => self.settle().await?,
                        Err(End::Closed) => return Ok(()),
                        Err(End::Stopped(error)) => return Err(error),
                    }
                    continue;
                }
            };
            match self.commit(group).await {
                Ok(()) => {}
                Err(End::Closed) => return Ok(()),
                Err(End::Stopped(error)) => return Err(error),
            }
        }
    }

    /// The next batches; none when nobody can send any.
    async fn next(&mut self) -> Result<Option<Vec<Job>>, Failure> {
        let first = match self.calls.held.pop_front() {
            Some(job) => job,
            None if self.calls.ended => return Ok(None),
            None => {
                let session = self.link.session.as_mut().expect("a connection is there between outages");
                tokio::select! {
                    biased;
                    job = self.calls.queue.recv() => match job {
                        Some(job) => job,
                        None => return Ok(None),
                    },
                    reason = session.lost() => return Err(Failure::Away(reason)),
                    () = sleep(IDLE_CHECK) => {
                        session.check().await?;
                        return Ok(Some(Vec::new()));
                    }
                }
            }
        };
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < MAX_GROUP_BATCHES && bytes < MAX_GROUP_BYTES {
            let Some(job) = self.calls.held.pop_front().or_else(|| self.calls.queue.try_recv().ok()) else {
                break;
            };
            bytes += job.bytes;
            group.push(job);
        }
        Ok(Some(group))
    }

    /// Commits a group and answers its callers.
    async fn commit(&mut self, group: Vec<Job>) -> Result<(), End> {
        if group.is_empty() {
            return Ok(());
        }
        let (batches, mut waiting): (Vec<Batch>, Vec<Waiting>) = group.into_iter().map(Job::split).unzip();
        let all: Vec<&Batch> = batches.iter().collect();
        let mut transaction = match begin(&mut self.copy) {
            Ok(transaction) => transaction,
            Err(error) => return refuse_all(waiting, error),
        };
        let results = match apply_all(&mut transaction, &all) {
            Ok(results) => results,
            Err(error) => return refuse_all(waiting, error),
        };
        let effects = effects(&batches, &results);
        match self.link.write(&effects, &mut waiting, &mut self.calls).await {
            Ok(true) => {}
            Ok(false) => {
                transaction.rollback().map_err(|error| End::Stopped(error.into()))?;
                return self.settle().await.map_err(End::Stopped);
            }
            Err(End::Stopped(Error::Full)) => return refuse_all(waiting, Error::Full),
            Err(End::Stopped(error)) => {
                let _ = refuse_all(waiting, error.clone());
                return Err(End::Stopped(error));
            }
            Err(End::Closed) => return Err(End::Closed),
        }
        if let Err(error) = transaction.commit() {
            // The database has it and the copy does not: opening the store again makes a copy that does.
            let error =
                Error::Io(format!("the copy of the database at {}: {error}", self.link.copy.display()));
            let _ = refuse_all(waiting, error.clone());
            return Err(End::Stopped(error));
        }
        for (waiting, result) in waiting.into_iter().zip(results) {
            waiting.answer(result.map(|applied| applied.committed));
        }
        Ok(())
    }

    /// Sees to it that the database has what was acknowledged, and nothing else, after an outage.
    async fn settle(&mut self) -> Result<()> {
        loop {
            let file = open_reader(&self.link.copy)?;
            let ours = crate::View::on(&file).position()?;
            let session = self.link.session.as_ref().expect("an outage ends with a connection");
            if session.position == ours {
                return Ok(());
            }
            let found = session.position;
            tracing::warn!(
                database = %self.link.target, found, acknowledged = ours,
                "the database has other batches than were acknowledged; the center writes them all again"
            );
            match rewrite(session, &file).await {
                Ok(()) => return Ok(()),
                Err(Failure::Stop(error)) => return Err(error),
                Err(failure) => match self.link.back(failure, &mut Vec::new(), &mut self.calls).await {
                    Ok(_) => {}
                    Err(End::Stopped(error)) => return Err(error),
                    Err(End::Closed) => return Ok(()),
                },
            }
        }
    }
}

impl Link {
    /// Writes effects. False if their callers were refused meanwhile; then the database may have taken them all the same.
    async fn write(
        &mut self,
        effects: &Effects<'_>,
        waiting: &mut Vec<Waiting>,
        calls: &mut Calls,
    ) -> Result<bool, End> {
        let (Some(first), Some(last)) = (effects.batches.first(), effects.position()) else {
            return Ok(true);
        };
        let before = first.position - 1;
        loop {
            let session = self.session.as_ref().expect("a connection is there between outages");
            let failure = match session.send(effects, before).await {
                Ok(()) => return Ok(true),
                // The commit behind the failure has ended the transaction.
                Err(Failure::Full) => return Err(End::Stopped(Error::Full)),
                Err(Failure::Stop(error)) => return Err(End::Stopped(error)),
                Err(failure) => failure,
            };
            if !self.back(failure, waiting, calls).await? {
                return Ok(false);
            }
            let session = self.session.as_ref().expect("an outage ends with a connection");
            if session.position == last {
                return Ok(true);
            }
            if session.position != before {
                // A standby took over that had not got everything.
                let file = open_reader(&self.copy).map_err(End::Stopped)?;
                tracing::warn!(database = %self.target, found = session.position, acknowledged = before,
                    "the database has lost batches; the center writes them all again");
                match rewrite(session, &file).await {
                    Ok(()) => {}
                    Err(Failure::Stop(error)) => return Err(End::Stopped(error)),
                    Err(failure) => {
                        if !self.back(failure, waiting, calls).await? {
                            return Ok(false);
                        }
                    }
                }
            }
        }
    }

    /// Seeks the database until it is back. Meanwhile it refuses those who have waited too long: false if `waiting` were among them.
    async fn back(
        &mut self,
        failure: Failure,
        waiting: &mut Vec<Waiting>,
        calls: &mut Calls,
    ) -> Result<bool, End> {
        let mut reason = match failure {
            Failure::Away(reason) => reason,
            Failure::Full => "its disk is full".into(),
            Failure::Stop(error) => return Err(End::Stopped(error)),
        };
        self.session = None;
        let since = SystemTime::now();
        tracing::error!(database = %self.target, reason, "the database is away; changes wait for it");
        self.outage.send_replace(Some(Outage { since, reason: reason.clone() }));
        let deadline = Instant::now() + self.patience;
        let (mut pause, mut patient, mut kept) = (Duration::ZERO, true, true);
        loop {
            let result = {
                let attempt = async {
                    sleep(pause).await;
                    Session::claim(&self.target, &self.claimant, Some(self.process)).await
                };
                tokio::pin!(attempt);
                loop {
                    tokio::select! {
                        biased;
                        result = &mut attempt => break result,
                        () = sleep_until(deadline), if patient => {
                            patient = false;
                            kept = waiting.is_empty();
                            tracing::error!(database = %self.target, reason, "the database is still away; changes are refused");
                            let held = calls.held.drain(..).map(|job| job.split().1);
                            for waiting in waiting.drain(..).chain(held) {
                                waiting.answer(Err(Error::Unavailable(reason.clone())));
                            }
                        }
                        job = calls.queue.recv(), if !calls.ended => match job {
                            Some(job) if patient => calls.held.push_back(job),
                            Some(job) => job.split().1.answer(Err(Error::Unavailable(reason.clone()))),
                            None => calls.ended = true,
                        },
                    }
                    if calls.ended {
                        // Nobody waits for the outcome, and the next start finds it.
                        return Err(End::Closed);
                    }
                }
            };
            match result {
                Ok(session) => {
                    tracing::info!(database = %self.target, position = session.position, "the database is back");
                    self.process = session.process();
                    self.session = Some(session);
                    self.outage.send_replace(None);
                    return Ok(kept);
                }
                Err(Refusal::Taken(by)) => {
                    let reason = format!("another center has taken the database {}: {by}", self.target);
                    let error = Error::Stopped(reason);
                    for waiting in waiting.drain(..).chain(calls.held.drain(..).map(|job| job.split().1)) {
                        waiting.answer(Err(error.clone()));
                    }
                    return Err(End::Stopped(error));
                }
                Err(Refusal::Failed(Failure::Stop(error))) => {
                    for waiting in waiting.drain(..) {
                        waiting.answer(Err(error.clone()));
                    }
                    return Err(End::Stopped(error));
                }
                Err(Refusal::Held(by)) => reason = format!("it is in use by {by}"),
                Err(Refusal::Failed(Failure::Away(found))) => reason = found,
                Err(Refusal::Failed(Failure::Full)) => reason = "its disk is full".into(),
            }
            self.outage.send_replace(Some(Outage { since, reason: reason.clone() }));
            pause = (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        }
    }
}

/// The changes of the batches that were applied.
fn effects<'a>(batches: &'a [Batch], results: &[Result<Applied>]) -> Effects<'a> {
    let mut effects = Effects::default();
    for (batch, result) in batches.iter().zip(results) {
        if let Ok(applied) = result {
            effects.add(batch, applied);
        }
    }
    effects
}

/// Answers all with an error; the writer stops unless room on a disk mends it.
fn refuse_all(waiting: Vec<Waiting>, error: Error) -> Result<(), End> {
    for waiting in waiting {
        waiting.answer(Err(error.clone()));
    }
    if matches!(error, Error::Full) { Ok(()) } else { Err(End::Stopped(error)) }
}
