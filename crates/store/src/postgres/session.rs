//! One connection to the database that may write: it has the lock that only one center has, and each of its transactions
//! proves that nobody has opened the database since.

use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::effects::Effects;
use super::target::Target;
use super::{tables, tls};
use crate::limits::ANSWER_LIMIT;
use crate::sqlite::{signed, unsigned};
use crate::{Error, Result};

/// The key of the lock, "ESFS". It is a lock of the database, so other databases of the server have their own.
const LOCK: i64 = 0x4553_4653;

/// A server that loses a center without a word lets go of its lock after this long.
const SETTINGS: &str = "
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '30s';
SET lock_timeout = '5s'; SET jit = off; SET client_min_messages = warning; SET timezone = 'UTC'; SET bytea_output = hex;";

/// Why the database did not do something.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It does not answer, or not as it should: another connection may help. The outcome is unknown.
    Away(String),
    /// Its disk is full. Nothing was done.
    Full,
    /// It will not do it later either.
    Stop(Error),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = words(&error);
        let Some(code) = error.code() else {
            // Without an answer of the server: the connection, or what came over it.
            return Failure::Away(text);
        };
        match code.code().get(..2).unwrap_or_default() {
            _ if *code == SqlState::DISK_FULL => Failure::Full,
            // Connections, resources, another transaction, an operator, the operating system.
            "08" | "53" | "40" | "55" | "57" | "58" => Failure::Away(text),
            _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
                Failure::Away("the server takes no writes: it is a standby".into())
            }
            // The proof that nobody has opened the database since failed: the next connection tells who has.
            _ if *code == SqlState::NOT_NULL_VIOLATION => {
                Failure::Away("another process has opened the database".into())
            }
            // Somebody changes who may log in, or restores the database.
            "28" | "3D" => Failure::Away(text),
            _ => Failure::Stop(Error::Io(text)),
        }
    }
}

/// The error with its causes.
fn words(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A connection is served by a task that ends with the reason.
pub(super) type Served = JoinHandle<String>;

/// Connects and logs in.
pub(super) async fn connect(target: &Target) -> Result<(Client, Served), Failure> {
    fn serve<F>(connection: F) -> Served
    where
        F: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    {
        tokio::spawn(async move {
            connection.await.map_or_else(|error| words(&error), |()| "the connection was closed".into())
        })
    }
    let connecting = async {
        Ok::<_, Failure>(match tls::connector(&target.encryption).map_err(Failure::Stop)? {
            Some(tls) => {
                let (client, connection) = target.config.connect(tls).await?;
                (client, serve(connection))
            }
            None => {
                let (client, connection) = target.config.connect(tokio_postgres::NoTls).await?;
                (client, serve(connection))
            }
        })
    };
    within(ANSWER_LIMIT, connecting).await
}

/// Waits for an answer, and no longer than `limit`.
pub(super) async fn within<T, E>(
    limit: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    match timeout(limit, answer).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::Away(format!("it has not answered for {} s", limit.as_secs()))),
    }
}

/// Why a connection may not write.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The database failed.
    Failed(Failure),
    /// Another process has the lock.
    Held(String),
    /// Another process has opened the database since this one did.
    Taken(String),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Refusal::Failed(failure)
    }
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        Refusal::Failed(error.into())
    }
}

/// The process that wants to write.
pub(super) struct Claimant {
    /// Its identity.
    pub(super) instance: String,
    /// The same, for people.
    pub(super) name: String,
}

/// A connection that may write.
pub(super) struct Session {
    pub(super) client: Client,
    served: Served,
    statements: Statements,
    /// Rises with every connection that may write.
    epoch: i64,
    /// Process of the server that serves this connection.
    process: i32,
    /// Position of the last batch that the database had when the session began.
    pub(super) position: u64,
}

impl Session {
    /// Connects and takes the lock. `before` is the process of the server that served this claimant last.
    pub(super) async fn claim(
        target: &Target,
        claimant: &Claimant,
        before: Option<i32>,
    ) -> Result<Self, Refusal> {
        let (mut client, served) = connect(target).await?;
        let claimed = within(ANSWER_LIMIT, async {
            Ok::<_, Failure>(Self::claim_with(&mut client, claimant, before).await)
        });
        let (statements, epoch, process, position) = claimed.await??;
        Ok(Self { client, served, statements, epoch, process, position })
    }

