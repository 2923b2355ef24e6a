//! Which privileges each account used last, when and on what, so that roles can be narrowed.
//!
//! A call notes each privilege that it took and had; reading (`System.*`) is not noted. The memory is bounded and keeps the latest uses,
//! for each account and privilege those of the last [`MAX_OBJECTS`] objects. Now and then the latest use of each account and privilege
//! goes to the store: a daemon that is killed forgets at most what was used in the last [`SAVE_EVERY`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};
use tokio::sync::Notify;
use vim::{DateTime, MoRef, schema};

use crate::{Use, all_privileges};

/// Uses in memory, and in the store.
const MAX_USES: usize = 100_000;
/// Objects for which the use of one privilege by one account is remembered.
const MAX_OBJECTS: usize = 100;
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// The latest use of each privilege by each account, by both.
const USES: Collection<StoredUse> = Collection::new("privilege-uses");

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredUse {
    account: String,
    privilege: String,
    entity_type: String,
    entity: String,
    at_us: i64,
}

/// A use of a privilege.
#[derive(Clone, Debug)]
pub struct Noted {
    /// Rises with each use.
    pub number: u64,
    pub at: DateTime,
    pub account: Arc<str>,
    pub object: MoRef,
    pub privilege: &'static str,
    /// The session of the last use, by what `UserSession.key` shows.
    pub session: String,
    /// The client's name for the operation that used it last.
    pub operation: Option<String>,
}

/// The uses that a reader asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Only those after the one with this number.
    pub after: Option<u64>,
    /// Only those up to the one with this number.
    pub until: Option<u64>,
    pub limit: usize,
}

/// Some uses, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub uses: Vec<Arc<Noted>>,
    /// Whether uses after [`Window::after`] may have been forgotten.
    pub truncated: bool,
}

