//! The tables in PostgreSQL, in a schema of their own, and their format. `FORMAT.md` describes them.

use tokio_postgres::Client;

use super::session::Failure;
use crate::Error;
use crate::migrate::{FORMAT_VERSION, STEPS, Step, remaining};

/// Keys and values are bytes, so that they compare as in SQLite, whatever the database's encoding is.
const TABLES: &str = r#"
CREATE SCHEMA IF NOT EXISTS esfera;
CREATE TABLE esfera.record (
    collection text COLLATE "C" NOT NULL, key bytea NOT NULL, value bytea NOT NULL,
    PRIMARY KEY (collection, key));
CREATE TABLE esfera.entry (
    log text COLLATE "C" NOT NULL, sequence bigint NOT NULL, time_ms bigint NOT NULL, value bytea NOT NULL,
    PRIMARY KEY (log, sequence));
CREATE TABLE esfera.log (name text COLLATE "C" PRIMARY KEY, last bigint NOT NULL);
CREATE TABLE esfera.counter (name text COLLATE "C" PRIMARY KEY, next bigint NOT NULL);
CREATE TABLE esfera.batch (
    position bigint PRIMARY KEY, id bytea NOT NULL UNIQUE, digest bigint NOT NULL, outcome text NOT NULL);
CREATE TABLE esfera.store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), format integer NOT NULL, epoch bigint NOT NULL,
    position bigint NOT NULL, instance text NOT NULL, holder text NOT NULL);
"#;

/// The process that works with the database.
pub(super) struct Holder {
    /// Identity of the process that opened it last.
    pub(super) instance: String,
    /// The same, for people.
    pub(super) name: String,
}

/// The process that opened the database last; none if it has no store.
pub(super) async fn holder(client: &Client) -> Result<Option<Holder>, Failure> {
    if !exists(client).await? {
        return Ok(None);
    }
    let row = client.query_opt("SELECT instance, holder FROM esfera.store", &[]).await?;
    Ok(row.map(|row| Holder { instance: row.get(0), name: row.get(1) }))
}

async fn exists(client: &Client) -> Result<bool, Failure> {
    Ok(client.query_one("SELECT to_regclass('esfera.store') IS NOT NULL", &[]).await?.get(0))
}

/// The format of the store in the database; none if it has no store.
pub(super) async fn format(client: &Client) -> Result<Option<u32>, Failure> {
    if !exists(client).await? {
        let others = "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('esfera'))";
        if client.query_one(others, &[]).await?.get(0) {
            return Err(Failure::Stop(Error::Foreign));
        }
        return Ok(None);
    }
    let row = client.query_opt("SELECT format FROM esfera.store", &[]).await?;
    let found = row.map_or(0, |row| u32::try_from(row.get::<_, i32>(0)).unwrap_or(0));
    remaining(found, STEPS).map_err(Failure::Stop)?;
    Ok(Some(found))
}

/// Makes the tables if there are none, and takes older ones to the newest format.
pub(super) async fn prepare(client: &mut Client) -> Result<(), Failure> {
    if let Some(found) = format(client).await? {
        return migrate(client, found, STEPS).await;
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(TABLES).await?;
    let format = i32::try_from(FORMAT_VERSION).expect("formats are few");
    transaction
        .execute(
            "INSERT INTO esfera.store (format, epoch, position, instance, holder) VALUES ($1, 0, 0, '', '')",
            &[&format],
        )
        .await?;
    Ok(transaction.commit().await?)
}

/// Takes the steps that the tables have not seen, each with its new version in one transaction.
async fn migrate(client: &mut Client, found: u32, steps: &[Step]) -> Result<(), Failure> {
    for (version, step) in (found + 1..).zip(remaining(found, steps).map_err(Failure::Stop)?) {
        tracing::info!(version, "the store's tables move to a newer format");
        let transaction = client.transaction().await?;
        transaction.batch_execute(step.postgres).await?;
        let version = i32::try_from(version).expect("formats are few");
        transaction.execute("UPDATE esfera.store SET format = $1", &[&version]).await?;
        transaction.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "../../tests/common/server.rs"]
mod server;

#[cfg(test)]
mod tests {
    use super::server::Server;
    use super::*;
    use crate::postgres::Target;
    use crate::postgres::session::connect;

    #[tokio::test]
    async fn tables_take_the_steps_that_they_have_not_seen() {
        const STEPS: [Step; 2] = [
            Step { sqlite: "", postgres: "CREATE TABLE esfera.first (n int)" },
            Step { sqlite: "", postgres: "CREATE TABLE esfera.second (n int); SELECT nonsense" },
        ];
        let server = Server::start();
        let (mut client, _connection) = connect(&Target::parse(&server.name()).unwrap()).await.unwrap();
        prepare(&mut client).await.unwrap();
        prepare(&mut client).await.unwrap();

        migrate(&mut client, 1, &STEPS[..1]).await.unwrap();
        assert!(matches!(migrate(&mut client, 2, &STEPS).await, Err(Failure::Stop(_))));
        let format: i32 = client.query_one("SELECT format FROM esfera.store", &[]).await.unwrap().get(0);
        let count =
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'esfera' AND tablename IN ('first', 'second')";
        let made: i64 = client.query_one(count, &[]).await.unwrap().get(0);
        assert_eq!((format, made), (2, 1));
        // This program knows no second format.
        assert!(matches!(
            prepare(&mut client).await,
            Err(Failure::Stop(Error::NewerFormat { found: 2, supported: 1 }))
        ));
    }
}