    async fn claim_with(
        client: &mut Client,
        claimant: &Claimant,
        before: Option<i32>,
    ) -> Result<(Statements, i64, i32, u64), Refusal> {
        client.batch_execute(SETTINGS).await?;
        let locked = try_lock(client).await?;
        let holder = tables::holder(client).await?;
        if !locked {
            let holder = holder.filter(|holder| !holder.name.is_empty());
            if let (Some(before), Some(holder)) = (before, &holder) {
                if holder.instance != claimant.instance {
                    return Err(Refusal::Taken(holder.name.clone()));
                }
                // The server has not noticed yet that the connection is gone.
                end_of(client, before).await?;
            }
            let name = holder.map_or_else(|| "another process".to_owned(), |holder| holder.name);
            return Err(Refusal::Held(name));
        }
        match (before, holder) {
            (Some(_), Some(holder)) if holder.instance != claimant.instance => {
                return Err(Refusal::Taken(holder.name));
            }
            (Some(_), None) => {
                let gone = Error::Corrupt("its tables are gone".into());
                return Err(Refusal::Failed(Failure::Stop(gone)));
            }
            (Some(_), Some(_)) => {}
            (None, _) => tables::prepare(client).await?,
        }
        let durable = "SELECT current_setting('synchronous_commit'), current_setting('fsync')";
        let row = client.query_one(durable, &[]).await?;
        if ["off", "local", "remote_write"].contains(&row.get::<_, &str>(0)) {
            client.batch_execute("SET synchronous_commit = on").await?;
        }
        if row.get::<_, &str>(1) == "off" {
            tracing::warn!(
                "the database server runs with fsync off: a loss of power there loses what was acknowledged"
            );
        }
        let row = client
            .query_one(
                "UPDATE esfera.store SET epoch = epoch + 1, instance = $1, holder = $2 \
                 RETURNING epoch, position, pg_backend_pid()",
                &[&claimant.instance, &claimant.name],
            )
            .await?;
        let statements = Statements::prepare(client).await?;
        Ok((statements, row.get(0), row.get(2), unsigned(row.get(1))))
    }

    /// Waits until the connection is lost, and tells why.
    pub(super) async fn lost(&mut self) -> String {
        (&mut self.served).await.unwrap_or_else(|error| error.to_string())
    }

    /// The process of the server that serves this connection.
    pub(super) fn process(&self) -> i32 {
        self.process
    }

    /// Closes the connection, and waits until it is.
    pub(super) async fn close(mut self) {
        hang_up(&mut self.served).await;
    }

    /// Asks whether the database is there, and still this session's.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let asked = self.client.query_one("SELECT epoch FROM esfera.store", &[]);
        let epoch: i64 = within(ANSWER_LIMIT, asked).await?.get(0);
        if epoch != self.epoch {
            return Err(Failure::Away("another process has opened the database".into()));
        }
        Ok(())
    }

    /// Makes the changes in one transaction, in one round trip. `from` is the position before them.
    pub(super) async fn send(&self, effects: &Effects<'_>, from: u64) -> Result<(), Failure> {
        let Some(position) = effects.position() else { return Ok(()) };
        let rows = Rows::of(effects);
        let mut steps: Vec<Step<'_>> = Vec::with_capacity(16);
        steps.push(self.simple("BEGIN"));
        steps.push(self.guard(from, position));
        rows.steps(&self.client, &self.statements, &mut steps);
        steps.push(self.simple("COMMIT"));
        within(limit_for(rows.bytes), pipeline(steps)).await
    }

    /// Replaces the position within a transaction, which fails if it was not `from`, or if this session may not write.
    fn guard(&self, from: u64, position: u64) -> Step<'_> {
        let (epoch, from, position) = (self.epoch, signed(from), signed(position));
        Box::pin(async move {
            self.client.execute(&self.statements.guard, &[&epoch, &from, &position]).await.map(drop)
        })
    }

    fn simple(&self, words: &'static str) -> Step<'_> {
        Box::pin(self.client.batch_execute(words))
    }

    /// Begins a transaction that replaces everything.
    pub(super) async fn begin_anew(&self, position: u64) -> Result<(), Failure> {
        let begin = async {
            self.client.batch_execute("BEGIN").await?;
            let row = self.client.query_one("SELECT position FROM esfera.store", &[]).await?;
            self.guard(unsigned(row.get(0)), position).await?;
            self.client
                .batch_execute(
                    "TRUNCATE esfera.record, esfera.entry, esfera.log, esfera.counter, esfera.batch",
                )
                .await
        };
        within(ANSWER_LIMIT, begin).await
    }

    /// Writes rows within the transaction that [`Session::begin_anew`] began.
    pub(super) async fn add(&self, effects: &Effects<'_>) -> Result<(), Failure> {
        let rows = Rows::of(effects);
        let mut steps = Vec::new();
        rows.steps(&self.client, &self.statements, &mut steps);
        within(limit_for(rows.bytes), pipeline(steps)).await
    }

    /// Ends it.
    pub(super) async fn commit(&self) -> Result<(), Failure> {
        within(ANSWER_LIMIT * 3, self.client.batch_execute("COMMIT")).await
    }
}

