//! The changes of a request, as steps. Nothing here has an effect.

use std::collections::BTreeSet;

use crate::model::*;
use crate::state::{Edit, State};
use crate::text::{
    self, MAX_ATTACHED, MAX_BULK, MAX_CATEGORIES, MAX_ON_OBJECT, MAX_TAGS, MAX_USERS, description, name,
    types,
};
use crate::{Result, TagError};

/// A tag or an object of a request in bulk that was left out, and why.
#[derive(Debug)]
pub struct Failure(pub TagError);

/// The name of an id's kind in it.
const CATEGORY: &str = "InventoryServiceCategory";
const TAG: &str = "InventoryServiceTag";

/// The beginning that some clients write before the name of a type of the inventory.
const VIM: &str = "urn:vim25:";

pub(crate) fn category<'s>(state: &'s State, id: &str) -> Result<&'s Category> {
    state.category(id).ok_or_else(|| TagError::NoCategory(id.to_owned()))
}

pub(crate) fn tag<'s>(state: &'s State, id: &str) -> Result<&'s Tag> {
    state.tag(id).ok_or_else(|| TagError::NoTag(id.to_owned()))
}

pub(crate) fn add_category(state: &State, spec: CategorySpec) -> Result<(String, Vec<Edit>)> {
    let id = text::id(CATEGORY, spec.id.as_deref())?;
    let made = Category {
        name: name(&spec.name)?,
        description: description(&spec.description)?,
        cardinality: spec.cardinality,
        types: types(spec.types)?,
        used_by: BTreeSet::new(),
        id: id.clone(),
    };
    if state.category(&id).is_some() || state.category_named(&made.name).is_some() {
        return Err(TagError::Exists(format!("The category {:?}", made.name)));
    }
    if state.categories().len() >= MAX_CATEGORIES {
        return Err(TagError::Full(format!("The limit of {MAX_CATEGORIES} categories is reached")));
    }
    Ok((id, vec![Edit::PutCategory(made)]))
}

pub(crate) fn update_category(state: &State, id: &str, update: CategoryUpdate) -> Result<Vec<Edit>> {
    let mut changed = category(state, id)?.clone();
    if let Some(new) = update.name {
        changed.name = name(&new)?;
        if state.category_named(&changed.name).is_some_and(|known| known.id != id) {
            return Err(TagError::Exists(format!("The category {new:?}")));
        }
    }
    if let Some(new) = update.description {
        changed.description = description(&new)?;
    }
    if let Some(new) = update.cardinality {
        if changed.cardinality == Cardinality::Multiple && new == Cardinality::Single {
            let problem = "The cardinality of a category changes from SINGLE to MULTIPLE only";
            return Err(TagError::Invalid(problem.to_owned()));
        }
        changed.cardinality = new;
    }
    if let Some(new) = update.types {
        let new = types(new)?;
        let wider = new.is_empty() || (!changed.types.is_empty() && new.is_superset(&changed.types));
        if !wider && new != changed.types {
            let problem = "A category keeps the types that it is for; others can be added";
            return Err(TagError::Invalid(problem.to_owned()));
        }
        changed.types = new;
    }
    Ok(vec![Edit::PutCategory(changed)])
}

pub(crate) fn drop_category(state: &State, id: &str) -> Result<Vec<Edit>> {
    category(state, id)?;
    let mut edits = Vec::new();
    for tag in state.tags_of(id).into_iter().flat_map(|names| names.values()) {
        edits.extend(drop_tag(state, tag)?);
    }
    edits.push(Edit::DropCategory(id.to_owned()));
    Ok(edits)
}

pub(crate) fn add_tag(state: &State, spec: TagSpec) -> Result<(String, Vec<Edit>)> {
    category(state, &spec.category)?;
    let id = text::id(TAG, spec.id.as_deref())?;
    let made = Tag {
        category: spec.category,
        name: name(&spec.name)?,
        description: description(&spec.description)?,
        used_by: BTreeSet::new(),
        id: id.clone(),
    };
    if state.tag(&id).is_some() || named(state, &made.category, &made.name).is_some() {
        return Err(TagError::Exists(format!("The tag {:?} of this category", made.name)));
    }
    if state.tags().len() >= MAX_TAGS {
        return Err(TagError::Full(format!("The limit of {MAX_TAGS} tags is reached")));
    }
    Ok((id, vec![Edit::PutTag(made)]))
}

fn named<'s>(state: &'s State, category: &str, name: &str) -> Option<&'s str> {
    state.tags_of(category)?.get(name).map(|id| &**id)
}

pub(crate) fn update_tag(state: &State, id: &str, update: TagUpdate) -> Result<Vec<Edit>> {
    let mut changed = tag(state, id)?.clone();
    if let Some(new) = update.name {
        changed.name = name(&new)?;
        if named(state, &changed.category, &changed.name).is_some_and(|known| known != id) {
            return Err(TagError::Exists(format!("The tag {new:?} of this category")));
        }
    }
    if let Some(new) = update.description {
        changed.description = description(&new)?;
    }
    Ok(vec![Edit::PutTag(changed)])
}

