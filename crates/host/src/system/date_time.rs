//! HostDateTimeSystem: the host's clock, time zone and time servers. Settings that cannot be carried out are refused.

use std::sync::Arc;

use api::{Call, Manager, Table};
use vim::{
    Fault, Kind, List, ManagedId, MoRef, Object, Value, arg, data_id, fault, field, managed_id, method,
    props, ty, vim,
};
use vm::faults::not_supported;

use super::System;
use super::clock::{self, Zone};
use crate::blocking::blocking;

const SYSTEM: ManagedId = managed_id!(HostDateTimeSystem);
/// Most time servers of a host.
const MAX_SERVERS: usize = 16;
/// Longest name of a time server (RFC 1035).
const MAX_SERVER: usize = 253;

type Reply = Result<Option<Value>, Fault>;

/// The host's HostDateTimeSystem.
pub fn me() -> MoRef {
    MoRef::new(SYSTEM, "dateTimeSystem")
}

pub(super) const ROW: Manager<Arc<System>> = Manager {
    me: |_| me(),
    named: Some(field!(HostConfigManager.dateTimeSystem).number()),
    properties: |system| Ok(props!(HostDateTimeSystem { dateTimeInfo: system.date_time_info() })),
    register,
};

fn register(table: &mut Table<'_, Arc<System>>) {
    table.on(SYSTEM, method!(QueryDateTime), |system, _| async move {
        Ok(Some(Value::DateTime(system.clock.now())))
    });
    table.on(SYSTEM, method!(QueryAvailableTimeZones), |_, _| async {
        let zones = blocking(|| Ok(clock::zones())).await?;
        let zones = zones.iter().map(|zone| Value::from(shown(zone)));
        let kind = Kind::Data(data_id!(HostDateTimeSystemTimeZone));
        Ok(Some(Value::List(List::new(kind, zones.collect::<Vec<_>>()))))
    });
    table.on(SYSTEM, method!(UpdateDateTime), |system, call| async move {
        let time = call.required(arg!(UpdateDateTime.dateTime))?;
        let clock = system.clone();
        blocking(move || clock.clock.set(time)).await?;
        tracing::info!(user = call.user(), "the clock was set");
        Ok(None)
    });
    table.on(SYSTEM, method!(UpdateDateTimeConfig), update);
    table.on(SYSTEM, method!(RefreshDateTimeSystem), |system, _| async move {
        system.change_date_time(|_| Ok(())).await
    });
}

async fn update(system: Arc<System>, call: Call) -> Reply {
    let config = call.required(arg!(UpdateDateTimeConfig.config))?.clone();
    refuse_others(&config)?;
    let zone = config.get(field!(HostDateTimeConfig.timeZone)).map(str::to_owned);
    let servers = config.get(field!(HostDateTimeConfig.ntpConfig)).map(|ntp| servers(ntp)).transpose()?;
    // `refuse_others` admits the protocol ntp alone.
    let by_ntp = config.get(field!(HostDateTimeConfig.protocol)).is_some();
    system
        .change_date_time(move |system| {
            if let Some(zone) = zone.as_deref().filter(|zone| clock::zone(zone).is_none()) {
                return Err(invalid(
                    "config.timeZone",
                    &format!("The host does not know the time zone {zone:?}"),
                ));
            }
            if by_ntp && system.clock.servers().is_none() {
                return Err(not_supported("The host has no time service that could use NTP"));
            }
            let before = system.clock.zone();
            if let Some(zone) = &zone {
                system.clock.set_zone(zone)?;
            }
            let told = servers.map_or(Ok(()), |servers| system.clock.set_servers(&servers));
            if told.is_err() && zone.is_some() {
                system.clock.set_zone(&before)?;
            }
            told
        })
        .await
}

/// Refuses settings that this host cannot carry out.
fn refuse_others(config: &Object) -> Result<(), Fault> {
    let ntp = config.get(field!(HostDateTimeConfig.ntpConfig));
    let protocol = config.get(field!(HostDateTimeConfig.protocol));
    let is_set = [
        ("ptpConfig", config.get(field!(HostDateTimeConfig.ptpConfig)).is_some()),
        ("enabled", config.get(field!(HostDateTimeConfig.enabled)).is_some()),
        ("disableEvents", config.get(field!(HostDateTimeConfig.disableEvents)) == Some(true)),
        ("disableFallback", config.get(field!(HostDateTimeConfig.disableFallback)) == Some(true)),
        (
            "resetToFactoryDefaults",
            config.get(field!(HostDateTimeConfig.resetToFactoryDefaults)) == Some(true),
        ),
        ("protocol", protocol.is_some_and(|protocol| protocol != "ntp")),
        ("ntpConfig.configFile", ntp.is_some_and(|ntp| ntp.get(field!(HostNtpConfig.configFile)).is_some())),
    ];
    match is_set.into_iter().find(|(_, is_set)| *is_set) {
        Some((name, _)) => Err(not_supported(&format!("config.{name} cannot be changed on this host"))),
        None => Ok(()),
    }
}

/// The servers of a specification.
fn servers(ntp: &Object) -> Result<Vec<String>, Fault> {
    let names = ntp.get(field!(HostNtpConfig.server)).into_iter().flatten();
    let servers: Vec<String> = names.map(str::to_owned).collect();
    if servers.len() > MAX_SERVERS {
        let message = format!("{} servers are too many (most: {MAX_SERVERS})", servers.len());
        return Err(invalid("config.ntpConfig.server", &message));
    }
    let is_name = |name: &String| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        !name.is_empty() && name.len() <= MAX_SERVER && name.chars().all(fits)
    };
    match servers.iter().find(|name| !is_name(name)) {
        Some(name) => Err(invalid(
            "config.ntpConfig.server",
            &format!("{name:?} is neither a host name nor an address"),
        )),
        None => Ok(servers),
    }
}

fn invalid(property: &str, message: &str) -> Fault {
    fault!(InvalidArgument { invalidProperty: property }, "{message}")
}

fn shown(zone: &Zone) -> ty!(HostDateTimeSystemTimeZone) {
    vim!(HostDateTimeSystemTimeZone {
        key: &zone.key,
        name: &zone.key,
        description: &zone.description,
        gmtOffset: zone.offset_s,
    })
}

impl System {
    /// Changes the settings of the clock, and shows them as they are then, also if the change failed.
    async fn change_date_time(
        self: &Arc<Self>,
        change: impl FnOnce(&Self) -> Result<(), Fault> + Send + 'static,
    ) -> Reply {
        let system = self.clone();
        blocking(move || {
            let _one = system.changing_clock.lock();
            let changed = change(&system);
            let info = system.date_time_info();
            system.core.tree.write(|w| {
                w.set(&me(), props!(HostDateTimeSystem { dateTimeInfo: info.clone() }));
                system.show_date_time(w, info);
            });
            changed
        })
        .await?;
        Ok(None)
    }

    /// The `HostDateTimeInfo` of this moment.
    pub(super) fn date_time_info(&self) -> Object {
        let key = self.clock.zone();
        let zone = clock::zone(&key).unwrap_or(Zone { description: key.clone(), key, offset_s: 0 });
        let servers = self.clock.servers();
        vim!(HostDateTimeInfo {
            timeZone: shown(&zone),
            systemClockProtocol: servers.as_ref().map(|_| "ntp"),
            ntpConfig: servers.map(|servers| vim!(HostNtpConfig { server: servers })),
        })
        .into()
    }
}
