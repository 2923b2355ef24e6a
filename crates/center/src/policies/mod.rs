//! Storage policies, served at `/pbm/sdk`: what VMs ask of datastores, as rules about the tags of these.
//!
//! A policy has alternatives, each a list of rules; a datastore fits if it meets all rules of one alternative ([`matching`], pure). The
//! center keeps policies and the default policies of datastores in its store.

mod compliance;
mod content;
mod defaults;
mod matching;
mod placement;
mod profiles;
mod records;

use std::sync::Arc;

use api::{Call, Core, Manager, invalid_argument};
use tags::Tags;
use vim::{Fault, ManagedId, MoRef, Object, Value, managed_id, ty, vim};

use crate::estate::store_fault;
use matching::{Policy, Rule};
use records::{POLICIES, Stored};

pub(crate) use content::MANAGERS;

/// The namespace of rules about tags.
const TAGS: &str = "http://www.vmware.com/storage/tag";

/// The storage policies of a center.
pub(crate) struct Policies {
    core: Arc<Core>,
    tags: Arc<Tags>,
    /// The center's UUID.
    center: String,
    /// Held during a change.
    changing: tokio::sync::Mutex<()>,
}

impl Policies {
    pub(crate) fn new(core: Arc<Core>, tags: Arc<Tags>, center: &str) -> Arc<Self> {
        Arc::new(Self { core, tags, center: center.to_owned(), changing: tokio::sync::Mutex::default() })
    }

    /// All policies, by their ids; first those that the center has without anybody's doing.
    fn all(&self) -> Result<Vec<(String, Stored)>, Fault> {
        let made = POLICIES.all(&self.core.store).map_err(|error| store_fault(&error))?;
        let mut all = records::system().to_vec();
        all.extend(made);
        Ok(all)
    }

    fn find(&self, id: &str) -> Result<Option<Stored>, Fault> {
        if let Some((_, system)) = records::system().iter().find(|(known, _)| known == id) {
            return Ok(Some(system.clone()));
        }
        POLICIES.get(&self.core.store, id).map_err(|error| store_fault(&error))
    }

    /// The policy that a parameter names.
    ///
    /// # Errors
    /// `InvalidArgument` if there is none.
    fn required(&self, parameter: &str, id: &Object) -> Result<(String, Stored), Fault> {
        let id = id_of(id);
        let unknown =
            || invalid_argument(parameter, &format!("A storage policy with the id {id:?} does not exist"));
        let stored = self.find(&id)?.ok_or_else(unknown)?;
        Ok((id, stored))
    }

    /// The tags on an object: name of the category, name of the tag.
    fn tags_on(&self, object: &MoRef) -> Vec<(String, String)> {
        let on = self.tags.on(&tags::Object::new(object.type_name(), object.id()));
        let named = on.iter().filter_map(|id| {
            let tag = self.tags.tag(id).ok()?;
            Some((self.tags.category(&tag.category).ok()?.name, tag.name))
        });
        named.collect()
    }

    /// Whether a datastore fits a policy, and if not, the rules that it breaks in the alternative that it comes closest to.
    fn admits(&self, policy: &Policy, datastore: &MoRef) -> Result<(), Vec<Rule>> {
        policy.admits(&self.tags_on(datastore))
    }
}

/// `uniqueId` of a `PbmProfileId`.
fn id_of(profile: &Object) -> String {
    profile.named("uniqueId").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn profile_id(id: &str) -> ty!(PbmProfileId) {
    vim!(PbmProfileId { uniqueId: id })
}

/// The objects of a type that the caller may see.
fn visible(call: &Call, kind: ManagedId) -> Vec<MoRef> {
    let state = call.state();
    let all = state.iter().map(|node| node.me()).filter(|me| me.is_a(kind));
    all.filter(|me| call.check(me, "System.Read").is_ok()).cloned().collect()
}

/// The datastore of the root folder's tree with this id, if the caller may see it.
fn datastore(call: &Call, id: &str) -> Option<MoRef> {
    let me = MoRef::new(managed_id!(Datastore), id);
    let known = call.state().find(&me).is_some();
    (known && call.check(&me, "System.Read").is_ok()).then_some(me)
}

type Row = Manager<Arc<Policies>>;
