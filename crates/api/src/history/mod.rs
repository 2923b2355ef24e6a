//! Reads the history of events and of tasks in pages, forwards and backwards, with a bound on each read.

mod sight;
#[cfg(test)]
mod tests;

pub(crate) use sight::Sight;

use std::sync::Arc;

use parking_lot::Mutex;
use vim::{DataId, Fault, Kind, List, Object, Value, fault};

use crate::stored::store_fault;

/// Items that one call returns at most, and the largest page.
pub const MAX_PAGE: usize = 1_000;
/// The page of a new collector.
pub const DEFAULT_PAGE: usize = 10;
/// Items that one call looks at; with a filter that few items match, the client continues with the next call.
pub const MAX_SCANNED: u64 = 200_000;
/// Items to look at for a `latestPage`, which is read with every property.
pub const MAX_SCANNED_LATEST: u64 = 4_096;
/// History collectors of one session, as `maxCollector` says.
pub const MAX_COLLECTORS: usize = 32;
/// Items that are read from the store at a time, at most.
const CHUNK: u64 = 512;

/// Numbered items; numbers rise with time and are not reused. Some may be missing.
pub(crate) trait Source: Send + Sync {
    /// The number of the oldest item, and the number after that of the newest.
    fn bounds(&self) -> Result<(u64, u64), store::Error>;
    /// A number that changes whenever an item changes.
    fn stamp(&self) -> Result<u64, store::Error>;
    /// Up to `limit` items with numbers from `from` on, oldest first.
    fn read(&self, from: u64, limit: usize) -> Result<Vec<(u64, Arc<Object>)>, store::Error>;
}

/// A part of the history, and the place where reading continues.
pub(crate) struct Page {
    /// Oldest first.
    pub items: Vec<(u64, Arc<Object>)>,
    /// The number from which reading continues in the same direction.
    pub next: u64,
}

/// The first `count` items from number `from` on that match.
pub(crate) fn forward(
    source: &dyn Source,
    from: u64,
    count: usize,
    matches: &dyn Fn(&Object) -> bool,
) -> Result<Page, store::Error> {
    let (first, end) = source.bounds()?;
    let mut page = Page { items: Vec::new(), next: from.clamp(first.min(end), end) };
    let mut scanned = 0;
    while page.items.len() < count && page.next < end && scanned < MAX_SCANNED {
        let chunk = source.read(page.next, usize::try_from(CHUNK).unwrap_or(usize::MAX))?;
        let Some((last, _)) = chunk.last() else {
            page.next = end;
            break;
        };
        let after = last + 1;
        scanned += CHUNK;
        for (number, item) in chunk {
            page.next = number + 1;
            if matches(&item) {
                page.items.push((number, item));
                if page.items.len() == count {
                    return Ok(page);
                }
            }
        }
        page.next = after;
    }
    Ok(page)
}

/// The last `count` items below number `before` that match, looking at no more than `scan` numbers. Where all match, it reads no
/// item that it does not return.
pub(crate) fn backward(
    source: &dyn Source,
    before: u64,
    count: usize,
    scan: u64,
    matches: &dyn Fn(&Object) -> bool,
) -> Result<Page, store::Error> {
    let (first, end) = source.bounds()?;
    let mut page = Page { items: Vec::new(), next: before.min(end) };
    let stop = page.next.saturating_sub(scan).max(first);
    // Steps grow with the items that do not match.
    let mut longer = 1;
    while page.items.len() < count && page.next > stop {
        let wanted = u64::try_from(count - page.items.len()).unwrap_or(CHUNK);
        let step = wanted.clamp(longer, CHUNK);
        let from = page.next.saturating_sub(step).max(stop);
        let limit = usize::try_from(page.next - from).unwrap_or(usize::MAX);
        let chunk = source.read(from, limit)?;
        let before = page.next;
        page.next = from;
        for (number, item) in chunk.into_iter().rev().filter(|(number, _)| *number < before) {
            if matches(&item) {
                page.items.push((number, item));
                if page.items.len() == count {
                    page.next = number;
                    break;
                }
            } else {
                longer = (step * 2).min(CHUNK);
            }
        }
    }
    page.items.reverse();
    Ok(page)
}

/// A collector's `latestPage`. It is kept until the history or the permissions change, since a client that follows it reads it with
/// every change of the tree.
#[derive(Default)]
pub(crate) struct LatestPage(Mutex<Option<Kept>>);

