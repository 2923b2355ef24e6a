//! The tags of a center: asked and changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::RwLock;
use store::{Batch, Collection, Store};

use crate::model::*;
use crate::plan::{self, Failure};
use crate::state::{Edit, State};
use crate::{Result, TagError};

const CATEGORIES: Collection<Category> = Collection::new("tag-category");
const TAGS: Collection<Tag> = Collection::new("tag");
/// By the tag's id, the object's type and its id, with a space between them.
const ATTACHED: Collection<()> = Collection::new("tag-attached");

/// Steps that are committed at once. A crash between two commits leaves tags that are attached to fewer objects, and nothing worse: the
/// steps that take a tag off objects come before the one that removes it.
const AT_ONCE: usize = 20_000;

/// All categories and tags.
pub struct Tags {
    store: Store,
    state: RwLock<State>,
    /// Held during a change.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Tags {
    /// Reads them from the store.
    ///
    /// # Errors
    /// [`TagError::Store`].
    pub fn open(store: Store) -> Result<Arc<Self>> {
        let mut state = State::default();
        store.read(|view| {
            for (_, category) in CATEGORIES.all_in(view)? {
                state.apply(Edit::PutCategory(category));
            }
            for (_, tag) in TAGS.all_in(view)? {
                state.apply(Edit::PutTag(tag));
            }
            for (key, ()) in ATTACHED.all_in(view)? {
                let mut parts = key.splitn(3, ' ');
                let (tag, ty, id) = (parts.next(), parts.next(), parts.next());
                if let (Some(tag), Some(ty), Some(id)) = (tag.and_then(|tag| state.shared(tag)), ty, id) {
                    state.apply(Edit::Attach(tag.clone(), Object::new(ty, id)));
                }
            }
            Ok(())
        })?;
        Ok(Arc::new(Self { store, state: RwLock::new(state), turn: Arc::default() }))
    }

    /// Plans and makes one change, which completes even if the caller is dropped meanwhile.
    async fn change<R: Send + 'static>(
        self: &Arc<Self>,
        plan: impl FnOnce(&State) -> Result<(R, Vec<Edit>)>,
    ) -> Result<R> {
        let turn = self.turn.clone().lock_owned().await;
        let (result, edits) = plan(&self.state.read())?;
        if edits.is_empty() {
            return Ok(result);
        }
        let me = self.clone();
        let work = tokio::spawn(async move {
            let _turn = turn;
            for part in edits.chunks(AT_ONCE) {
                me.store.commit(batch(part)?).await?;
                let mut state = me.state.write();
                part.iter().for_each(|edit| state.apply(edit.clone()));
            }
            Ok(())
        });
        work.await.unwrap_or(Err(TagError::Internal)).map(|()| result)
    }

    async fn edit(self: &Arc<Self>, plan: impl FnOnce(&State) -> Result<Vec<Edit>>) -> Result<()> {
        self.change(|state| Ok(((), plan(state)?))).await
    }
}

fn key(tag: &str, object: &Object) -> String {
    format!("{tag} {} {}", object.ty(), object.id())
}

fn batch(edits: &[Edit]) -> store::Result<Batch> {
    let mut batch = Batch::new();
    for edit in edits {
        match edit {
            Edit::PutCategory(category) => CATEGORIES.put(&mut batch, &category.id, category)?,
            Edit::DropCategory(id) => CATEGORIES.delete(&mut batch, id),
            Edit::PutTag(tag) => TAGS.put(&mut batch, &tag.id, tag)?,
            Edit::DropTag(id) => TAGS.delete(&mut batch, id),
            Edit::Attach(tag, object) => ATTACHED.put(&mut batch, &key(tag, object), &())?,
            Edit::Detach(tag, object) => ATTACHED.delete(&mut batch, &key(tag, object)),
        }
    }
    Ok(batch)
}

/// Questions.
impl Tags {
    pub fn categories(&self) -> Vec<Category> {
        self.state.read().categories().cloned().collect()
    }

    /// # Errors
    /// [`TagError::NoCategory`].
    pub fn category(&self, id: &str) -> Result<Category> {
        plan::category(&self.state.read(), id).cloned()
    }

    pub fn tags(&self) -> Vec<Tag> {
        self.state.read().tags().cloned().collect()
    }

    /// # Errors
    /// [`TagError::NoTag`].
    pub fn tag(&self, id: &str) -> Result<Tag> {
        plan::tag(&self.state.read(), id).cloned()
    }

    /// Ids of the tags of a category.
    ///
    /// # Errors
    /// [`TagError::NoCategory`].
    pub fn tags_of(&self, category: &str) -> Result<Vec<String>> {
        let state = self.state.read();
        plan::category(&state, category)?;
        let names = state.tags_of(category).into_iter().flat_map(|names| names.values());
        Ok(names.map(|id| id.to_string()).collect())
    }

    /// The objects that a tag is attached to.
    ///
    /// # Errors
    /// [`TagError::NoTag`].
    pub fn objects(&self, tag: &str) -> Result<Vec<Object>> {
        let state = self.state.read();
        plan::tag(&state, tag)?;
        Ok(state.objects(tag).cloned().collect())
    }

    /// Whether a tag is attached to an object that fits; at most `most` of its objects are asked.
    pub fn is_on_any(&self, tag: &str, most: usize, fits: impl Fn(&Object) -> bool) -> bool {
        let asked: Vec<Object> = self.state.read().objects(tag).take(most).cloned().collect();
        asked.iter().any(fits)
    }

