//! CPU, memory and boot settings of a VM: `com.vmware.vcenter.vm.hardware.{cpu,memory,boot,boot.device}`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Error, Record, Value};
use vim::{Object, call, data_id, field, vim};

use super::{config, devices, me, vm};
use crate::inventory::{self, int, invalid, spec_at};
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::{flag, text};

pub(crate) const CPU: Family = Family {
    service: "vcenter.vm.hardware.cpu",
    operations: &[
        Row { name: "get", handler: get_cpu, open: false },
        Row { name: "update", handler: update_cpu, open: false },
    ],
};

pub(crate) const MEMORY: Family = Family {
    service: "vcenter.vm.hardware.memory",
    operations: &[
        Row { name: "get", handler: get_memory, open: false },
        Row { name: "update", handler: update_memory, open: false },
    ],
};

pub(crate) const BOOT: Family = Family {
    service: "vcenter.vm.hardware.boot",
    operations: &[
        Row { name: "get", handler: get_boot, open: false },
        Row { name: "update", handler: update_boot, open: false },
    ],
};

pub(crate) const BOOT_DEVICE: Family = Family {
    service: "vcenter.vm.hardware.boot.device",
    operations: &[
        Row { name: "get", handler: get_devices, open: false },
        Row { name: "set", handler: set_devices, open: false },
    ],
};

fn long(number: Option<impl Into<i64>>) -> Value {
    number.map_or(Value::Unset, |number| Value::Long(number.into()))
}

fn boolean(flag: Option<bool>) -> Value {
    Value::Boolean(flag.unwrap_or_default())
}

pub(super) fn cpu(config: &Object) -> Value {
    let hardware = config.get(field!(VirtualMachineConfigInfo.hardware));
    let count = hardware.and_then(|hardware| hardware.get(field!(VirtualHardware.numCPU))).unwrap_or(1);
    let cores = hardware.and_then(|hardware| hardware.get(field!(VirtualHardware.numCoresPerSocket)));
    Value::Record(Record::new(
        "vcenter.vm.hardware.cpu.info",
        [
            ("count", Value::Long(count.into())),
            ("cores_per_socket", Value::Long(cores.unwrap_or(1).into())),
            ("hot_add_enabled", boolean(config.get(field!(VirtualMachineConfigInfo.cpuHotAddEnabled)))),
            ("hot_remove_enabled", boolean(config.get(field!(VirtualMachineConfigInfo.cpuHotRemoveEnabled)))),
        ],
    ))
}

pub(super) fn memory(config: &Object) -> Value {
    let hardware = config.get(field!(VirtualMachineConfigInfo.hardware));
    let size = hardware.and_then(|hardware| hardware.get(field!(VirtualHardware.memoryMB))).unwrap_or(0);
    let step = config.get(field!(VirtualMachineConfigInfo.hotPlugMemoryIncrementSize));
    Value::Record(Record::new(
        "vcenter.vm.hardware.memory.info",
        [
            ("size_MiB", Value::Long(size.into())),
            ("hot_add_enabled", boolean(config.get(field!(VirtualMachineConfigInfo.memoryHotAddEnabled)))),
            ("hot_add_increment_size_MiB", long(step)),
            ("hot_add_limit_MiB", long(config.get(field!(VirtualMachineConfigInfo.hotPlugMemoryLimit)))),
        ],
    ))
}

pub(super) fn boot(config: &Object) -> Value {
    let options = config.get(field!(VirtualMachineConfigInfo.bootOptions));
    let efi = config.get(field!(VirtualMachineConfigInfo.firmware)) == Some("efi");
    let delay = options.and_then(|options| options.get(field!(VirtualMachineBootOptions.bootDelay)));
    let retry = options.and_then(|options| options.get(field!(VirtualMachineBootOptions.bootRetryEnabled)));
    let pause = options.and_then(|options| options.get(field!(VirtualMachineBootOptions.bootRetryDelay)));
    let setup = options.and_then(|options| options.get(field!(VirtualMachineBootOptions.enterBIOSSetup)));
    let protocol =
        options.and_then(|options| options.get(field!(VirtualMachineBootOptions.networkBootProtocol)));
    let protocol = match protocol {
        _ if !efi => Value::Unset,
        Some("ipv6") => "IPV6".into(),
        _ => "IPV4".into(),
    };
    Value::Record(Record::new(
        "vcenter.vm.hardware.boot.info",
        [
            ("type", if efi { "EFI" } else { "BIOS" }.into()),
            ("efi_legacy_boot", if efi { Value::Boolean(false) } else { Value::Unset }),
            ("network_protocol", protocol),
            ("delay", Value::Long(delay.unwrap_or(0))),
            ("retry", boolean(retry)),
            ("retry_delay", Value::Long(pause.unwrap_or(10_000))),
            ("enter_setup_mode", boolean(setup)),
        ],
    ))
}