struct Kept {
    /// The history's, and the authority's.
    stamp: (u64, u64),
    size: usize,
    page: Option<Value>,
}

impl LatestPage {
    /// The newest `size` items that match and that the user `sees`, newest first; none if no item matches or the history cannot be read.
    /// `version` is that of the authority.
    pub fn get(
        &self,
        source: &dyn Source,
        version: u64,
        element: DataId,
        size: usize,
        matches: &dyn Fn(&Object) -> bool,
        sees: &dyn Fn(&Object) -> bool,
    ) -> Option<Value> {
        self.try_get(source, version, element, size, matches, sees).unwrap_or_else(|error| {
            tracing::error!(%error, "the history cannot be read");
            None
        })
    }

    fn try_get(
        &self,
        source: &dyn Source,
        version: u64,
        element: DataId,
        size: usize,
        matches: &dyn Fn(&Object) -> bool,
        sees: &dyn Fn(&Object) -> bool,
    ) -> Result<Option<Value>, store::Error> {
        let mut kept = self.0.lock();
        // The stamp is read first: items that are added meanwhile make it outdated.
        let stamp = (source.stamp()?, version);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.stamp == stamp && kept.size == size) {
            // An entity may have moved out of the user's sight.
            let items = kept.page.iter().flat_map(Value::items).filter_map(Value::as_object);
            if items.into_iter().all(|item| sees(item)) {
                return Ok(kept.page.clone());
            }
        }
        let both = |item: &Object| matches(item) && sees(item);
        let newest = backward(source, u64::MAX, size, MAX_SCANNED_LATEST, &both)?;
        let page = list(element, newest.items.into_iter().rev().map(|(_, item)| item));
        *kept = Some(Kept { stamp, size, page: page.clone() });
        Ok(page)
    }
}

/// A list property or result of data objects; none if it is empty.
pub(crate) fn list(element: DataId, items: impl Iterator<Item = Arc<Object>>) -> Option<Value> {
    let items: Vec<Value> = items.map(Value::Object).collect();
    (!items.is_empty()).then(|| Value::List(List::new(Kind::Data(element), items)))
}

/// The position of a collector.
#[derive(Debug)]
pub(crate) struct Cursor {
    page_size: usize,
    /// The number before which the reader stands.
    at: u64,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { page_size: DEFAULT_PAGE, at: 0 }
    }
}

impl Cursor {
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    pub fn resize(&mut self, size: i32) -> Result<(), Fault> {
        self.page_size = count(size)?;
        Ok(())
    }

    pub fn rewind(&mut self) {
        self.at = 0;
    }

    /// Moves to the item right before the latest page.
    pub fn reset(&mut self, source: &dyn Source, matches: &dyn Fn(&Object) -> bool) -> Result<(), Fault> {
        let latest = backward(source, u64::MAX, self.page_size, MAX_SCANNED_LATEST, matches);
        self.at = latest.map_err(|error| store_fault(&error))?.next;
        Ok(())
    }

    pub fn next(
        &mut self,
        source: &dyn Source,
        size: i32,
        matches: &dyn Fn(&Object) -> bool,
    ) -> Result<Vec<Arc<Object>>, Fault> {
        let page = forward(source, self.at, count(size)?, matches).map_err(|error| store_fault(&error))?;
        self.at = page.next;
        Ok(page.items.into_iter().map(|(_, item)| item).collect())
    }

    pub fn previous(
        &mut self,
        source: &dyn Source,
        size: i32,
        matches: &dyn Fn(&Object) -> bool,
    ) -> Result<Vec<Arc<Object>>, Fault> {
        let page = backward(source, self.at, count(size)?, MAX_SCANNED, matches);
        let page = page.map_err(|error| store_fault(&error))?;
        self.at = page.next;
        Ok(page.items.into_iter().rev().map(|(_, item)| item).collect())
    }
}

/// A page size that a client asks for.
pub(crate) fn count(size: i32) -> Result<usize, Fault> {
    match usize::try_from(size) {
        Ok(size) if (1..=MAX_PAGE).contains(&size) => Ok(size),
        _ => Err(fault!(
            InvalidArgument { invalidProperty: "maxCount" },
            "maxCount must be between 1 and {MAX_PAGE}"
        )),
    }
}
