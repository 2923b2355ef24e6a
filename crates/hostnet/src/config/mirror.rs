//! Port mirroring sessions as they are kept.

use serde::{Deserialize, Serialize};
use vswitch::declare::MirrorSession;

/// A port mirroring session with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedMirror {
    pub name: String,
    #[serde(flatten)]
    pub session: MirrorSession,
}