pub(crate) fn drop_tag(state: &State, id: &str) -> Result<Vec<Edit>> {
    let shared = state.shared(id).ok_or_else(|| TagError::NoTag(id.to_owned()))?;
    let mut edits: Vec<Edit> =
        state.objects(id).map(|object| Edit::Detach(shared.clone(), object.clone())).collect();
    edits.push(Edit::DropTag(id.to_owned()));
    Ok(edits)
}

/// Adds or removes a user of a category or tag.
pub(crate) fn used(used_by: &mut BTreeSet<String>, user: &str, by: bool) -> Result<()> {
    if !by {
        used_by.remove(user);
        return Ok(());
    }
    used_by.insert(name(user)?);
    if used_by.len() > MAX_USERS {
        return Err(TagError::Full(format!("The limit of {MAX_USERS} users is reached")));
    }
    Ok(())
}

/// Whether tags of a category are for an object of these types: its own and those that it is derived from.
pub(crate) fn is_for(category: &Category, kinds: &[&str]) -> bool {
    let fits = |wanted: &String| kinds.contains(&wanted.strip_prefix(VIM).unwrap_or(wanted));
    category.types.is_empty() || category.types.iter().any(fits)
}

/// The types of an object, its own and those that it is derived from; none if it does not exist.
pub(crate) type Kinds<'a> = dyn Fn(&Object) -> Option<Vec<&'static str>> + Send + Sync + 'a;

/// The steps that attach each of the tags to each of the objects, and what cannot be done. An attachment that is there already is done.
pub(crate) fn attach(
    state: &State,
    tags: &[String],
    objects: &[Object],
    kinds: &Kinds<'_>,
) -> Result<(Vec<Failure>, Vec<Edit>)> {
    within_bulk(tags.len().saturating_mul(objects.len()))?;
    let (mut failures, mut edits) = (Vec::new(), Vec::new());
    for object in objects {
        let Some(types) = kinds(object) else {
            failures.push(Failure(TagError::NoObject(object.to_string())));
            continue;
        };
        let mut new: BTreeSet<&str> = BTreeSet::new();
        for id in tags {
            match attachable(state, id, object, &types, &new) {
                Ok(false) => {}
                Ok(true) if state.attached() + edits.len() >= MAX_ATTACHED => {
                    let text = format!("The limit of {MAX_ATTACHED} attached tags is reached");
                    failures.push(Failure(TagError::Full(text)));
                }
                Ok(true) => {
                    new.insert(id);
                    edits.extend(state.shared(id).map(|id| Edit::Attach(id.clone(), object.clone())));
                }
                Err(error) => failures.push(Failure(error)),
            }
        }
    }
    Ok((failures, edits))
}

/// Whether a tag is to be attached to an object: not if it is there. `new` are the tags that the same request attaches.
fn attachable(
    state: &State,
    id: &str,
    object: &Object,
    types: &[&str],
    new: &BTreeSet<&str>,
) -> Result<bool> {
    let wanted = tag(state, id)?;
    if state.has(id, object) || new.contains(id) {
        return Ok(false);
    }
    let group = category(state, &wanted.category)?;
    if !is_for(group, types) {
        let text = format!("Tags of the category {:?} are not for {}", group.name, object.ty());
        return Err(TagError::Invalid(text));
    }
    let mut known = state.on(object).map(|tag| &**tag).chain(new.iter().copied());
    let same = |other: &str| state.tag(other).is_some_and(|other| other.category == group.id);
    if group.cardinality == Cardinality::Single && known.any(same) {
        let text = format!("{object} has a tag of the category {:?} already, which allows one", group.name);
        return Err(TagError::Invalid(text));
    }
    if state.count_on(object) + new.len() >= MAX_ON_OBJECT {
        return Err(TagError::Full(format!("{object} has the limit of {MAX_ON_OBJECT} tags")));
    }
    Ok(true)
}

/// The steps that detach each of the tags from each of the objects, and what cannot be done. A tag that is not attached counts as detached.
pub(crate) fn detach(
    state: &State,
    tags: &[String],
    objects: &[Object],
) -> Result<(Vec<Failure>, Vec<Edit>)> {
    within_bulk(tags.len().saturating_mul(objects.len()))?;
    let (mut failures, mut edits) = (Vec::new(), Vec::new());
    for id in tags {
        let Some(shared) = state.shared(id) else {
            failures.push(Failure(TagError::NoTag(id.clone())));
            continue;
        };
        let there = objects.iter().filter(|object| state.has(id, object));
        edits.extend(there.map(|object| Edit::Detach(shared.clone(), object.clone())));
    }
    Ok((failures, edits))
}

pub(crate) fn within_bulk(count: usize) -> Result<()> {
    if count > MAX_BULK {
        return Err(TagError::Full(format!("A request names at most {MAX_BULK} tags or objects")));
    }
    Ok(())
}

/// The steps that take all tags from these objects.
pub(crate) fn forget<'o>(state: &State, objects: impl Iterator<Item = &'o Object>) -> Vec<Edit> {
    let of = |object: &'o Object| {
        let tags: Vec<_> = state.on(object).cloned().collect();
        tags.into_iter().map(move |tag| Edit::Detach(tag, object.clone()))
    };
    objects.flat_map(of).collect()
}
