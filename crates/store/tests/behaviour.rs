//! The behaviour of batches: atomicity, idempotency, logs, counters, limits, opening.
#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

#[macro_use]
mod common;

use std::path::Path;

use common::{Home, commit};
use store::{Batch, Collection, Error, Log, Op, Store};

over_each_home! {
    kept:
        a_batch_applied_twice_is_answered_with_its_first_result,
        sixteen_writers_at_once_get_numbers_of_their_own,
        a_view_sees_one_moment_while_others_write,
        a_store_is_open_once_and_again_after_it_is_closed;
    any:
        an_id_used_for_another_batch_is_refused,
        a_batch_that_fails_half_way_leaves_nothing,
        trimming_a_log_keeps_its_numbering,
        pages_of_a_collection_follow_one_another_and_leave_others_out,
        typed_values_come_back_and_foreign_ones_are_named,
        what_is_too_large_or_badly_named_is_refused_before_it_is_written,
        old_batch_ids_are_forgotten_and_recent_ones_are_not,
}

fn in_directory<T>(body: impl FnOnce(&Path) -> T) -> T {
    let directory = tempfile::tempdir().expect("directory");
    body(&directory.path().join("state.db"))
}

fn a_batch_applied_twice_is_answered_with_its_first_result(home: &Home) {
    let store = home.open();
    let mut batch = Batch::new();
    batch.put("vm", "1", "first").append("event", 5, "started").reserve("key", 3);
    let first = store.commit_blocking(batch.clone()).unwrap();
    assert_eq!(
        (first.replayed, first.appended.as_slice(), &first.reserved[..]),
        (false, &[1][..], &[1..4][..])
    );
    commit(&store, |b| {
        b.put("vm", "1", "second");
    });
    drop(store);

    let store = home.open();
    let again = store.commit_blocking(batch).unwrap();
    assert_eq!(again, store::Committed { replayed: true, ..first });
    assert_eq!(store.get("vm", "1").unwrap().unwrap(), b"second");
    assert_eq!(store.tail("event", 10).unwrap().len(), 1);
    assert_eq!(store.read(|v| v.counter("key")).unwrap(), 4);
}

fn an_id_used_for_another_batch_is_refused(home: &Home) {
    let store = home.open();
    let mut batch = Batch::new();
    batch.put("vm", "1", "a");
    store.commit_blocking(batch.clone()).unwrap();
    batch.put("vm", "2", "b");
    assert!(matches!(store.commit_blocking(batch.clone()), Err(Error::IdReused(id)) if id == batch.id));
    assert_eq!(store.get("vm", "2").unwrap(), None);
}

fn a_batch_that_fails_half_way_leaves_nothing(home: &Home) {
    let store = home.open();
    let mut batch = Batch::new();
    batch.put("vm", "1", "a").append("event", 1, "x").reserve("key", u64::MAX);
    assert!(matches!(store.commit_blocking(batch), Err(Error::CounterExhausted(c)) if c == "key"));
    assert_eq!(store.get("vm", "1").unwrap(), None);
    assert_eq!(store.read(|v| v.last_sequence("event")).unwrap(), 0);
    assert_eq!(commit(&store, |b| _ = b.reserve("key", 2)).reserved, [1..3]);
}

fn sixteen_writers_at_once_get_numbers_of_their_own(home: &Home) {
    const WRITERS: u64 = 16;
    const EACH: u64 = 50;
    let store = home.open();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            runtime.spawn(async move {
                let mut numbers = Vec::new();
                for n in 0..EACH {
                    let mut batch = Batch::new();
                    batch.put("vm", format!("{writer}-{n}"), "x").append("event", 0, "y").reserve("key", 2);
                    numbers.extend(store.commit(batch).await.unwrap().reserved.remove(0));
                }
                numbers
            })
        })
        .collect();
    let mut numbers: Vec<u64> =
        tasks.into_iter().flat_map(|task| runtime.block_on(task).expect("writer")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=WRITERS * EACH * 2).collect::<Vec<_>>());
    let sequences: Vec<u64> = store.range("event", 0, 10_000).unwrap().iter().map(|e| e.sequence).collect();
    assert_eq!(sequences, (1..=WRITERS * EACH).collect::<Vec<_>>());
    assert_eq!(store.read(|v| v.count("vm")).unwrap(), WRITERS * EACH);
    assert_eq!(store.read(|v| v.position()).unwrap(), WRITERS * EACH);
}

