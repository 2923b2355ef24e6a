//! `com.vmware.vcenter.vm.power`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::{Args, call, field, prop};

use super::{power_state, vm};
use crate::inventory::{self, already, name};
use crate::operation::{Ask, Family, Reply, Row};

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.vm.power",
    operations: &[
        Row { name: "get", handler: get, open: false },
        Row { name: "start", handler: start, open: false },
        Row { name: "stop", handler: stop, open: false },
        Row { name: "suspend", handler: suspend, open: false },
        Row { name: "reset", handler: reset, open: false },
    ],
};

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let shown = |ask: &Ask<'_>| {
        let node = vm(ask)?;
        let runtime = node.get(prop!(VirtualMachine.runtime));
        let clean = runtime.and_then(|runtime| runtime.get(field!(VirtualMachineRuntimeInfo.cleanPowerOff)));
        // It is told of a VM that is off only.
        let clean = clean.filter(|_| power_state(&node) == "POWERED_OFF");
        let fields = [
            ("state", power_state(&node).into()),
            ("clean_power_off", clean.map_or(Value::Unset, Value::Boolean)),
        ];
        Ok(Value::Record(Record::new("vcenter.vm.power.info", fields)))
    };
    async move { shown(&ask) }.boxed()
}

/// Changes the power state, unless it is there already.
async fn change(ask: &Ask<'_>, there: Option<&str>, args: Args) -> Reply {
    let node = vm(ask)?;
    if there == Some(power_state(&node)) {
        return Err(already(&format!("The VM {} is in this power state already", name(&node))));
    }
    inventory::task(ask, node.me(), args).await.map(|_| Value::Unset)
}

fn start(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { change(&ask, Some("POWERED_ON"), call!(PowerOnVM_Task {})).await }.boxed()
}

fn stop(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { change(&ask, Some("POWERED_OFF"), call!(PowerOffVM_Task {})).await }.boxed()
}

fn suspend(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { change(&ask, Some("SUSPENDED"), call!(SuspendVM_Task {})).await }.boxed()
}

fn reset(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { change(&ask, None, call!(ResetVM_Task {})).await }.boxed()
}
