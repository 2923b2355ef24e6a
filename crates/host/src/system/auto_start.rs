//! HostAutoStartManager: no VM starts with the host, and clients can read that. libvirt reads it before it describes a VM,
//! and crashes on a host without the object.

use std::sync::Arc;

use api::Manager;
use vim::{MoRef, field, managed_id, props};

use super::System;

/// The host's HostAutoStartManager.
pub fn me() -> MoRef {
    MoRef::new(managed_id!(HostAutoStartManager), "ha-autostart-mgr")
}

pub(super) const ROW: Manager<Arc<System>> = Manager {
    me: |_| me(),
    named: Some(field!(HostConfigManager.autoStartManager).number()),
    properties: |_| {
        Ok(props!(HostAutoStartManager {
            config: HostAutoStartManagerConfig { defaults: AutoStartDefaults { enabled: false } },
        }))
    },
    register: |_| {},
};
