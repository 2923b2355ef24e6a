//! A VM as the center shows it: the host's properties, in the center's folder and pool.

use api::Writer;
use vim::{MoRef, Object, field, prop, props, ty, vim};

use crate::estate::records::Vm;

pub(crate) type Connection = ty!(VirtualMachineConnectionState);

pub(crate) fn show(w: &mut Writer, me: &MoRef, vm: &Vm, new: bool) {
    let name = &vm.name;
    // A template has no resource pool, and a VM in a vApp has that in place of a folder.
    let pool = (!vm.template).then_some(&vm.pool).cloned();
    let vapp = vm.is_in_vapp().then_some(&vm.pool).cloned();
    let folder = (!vm.is_in_vapp()).then_some(&vm.folder).cloned();
    w.set(me, props!(VirtualMachine { name: name, parent: folder, parentVApp: vapp, resourcePool: pool }));
    if new {
        let runtime = vim!(VirtualMachineRuntimeInfo {
            host: &vm.host,
            connectionState: "disconnected",
            powerState: "poweredOff",
            faultToleranceState: "notConfigured",
            toolsInstallerMounted: false,
            numMksConnections: 0,
            recordReplayState: "inactive",
            onlineStandby: false,
            consolidationNeeded: false,
        });
        let uuid = |text: &String| (!text.is_empty()).then(|| text.clone());
        w.set(
            me,
            props!(VirtualMachine {
                runtime: runtime.clone(),
                summary: VirtualMachineSummary {
                    vm: me,
                    runtime: runtime,
                    config: VirtualMachineConfigSummary {
                        name: name,
                        template: vm.template,
                        vmPathName: &vm.path,
                        uuid: uuid(&vm.uuid),
                        instanceUuid: uuid(&vm.instance_uuid),
                    },
                    quickStats: VirtualMachineQuickStats {},
                    overallStatus: "gray",
                },
                guestHeartbeatStatus: "gray",
            }),
        );
    }
}

/// Shows the connection state of the VM's host in every property that contains it.
pub(crate) fn set_connection(w: &mut Writer, me: &MoRef, connection: Connection) {
    let Some(node) = w.find(me).cloned() else { return };
    let correct = |runtime: &Object| {
        let mut runtime = Object::clone(runtime);
        runtime.set(field!(VirtualMachineRuntimeInfo.connectionState), connection);
        runtime
    };
    if let Some(runtime) = node.get(prop!(VirtualMachine.runtime)) {
        w.set(me, props!(VirtualMachine { runtime: correct(runtime) }));
    }
    if let Some(summary) = node.get(prop!(VirtualMachine.summary)) {
        let mut summary = Object::clone(summary);
        if let Some(runtime) = summary.get(field!(VirtualMachineSummary.runtime)).cloned() {
            summary.set(field!(VirtualMachineSummary.runtime), correct(&runtime));
        }
        w.set(me, props!(VirtualMachine { summary: summary }));
    }
}
