//! `com.vmware.vcenter.vm.tools`: what is known of the tools in a guest. Esfera does not install or upgrade them.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::{call, field, prop, vim};

use super::{config, me, vm};
use crate::inventory::{self, spec_at};
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::text;

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.vm.tools",
    operations: &[
        Row { name: "get", handler: get, open: false },
        Row { name: "update", handler: update, open: false },
    ],
};

const AT_POWER_CYCLE: &str = "upgradeAtPowerCycle";

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let shown = |ask: &Ask<'_>| {
        let node = vm(ask)?;
        let guest = node.get(prop!(VirtualMachine.guest));
        let running = guest.and_then(|guest| guest.get(field!(GuestInfo.toolsRunningStatus)));
        let run_state = match running {
            Some("guestToolsRunning") => "RUNNING",
            Some("guestToolsExecutingScripts") => "EXECUTING_SCRIPTS",
            _ => "NOT_RUNNING",
        };
        let version = guest.and_then(|guest| guest.get(field!(GuestInfo.toolsVersion)));
        let number = version.and_then(|version| version.parse().ok());
        let status = guest.and_then(|guest| guest.get(field!(GuestInfo.toolsVersionStatus2)));
        let status = match status {
            Some("guestToolsNotInstalled") => "NOT_INSTALLED".into(),
            Some("guestToolsCurrent") => "CURRENT".into(),
            Some("guestToolsUnmanaged") => "UNMANAGED".into(),
            Some("guestToolsSupportedOld") => "SUPPORTED_OLD".into(),
            Some("guestToolsSupportedNew") => "SUPPORTED_NEW".into(),
            _ => Value::Unset,
        };
        let tools = config(&node).ok().and_then(|config| config.get(field!(VirtualMachineConfigInfo.tools)));
        let policy = tools.and_then(|tools| tools.get(field!(ToolsConfigInfo.toolsUpgradePolicy)));
        let policy = if policy == Some(AT_POWER_CYCLE) { "UPGRADE_AT_POWER_CYCLE" } else { "MANUAL" };
        Ok(Value::Record(Record::new(
            "vcenter.vm.tools.info",
            [
                ("auto_update_supported", Value::Boolean(false)),
                ("version_number", number.map_or(Value::Unset, Value::Long)),
                ("version", version.map_or(Value::Unset, Value::from)),
                ("upgrade_policy", policy.into()),
                ("version_status", status),
                ("run_state", run_state.into()),
            ],
        )))
    };
    async move { shown(&ask) }.boxed()
}

fn update(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let policy = match spec_at(&ask, 1).and_then(|spec| text(spec, "upgrade_policy")) {
            None => return vm(&ask).map(|_| Value::Unset),
            Some("UPGRADE_AT_POWER_CYCLE") => AT_POWER_CYCLE,
            Some(_) => "manual",
        };
        let tools = vim!(ToolsConfigInfo { toolsUpgradePolicy: policy });
        let args = call!(ReconfigVM_Task { spec: VirtualMachineConfigSpec { tools: tools } });
        inventory::task(&ask, &me(&ask), args).await.map(|_| Value::Unset)
    }
    .boxed()
}