pub(super) fn boot_devices(config: &Object) -> Value {
    let options = config.get(field!(VirtualMachineConfigInfo.bootOptions));
    let order = options.and_then(|options| options.get(field!(VirtualMachineBootOptions.bootOrder)));
    let mut entries: Vec<Record> = Vec::new();
    let entry = |ty: &'static str, nic: Value, disks: Value| {
        let fields = [("type", ty.into()), ("nic", nic), ("disks", disks)];
        Record::new("vcenter.vm.hardware.boot.device.entry", fields)
    };
    for device in order.into_iter().flatten() {
        if device.is_a(data_id!(VirtualMachineBootOptionsBootableDiskDevice)) {
            let key = device.get(field!(VirtualMachineBootOptionsBootableDiskDevice.deviceKey));
            let id = Value::from(key.unwrap_or_default().to_string());
            // Disks that follow each other are one entry.
            match entries.last_mut().filter(|last| text(last, "type") == Some("DISK")) {
                Some(last) => {
                    let at = last.fields.len() - 1;
                    if let Value::List(disks) = &mut last.fields[at] {
                        disks.push(id);
                    }
                }
                None => entries.push(entry("DISK", Value::Unset, Value::List(vec![id]))),
            }
        } else if device.is_a(data_id!(VirtualMachineBootOptionsBootableEthernetDevice)) {
            let key = device.get(field!(VirtualMachineBootOptionsBootableEthernetDevice.deviceKey));
            entries.push(entry("ETHERNET", key.unwrap_or_default().to_string().into(), Value::Unset));
        } else if device.is_a(data_id!(VirtualMachineBootOptionsBootableCdromDevice)) {
            entries.push(entry("CDROM", Value::Unset, Value::Unset));
        } else {
            entries.push(entry("FLOPPY", Value::Unset, Value::Unset));
        }
    }
    Value::List(entries.into_iter().map(Value::Record).collect())
}

async fn reconfigure(ask: &Ask<'_>, spec: Object) -> Reply {
    inventory::task(ask, &me(ask), call!(ReconfigVM_Task { spec: spec })).await.map(|_| Value::Unset)
}

/// The wishes of a specification of CPUs, added to a VM's specification.
pub(super) fn with_cpu(of: &mut Object, spec: Option<&Record>) -> Result<(), Error> {
    let Some(spec) = spec else { return Ok(()) };
    let (count, cores) = (int(spec, "count")?, int(spec, "cores_per_socket")?);
    let (add, remove) = (flag(Some(spec), "hot_add_enabled"), flag(Some(spec), "hot_remove_enabled"));
    if count.is_some_and(|count| count < 1) || cores.is_some_and(|cores| cores < 1) {
        return Err(invalid("The number of CPUs must be positive"));
    }
    if let Some(count) = count {
        of.set(field!(VirtualMachineConfigSpec.numCPUs), count);
    }
    if let Some(cores) = cores {
        of.set(field!(VirtualMachineConfigSpec.numCoresPerSocket), cores);
    }
    if let Some(add) = add {
        of.set(field!(VirtualMachineConfigSpec.cpuHotAddEnabled), add);
    }
    if let Some(remove) = remove {
        of.set(field!(VirtualMachineConfigSpec.cpuHotRemoveEnabled), remove);
    }
    Ok(())
}

/// The same of memory.
pub(super) fn with_memory(of: &mut Object, spec: Option<&Record>) -> Result<(), Error> {
    let Some(spec) = spec else { return Ok(()) };
    if let Some(Value::Long(size)) = spec.get("size_MiB") {
        of.set(field!(VirtualMachineConfigSpec.memoryMB), *size);
    }
    if let Some(add) = flag(Some(spec), "hot_add_enabled") {
        of.set(field!(VirtualMachineConfigSpec.memoryHotAddEnabled), add);
    }
    Ok(())
}

