//! Random batches against a plain model in memory, with the store closed and opened in between.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::Home;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use store::{Batch, Committed, Error, Op, Store};

type LogEntry = (u64, i64, Vec<u8>);

#[derive(Default)]
struct Model {
    records: BTreeMap<(String, String), Vec<u8>>,
    /// Last sequence number and remaining entries of each log.
    logs: BTreeMap<String, (u64, Vec<LogEntry>)>,
    counters: BTreeMap<String, u64>,
    applied: Vec<(Batch, Committed)>,
}

impl Model {
    fn apply(&mut self, batch: &Batch) -> Result<Committed, ()> {
        if let Some((old, committed)) = self.applied.iter().find(|(old, _)| old.id == batch.id) {
            return if old == batch {
                Ok(Committed { replayed: true, ..committed.clone() })
            } else {
                Err(())
            };
        }
        let (mut appended, mut reserved) = (Vec::new(), Vec::new());
        for op in batch.ops.clone() {
            match op {
                Op::Put { collection, key, value } => _ = self.records.insert((collection, key), value),
                Op::Delete { collection, key } => _ = self.records.remove(&(collection, key)),
                Op::Clear { collection } => self.records.retain(|(c, _), _| *c != collection),
                Op::Append { log, time_ms, value } => {
                    let (last, entries) = self.logs.entry(log).or_default();
                    *last += 1;
                    entries.push((*last, time_ms, value));
                    appended.push(*last);
                }
                Op::Trim { log, keep, before_ms } => {
                    if let Some((last, entries)) = self.logs.get_mut(&log) {
                        if let Some(keep) = keep {
                            entries.retain(|e| e.0 + keep > *last);
                        }
                        if let Some(before) = before_ms {
                            let gone = entries.iter().take_while(|e| e.1 < before).count();
                            entries.drain(..gone);
                        }
                    }
                }
                Op::Reserve { counter, n } => {
                    let next = self.counters.entry(counter).or_insert(1);
                    reserved.push(*next..*next + n);
                    *next += n;
                }
            }
        }
        let position = self.applied.len() as u64 + 1;
        let committed = Committed { position, appended, reserved, replayed: false };
        self.applied.push((batch.clone(), committed.clone()));
        Ok(committed)
    }

    fn compare(&self, store: &Store) {
        for collection in NAMES {
            let records = self.records.iter().filter(|((c, _), _)| c == collection);
            let expected: Vec<_> = records.map(|((_, k), v)| (k.clone(), v.clone())).collect();
            let records = store.scan(collection, None, 1000).unwrap();
            let found: Vec<_> = records.into_iter().map(|r| (r.key, r.value)).collect();
            assert_eq!(found, expected, "collection {collection}");
            let (last, expected) = self.logs.get(collection).cloned().unwrap_or_default();
            let entries = store.range(collection, 0, 1000).unwrap();
            let found: Vec<_> = entries.into_iter().map(|e| (e.sequence, e.time_ms, e.value)).collect();
            assert_eq!(found, expected, "log {collection}");
            assert_eq!(store.read(|v| v.last_sequence(collection)).unwrap(), last);
            let next = self.counters.get(collection).copied().unwrap_or(1);
            assert_eq!(store.read(|v| v.counter(collection)).unwrap(), next);
        }
    }
}

const NAMES: [&str; 3] = ["a", "b", "ab"];

fn op() -> impl Strategy<Value = Op> {
    let name = || prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
    let key = || prop_oneof![".{0,3}", "[ab]"];
    let value = || prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        4 => (name(), key(), value()).prop_map(|(collection, key, value)| Op::Put { collection, key, value }),
        2 => (name(), key()).prop_map(|(collection, key)| Op::Delete { collection, key }),
        1 => name().prop_map(|collection| Op::Clear { collection }),
        4 => (name(), -5i64..50, value()).prop_map(|(log, time_ms, value)| Op::Append { log, time_ms, value }),
        1 => (name(), prop::option::of(0u64..5), prop::option::of(-5i64..50))
            .prop_map(|(log, keep, before_ms)| Op::Trim { log, keep, before_ms }),
        2 => (name(), 0u64..100).prop_map(|(counter, n)| Op::Reserve { counter, n }),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Batch),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    // Few ids, so that some repeat, with the same operations or others.
    let batch = (any::<u128>(), 0u128..40, prop::collection::vec(op(), 0..6), any::<bool>()).prop_map(
        |(random, few, ops, fresh)| Batch {
            id: store::BatchId::from_u128(if fresh { random } else { few }),
            ops,
        },
    );
    prop_oneof![8 => batch.prop_map(Step::Commit), 1 => Just(Step::Reopen)]
}

/// Takes the steps with the store of `home`, which is empty, and with the model.
fn follow(home: &Home, steps: Vec<Step>, twice: bool) -> Result<(), TestCaseError> {
    let mut store = home.open();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Reopen => {
                if !matches!(home, Home::Memory) {
                    drop(store);
                    store = home.open();
                }
            }
            Step::Commit(batch) => {
                for _ in 0..=usize::from(twice) {
                    let expected = model.apply(&batch);
                    match (store.commit_blocking(batch.clone()), &expected) {
                        (Ok(found), Ok(expected)) => prop_assert_eq!(&found, expected),
                        (Err(Error::IdReused(_)), Err(())) => {}
                        (found, expected) => prop_assert!(false, "{found:?}, expected {expected:?}"),
                    }
                }
            }
        }
    }
    model.compare(&store);
    store.verify().unwrap();
    if let Home::Database(..) = home {
        // The copy is made anew of the database.
        drop(store);
        model.compare(&home.open());
    }
    home.clear();
    Ok(())
}

fn follows(home: &Home, cases: u32) {
    let mut runner = TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let steps = (prop::collection::vec(step(), 1..40), any::<bool>());
    runner.run(&steps, |(steps, twice)| follow(home, steps, twice)).unwrap();
}

#[test]
fn a_store_in_memory_does_what_the_model_does() {
    follows(&Home::Memory, 48);
}

#[test]
fn a_store_in_a_file_does_what_the_model_does() {
    follows(&Home::file(), 48);
}

#[test]
fn a_store_in_a_database_does_what_the_model_does() {
    follows(&Home::database(), 24);
}
