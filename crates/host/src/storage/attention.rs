//! Notices that the storage of a datastore went or came back, and tells those who use it. A datastore without its storage
//! stays in the inventory, inaccessible, and nothing is made in its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datastore::Datastore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use vim::MoRef;

use super::Storage;
use crate::datastores::Mounted;
use crate::limits::{STATISTICS, STORAGE_ANSWERS};

/// Those who have files on datastores: the VMs.
#[async_trait]
pub(crate) trait StorageUsers: Send + Sync {
    /// The storage of a datastore is not there any more.
    async fn is_gone(&self, datastore: Uuid, why: &str);

    /// The storage of a datastore is there again.
    async fn is_back(&self, datastore: Uuid);
}

/// The news of a look at a datastore.
enum News {
    Gone(String),
    Back,
}

impl Storage {
    /// Says who is told from now on. Only the first call counts.
    pub(crate) fn tell_users(&self, users: Box<dyn StorageUsers>) {
        drop(self.users.set(users));
    }

    /// Tells of the datastores whose storage was not there when the host was opened.
    pub(crate) async fn tell_absent(&self) {
        for mounted in self.datastores.all().iter().filter(|mounted| mounted.store.is_absent()) {
            let why = mounted.store.reach().map_or_else(|error| error.to_string(), |()| String::new());
            self.events.datastore(&mounted.me(), &mounted.name, Some(&why)).await;
        }
    }

    /// Looks again and again whether the storage of each datastore is there, and how much room it has, until `closing`.
    pub(crate) fn watch(self: &Arc<Self>, closing: CancellationToken) {
        let storage = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = sleep(STATISTICS) => storage.look_at_all(),
                }
            }
        });
    }

    /// Begins to look at each datastore that nobody looks at already. None waits for another.
    fn look_at_all(self: &Arc<Self>) {
        for mounted in self.datastores.all() {
            let (storage, me, looks) = (self.clone(), mounted.me(), self.looks.at(mounted.store.uuid()));
            tokio::spawn(async move {
                let Ok(mut pending) = looks.try_lock() else { return };
                storage.look_and_tell(&me, &mut pending).await;
                drop(pending);
                storage.show_looked_at(&me).await;
            });
        }
    }

    /// Looks whether the storage of a datastore is there, and takes it up or lets go of it. The VMs on it are shown so when
    /// this returns. Storage that does not answer is waited for only so long, and counts as gone then.
    pub(crate) async fn look_again(&self, me: &MoRef) {
        let Ok(mounted) = self.datastores.by_ref(me) else { return };
        let looks = self.looks.at(mounted.store.uuid());
        let mut pending = looks.lock().await;
        self.look_and_tell(me, &mut pending).await;
    }

    async fn look_and_tell(&self, me: &MoRef, pending: &mut Option<Look>) {
        let Ok(mounted) = self.datastores.by_ref(me) else { return };
        let Some((now, news)) = look_for_long(&mounted, pending).await else { return };
        if !self.datastores.replace(&mounted.store, Arc::new(now)) {
            return;
        }
        let uuid = mounted.store.uuid();
        match &news {
            News::Gone(why) => {
                tracing::error!(datastore = mounted.name, %why, "the storage of a datastore is gone");
                if let Some(users) = self.users.get() {
                    users.is_gone(uuid, why).await;
                }
                self.events.datastore(me, &mounted.name, Some(why)).await;
            }
            News::Back => {
                tracing::info!(datastore = mounted.name, "the storage of a datastore is back");
                if let Some(users) = self.users.get() {
                    users.is_back(uuid).await;
                }
                self.events.datastore(me, &mounted.name, None).await;
            }
        }
        self.show_space(std::slice::from_ref(me)).await;
    }
}

/// A look at a datastore on a thread that may wait: the datastore as it is now, if that is news.
type Look = JoinHandle<Option<(Datastore, News)>>;

/// The looks at datastores, by identity: each datastore is looked at once at a time, and its users are told of the news in
/// their order. A look that did not end in time is kept: no other begins before it ends.
#[derive(Default)]
pub(super) struct Looks(parking_lot::Mutex<BTreeMap<Uuid, Arc<tokio::sync::Mutex<Option<Look>>>>>);

impl Looks {
    fn at(&self, datastore: Uuid) -> Arc<tokio::sync::Mutex<Option<Look>>> {
        self.0.lock().entry(datastore).or_default().clone()
    }
}

/// Looks at a datastore, but no longer than storage may take to answer.
async fn look_for_long(mounted: &Mounted, pending: &mut Option<Look>) -> Option<(Datastore, News)> {
    if pending.as_ref().is_some_and(|look| !look.is_finished()) {
        return None;
    }
    *pending = None;
    let at = mounted.clone();
    let mut asked = tokio::task::spawn_blocking(move || look(&at));
    let answer = timeout(STORAGE_ANSWERS, &mut asked).await;
    match answer {
        Ok(looked) => looked.ok().flatten(),
        Err(_) => {
            *pending = Some(asked);
            silent(mounted)
        }
    }
}

/// The datastore as it is now, if that is another than before and so news to its users. Blocking.
fn look(mounted: &Mounted) -> Option<(Datastore, News)> {
    let store = &mounted.store;
    let lost = store.reach().err()?;
    match store.mount_again() {
        Ok(back) => Some((back, News::Back)),
        Err(error) => {
            tracing::debug!(datastore = mounted.name, %lost, "a datastore does not answer");
            gone(mounted, error.to_string())
        }
    }
}

/// The news of a datastore whose storage does not answer.
fn silent(mounted: &Mounted) -> Option<(Datastore, News)> {
    let at = mounted.store.root_path()?.display();
    let why = format!(
        "its storage at {at} does not answer. Mend the way to it: the host takes it up when it answers again"
    );
    gone(mounted, datastore::Error::Inaccessible(why).to_string())
}

/// The news that the storage of a datastore is gone; none if it was gone already.
fn gone(mounted: &Mounted, why: String) -> Option<(Datastore, News)> {
    let store = &mounted.store;
    let root = store.root_path().filter(|_| !store.is_absent())?;
    Some((Datastore::absent(root, store.uuid()), News::Gone(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn storage_that_does_not_answer_is_gone_and_is_not_asked_twice() {
        let site = tempfile::tempdir().unwrap();
        let store = Arc::new(Datastore::mount(site.path()).unwrap());
        let there = Mounted { name: "ds".into(), store };
        let (now, news) = silent(&there).unwrap();
        assert!(now.is_absent() && now.uuid() == there.store.uuid());
        let News::Gone(why) = news else { panic!("it is gone") };
        assert!(why.contains("does not answer"), "{why}");
        let absent = Mounted { name: "ds".into(), store: Arc::new(now) };
        assert!(silent(&absent).is_none(), "that was told before");
        let (answer, asked) = std::sync::mpsc::channel::<()>();
        let hung = tokio::task::spawn_blocking(move || {
            asked.recv().ok();
            None
        });
        let mut pending = Some(hung);
        assert!(look_for_long(&absent, &mut pending).await.is_none());
        assert!(pending.is_some(), "the look that hangs is the only one");
        drop(answer);
        drop(pending.take().unwrap().await);
        let (back, news) = look_for_long(&absent, &mut pending).await.unwrap();
        assert!(!back.is_absent() && matches!(news, News::Back) && pending.is_none());
    }
}