/// The same of booting.
pub(super) fn with_boot(of: &mut Object, spec: Option<&Record>) -> Result<(), Error> {
    let Some(spec) = spec else { return Ok(()) };
    if flag(Some(spec), "efi_legacy_boot") == Some(true) {
        return Err(invalid("EFI does not boot in the way of a BIOS here"));
    }
    if let Some(ty) = text(spec, "type") {
        of.set(field!(VirtualMachineConfigSpec.firmware), if ty == "EFI" { "efi" } else { "bios" });
    }
    let number = |name: &str| match spec.get(name) {
        Some(Value::Long(number)) => Some(*number),
        _ => None,
    };
    let options = vim!(VirtualMachineBootOptions {
        bootDelay: number("delay"),
        bootRetryEnabled: flag(Some(spec), "retry"),
        bootRetryDelay: number("retry_delay"),
        enterBIOSSetup: flag(Some(spec), "enter_setup_mode"),
        networkBootProtocol: text(spec, "network_protocol").map(str::to_lowercase),
    });
    let given = ["delay", "retry", "retry_delay", "enter_setup_mode", "network_protocol"];
    if given.iter().any(|name| spec.get(name).is_some()) {
        of.set(field!(VirtualMachineConfigSpec.bootOptions), options);
    }
    Ok(())
}

fn get_cpu(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| Ok(cpu(config(&*vm(ask)?)?));
    async move { read(&ask) }.boxed()
}

fn get_memory(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| Ok(memory(config(&*vm(ask)?)?));
    async move { read(&ask) }.boxed()
}

fn get_boot(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| Ok(boot(config(&*vm(ask)?)?));
    async move { read(&ask) }.boxed()
}

fn get_devices(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| Ok(boot_devices(config(&*vm(ask)?)?));
    async move { read(&ask) }.boxed()
}

/// Reconfigures the VM as the parameter behind its id asks.
async fn update(ask: Ask<'_>, with: fn(&mut Object, Option<&Record>) -> Result<(), Error>) -> Reply {
    let mut spec = vim!(VirtualMachineConfigSpec {}).into();
    with(&mut spec, spec_at(&ask, 1))?;
    reconfigure(&ask, spec).await
}

fn update_cpu(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    update(ask, with_cpu).boxed()
}

fn update_memory(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    update(ask, with_memory).boxed()
}

fn update_boot(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    update(ask, with_boot).boxed()
}

/// The order of booting that entries ask for. Disks that an entry does not name are all disks.
fn order(entries: &[Value], config: &Object) -> Result<Vec<Object>, Error> {
    let key = |id: &str| id.parse::<i32>().map_err(|_| invalid(format!("The device {id} does not exist")));
    let keys = |kind: vim::DataId| {
        devices(config)
            .filter(move |device| device.is_a(kind))
            .filter_map(|device| device.get(field!(VirtualDevice.key)))
    };
    let disk = |key: i32| Object::from(vim!(VirtualMachineBootOptionsBootableDiskDevice { deviceKey: key }));
    let mut order = Vec::new();
    for entry in entries.iter().filter_map(Value::as_record) {
        match text(entry, "type").unwrap_or_default() {
            "CDROM" => order.push(vim!(VirtualMachineBootOptionsBootableCdromDevice {}).into()),
            "FLOPPY" => order.push(vim!(VirtualMachineBootOptionsBootableFloppyDevice {}).into()),
            "ETHERNET" => {
                let nic =
                    text(entry, "nic").ok_or_else(|| invalid("An entry ETHERNET needs the field nic"))?;
                let nic = key(nic)?;
                order.push(vim!(VirtualMachineBootOptionsBootableEthernetDevice { deviceKey: nic }).into());
            }
            _ => match entry.get("disks") {
                Some(Value::List(disks)) => {
                    for id in disks.iter().filter_map(Value::as_str) {
                        order.push(disk(key(id)?));
                    }
                }
                _ => order.extend(keys(data_id!(VirtualDisk)).map(disk)),
            },
        }
    }
    Ok(order)
}

fn set_devices(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let node = vm(&ask)?;
        let entries = match ask.input.get(1) {
            Some(Value::List(entries)) => entries.as_slice(),
            _ => &[],
        };
        let order = order(entries, config(&node)?)?;
        let options = vim!(VirtualMachineBootOptions { bootOrder: order });
        reconfigure(&ask, vim!(VirtualMachineConfigSpec { bootOptions: options }).into()).await
    }
    .boxed()
}
