//! Removing folders. A folder of VMs is removed together with its VMs, any other folder only when it is empty.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{Args, Fault, MoRef, call, data_id, fault, managed_id, method};

use super::by::By;
use super::carrier::Carrier;
use crate::estate::vapps::{is_vapp, remove as remove_vapp};
use crate::estate::{Holds, Record, not_found, not_supported, remove_container};
use crate::link::LinkError;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table { methods, daemon: carrier };
    let folder = managed_id!(Folder);
    table.on(folder, method!(Destroy_Task), destroy);
    table.on(folder, method!(UnregisterAndDestroy_Task), |carrier, call| async move {
        destroy_with_vms(carrier, call, call!(UnregisterVM {}), "VirtualMachine.Inventory.Unregister").await
    });
}

async fn destroy(carrier: Arc<Carrier>, call: Call) -> Reply {
    let me = call.this.clone();
    match carrier.inventory.record(&me) {
        None => Err(not_found(&me)),
        Some(Record::Folder(folder)) if folder.fixed => {
            Err(not_supported("The root folder and the folders of a datacenter cannot be removed"))
        }
        Some(Record::Folder(folder)) if folder.holds == Holds::Vms => {
            destroy_with_vms(carrier, call, call!(Destroy_Task {}), "VirtualMachine.Inventory.Delete").await
        }
        Some(_) => {
            let options = carrier.inventory.alone(&call);
            call.task(options, move |_| async move {
                carrier.inventory.change(|plan| remove_container(plan, &me)).await.map(|()| None)
            })
            .await
        }
    }
}

/// Removes a folder of VMs with its contents: each VM by the call `end` on its host, which takes this privilege on the
/// VM.
async fn destroy_with_vms(carrier: Arc<Carrier>, call: Call, end: Args, privilege: &'static str) -> Reply {
    carrier.may_end(&call, privilege)?;
    let (options, asked) = (carrier.inventory.alone(&call), call.clone());
    call.task(options, move |running| async move {
        // VMs that were added to the folder since are checked as well.
        let ended = carrier.may_end(&asked, privilege)?;
        carrier.destroy_vm_folder(&asked.this, ended, &end, &By::task(&running)).await.map(|()| None)
    })
    .await
}

/// VMs, and vApps.
type Ended = (Vec<MoRef>, Vec<MoRef>);

impl Carrier {
    /// The VMs and vApps in and below a folder of VMs, if the session may end each of them and remove each folder below.
    ///
    /// # Errors
    /// `NoPermission` with the first object that it may not, `NotSupported` for a folder that is not removed so.
    fn may_end(&self, call: &Call, privilege: &str) -> Result<Ended, Fault> {
        let me = &call.this;
        let (mut vms, mut folders, mut vapps) = (Vec::new(), Vec::new(), Vec::new());
        {
            let records = self.inventory.records();
            match records.get(me) {
                Some(Record::Folder(folder)) if folder.holds == Holds::Vms && !folder.fixed => {}
                Some(_) => {
                    return Err(not_supported("Only a folder of VMs can be removed with its contents"));
                }
                None => return Err(not_found(me)),
            }
            let within = |mut at: MoRef| loop {
                if at == *me {
                    return true;
                }
                // A vApp goes with the folder that lists it, not with the pool that it is in.
                let up =
                    records.get(&at).and_then(|record| record.second_parent().or_else(|| record.parent()));
                match up {
                    Some(parent) => at = parent.clone(),
                    None => return false,
                }
            };
            for (at, record) in records.iter() {
                let list = match record {
                    Record::Vm(_) => &mut vms,
                    Record::Folder(_) => &mut folders,
                    Record::Pool(_) if is_vapp(at) => &mut vapps,
                    _ => continue,
                };
                if within(at.clone()) {
                    list.push(at.clone());
                }
            }
        }
        let (session, tree) = (call.session()?, call.state());
        for folder in &folders {
            call.service.check(session, folder, "Folder.Delete", &tree)?;
        }
        for vapp in &vapps {
            call.service.check(session, vapp, "VApp.Delete", &tree)?;
        }
        for vm in &vms {
            call.service.check(session, vm, privilege, &tree)?;
        }
        Ok((vms, vapps))
    }

    /// Ends these VMs by this call on their hosts, then removes the folder that they are in.
    async fn destroy_vm_folder(
        &self,
        me: &MoRef,
        (vms, vapps): Ended,
        end: &Args,
        by: &By,
    ) -> Result<(), Fault> {
        let is_on = |vm: &&MoRef| match self.inventory.record(vm) {
            Some(Record::Vm(record)) => !self.hosts.is_powered_off(vm, &record),
            _ => false,
        };
        if let Some(on) = vms.iter().find(is_on) {
            return Err(fault!(
                InvalidPowerState { requestedState: "poweredOff", existingState: "poweredOn" },
                "The VM '{}' in the folder is powered on; power it off first",
                self.inventory.name_of(on)
            ));
        }
        for vm in &vms {
            match self.carry_out(vm, end, by).await {
                Ok(_) => {}
                Err(LinkError::Fault(fault)) if fault.is_a(data_id!(ManagedObjectNotFound)) => {}
                Err(error) => return Err(error.into_fault()),
            }
        }
        let removed = self.inventory.change(|plan| {
            // One that is inside of another goes with that.
            for vapp in &vapps {
                if plan.find(vapp).is_some() {
                    remove_vapp(plan, vapp)?;
                }
            }
            remove_container(plan, me)
        });
        removed.await
    }
}