/// Ends a connection, and waits until it has ended.
pub(super) async fn hang_up(served: &mut Served) {
    served.abort();
    let _ = served.await;
}

impl Drop for Session {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn try_lock(client: &Client) -> Result<bool, Failure> {
    Ok(client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await?.get(0))
}

/// Takes the lock for as long as the connection lasts, or tells who has it.
pub(super) async fn lock(client: &Client) -> Result<Option<String>, Failure> {
    if try_lock(client).await? {
        return Ok(None);
    }
    let holder = tables::holder(client).await?.map(|holder| holder.name).filter(|name| !name.is_empty());
    Ok(Some(holder.unwrap_or_else(|| "another process".into())))
}

/// Ends a process of the server, if it has the lock.
async fn end_of(client: &Client, process: i32) -> Result<(), Failure> {
    client
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = $1 \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND (classid::bigint << 32) | objid::bigint = $2",
            &[&process, &LOCK],
        )
        .await?;
    Ok(())
}

/// A slow line takes time for many bytes.
fn limit_for(bytes: usize) -> Duration {
    ANSWER_LIMIT + Duration::from_millis(bytes as u64 / 1024)
}

type Step<'a> = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send + 'a>>;

/// Sends all steps before it waits for the first answer. The first failure is the cause of those behind it.
async fn pipeline(steps: Vec<Step<'_>>) -> Result<(), tokio_postgres::Error> {
    // As many as `join_all` polls in this order.
    debug_assert!(steps.len() <= 30, "{} steps", steps.len());
    join_all(steps).await.into_iter().collect()
}

struct Statements {
    guard: Statement,
    clear: Statement,
    delete: Statement,
    put: Statement,
    append: Statement,
    trim: Statement,
    logs: Statement,
    counters: Statement,
    batches: Statement,
    forget: Statement,
}

impl Statements {
    async fn prepare(client: &Client) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            guard: client
                .prepare(
                    "UPDATE esfera.store SET position = $3, \
                     epoch = CASE WHEN epoch = $1 AND position = $2 THEN epoch END",
                )
                .await?,
            clear: client.prepare("DELETE FROM esfera.record WHERE collection = ANY ($1::text[])").await?,
            delete: client
                .prepare(
                    "DELETE FROM esfera.record USING unnest($1::text[], $2::bytea[]) AS gone (collection, key) \
                     WHERE record.collection = gone.collection AND record.key = gone.key",
                )
                .await?,
            put: client
                .prepare(
                    "INSERT INTO esfera.record (collection, key, value) \
                     SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[]) \
                     ON CONFLICT (collection, key) DO UPDATE SET value = excluded.value",
                )
                .await?,
            append: client
                .prepare(
                    "INSERT INTO esfera.entry (log, sequence, time_ms, value) \
                     SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[])",
                )
                .await?,
            trim: client
                .prepare(
                    "DELETE FROM esfera.entry USING unnest($1::text[], $2::bigint[]) AS gone (log, through) \
                     WHERE entry.log = gone.log AND entry.sequence <= gone.through",
                )
                .await?,
            logs: client
                .prepare(
                    "INSERT INTO esfera.log (name, last) SELECT * FROM unnest($1::text[], $2::bigint[]) \
                     ON CONFLICT (name) DO UPDATE SET last = excluded.last",
                )
                .await?,
            counters: client
                .prepare(
                    "INSERT INTO esfera.counter (name, next) SELECT * FROM unnest($1::text[], $2::bigint[]) \
                     ON CONFLICT (name) DO UPDATE SET next = excluded.next",
                )
                .await?,
            batches: client
                .prepare(
                    "INSERT INTO esfera.batch (position, id, digest, outcome) \
                     SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[])",
                )
                .await?,
            forget: client.prepare("DELETE FROM esfera.batch WHERE position <= $1").await?,
        })
    }
}