fn trimming_a_log_keeps_its_numbering(home: &Home) {
    let store = home.open();
    for time in [10, 20, 30, 25, 40] {
        commit(&store, |b| _ = b.append("event", time, "x"));
    }
    commit(&store, |b| _ = b.trim("event", None, Some(26)));
    let left = |s: &Store| s.tail("event", 10).unwrap().iter().map(|e| e.sequence).collect::<Vec<_>>();
    // Entry 4 is older than 26 but stands behind a newer one.
    assert_eq!(left(&store), [3, 4, 5]);
    commit(&store, |b| _ = b.trim("event", Some(1), None));
    assert_eq!(left(&store), [5]);
    commit(&store, |b| _ = b.trim("event", Some(0), None));
    assert_eq!(commit(&store, |b| _ = b.append("event", 50, "y")).appended, [6]);
    assert_eq!(left(&store), [6]);
}

fn pages_of_a_collection_follow_one_another_and_leave_others_out(home: &Home) {
    let store = home.open();
    commit(&store, |b| {
        for key in ["a", "b", "c", "ä"] {
            b.put("vm", key, key.as_bytes());
        }
        b.put("vm2", "b2", "other");
    });
    let keys = |after: Option<&str>, limit| -> Vec<String> {
        store.scan("vm", after, limit).unwrap().into_iter().map(|r| r.key).collect()
    };
    assert_eq!(keys(None, 2), ["a", "b"]);
    assert_eq!(keys(Some("b"), 10), ["c", "ä"]);
    commit(&store, |b| _ = b.clear("vm"));
    assert!(keys(None, 10).is_empty());
    assert_eq!(store.read(|v| v.count("vm2")).unwrap(), 1);
}

fn a_view_sees_one_moment_while_others_write(home: &Home) {
    let store = home.open();
    commit(&store, |b| _ = b.put("vm", "1", "old"));
    store
        .read(|view| {
            assert_eq!(view.get("vm", "1")?.unwrap(), b"old");
            commit(&store, |b| _ = b.put("vm", "1", "new"));
            assert_eq!(view.get("vm", "1")?.unwrap(), b"old");
            Ok(())
        })
        .unwrap();
    assert_eq!(store.get("vm", "1").unwrap().unwrap(), b"new");
}

fn typed_values_come_back_and_foreign_ones_are_named(home: &Home) {
    const HOSTS: Collection<(String, u16)> = Collection::new("host");
    const EVENTS: Log<String> = Log::new("event");
    let store = home.open();
    let mut batch = Batch::new();
    HOSTS.put(&mut batch, "host-9", &("esx1".into(), 443)).unwrap();
    EVENTS.append(&mut batch, 7, &"connected".to_owned()).unwrap();
    store.commit_blocking(batch).unwrap();
    assert_eq!(HOSTS.get(&store, "host-9").unwrap(), Some(("esx1".into(), 443)));
    assert_eq!(EVENTS.tail(&store, 5).unwrap(), [(1, 7, "connected".to_owned())]);
    commit(&store, |b| _ = b.put("host", "host-10", "not json"));
    assert!(matches!(HOSTS.all(&store), Err(Error::Decode { key, .. }) if key == "host-10"));
}

fn what_is_too_large_or_badly_named_is_refused_before_it_is_written(home: &Home) {
    let store = home.open();
    let refused = |op: Op| {
        let mut batch = Batch::new();
        batch.put("vm", "before", "x").push(op);
        store.commit_blocking(batch).unwrap_err()
    };
    let big = vec![0; store::MAX_VALUE_BYTES + 1];
    assert!(matches!(
        refused(Op::Put { collection: "vm".into(), key: "1".into(), value: big }),
        Error::TooLarge { .. }
    ));
    let long = "k".repeat(store::MAX_KEY_BYTES + 1);
    assert!(matches!(refused(Op::Delete { collection: "vm".into(), key: long }), Error::TooLarge { .. }));
    for name in ["", "VM", "a b", "ä", &"n".repeat(store::MAX_NAME_BYTES + 1)] {
        assert!(matches!(refused(Op::Clear { collection: name.into() }), Error::InvalidName(_)), "{name}");
    }
    let mut many = Batch::new();
    for _ in 0..=store::MAX_BATCH_OPS {
        many.delete("vm", "1");
    }
    assert!(matches!(store.commit_blocking(many), Err(Error::TooLarge { .. })));
    assert!(matches!(store.scan("vm", None, store::MAX_PAGE + 1), Err(Error::TooLarge { .. })));
    assert_eq!(store.get("vm", "before").unwrap(), None);
}

