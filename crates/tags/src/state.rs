//! All categories, tags and attachments, with the indexes that answer every question without a scan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{Category, Object, Tag};

/// One step of a change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Edit {
    PutCategory(Category),
    DropCategory(String),
    PutTag(Tag),
    DropTag(String),
    Attach(Arc<str>, Object),
    Detach(Arc<str>, Object),
}

#[derive(Default)]
pub(crate) struct State {
    categories: BTreeMap<String, Category>,
    category_names: HashMap<String, String>,
    tags: BTreeMap<Arc<str>, Tag>,
    /// By the category's id, then by the tag's name.
    by_category: HashMap<String, BTreeMap<String, Arc<str>>>,
    objects: HashMap<Arc<str>, BTreeSet<Object>>,
    on_objects: HashMap<Object, BTreeSet<Arc<str>>>,
    attached: usize,
}

impl State {
    pub(crate) fn categories(&self) -> impl ExactSizeIterator<Item = &Category> {
        self.categories.values()
    }

    pub(crate) fn category(&self, id: &str) -> Option<&Category> {
        self.categories.get(id)
    }

    pub(crate) fn category_named(&self, name: &str) -> Option<&Category> {
        self.category(self.category_names.get(name)?)
    }

    pub(crate) fn tags(&self) -> impl ExactSizeIterator<Item = &Tag> {
        self.tags.values()
    }

    pub(crate) fn tag(&self, id: &str) -> Option<&Tag> {
        self.tags.get(id)
    }

    /// The id of a tag, as the indexes share it.
    pub(crate) fn shared(&self, id: &str) -> Option<&Arc<str>> {
        self.tags.get_key_value(id).map(|(id, _)| id)
    }

    /// Ids of the tags of a category, by their names.
    pub(crate) fn tags_of(&self, category: &str) -> Option<&BTreeMap<String, Arc<str>>> {
        self.by_category.get(category)
    }

    /// The objects that a tag is attached to.
    pub(crate) fn objects(&self, tag: &str) -> impl Iterator<Item = &Object> {
        self.objects.get(tag).into_iter().flatten()
    }

    /// Ids of the tags on an object.
    pub(crate) fn on(&self, object: &Object) -> impl Iterator<Item = &Arc<str>> {
        self.on_objects.get(object).into_iter().flatten()
    }

    pub(crate) fn count_on(&self, object: &Object) -> usize {
        self.on_objects.get(object).map_or(0, BTreeSet::len)
    }

    pub(crate) fn has(&self, tag: &str, object: &Object) -> bool {
        self.on_objects.get(object).is_some_and(|tags| tags.contains(tag))
    }

    /// All attachments together.
    pub(crate) fn attached(&self) -> usize {
        self.attached
    }

    /// All objects with tags.
    pub(crate) fn tagged(&self) -> impl Iterator<Item = &Object> {
        self.on_objects.keys()
    }

    pub(crate) fn apply(&mut self, edit: Edit) {
        match edit {
            Edit::PutCategory(category) => {
                if let Some(old) = self.categories.get(&category.id) {
                    self.category_names.remove(&old.name);
                }
                self.category_names.insert(category.name.clone(), category.id.clone());
                self.categories.insert(category.id.clone(), category);
            }
            Edit::DropCategory(id) => {
                if let Some(old) = self.categories.remove(&id) {
                    self.category_names.remove(&old.name);
                }
                self.by_category.remove(&id);
            }
            Edit::PutTag(tag) => {
                let id = self.shared(&tag.id).cloned().unwrap_or_else(|| tag.id.as_str().into());
                let names = self.by_category.entry(tag.category.clone()).or_default();
                if let Some(old) = self.tags.get(&id) {
                    names.remove(&old.name);
                }
                names.insert(tag.name.clone(), id.clone());
                self.tags.insert(id, tag);
            }
            Edit::DropTag(id) => {
                if let Some(old) = self.tags.remove(id.as_str())
                    && let Some(names) = self.by_category.get_mut(&old.category)
                {
                    names.remove(&old.name);
                }
            }
            Edit::Attach(tag, object) => {
                if self.on_objects.entry(object.clone()).or_default().insert(tag.clone()) {
                    self.attached += 1;
                    self.objects.entry(tag).or_default().insert(object);
                }
            }
            Edit::Detach(tag, object) => {
                let Some(tags) = self.on_objects.get_mut(&object) else { return };
                if !tags.remove(&tag) {
                    return;
                }
                self.attached -= 1;
                if tags.is_empty() {
                    self.on_objects.remove(&object);
                }
                if let Some(objects) = self.objects.get_mut(&tag) {
                    objects.remove(&object);
                    if objects.is_empty() {
                        self.objects.remove(&tag);
                    }
                }
            }
        }
    }
}
