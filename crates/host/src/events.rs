//! Events about machines, in the host's words.

use std::sync::Arc;

use api::{Call, Running};
use vim::{Object, field, vim};

use crate::{Host, ids, vms};

/// Who does something, and as a part of what.
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

    /// The same as a part of a task.
    pub(crate) fn in_task(&self, running: &Running) -> Self {
        Self { user: self.user.clone(), chain: Some(running.chain_id) }
    }
}

/// What happened to a machine.
#[derive(Debug, Clone)]
pub(crate) enum Vm {
    Created,
    Registered,
    Removed,
    Reconfigured,
    Renamed {
        old: String,
    },
    Starting,
    PoweredOn,
    /// With the reason, if nobody asked for it.
    PoweredOff(Option<String>),
    Resetting,
    Suspending,
    Suspended,
    GuestShutdown,
    GuestReboot,
    /// Something that vSphere has no type for.
    Warning(String),
}

impl Host {
    /// Writes an event about a machine.
    pub(crate) async fn post(&self, about: &Arc<vms::Vm>, what: Vm, who: &Who) {
        let config = about.config();
        let (name, host, template) = (&config.name, &self.name, config.template);
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
                    vm: VmEventArgument { name: name, vm: &about.me },
                    $($more)*
                }))
            };
        }
        macro_rules! vm_event {
            ($ty:ident, $($message:tt)+) => {{
                let mut event = event!($ty { template: template });
                event.set(field!(Event.fullFormattedMessage), format!($($message)+));
                event
            }};
        }
        let mut event = match what {
            Vm::Created => vm_event!(VmCreatedEvent, "Created virtual machine {name} on {host}"),
            Vm::Registered => vm_event!(VmRegisteredEvent, "Registered {name} on {host}"),
            Vm::Removed => vm_event!(VmRemovedEvent, "Removed {name} on {host}"),
            Vm::Reconfigured => {
                let mut event = event!(VmReconfiguredEvent {
                    template: template,
                    configSpec: VirtualMachineConfigSpec {},
                });
                event.set(field!(Event.fullFormattedMessage), format!("Reconfigured {name} on {host}"));
                event
            }
            Vm::Renamed { old } => {
                let mut event = event!(VmRenamedEvent { template: template, oldName: &*old, newName: name });
                event.set(field!(Event.fullFormattedMessage), format!("Renamed {old} to {name} on {host}"));
                event
            }
            Vm::Starting => vm_event!(VmStartingEvent, "{name} on {host} is starting"),
            Vm::PoweredOn => vm_event!(VmPoweredOnEvent, "{name} on {host} is powered on"),
            Vm::PoweredOff(None) => vm_event!(VmPoweredOffEvent, "{name} on {host} is powered off"),
            Vm::PoweredOff(Some(reason)) => {
                vm_event!(VmPoweredOffEvent, "{name} on {host} is powered off: {reason}")
            }
            Vm::Resetting => vm_event!(VmResettingEvent, "{name} on {host} is reset"),
            Vm::Suspending => vm_event!(VmSuspendingEvent, "{name} on {host} is being suspended"),
            Vm::Suspended => vm_event!(VmSuspendedEvent, "{name} on {host} is suspended"),
            Vm::GuestShutdown => vm_event!(VmGuestShutdownEvent, "Guest shutdown of {name} on {host}"),
            Vm::GuestReboot => vm_event!(VmGuestRebootEvent, "Guest reboot of {name} on {host}"),
            Vm::Warning(message) => {
                let text = format!("{name} on {host}: {message}");
                let mut event = event!(EventEx {
                    eventTypeId: "esfera.vm.warning",
                    severity: "warning",
                    message: &*text,
                    objectId: about.me.id(),
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