    /// Ids of the tags on an object.
    pub fn on(&self, object: &Object) -> Vec<String> {
        self.state.read().on(object).map(|id| id.to_string()).collect()
    }

    /// Ids of the tags that can still be attached to an object of these types.
    pub fn attachable(&self, object: &Object, kinds: &[&str]) -> Vec<String> {
        let state = self.state.read();
        let taken: BTreeSet<&str> =
            state.on(object).filter_map(|id| state.tag(id)).map(|tag| tag.category.as_str()).collect();
        let fits = |category: &&Category| {
            plan::is_for(category, kinds)
                && (category.cardinality == Cardinality::Multiple || !taken.contains(category.id.as_str()))
        };
        let tags = state.categories().filter(fits).filter_map(|category| state.tags_of(&category.id));
        let tags = tags.flat_map(|names| names.values()).filter(|id| !state.has(id, object));
        tags.map(|id| id.to_string()).collect()
    }
}

/// Changes.
impl Tags {
    /// Makes a category, and returns its id.
    ///
    /// # Errors
    /// [`TagError`]; nothing has changed then. This holds for all changes.
    pub async fn add_category(self: &Arc<Self>, spec: CategorySpec) -> Result<String> {
        self.change(|state| plan::add_category(state, spec)).await
    }

    /// # Errors
    /// [`TagError`].
    pub async fn update_category(self: &Arc<Self>, id: &str, update: CategoryUpdate) -> Result<()> {
        self.edit(|state| plan::update_category(state, id, update)).await
    }

    /// Removes a category with its tags, from all objects.
    ///
    /// # Errors
    /// [`TagError`].
    pub async fn drop_category(self: &Arc<Self>, id: &str) -> Result<()> {
        self.edit(|state| plan::drop_category(state, id)).await
    }

    /// Makes a tag, and returns its id.
    ///
    /// # Errors
    /// [`TagError`].
    pub async fn add_tag(self: &Arc<Self>, spec: TagSpec) -> Result<String> {
        self.change(|state| plan::add_tag(state, spec)).await
    }

    /// # Errors
    /// [`TagError`].
    pub async fn update_tag(self: &Arc<Self>, id: &str, update: TagUpdate) -> Result<()> {
        self.edit(|state| plan::update_tag(state, id, update)).await
    }

    /// Removes a tag, from all objects.
    ///
    /// # Errors
    /// [`TagError`].
    pub async fn drop_tag(self: &Arc<Self>, id: &str) -> Result<()> {
        self.edit(|state| plan::drop_tag(state, id)).await
    }

    /// Notes that somebody uses a category, or does not any longer.
    ///
    /// # Errors
    /// [`TagError`].
    pub async fn use_category(self: &Arc<Self>, id: &str, user: &str, by: bool) -> Result<()> {
        self.edit(|state| {
            let mut category = plan::category(state, id)?.clone();
            plan::used(&mut category.used_by, user, by)?;
            Ok(vec![Edit::PutCategory(category)])
        })
        .await
    }

    /// The same for a tag.
    ///
    /// # Errors
    /// [`TagError`].
    pub async fn use_tag(self: &Arc<Self>, id: &str, user: &str, by: bool) -> Result<()> {
        self.edit(|state| {
            let mut tag = plan::tag(state, id)?.clone();
            plan::used(&mut tag.used_by, user, by)?;
            Ok(vec![Edit::PutTag(tag)])
        })
        .await
    }

    /// Attaches each of the tags to each of the objects. `kinds` gives the types of an object, and none if it does not exist; it is asked
    /// during the change, so that an object that goes at the same time leaves no tag behind.
    ///
    /// # Errors
    /// [`TagError::Full`] for too large a request, [`TagError::Store`]. Other steps that cannot be done are among the failures, and the rest is
    /// done.
    pub async fn attach(
        self: &Arc<Self>,
        tags: &[String],
        objects: &[Object],
        kinds: &(dyn Fn(&Object) -> Option<Vec<&'static str>> + Send + Sync),
    ) -> Result<Vec<Failure>> {
        self.change(|state| plan::attach(state, tags, objects, kinds)).await
    }

    /// Detaches each of the tags from each of the objects.
    ///
    /// # Errors
    /// As for [`Tags::attach`].
    pub async fn detach(self: &Arc<Self>, tags: &[String], objects: &[Object]) -> Result<Vec<Failure>> {
        self.change(|state| plan::detach(state, tags, objects)).await
    }

    /// Takes all tags from objects that are gone.
    ///
    /// # Errors
    /// [`TagError::Store`].
    pub async fn forget(self: &Arc<Self>, objects: &[Object]) -> Result<()> {
        if self.state.read().attached() == 0 {
            return Ok(());
        }
        self.edit(|state| Ok(plan::forget(state, objects.iter()))).await
    }

    /// Takes all tags from objects that are gone, of all that have some: a crash may have left them.
    ///
    /// # Errors
    /// [`TagError::Store`].
    pub async fn prune(self: &Arc<Self>, gone: impl Fn(&Object) -> bool) -> Result<()> {
        self.edit(|state| Ok(plan::forget(state, state.tagged().filter(|object| gone(object))))).await
    }
}

#[cfg(test)]
mod tests;
