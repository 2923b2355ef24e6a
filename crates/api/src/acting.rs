//! The user on whose behalf a center calls a host, which does not know the center's users. The host names the user in its tasks and
//! events behind its center's account, as ESXi does, and applies the limits that the center sends.
//!
//! Over HTTP it travels in the header [`HEADER`], which only a center's session may use.

use std::collections::{BTreeMap, BTreeSet};

use vim::MoRef;

use crate::files::{escape, unescape};

/// `user=<name>`, then `task=<key>` if a task of the center calls, then `<privilege>=<id>,<id>` for each limit, with `&` between, each
/// part escaped as in a URL.
pub const HEADER: &str = "esfera-acting";
/// The account that a center has on its hosts; it has no password.
pub const CENTER_ACCOUNT: &str = "vpxuser";
const USER: &str = "user";
const TASK: &str = "task";

/// A user of the center, on whose behalf it calls a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// The center's account and the user, as the host shows them.
    shown: String,
    limits: BTreeMap<String, BTreeSet<String>>,
    /// The key of the center's task that the call is a part of.
    task: Option<String>,
}

impl Acting {
    pub fn new(user: &str) -> Self {
        Self { shown: format!("{CENTER_ACCOUNT}:{user}"), limits: BTreeMap::new(), task: None }
    }

    /// The user has the privilege only on these objects, by the host's ids. Only [`crate::Call::check`] applies the limit.
    #[must_use]
    pub fn limited(mut self, privilege: &str, objects: impl IntoIterator<Item = MoRef>) -> Self {
        let ids = objects.into_iter().map(|object| object.id().to_owned()).collect();
        self.limits.insert(privilege.to_owned(), ids);
        self
    }

    /// The call is a part of this task of the center.
    #[must_use]
    pub fn in_task(mut self, key: &str) -> Self {
        self.task = Some(key.to_owned());
        self
    }

    /// The key of the center's task that the call is a part of.
    pub fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// As the host's tasks and events name the user: `vpxuser:VSPHERE.LOCAL\eve`.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The center's user in a name that a host shows; none if the center acted on its own, or somebody else did.
    pub fn user_in(shown: &str) -> Option<&str> {
        shown.strip_prefix(CENTER_ACCOUNT)?.strip_prefix(':')
    }

    /// Whether the center has not said that the user lacks the privilege on the object.
    pub(crate) fn may(&self, object: &MoRef, privilege: &str) -> bool {
        self.limits.get(privilege).is_none_or(|allowed| allowed.contains(object.id()))
    }

    /// The value of the header.
    pub(crate) fn to_header(&self) -> String {
        let user = Self::user_in(&self.shown).unwrap_or_default();
        let mut text = format!("{USER}={}", escape(user));
        if let Some(task) = &self.task {
            text.push_str(&format!("&{TASK}={}", escape(task)));
        }
        for (privilege, ids) in &self.limits {
            let ids: Vec<String> = ids.iter().map(|id| escape(id)).collect();
            text.push_str(&format!("&{}={}", escape(privilege), ids.join(",")));
        }
        text
    }

    /// Reads the header. None if it is malformed: the call must be refused then, since the header may have held limits.
    pub(crate) fn from_header(text: &str) -> Option<Self> {
        let mut parts = text.split('&');
        let mut acting = Self::new(&unescape(parts.next()?.strip_prefix(USER)?.strip_prefix('=')?)?);
        for part in parts {
            let (privilege, ids) = part.split_once('=')?;
            if privilege == TASK {
                acting.task = Some(unescape(ids)?);
                continue;
            }
            let ids = ids.split(',').filter(|id| !id.is_empty());
            acting.limits.insert(unescape(privilege)?, ids.map(unescape).collect::<Option<_>>()?);
        }
        Some(acting)
    }
}

#[cfg(test)]
mod tests {
    use vim::managed_id;

    use super::*;

    #[test]
    fn the_header_carries_the_user_and_his_limits() {
        let datastore = |id: &str| MoRef::new(managed_id!(Datastore), id);
        let acting = Acting::new("VSPHERE.LOCAL\\Zoë & Co=1")
            .limited("Datastore.Browse", [datastore("a,b"), datastore("c")])
            .limited("Datastore.AllocateSpace", [])
            .in_task("task-7");
        let read = Acting::from_header(&acting.to_header()).expect("it is well formed");
        assert_eq!(read, acting);
        assert_eq!(Acting::user_in(read.shown()), Some("VSPHERE.LOCAL\\Zoë & Co=1"));
        assert!(read.may(&datastore("a,b"), "Datastore.Browse"));
        assert!(!read.may(&datastore("d"), "Datastore.Browse"));
        assert!(!read.may(&datastore("c"), "Datastore.AllocateSpace"), "an empty limit leaves nothing");
        assert!(read.may(&datastore("d"), "Datastore.FileManagement"), "it was not limited");
        for wrong in ["", "eve", "user", "user=eve&Datastore.Browse", "user=%ff", "user=eve&a=%ff"] {
            assert_eq!(Acting::from_header(wrong), None, "{wrong}");
        }
        assert_eq!(Acting::user_in("vpxuser"), None);
        assert_eq!(Acting::user_in("vpxuser2:eve"), None);
    }
}
