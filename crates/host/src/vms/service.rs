//! The parts that operations on VMs work with.

use std::sync::Arc;

use ::pools::Capacity;
use api::Core;
use hostnet::HostNetwork;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::files::Files;
use super::pools::Pools;
use super::ports::Ports;
use super::register::Register;
use super::view::View;
use super::vm::Vm;
use crate::datastores::Datastores;
use crate::engine::Engine;
use crate::events::{Events, Subject, VmEvent, Who};
use crate::storage::InUse;

/// The VMs of this host together with what operations on them need. Each operation is a function of its own file.
pub(crate) struct Vms {
    pub(crate) register: Arc<Register>,
    pub(super) core: Arc<Core>,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) files: Files,
    pub(super) ports: Ports,
    pub(super) in_use: Arc<InUse>,
    pub(super) view: Arc<View>,
    pub(super) pools: Pools,
    pub(super) events: Arc<Events>,
    pub(super) host: Identity,
    /// Cancelled when the last operation and the last client have let go of the VMs; QEMU processes go on.
    pub(super) closing: CancellationToken,
}

impl Drop for Vms {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// The host in the locks and tokens that it leaves beside VMs.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) uuid: Uuid,
}

/// The services of the host that operations on VMs use.
pub(crate) struct Parts {
    pub(crate) core: Arc<Core>,
    pub(crate) register: Arc<Register>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) datastores: Arc<Datastores>,
    pub(crate) network: Arc<HostNetwork>,
    pub(crate) in_use: Arc<InUse>,
    pub(crate) events: Arc<Events>,
    pub(crate) host: Identity,
    /// Speed of one processor, MHz.
    pub(crate) mhz: u32,
    /// The resources that pools share.
    pub(crate) capacity: Capacity,
}

impl Vms {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let view = View::new(
            parts.core.tree.clone(),
            parts.datastores.clone(),
            parts.mhz,
            parts.register.index().clone(),
        );
        let pools = Pools::new(parts.core.clone(), parts.register.clone(), parts.capacity);
        Arc::new(Self {
            pools,
            register: parts.register,
            core: parts.core,
            files: Files { datastores: parts.datastores, engine: parts.engine.clone() },
            ports: Ports { network: parts.network, engine: parts.engine.clone() },
            engine: parts.engine,
            in_use: parts.in_use,
            view: Arc::new(view),
            events: parts.events,
            host: parts.host,
            closing: CancellationToken::new(),
        })
    }

    /// The service cancels this token as it is dropped; the tasks that watch over the host end then.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Posts an event about a VM.
    pub(super) async fn post(&self, vm: &Vm, what: VmEvent, who: &Who) {
        let config = vm.config();
        let about = Subject { me: &vm.me, name: &config.name, template: config.template };
        self.events.vm(about, what, who).await;
    }

    /// Posts an event for each VM that has a MAC address of this one: both may be on networks that never meet.
    pub(super) async fn warn_of_shared_macs(&self, vm: &Vm, who: &Who) {
        for (mac, other) in self.register.shared_macs(vm) {
            let (other, name) = (other.me.clone(), other.name());
            self.post(vm, VmEvent::MacConflict { mac, other, name }, who).await;
        }
    }

    /// Removes what the QEMU process of a VM left in the runtime directory.
    pub(super) async fn forget_process(&self, vm: &Vm) {
        if let Err(error) = self.engine.forget(vm.me.id()).await {
            tracing::warn!(vm = vm.me.id(), %error, "the runtime directory of a QEMU process stays behind");
        }
    }
}
