//! Homes for the stores of tests: the same tests run over each of them.
#![allow(dead_code, clippy::unwrap_used)]

pub mod server;

use std::path::PathBuf;
use std::time::Duration;

use server::Server;
use store::{Batch, Options, Place, Store, Target};

pub enum Home {
    Memory,
    File(tempfile::TempDir),
    Database(Box<Server>, tempfile::TempDir),
}

impl Home {
    pub fn file() -> Self {
        Home::File(tempfile::tempdir().unwrap())
    }

    pub fn database() -> Self {
        Home::Database(Box::new(Server::start()), tempfile::tempdir().unwrap())
    }

    /// Opens the store. One in memory is another one each time.
    pub fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> store::Result<Store> {
        match self {
            Home::Memory => Store::in_memory(),
            Home::File(directory) => Store::open(directory.path().join("state.db")),
            Home::Database(server, directory) => {
                Store::connect(&target(server), directory.path().join("copy.db"), &Options::default())
            }
        }
    }

    pub fn place(&self) -> Place {
        match self {
            Home::Memory => panic!("a store in memory has no place"),
            Home::File(directory) => Place::File(directory.path().join("state.db")),
            Home::Database(server, _) => Place::Database(Box::new(target(server))),
        }
    }

    /// Removes the store, which must be closed.
    pub fn clear(&self) {
        match self {
            Home::Memory => {}
            Home::File(directory) => {
                for entry in std::fs::read_dir(directory.path()).unwrap() {
                    std::fs::remove_file(entry.unwrap().path()).unwrap();
                }
            }
            Home::Database(server, _) => {
                server.sql("DROP SCHEMA IF EXISTS esfera CASCADE");
            }
        }
    }
}

pub fn target(server: &Server) -> Target {
    Target::parse(&server.name()).unwrap()
}

/// A store that refuses soon while its database is away.
pub fn impatient(target: &Target, copy: PathBuf) -> Store {
    let options = Options { patience: Duration::from_millis(300), ..Options::default() };
    Store::connect(target, copy, &options).unwrap()
}

pub fn commit(store: &Store, fill: impl FnOnce(&mut Batch)) -> store::Committed {
    let mut batch = Batch::new();
    fill(&mut batch);
    store.commit_blocking(batch).expect("commit")
}

/// Makes tests of functions that take a home: over a file and a database, or over a store in memory too.
#[macro_export]
macro_rules! over_each_home {
    (kept: $($kept:ident),* $(,)?; any: $($any:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $any() { super::$any(&super::common::Home::Memory); })*
        }
        mod sqlite {
            $(#[test] fn $kept() { super::$kept(&super::common::Home::file()); })*
            $(#[test] fn $any() { super::$any(&super::common::Home::file()); })*
        }
        mod postgres {
            $(#[test] fn $kept() { super::$kept(&super::common::Home::database()); })*
            $(#[test] fn $any() { super::$any(&super::common::Home::database()); })*
        }
    };
}
