//! A host as the center shows it: the host's own properties, except for its place and its connection, which are the
//! center's.

use api::Writer;
use vim::{MoRef, Object, field, managed_id, prop, props, ty, vim, vim_enum};

use crate::estate::records::Host;

pub(crate) type Connection = ty!(HostSystemConnectionState);

pub(crate) fn browser(host: &MoRef) -> MoRef {
    MoRef::new(managed_id!(HostDatastoreBrowser), format!("datastoreBrowser-{}", host.id()))
}

pub(crate) fn show(w: &mut Writer, me: &MoRef, host: &Host, new: bool) {
    w.set(me, props!(HostSystem { name: &host.name, parent: &host.parent }));
    if new {
        let name = &host.name;
        let connection = vim_enum!(HostSystemConnectionState.disconnected);
        let runtime = vim!(HostRuntimeInfo {
            connectionState: connection,
            powerState: "unknown",
            inMaintenanceMode: host.maintenance,
        });
        w.set(
            me,
            props!(HostSystem {
                datastoreBrowser: browser(me),
                runtime: runtime.clone(),
                summary: HostListSummary {
                    host: me,
                    runtime: runtime,
                    config: HostConfigSummary {
                        name: name,
                        port: i32::from(host.port),
                        vmotionEnabled: false,
                        faultToleranceEnabled: false,
                    },
                    quickStats: HostListSummaryQuickStats {},
                    overallStatus: "gray",
                    rebootRequired: false,
                },
                licensableResource: HostLicensableResourceInfo { resource: Vec::<ty!(KeyAnyValue)>::new() },
                configManager: HostConfigManager {},
            }),
        );
    }
}

/// The host's runtime information with the center's connection state and maintenance mode.
pub(crate) fn correct_runtime(runtime: &Object, connection: Connection, maintenance: bool) -> Object {
    let mut runtime = Object::clone(runtime);
    runtime.set(field!(HostRuntimeInfo.connectionState), connection);
    runtime.set(field!(HostRuntimeInfo.inMaintenanceMode), maintenance);
    runtime
}

/// Shows the host's connection state in every property that contains it.
pub(crate) fn set_connection(w: &mut Writer, me: &MoRef, connection: Connection, maintenance: bool) {
    let Some(node) = w.find(me).cloned() else { return };
    if let Some(runtime) = node.get(prop!(HostSystem.runtime)) {
        w.set(me, props!(HostSystem { runtime: correct_runtime(runtime, connection, maintenance) }));
    }
    if let Some(summary) = node.get(prop!(HostSystem.summary)) {
        let mut summary = Object::clone(summary);
        if let Some(runtime) = summary.get(field!(HostListSummary.runtime)).cloned() {
            let runtime = correct_runtime(&runtime, connection, maintenance);
            summary.set(field!(HostListSummary.runtime), runtime);
        }
        w.set(me, props!(HostSystem { summary: summary }));
    }
    let status = if connection == vim_enum!(HostSystemConnectionState.connected) {
        vim_enum!(ManagedEntityStatus.green)
    } else if connection == vim_enum!(HostSystemConnectionState.notResponding) {
        vim_enum!(ManagedEntityStatus.red)
    } else {
        vim_enum!(ManagedEntityStatus.gray)
    };
    // The loss of a host is the issue of its configuration that the center knows.
    w.set(me, props!(HostSystem { overallStatus: status, configStatus: status }));
}
