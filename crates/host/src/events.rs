//! Events about the VMs of this host, in its words. [`Events`] posts them.

use std::sync::Arc;

use api::{Call, Core, Running};
use vim::{MoRef, Object, field, vim};

use crate::ids;

/// The user who does something, and the task that it is part of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    pub(crate) user: String,
    /// Ties the events of one task together.
    pub(crate) chain: Option<i32>,
}

impl Who {
    /// The user of a call.
    pub(crate) fn of(call: &Call) -> Self {
        Self { user: call.user().to_owned(), chain: None }
    }

    /// The same user, as part of a task.
    pub(crate) fn in_task(&self, running: &Running) -> Self {
        Self { user: self.user.clone(), chain: Some(running.chain_id) }
    }
}

/// Posts the events of a host.
pub(crate) struct Events {
    core: Arc<Core>,
    /// Name of the host.
    host: String,
}

impl Events {
    pub(crate) fn new(core: Arc<Core>, host: &str) -> Self {
        Self { core, host: host.to_owned() }
    }
}

/// The VM that an event is about.
pub(crate) struct Subject<'a> {
    pub(crate) me: &'a MoRef,
    pub(crate) name: &'a str,
    pub(crate) template: bool,
}

/// Something that happened to a VM.
#[derive(Debug, Clone)]
pub(crate) enum VmEvent {
    Created,
    Registered,
    Removed,
    Reconfigured,
    Renamed {
        old: String,
    },
    Starting,
    PoweredOn,
    /// With the reason, if no client asked for it.
    PoweredOff(Option<String>),
    Resetting,
    Suspending,
    Suspended,
    GuestShutdown,
    GuestReboot,
    /// Another VM has an address of this one.
    MacConflict {
        mac: String,
        other: MoRef,
        name: String,
    },
    /// Something that vSphere has no type for.
    Warning(String),
}

impl Events {
    /// Posts that a datastore is inaccessible, with the reason, or accessible again.
    pub(crate) async fn datastore(&self, me: &MoRef, name: &str, why: Option<&str>) {
        let host = &self.host;
        let (id, severity, text) = match why {
            Some(why) => ("inaccessible", "error", format!("{name} on {host} cannot be used: {why}")),
            None => ("accessible", "info", format!("{name} on {host} is accessible again")),
        };
        let mut event = vim!(EventEx {
            key: 0,
            chainId: 0,
            createdTime: vim::DateTime::now(),
            userName: "",
            datacenter: DatacenterEventArgument { name: "ha-datacenter", datacenter: ids::datacenter() },
            host: HostEventArgument { name: host, host: ids::host() },
            ds: DatastoreEventArgument { name: name, datastore: me },
            eventTypeId: format!("esfera.datastore.{id}"),
            severity: severity,
            message: &*text,
            objectId: me.id(),
            objectType: "Datastore",
            objectName: name,
        });
        event.set(field!(Event.fullFormattedMessage), text);
        event.set(field!(Event.chainId), None::<i32>);
        self.core.events.post(event).await;
    }

    /// Posts an event about a VM.
    pub(crate) async fn vm(&self, about: Subject<'_>, what: VmEvent, who: &Who) {
        let Subject { me, name, template } = about;
        let host = &self.host;
        macro_rules! event {
            ($ty:ident { $($more:tt)* }) => {
                Object::from(vim!($ty {
                    key: 0,
                    chainId: who.chain.unwrap_or(0),
                    createdTime: vim::DateTime::now(),
                    userName: &*who.user,
                    datacenter: DatacenterEventArgument { name: "ha-datacenter", datacenter: ids::datacenter() },
                    computeResource: ComputeResourceEventArgument {
                        name: host,
                        computeResource: ids::compute_resource(),
                    },
                    host: HostEventArgument { name: host, host: ids::host() },
                    vm: VmEventArgument { name: name, vm: me },
                    $($more)*
                }))
            };
        }
        // The catalog of events has their sentences.
        macro_rules! vm_event {
            ($ty:ident) => {
                event!($ty { template: template })
            };
        }
        let mut event = match what {
            VmEvent::Created => vm_event!(VmCreatedEvent),
            VmEvent::Registered => vm_event!(VmRegisteredEvent),
            VmEvent::Removed => vm_event!(VmRemovedEvent),
            VmEvent::Reconfigured => {
                event!(VmReconfiguredEvent { template: template, configSpec: VirtualMachineConfigSpec {} })
            }
            VmEvent::Renamed { old } => {
                event!(VmRenamedEvent { template: template, oldName: &*old, newName: name })
            }
            VmEvent::Starting => vm_event!(VmStartingEvent),
            VmEvent::PoweredOn => vm_event!(VmPoweredOnEvent),
            VmEvent::PoweredOff(reason) => {
                let mut event = vm_event!(VmPoweredOffEvent);
                let text = reason.map(|reason| format!("{name} on {host} is powered off: {reason}"));
                event.set(field!(Event.fullFormattedMessage), text);
                event
            }
            VmEvent::Resetting => vm_event!(VmResettingEvent),
            VmEvent::Suspending => vm_event!(VmSuspendingEvent),
            VmEvent::Suspended => vm_event!(VmSuspendedEvent),
            VmEvent::GuestShutdown => vm_event!(VmGuestShutdownEvent),
            VmEvent::GuestReboot => vm_event!(VmGuestRebootEvent),
            VmEvent::MacConflict { mac, other, name: other_name } => event!(VmMacConflictEvent {
                template: template,
                conflictedVm: VmEventArgument { name: &*other_name, vm: &other },
                mac: &*mac,
            }),
            VmEvent::Warning(message) => {
                let text = format!("{name} on {host}: {message}");
                let mut event = event!(EventEx {
                    eventTypeId: "esfera.vm.warning",
                    severity: "warning",
                    message: &*text,
                    objectId: me.id(),
                    objectType: "VirtualMachine",
                    objectName: name,
                });
                event.set(field!(Event.fullFormattedMessage), text);
                event
            }
        };
        if who.chain.is_none() {
            event.set(field!(Event.chainId), None::<i32>);
        }
        self.core.events.post(event).await;
    }
}
