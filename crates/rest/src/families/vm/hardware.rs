//! `com.vmware.vcenter.vm.hardware`: the version of a VM's hardware.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::{Object, call, field};

use super::{config, me, vm};
use crate::inventory;
use crate::operation::{Ask, Family, Reply, Row};

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.vm.hardware",
    operations: &[
        Row { name: "get", handler: get, open: false },
        Row { name: "upgrade", handler: upgrade, open: false },
    ],
};

/// `vmx-21` is `VMX_21` here.
pub(super) fn version_of(text: &str) -> String {
    text.to_uppercase().replace('-', "_")
}

/// The reverse.
pub(super) fn version_id(text: &str) -> String {
    text.to_lowercase().replace('_', "-")
}

pub(super) fn shown(config: &Object) -> Value {
    let version = config.get(field!(VirtualMachineConfigInfo.version)).unwrap_or_default();
    let planned = config.get(field!(VirtualMachineConfigInfo.scheduledHardwareUpgradeInfo));
    let policy = planned.and_then(|planned| planned.get(field!(ScheduledHardwareUpgradeInfo.upgradePolicy)));
    let policy = match policy {
        Some("always") => "ALWAYS",
        Some("onSoftPowerOff") => "AFTER_CLEAN_SHUTDOWN",
        _ => "NEVER",
    };
    let status = planned
        .and_then(|planned| planned.get(field!(ScheduledHardwareUpgradeInfo.scheduledHardwareUpgradeStatus)));
    let status = match status {
        Some("pending") => "PENDING",
        Some("success") => "SUCCESS",
        Some("failed") => "FAILED",
        _ => "NONE",
    };
    let wanted = planned.and_then(|planned| planned.get(field!(ScheduledHardwareUpgradeInfo.versionKey)));
    let wanted = wanted.filter(|_| policy != "NEVER").map(|wanted| Value::from(version_of(wanted)));
    Value::Record(Record::new(
        "vcenter.vm.hardware.info",
        [
            ("version", version_of(version).into()),
            ("upgrade_policy", policy.into()),
            ("upgrade_version", wanted.unwrap_or(Value::Unset)),
            ("upgrade_status", status.into()),
        ],
    ))
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| Ok(shown(config(&*vm(ask)?)?));
    async move { read(&ask) }.boxed()
}

fn upgrade(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let version = ask.input.get(1).and_then(Value::as_str).map(version_id);
        let args = call!(UpgradeVM_Task { version: version });
        inventory::task(&ask, &me(&ask), args).await.map(|_| Value::Unset)
    }
    .boxed()
}
