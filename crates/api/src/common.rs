//! The state that the common managers of hosts and of the center share: the daemon's core, the ids of its objects, and its own facts.

use std::sync::Arc;

use vim::{Value, ty};

use crate::Core;
use crate::singletons::Singletons;

/// The facts by which one daemon's common managers differ from another's.
pub struct Facts {
    pub about: ty!(AboutInfo),
    pub capability: ty!(Capability),
    /// Initial settings of `ServiceContent.setting` by key; those that an administrator has changed keep their values.
    pub settings: Vec<(String, Value)>,
    /// Whether clients may define fields of their own and extensions are listed: on the center, not on a host.
    pub extensible: bool,
}

/// The daemon, as its common managers see it.
pub struct Common {
    pub core: Arc<Core>,
    pub ids: Singletons,
    pub facts: Facts,
}
