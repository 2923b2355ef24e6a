//! Notices that the storage of a datastore went or came back, and tells those who use it. A datastore without its storage
//! stays in the inventory, inaccessible, and nothing is made in its place.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;
use vim::MoRef;

use super::Storage;
use crate::datastores::Mounted;

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

    /// Looks whether the storage of all datastores is there, as [`Self::look_again`] does.
    pub(crate) async fn look_at_all(&self) {
        for mounted in self.datastores.all() {
            self.look_again(&mounted.me()).await;
        }
    }

    /// Looks whether the storage of a datastore is there, and takes it up or lets go of it. The VMs on it are shown so when
    /// this returns.
    pub(crate) async fn look_again(&self, me: &MoRef) {
        let _one = self.mounting.lock().await;
        let Ok(mounted) = self.datastores.by_ref(me) else { return };
        let (datastores, at) = (self.datastores.clone(), mounted.clone());
        let look = move || {
            let (store, news) = look(&at)?;
            datastores.replace(Arc::new(store));
            news
        };
        let Ok(Some(news)) = tokio::task::spawn_blocking(look).await else { return };
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

/// The datastore as it is now, if that is another than before, and whether that is news to its users. Blocking.
fn look(mounted: &Mounted) -> Option<(datastore::Datastore, Option<News>)> {
    let store = &mounted.store;
    let lost = store.reach().err()?;
    match (store.mount_again(), store.root_path()) {
        (Ok(back), _) => Some((back, Some(News::Back))),
        (Err(error), Some(root)) if !store.is_absent() => {
            tracing::debug!(datastore = mounted.name, %lost, "a datastore does not answer");
            let gone = datastore::Datastore::absent(root, store.uuid());
            Some((gone, Some(News::Gone(error.to_string()))))
        }
        _ => None,
    }
}
