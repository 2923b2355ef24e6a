//! The changes that a group of applied batches makes in the tables, each row once: the database gets rows, and computes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::sqlite::{Applied, BatchRow, forgotten};
use crate::{Batch, Op};

/// Changes in the order in which they are made: collections are cleared, records removed and written, entries added and
/// removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects<'a> {
    pub(crate) cleared: BTreeSet<&'a str>,
    /// The value, or none for a record that is removed.
    pub(crate) records: BTreeMap<(&'a str, &'a str), Option<&'a [u8]>>,
    /// Log, sequence number, time, value.
    pub(crate) entries: Vec<(&'a str, u64, i64, &'a [u8])>,
    /// Logs with the sequence number through which they are gone.
    pub(crate) trimmed: BTreeMap<&'a str, u64>,
    pub(crate) logs: BTreeMap<&'a str, u64>,
    pub(crate) counters: BTreeMap<&'a str, u64>,
    pub(crate) batches: Vec<BatchRow>,
    /// The position through which batches are forgotten.
    pub(crate) forgotten: Option<u64>,
}

impl<'a> Effects<'a> {
    /// Adds a batch that was applied after those that were added before; nothing for one that had been applied already.
    pub(crate) fn add(&mut self, batch: &'a Batch, applied: &Applied) {
        let committed = &applied.committed;
        if committed.replayed {
            return;
        }
        let (mut appended, mut reserved) = (committed.appended.iter(), committed.reserved.iter());
        let mut trimmed = applied.trimmed.iter();
        for op in &batch.ops {
            match op {
                Op::Put { collection, key, value } => _ = self.records.insert((collection, key), Some(value)),
                Op::Delete { collection, key } => _ = self.records.insert((collection, key), None),
                Op::Clear { collection } => {
                    self.records.retain(|(name, _), _| name != collection);
                    self.cleared.insert(collection);
                }
                Op::Append { log, time_ms, value } => {
                    let sequence = *appended.next().expect("each append has a number");
                    self.entries.push((log, sequence, *time_ms, value));
                    self.logs.insert(log, sequence);
                }
                Op::Trim { log, .. } => {
                    let through = *trimmed.next().expect("each trim has a number");
                    let known = self.trimmed.entry(log).or_default();
                    *known = through.max(*known);
                }
                Op::Reserve { counter, .. } => {
                    let range = reserved.next().expect("each reserve has a range");
                    self.counters.insert(counter, range.end);
                }
            }
        }
        self.batches.push(BatchRow {
            position: committed.position,
            id: *batch.id.as_bytes(),
            digest: applied.digest,
            outcome: applied.outcome.clone(),
        });
        self.forgotten = forgotten(committed.position).max(self.forgotten);
    }

    /// Position of the last batch; none if nothing was applied.
    pub(crate) fn position(&self) -> Option<u64> {
        self.batches.last().map(|batch| batch.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{apply_all, begin, open_memory};

    /// The effects of batches on an empty store.
    fn effects(batches: &[Batch], check: impl FnOnce(&Effects<'_>)) {
        let mut connection = open_memory().unwrap();
        let mut transaction = begin(&mut connection).unwrap();
        let all: Vec<&Batch> = batches.iter().collect();
        let applied = apply_all(&mut transaction, &all).unwrap();
        let mut effects = Effects::default();
        for (batch, applied) in batches.iter().zip(&applied) {
            if let Ok(applied) = applied {
                effects.add(batch, applied);
            }
        }
        check(&effects);
    }

    fn batch(fill: impl FnOnce(&mut Batch)) -> Batch {
        let mut batch = Batch::new();
        fill(&mut batch);
        batch
    }

    #[test]
    fn each_record_appears_once_with_its_last_state() {
        let first =
            batch(|b| _ = b.put("vm", "1", "a").put("vm", "2", "b").put("host", "1", "c").delete("vm", "3"));
        let second = batch(|b| _ = b.put("vm", "2", "d").put("vm", "3", "e").delete("host", "1"));
        effects(&[first, second], |effects| {
            let text = |value: Option<&[u8]>| value.map(|value| String::from_utf8_lossy(value).into_owned());
            let found: Vec<String> = effects
                .records
                .iter()
                .map(|((collection, key), value)| format!("{collection} {key} {:?}", text(*value)))
                .collect();
            let expected = ["host 1 None", "vm 1 Some(\"a\")", "vm 2 Some(\"d\")", "vm 3 Some(\"e\")"];
            assert_eq!(found, expected);
            assert_eq!(effects.position(), Some(2));
        });
    }

    #[test]
    fn what_was_written_before_a_clear_is_gone_and_what_comes_after_stays() {
        let all = batch(|b| _ = b.put("vm", "1", "a").put("vm2", "1", "x").clear("vm").put("vm", "2", "b"));
        effects(&[all], |effects| {
            assert!(effects.cleared.iter().eq(&["vm"]));
            assert!(effects.records.keys().eq(&[("vm", "2"), ("vm2", "1")]));
        });
    }

    #[test]
    fn a_trim_is_a_number_whatever_it_asked_for() {
        let fill =
            batch(|b| _ = b.append("event", 10, "a").append("event", 30, "b").append("event", 20, "c"));
        let trim = batch(|b| {
            _ = b.trim("event", None, Some(25)).append("event", 5, "d").trim("event", Some(3), None)
        });
        let all = batch(|b| {
            _ = b.trim("other", None, Some(99)).append("other", 1, "e").trim("event", None, Some(15))
        });
        effects(&[fill, trim, all], |effects| {
            assert_eq!(effects.trimmed, BTreeMap::from([("event", 1), ("other", 0)]));
            assert_eq!(effects.logs, BTreeMap::from([("event", 4), ("other", 1)]));
            assert_eq!(effects.entries.len(), 5);
        });
    }

    #[test]
    fn a_refused_or_repeated_batch_changes_nothing() {
        let first = batch(|b| _ = b.reserve("key", 3).put("vm", "1", "a"));
        let refused = batch(|b| _ = b.put("vm", "2", "b").reserve("key", u64::MAX));
        effects(&[first.clone(), refused, first.clone()], |effects| {
            assert_eq!(effects.counters, BTreeMap::from([("key", 4)]));
            assert!(effects.records.keys().eq(&[("vm", "1")]));
            assert_eq!(effects.batches.len(), 1);
            assert_eq!(effects.batches[0].id, *first.id.as_bytes());
        });
    }
}
