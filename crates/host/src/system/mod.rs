//! The host as a whole: what it is made of, the objects that every host has, and its own settings.
//!
//! [`System`] is the service. `inventory` makes the fixed objects, `host_system` is the `HostSystem` object, to which other
//! slices add their parts; `settings` are the advanced settings, `date_time` is the clock, `storage_system` the disks, `events` the events about the host.

pub(crate) mod access;
mod auto_start;
mod clock;
pub mod cpuid;
mod date_time;
pub mod disks;
mod events;
pub mod hardware;
mod host_system;
mod inventory;
mod pool;
pub(crate) mod settings;
mod storage_system;

use std::sync::Arc;

use api::{Core, Manager};
use parking_lot::Mutex;
use uuid::Uuid;
use vim::{ty, vim};

use crate::engine::EngineInfo;

pub use access::{lift_lockdown, me as access_manager};
pub use auto_start::me as auto_start_manager;
pub(crate) use clock::Clock;
pub use date_time::me as date_time_system;
use hardware::Hardware;
use host_system::Shown;
pub use settings::me as advanced_options;

/// The subsystems of this slice that `HostConfigManager` names, beside the advanced settings ([`settings::ROW`]), which belong
/// to several services.
pub(crate) const SUBSYSTEMS: [Manager<Arc<System>>; 3] =
    [auto_start::ROW, date_time::ROW, storage_system::ROW];

/// The host as a whole.
pub struct System {
    core: Arc<Core>,
    /// The host's name in the inventory: a DNS name or an address.
    pub name: String,
    /// The host's identity, made once.
    pub uuid: Uuid,
    pub hardware: Hardware,
    engine: EngineInfo,
    clock: Clock,
    /// Held while the settings of the clock are changed and shown.
    changing_clock: Mutex<()>,
    /// The properties of the `HostSystem` object to which services add their parts.
    shown: Mutex<Shown>,
}

impl System {
    pub(crate) fn new(
        core: Arc<Core>,
        name: String,
        uuid: Uuid,
        hardware: Hardware,
        engine: EngineInfo,
        clock: Clock,
    ) -> Self {
        let mut system = Self {
            core,
            name,
            uuid,
            hardware,
            engine,
            clock,
            changing_clock: Mutex::default(),
            shown: Mutex::default(),
        };
        *system.shown.get_mut() = system.first_shown();
        system
    }

    /// `about` of this host: the product as clients need to see it.
    pub fn about(&self) -> ty!(AboutInfo) {
        let version = env!("CARGO_PKG_VERSION");
        vim!(AboutInfo {
            name: "Esfera Host",
            fullName: format!("Esfera Host {version} (vSphere API {})", vim::API_RELEASE),
            vendor: "Esfera",
            version: "8.0.3",
            build: version,
            localeVersion: "INTL",
            localeBuild: "000",
            osType: "linux-x64",
            productLineId: "embeddedEsx",
            apiType: "HostAgent",
            apiVersion: vim::API_RELEASE,
            instanceUuid: self.uuid.to_string(),
            licenseProductName: "Esfera Host",
            licenseProductVersion: version,
        })
    }
}
