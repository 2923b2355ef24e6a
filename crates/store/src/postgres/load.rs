//! Reading everything that the database has into an SQLite file.

use std::path::Path;

use futures_util::TryStreamExt;
use rusqlite::{Connection, params};
use tokio_postgres::{Client, Row};

use super::session::{Failure, connect, hang_up, lock, within};
use super::{Target, tables};
use crate::limits::ANSWER_LIMIT;
use crate::sqlite::{Keeping, open_writer, unsigned};
use crate::{Error, Result};

/// Others that may work with a database meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Shared,
    Nobody,
}

/// Copies what the database has at this moment into the new file `path`, and returns the bytes that it takes on the server's disk.
///
/// # Errors
/// [`Error::Refused`], [`Error::Held`], [`Error::NewerFormat`], [`Error::Foreign`], [`Error::Corrupt`].
pub(crate) async fn snapshot(target: &Target, path: &Path, others: Use) -> Result<u64> {
    let refused = |failure| match failure {
        Failure::Away(reason) => Error::Refused { database: target.to_string(), reason },
        Failure::Full => Error::Full,
        Failure::Stop(error) => error,
    };
    let (client, mut served) = connect(target).await.map_err(refused)?;
    let copied = async {
        if others == Use::Nobody
            && let Some(by) = within(ANSWER_LIMIT, lock(&client)).await?
        {
            return Err(Failure::Stop(Error::Held { database: target.to_string(), by }));
        }
        within(ANSWER_LIMIT, client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await?;
        if within(ANSWER_LIMIT, tables::format(&client)).await?.is_none() {
            let reason = "it has no store".to_owned();
            return Err(Failure::Stop(Error::Refused { database: target.to_string(), reason }));
        }
        let row = within(ANSWER_LIMIT, client.query_one("SELECT position FROM esfera.store", &[])).await?;
        let mut connection = open_writer(path, Keeping::Copy).map_err(Failure::Stop)?;
        fill(&client, &mut connection, unsigned(row.get(0))).await?;
        let size = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class \
                    WHERE relnamespace = to_regnamespace('esfera') AND relkind = 'r'";
        let row = within(ANSWER_LIMIT, client.query_one(size, &[])).await?;
        Ok(unsigned(row.get(0)))
    };
    let copied = copied.await;
    hang_up(&mut served).await;
    copied.map_err(refused)
}

/// Copies all rows into an empty file. `position` is that of the database's last batch.
pub(super) async fn fill(client: &Client, connection: &mut Connection, position: u64) -> Result<(), Failure> {
    let transaction = connection.transaction().map_err(local)?;
    {
        let mut insert = transaction.prepare("INSERT INTO record VALUES (?1, ?2, ?3)").map_err(local)?;
        rows(client, "SELECT collection, key, value FROM esfera.record", |row| {
            let key = std::str::from_utf8(row.try_get(1)?).map_err(corrupt)?;
            insert
                .execute(params![row.try_get::<_, &str>(0)?, key, row.try_get::<_, &[u8]>(2)?])
                .map_err(local)
        })
        .await?;
        let mut insert = transaction.prepare("INSERT INTO entry VALUES (?1, ?2, ?3, ?4)").map_err(local)?;
        rows(client, "SELECT log, sequence, time_ms, value FROM esfera.entry", |row| {
            let (sequence, time): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            let values = params![row.try_get::<_, &str>(0)?, sequence, time, row.try_get::<_, &[u8]>(3)?];
            insert.execute(values).map_err(local)
        })
        .await?;
        for (table, from) in [
            ("INSERT INTO log VALUES (?1, ?2)", "SELECT name, last FROM esfera.log"),
            ("INSERT INTO counter VALUES (?1, ?2)", "SELECT name, next FROM esfera.counter"),
        ] {
            let mut insert = transaction.prepare(table).map_err(local)?;
            rows(client, from, |row| {
                let values = params![row.try_get::<_, &str>(0)?, row.try_get::<_, i64>(1)?];
                insert.execute(values).map_err(local)
            })
            .await?;
        }
        let mut insert = transaction.prepare("INSERT INTO batch VALUES (?1, ?2, ?3, ?4)").map_err(local)?;
        rows(client, "SELECT position, id, digest, outcome FROM esfera.batch", |row| {
            let (position, digest): (i64, i64) = (row.try_get(0)?, row.try_get(2)?);
            let values = params![position, row.try_get::<_, &[u8]>(1)?, digest, row.try_get::<_, &str>(3)?];
            insert.execute(values).map_err(local)
        })
        .await?;
    }
    let last: i64 = transaction
        .query_row("SELECT coalesce(max(position), 0) FROM batch", [], |row| row.get(0))
        .map_err(local)?;
    if unsigned(last) != position {
        return Err(corrupt(format!("its last batch is {last}, it says {position}")));
    }
    transaction.commit().map_err(local)
}

/// Calls `each` with every row, without holding them all in memory.
async fn rows(
    client: &Client,
    words: &str,
    mut each: impl FnMut(&Row) -> Result<usize, Failure>,
) -> Result<(), Failure> {
    let none: [&str; 0] = [];
    let stream = within(ANSWER_LIMIT, client.query_raw(words, none)).await?;
    let mut stream = std::pin::pin!(stream);
    while let Some(row) = within(ANSWER_LIMIT, stream.try_next()).await? {
        each(&row)?;
    }
    Ok(())
}

fn local(error: rusqlite::Error) -> Failure {
    Failure::Stop(error.into())
}

fn corrupt(reason: impl std::fmt::Display) -> Failure {
    Failure::Stop(Error::Corrupt(reason.to_string()))
}