type Pair = (Arc<str>, &'static str);

#[derive(Default)]
struct Inner {
    last: u64,
    /// The highest number of a use that was forgotten for want of room.
    forgotten: u64,
    by_number: BTreeMap<u64, Arc<Noted>>,
    by_object: HashMap<(Arc<str>, &'static str, MoRef), u64>,
    by_pair: HashMap<Pair, BTreeSet<u64>>,
    unsaved: HashSet<Pair>,
    saved: Option<Instant>,
}

/// The memory of uses. Readers that wait hear of each new one.
#[derive(Default)]
pub(super) struct Uses(Mutex<Inner>, Notify);

impl Uses {
    pub(super) fn read(store: &Store) -> Result<Self, store::Error> {
        let mut stored: Vec<StoredUse> =
            store.read(|view| USES.all_in(view))?.into_iter().map(|(_, use_)| use_).collect();
        stored.sort_by_key(|known| known.at_us);
        let mut inner = Inner::default();
        for known in stored {
            let privilege = all_privileges().get(known.privilege.as_str()).copied();
            let ty = schema().find_managed(&known.entity_type);
            if let (Some(privilege), Some(ty)) = (privilege, ty) {
                inner.put(Noted {
                    number: 0,
                    at: DateTime::from_micros(known.at_us),
                    account: known.account.into(),
                    object: MoRef::new(ty, known.entity),
                    privilege,
                    session: String::new(),
                    operation: None,
                });
            }
        }
        inner.unsaved.clear();
        Ok(Self(Mutex::new(inner), Notify::new()))
    }

    pub(super) fn note(&self, store: &Store, used: &Use<'_>) {
        let Some(privilege) = all_privileges().get(used.privilege).copied() else { return };
        let mut inner = self.0.lock();
        inner.put(Noted {
            number: 0,
            at: DateTime::now(),
            account: used.account.name.as_str().into(),
            object: used.object.clone(),
            privilege,
            session: used.session.to_owned(),
            operation: used.operation.map(str::to_owned),
        });
        self.1.notify_waiters();
        let due = inner.saved.get_or_insert_with(Instant::now).elapsed() >= SAVE_EVERY;
        if !due {
            return;
        }
        inner.saved = Some(Instant::now());
        let unsaved = inner.take_unsaved();
        drop(inner);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let store = store.clone();
            runtime.spawn(async move {
                if let Err(error) = save(&store, &unsaved).await {
                    tracing::warn!(%error, "the uses of privileges could not be stored");
                }
            });
        }
    }

    pub(super) fn page(&self, window: &Window, fits: impl Fn(&Noted) -> bool) -> Page {
        let inner = self.0.lock();
        let from = window.after.map_or(0, |after| after.saturating_add(1));
        let until = window.until.unwrap_or(u64::MAX);
        let uses = if from > until { None } else { Some(inner.by_number.range(from..=until)) };
        let uses = uses.into_iter().flatten().map(|(_, noted)| noted).filter(|noted| fits(noted));
        Page {
            uses: uses.take(window.limit).cloned().collect(),
            truncated: window.after.is_some_and(|after| after < inner.forgotten),
        }
    }

    /// As [`Self::page`], but waits up to this time while the page is empty.
    pub(super) async fn wait(&self, window: &Window, time: Duration, fits: impl Fn(&Noted) -> bool) -> Page {
        let waiting = async {
            loop {
                let noted = self.1.notified();
                let mut noted = pin!(noted);
                // A use between the look and the wait counts.
                noted.as_mut().enable();
                if !self.page(window, &fits).uses.is_empty() {
                    return;
                }
                noted.await;
            }
        };
        let _ = tokio::time::timeout(time, waiting).await;
        self.page(window, fits)
    }

    pub(super) fn last(&self) -> Option<Arc<Noted>> {
        self.0.lock().by_number.last_key_value().map(|(_, noted)| noted.clone())
    }
}

async fn save(store: &Store, uses: &[Arc<Noted>]) -> Result<(), store::Error> {
    let mut batch = Batch::new();
    for noted in uses {
        let stored = StoredUse {
            account: noted.account.to_string(),
            privilege: noted.privilege.to_owned(),
            entity_type: noted.object.type_name().to_owned(),
            entity: noted.object.id().to_owned(),
            at_us: noted.at.as_micros(),
        };
        USES.put(&mut batch, &format!("{}/{}", noted.account.to_lowercase(), noted.privilege), &stored)?;
    }
    store.commit(batch).await?;
    Ok(())
}

impl Inner {
    fn put(&mut self, mut noted: Noted) {
        self.last += 1;
        noted.number = self.last;
        let pair = (noted.account.clone(), noted.privilege);
        let key = (pair.0.clone(), pair.1, noted.object.clone());
        if let Some(before) = self.by_object.insert(key, self.last) {
            self.by_number.remove(&before);
            if let Some(numbers) = self.by_pair.get_mut(&pair) {
                numbers.remove(&before);
            }
        }
        self.by_number.insert(self.last, Arc::new(noted));
        let numbers = self.by_pair.entry(pair.clone()).or_default();
        numbers.insert(self.last);
        let crowded = if numbers.len() > MAX_OBJECTS { numbers.first().copied() } else { None };
        self.unsaved.insert(pair);
        if let Some(number) = crowded {
            self.forget(number);
        }
        if self.by_number.len() > MAX_USES
            && let Some((number, _)) = self.by_number.first_key_value()
        {
            self.forget(*number);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(noted) = self.by_number.remove(&number) else { return };
        self.forgotten = self.forgotten.max(number);
        let pair = (noted.account.clone(), noted.privilege);
        self.by_object.remove(&(pair.0.clone(), pair.1, noted.object.clone()));
        if let Some(numbers) = self.by_pair.get_mut(&pair) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_pair.remove(&pair);
                self.unsaved.remove(&pair);
            }
        }
    }

    /// The latest use of each account and privilege that the store does not have yet.
    fn take_unsaved(&mut self) -> Vec<Arc<Noted>> {
        let pairs = std::mem::take(&mut self.unsaved);
        let latest = pairs.iter().filter_map(|pair| self.by_pair.get(pair)?.last());
        latest.filter_map(|number| self.by_number.get(number).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use vim::managed_id;

    use super::*;

    fn noted(account: &str, privilege: &'static str, vm: usize) -> Noted {
        Noted {
            number: 0,
            at: DateTime::now(),
            account: account.into(),
            object: MoRef::new(managed_id!(VirtualMachine), format!("vm-{vm}")),
            privilege,
            session: "s".into(),
            operation: None,
        }
    }

    const ON: &str = "VirtualMachine.Interact.PowerOn";
    const OFF: &str = "VirtualMachine.Interact.PowerOff";

    fn all(uses: &Uses) -> Vec<(String, &'static str, String)> {
        let window = Window { limit: usize::MAX, ..Window::default() };
        let page = uses.page(&window, |_| true);
        page.uses.iter().map(|n| (n.account.to_string(), n.privilege, n.object.id().to_owned())).collect()
    }

    #[test]
    fn a_use_is_kept_once_with_its_last_time_and_many_objects_do_not_push_out_another_privilege() {
        let uses = Uses::default();
        uses.0.lock().put(noted("ann", OFF, 1));
        for vm in 0..MAX_OBJECTS + 10 {
            uses.0.lock().put(noted("ann", ON, vm));
        }
        uses.0.lock().put(noted("ann", ON, 50));
        let found = all(&uses);
        assert_eq!(found.len(), MAX_OBJECTS + 1);
        assert_eq!(found[0], ("ann".into(), OFF, "vm-1".into()));
        assert_eq!(found[MAX_OBJECTS], ("ann".into(), ON, "vm-50".into()), "the last one used");
        assert!(uses.page(&Window { after: Some(3), limit: 9, until: None }, |_| true).truncated);
        let last = uses.last().unwrap().number;
        let page = uses.page(&Window { after: Some(last), limit: 9, until: Some(2) }, |_| true);
        assert!(page.uses.is_empty() && !page.truncated);
    }

    #[tokio::test]
    async fn the_last_use_of_each_privilege_is_there_after_a_restart() {
        let store = Store::in_memory().unwrap();
        let uses = Uses::default();
        for vm in 0..3 {
            uses.0.lock().put(noted("ann", ON, vm));
        }
        uses.0.lock().put(noted("ben", OFF, 1));
        let unsaved = uses.0.lock().take_unsaved();
        save(&store, &unsaved).await.unwrap();
        let after = all(&Uses::read(&store).unwrap());
        assert_eq!(after, [("ann".into(), ON, "vm-2".into()), ("ben".into(), OFF, "vm-1".into())]);
    }
}