// Columns of a statement that takes many rows.
type Names<'a> = Vec<&'a str>;
type Blobs<'a> = Vec<&'a [u8]>;
type Numbers = Vec<i64>;

/// Effects as columns, the form in which a statement takes many rows.
#[derive(Default)]
struct Rows<'a> {
    cleared: Names<'a>,
    deleted: (Names<'a>, Blobs<'a>),
    put: (Names<'a>, Blobs<'a>, Blobs<'a>),
    appended: (Names<'a>, Numbers, Numbers, Blobs<'a>),
    trimmed: (Names<'a>, Numbers),
    logs: (Names<'a>, Numbers),
    counters: (Names<'a>, Numbers),
    batches: (Numbers, Blobs<'a>, Numbers, Names<'a>),
    forgotten: Option<i64>,
    bytes: usize,
}

impl<'a> Rows<'a> {
    fn of(effects: &'a Effects<'_>) -> Self {
        let mut rows = Self { cleared: effects.cleared.iter().copied().collect(), ..Self::default() };
        for ((collection, key), value) in &effects.records {
            match value {
                Some(value) => {
                    rows.put.0.push(collection);
                    rows.put.1.push(key.as_bytes());
                    rows.put.2.push(value);
                    rows.bytes += key.len() + value.len();
                }
                None => {
                    rows.deleted.0.push(collection);
                    rows.deleted.1.push(key.as_bytes());
                    rows.bytes += key.len();
                }
            }
        }
        for (log, sequence, time_ms, value) in &effects.entries {
            rows.appended.0.push(log);
            rows.appended.1.push(signed(*sequence));
            rows.appended.2.push(*time_ms);
            rows.appended.3.push(value);
            rows.bytes += value.len();
        }
        let pairs = |numbers: &'a std::collections::BTreeMap<&'a str, u64>| {
            numbers.iter().map(|(name, number)| (*name, signed(*number))).unzip()
        };
        rows.trimmed = pairs(&effects.trimmed);
        rows.logs = pairs(&effects.logs);
        rows.counters = pairs(&effects.counters);
        for batch in &effects.batches {
            rows.batches.0.push(signed(batch.position));
            rows.batches.1.push(&batch.id);
            rows.batches.2.push(batch.digest);
            rows.batches.3.push(&batch.outcome);
        }
        rows.forgotten = effects.forgotten.map(signed);
        rows
    }

    /// Adds a step for each table that changes.
    fn steps<'b>(&'b self, client: &'b Client, statements: &'b Statements, steps: &mut Vec<Step<'b>>) {
        let mut step = |needed: bool, statement: &'b Statement, values: Vec<&'b (dyn ToSql + Sync)>| {
            if needed {
                steps.push(Box::pin(async move { client.execute(statement, &values).await.map(drop) }));
            }
        };
        let Rows { deleted, put, appended, trimmed, logs, counters, batches, .. } = self;
        step(!self.cleared.is_empty(), &statements.clear, vec![&self.cleared]);
        step(!deleted.0.is_empty(), &statements.delete, vec![&deleted.0, &deleted.1]);
        step(!put.0.is_empty(), &statements.put, vec![&put.0, &put.1, &put.2]);
        let columns: Vec<&(dyn ToSql + Sync)> = vec![&appended.0, &appended.1, &appended.2, &appended.3];
        step(!appended.0.is_empty(), &statements.append, columns);
        step(!trimmed.0.is_empty(), &statements.trim, vec![&trimmed.0, &trimmed.1]);
        step(!logs.0.is_empty(), &statements.logs, vec![&logs.0, &logs.1]);
        step(!counters.0.is_empty(), &statements.counters, vec![&counters.0, &counters.1]);
        let columns: Vec<&(dyn ToSql + Sync)> = vec![&batches.0, &batches.1, &batches.2, &batches.3];
        step(!batches.0.is_empty(), &statements.batches, columns);
        if let Some(forgotten) = &self.forgotten {
            step(true, &statements.forget, vec![forgotten]);
        }
    }
}
