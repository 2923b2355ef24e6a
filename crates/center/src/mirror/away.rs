//! Shows a host that is not connected.

use std::sync::Arc;

use api::Writer;
use vim::{MoRef, Object, prop, props, vim_enum};

use super::host::ManagedHost;
use super::service::Mirror;
use crate::estate::Edges;
use crate::estate::show;
use crate::estate::show::host::Connection;

impl Mirror {
    /// Shows that a host is not connected, with the reason as an issue of its configuration, and ends every wait for it.
    pub(crate) async fn lose(&self, host: &Arc<ManagedHost>, connection: Connection, issue: Option<Object>) {
        host.connection.send_replace(connection);
        host.tasks.clear();
        let maintenance = self.inventory.in_maintenance(&host.me);
        let lost = host.clone();
        let shown = self.inventory.turn().await.finish(Vec::new(), move |w, edges| {
            lost.reported_mut().lose();
            show_lost(w, edges, &lost.me, connection, maintenance);
            match issue {
                Some(issue) => w.set(&lost.me, props!(HostSystem { configIssue: [issue] })),
                None => w.put(&lost.me, prop!(HostSystem.configIssue).number(), None),
            }
        });
        if let Err(fault) = shown.await {
            tracing::error!(host = host.name, %fault, "a lost host could not be shown");
        }
    }
}

impl Mirror {
    /// Shows no issue of a host that is reached again; it tells its own.
    pub(crate) fn reach(&self, host: &ManagedHost) {
        self.inventory.tree.write(|w| w.put(&host.me, prop!(HostSystem.configIssue).number(), None));
    }
}

/// Shows the host's VMs as disconnected and its mounts as inaccessible. Nothing is removed.
fn show_lost(w: &mut Writer, edges: &mut Edges, host: &MoRef, connection: Connection, maintenance: bool) {
    show::host::set_connection(w, host, connection, maintenance);
    let Some(node) = w.find(host).cloned() else { return };
    let away = vim_enum!(VirtualMachineConnectionState.disconnected);
    for vm in node.get(prop!(HostSystem.vm)).into_iter().flatten() {
        show::vm::set_connection(w, vm, away);
    }
    for datastore in node.get(prop!(HostSystem.datastore)).into_iter().flatten() {
        show::datastore::set_mount_accessible(w, datastore, host, false);
    }
    if let Some(parent) = node.get(prop!(HostSystem.parent)) {
        edges.refresh(parent);
    }
}
