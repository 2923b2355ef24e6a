//! Events about the host itself.

use vim::{DateTime, Object, data_id, field, props, vim, vim_enum};

use super::System;
use crate::ids;

impl System {
    /// Posts an event about the host, which gets the fields that all such events have.
    pub(crate) async fn post(&self, event: Object, text: &str) {
        self.core.events.post(self.about_host(event, text)).await;
    }

    /// The same about what a user did.
    pub(crate) async fn post_by(&self, event: Object, user: &str, text: &str) {
        let mut event = self.about_host(event, text);
        event.set(field!(Event.userName), user);
        self.core.events.post(event).await;
    }

    /// Posts an event for which vSphere has no type.
    pub(crate) async fn post_extended(&self, kind: &str, severity: &str, text: &str) {
        self.post(self.extended(kind, severity, text), text).await;
    }

    /// Posts an error about the host, and shows it as an issue of the host's configuration.
    pub(crate) async fn post_issue(&self, kind: &str, text: &str) {
        let mut event = self.about_host(self.extended(kind, "error", text), text);
        let key = self.core.events.post(event.clone()).await;
        event.set(field!(Event.key), key);
        event.set(field!(Event.chainId), key);
        let red = vim_enum!(ManagedEntityStatus.red);
        self.core.tree.write(|w| {
            w.set(
                &ids::host(),
                props!(HostSystem { configIssue: [event], configStatus: red, overallStatus: red }),
            );
        });
    }

    fn extended(&self, kind: &str, severity: &str, text: &str) -> Object {
        let mut event = Object::new(data_id!(EventEx));
        event.set(field!(EventEx.eventTypeId), kind);
        event.set(field!(EventEx.severity), severity);
        event.set(field!(EventEx.message), text);
        event.set(field!(EventEx.objectId), ids::host().id());
        event.set(field!(EventEx.objectType), "HostSystem");
        event.set(field!(EventEx.objectName), &*self.name);
        event
    }

    fn about_host(&self, mut event: Object, text: &str) -> Object {
        event.set(field!(Event.key), 0);
        event.set(field!(Event.createdTime), DateTime::now());
        event.set(field!(Event.userName), "");
        event.set(
            field!(Event.datacenter),
            vim!(DatacenterEventArgument { name: "ha-datacenter", datacenter: ids::datacenter() }),
        );
        event.set(
            field!(Event.computeResource),
            vim!(ComputeResourceEventArgument { name: &self.name, computeResource: ids::compute_resource() }),
        );
        event.set(field!(Event.host), vim!(HostEventArgument { name: &self.name, host: ids::host() }));
        event.set(field!(Event.fullFormattedMessage), text);
        event
    }
}
