//! Typed handles: a [`Collection`] or [`Log`] of values that serde can write. Values are stored as compact JSON, so
//! fields can be added later and a person can read the file.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Batch, Error, Result, Store, View};

/// A collection of `T` by key. It refers to no store: make it once, as a constant.
pub struct Collection<T> {
    name: &'static str,
    of: PhantomData<fn() -> T>,
}

/// A log of `T`. It refers to no store: make it once, as a constant.
pub struct Log<T> {
    name: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Collection<T> {
    /// The collection named `name` (see [`Error::InvalidName`]).
    pub const fn new(name: &'static str) -> Self {
        Self { name, of: PhantomData }
    }

    /// Adds a write of a value to a batch.
    pub fn put(&self, batch: &mut Batch, key: &str, value: &T) -> Result<()> {
        batch.put(self.name, key, encode(self.name, value)?);
        Ok(())
    }

    /// Adds a removal of a value to a batch.
    pub fn delete(&self, batch: &mut Batch, key: &str) {
        batch.delete(self.name, key);
    }

    /// The value under `key`.
    pub fn get(&self, store: &Store, key: &str) -> Result<Option<T>> {
        store.read(|view| self.get_in(view, key))
    }

    /// The value under `key` in a view.
    pub fn get_in(&self, view: &View<'_>, key: &str) -> Result<Option<T>> {
        view.get(self.name, key)?.map(|value| decode(self.name, key, &value)).transpose()
    }

    /// All values in the order of their keys.
    pub fn all(&self, store: &Store) -> Result<Vec<(String, T)>> {
        store.read(|view| self.all_in(view))
    }

    /// All values in a view.
    pub fn all_in(&self, view: &View<'_>) -> Result<Vec<(String, T)>> {
        let mut all = Vec::new();
        view.for_each(self.name, |key, value| {
            all.push((key.to_owned(), decode(self.name, key, value)?));
            Ok(())
        })?;
        Ok(all)
    }
}

impl<T: Serialize + DeserializeOwned> Log<T> {
    /// The log named `name` (see [`Error::InvalidName`]).
    pub const fn new(name: &'static str) -> Self {
        Self { name, of: PhantomData }
    }

    /// Adds an entry to a batch.
    pub fn append(&self, batch: &mut Batch, time_ms: i64, value: &T) -> Result<()> {
        batch.append(self.name, time_ms, encode(self.name, value)?);
        Ok(())
    }

    /// Adds a trim of the log to a batch; see [`crate::Op::Trim`].
    pub fn trim(&self, batch: &mut Batch, keep: Option<u64>, before_ms: Option<i64>) {
        batch.trim(self.name, keep, before_ms);
    }

    /// The newest `limit` entries, oldest first, with sequence number and time.
    pub fn tail(&self, store: &Store, limit: usize) -> Result<Vec<(u64, i64, T)>> {
        self.decode(store.tail(self.name, limit)?)
    }

    /// Up to `limit` entries with sequence numbers from `from` on, oldest first.
    pub fn range(&self, store: &Store, from: u64, limit: usize) -> Result<Vec<(u64, i64, T)>> {
        self.decode(store.range(self.name, from, limit)?)
    }

    fn decode(&self, entries: Vec<crate::Entry>) -> Result<Vec<(u64, i64, T)>> {
        let one = |e: crate::Entry| {
            Ok((e.sequence, e.time_ms, decode(self.name, &e.sequence.to_string(), &e.value)?))
        };
        entries.into_iter().map(one).collect()
    }
}

fn encode<T: Serialize>(collection: &str, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|e| Error::Encode { collection: collection.to_owned(), reason: e.to_string() })
}

fn decode<T: DeserializeOwned>(collection: &str, key: &str, value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|e| Error::Decode {
        collection: collection.to_owned(),
        key: key.to_owned(),
        reason: e.to_string(),
    })
}