fn old_batch_ids_are_forgotten_and_recent_ones_are_not(home: &Home) {
    let store = home.open();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let batch = |n: u64| {
        let mut batch = Batch::with_id(store::BatchId::from_u128(u128::from(n) + 1));
        batch.reserve("key", 1);
        batch
    };
    let last = store::REMEMBERED_BATCHES + 1_000;
    runtime.block_on(async {
        // Many wait at a time, in the order of their numbers, so that they share transactions.
        for some in (0..last).collect::<Vec<_>>().chunks(500) {
            let commits = some.iter().map(|n| store.commit(batch(*n)));
            let all = futures_util::future::join_all(commits).await;
            assert!(all.into_iter().all(|committed| committed.is_ok_and(|committed| !committed.replayed)));
        }
        assert!(store.commit(batch(last - store::REMEMBERED_BATCHES)).await.unwrap().replayed);
        assert!(!store.commit(batch(0)).await.unwrap().replayed);
    });
}

fn a_store_is_open_once_and_again_after_it_is_closed(home: &Home) {
    let store = home.open();
    assert!(matches!(home.try_open(), Err(Error::InUse(_))));
    commit(&store, |b| _ = b.put("vm", "1", "x"));
    assert!(store.get("vm", "1").unwrap().is_some());
    drop(store);
    let store = home.open();
    assert!(store.get("vm", "1").unwrap().is_some());
    store.verify().unwrap();
}

#[test]
fn a_closed_store_is_one_file() {
    in_directory(|path| {
        commit(&Store::open(path).unwrap(), |b| _ = b.put("vm", "1", "x"));
        let log = path.with_extension("db-wal");
        assert!(!log.exists());
    });
}

#[test]
fn files_that_are_no_store_are_refused_and_left_as_they_are() {
    in_directory(|path| {
        std::fs::write(path, "this is a text, not a database, however long it may be ".repeat(100)).unwrap();
        let before = std::fs::read(path).unwrap();
        assert!(matches!(Store::open(path), Err(Error::Corrupt(_))));
        assert_eq!(std::fs::read(path).unwrap(), before);
    });
    in_directory(|path| {
        let foreign = rusqlite::Connection::open(path).unwrap();
        foreign.execute_batch("CREATE TABLE songs (name TEXT)").unwrap();
        drop(foreign);
        assert!(matches!(Store::open(path), Err(Error::Foreign)));
    });
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    in_directory(|path| {
        drop(Store::open(path).unwrap());
        rusqlite::Connection::open(path).unwrap().pragma_update(None, "user_version", 2).unwrap();
        assert!(matches!(Store::open(path), Err(Error::NewerFormat { found: 2, supported: 1 })));
    });
}

/// A store of 400 values whose file was damaged while it was closed.
fn damaged(path: &Path, damage: impl FnOnce(&mut [u8])) -> Store {
    let store = Store::open(path).unwrap();
    for n in 0..400 {
        commit(&store, |b| _ = b.put("vm", format!("{n:04}"), vec![7; 500]));
    }
    drop(store);
    let mut bytes = std::fs::read(path).unwrap();
    damage(&mut bytes);
    std::fs::write(path, bytes).unwrap();
    Store::open(path).unwrap()
}

#[test]
fn damage_in_the_file_is_found() {
    in_directory(|path| {
        let store = damaged(path, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 8192].fill(0x5a);
        });
        assert!(matches!(store.verify(), Err(Error::Corrupt(_))));
    });
}

#[test]
fn a_store_that_stopped_says_the_cause_with_every_refusal() {
    in_directory(|path| {
        // All but the first page, which has the schema.
        let store = damaged(path, |bytes| bytes[4096..].fill(0x5a));
        let write = || {
            let mut batch = Batch::new();
            batch.put("vm", "0200", "x");
            store.commit_blocking(batch).unwrap_err()
        };
        let first = write();
        assert!(matches!(first, Error::Corrupt(_)), "{first}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let told = runtime.block_on(store.stopped());
        for refusal in [told, write(), write()] {
            assert!(refusal.to_string().contains(&first.to_string()), "{refusal}");
        }
    });
}
