//! `com.vmware.vcenter.VM`.

use api::Node;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::{MoRef, field, managed_id, prop};

use super::{config, devices, guest_os, hardware, life, power_state, settings, vm};
use crate::inventory::{self, Wanted, above_of, filter, folder_of, name};
use crate::operation::{Ask, Family, Reply, Row};

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.VM",
    operations: &[
        Row { name: "list", handler: list, open: false },
        Row { name: "get", handler: get, open: false },
        Row { name: "create", handler: life::create, open: false },
        Row { name: "delete", handler: life::delete, open: false },
        Row { name: "register", handler: life::register, open: false },
        Row { name: "unregister", handler: life::unregister, open: false },
    ],
};

/// VMs in one answer.
const MAX_LISTED: usize = 50_000;

fn summary(node: &Node) -> Value {
    let known = node.get(prop!(VirtualMachine.config));
    let hardware = known.and_then(|config| config.get(field!(VirtualMachineConfigInfo.hardware)));
    let long = |number: Option<i32>| number.map_or(Value::Unset, |number| Value::Long(number.into()));
    Value::Record(Record::new(
        "vcenter.VM.summary",
        [
            ("vm", node.me().id().into()),
            ("name", name(node).into()),
            ("power_state", power_state(node).into()),
            ("cpu_count", long(hardware.and_then(|hardware| hardware.get(field!(VirtualHardware.numCPU))))),
            (
                "memory_size_MiB",
                long(hardware.and_then(|hardware| hardware.get(field!(VirtualHardware.memoryMB)))),
            ),
        ],
    ))
}

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| {
        let of = |field| Wanted::of(filter(ask), field);
        let (ids, names, powers) = (of("vms"), of("names"), of("power_states"));
        let (folders, datacenters) = (of("folders"), of("datacenters"));
        let (hosts, clusters, pools) = (of("hosts"), of("clusters"), of("resource_pools"));
        let id = |at: Option<&MoRef>| at.map(|at| vec![at.id().to_owned()]).unwrap_or_default();
        let host = |node: &Node| {
            let runtime = node.get(prop!(VirtualMachine.runtime));
            id(runtime.and_then(|runtime| runtime.get(field!(VirtualMachineRuntimeInfo.host))))
        };
        let cluster = |node: &Node, state: &api::Snapshot| {
            let pool = node.get(prop!(VirtualMachine.resourcePool)).and_then(|pool| state.find(pool));
            let owner = pool.and_then(|pool| pool.get(prop!(ResourcePool.owner)));
            id(owner.filter(|owner| owner.is_a(managed_id!(ClusterComputeResource))))
        };
        inventory::list(
            ask,
            managed_id!(VirtualMachine),
            MAX_LISTED,
            |node, state| {
                ids.allows(node.me().id())
                    && names.allows(name(node))
                    && powers.allows(power_state(node))
                    && folders.allows_any(|| folder_of(node, state))
                    && datacenters.allows_any(|| above_of(node, state, managed_id!(Datacenter)))
                    && hosts.allows_any(|| host(node))
                    && pools.allows_any(|| id(node.get(prop!(VirtualMachine.resourcePool))))
                    && clusters.allows_any(|| cluster(node, state))
            },
            summary,
        )
    };
    async move { listed(&ask) }.boxed()
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| -> Reply {
        let node = vm(ask)?;
        let config = config(&node)?;
        let text = |text: Option<&str>| Value::from(text.unwrap_or_default());
        let identity = Record::new(
            "vcenter.vm.identity.info",
            [
                ("name", name(&node).into()),
                ("bios_uuid", text(config.get(field!(VirtualMachineConfigInfo.uuid)))),
                ("instance_uuid", text(config.get(field!(VirtualMachineConfigInfo.instanceUuid)))),
            ],
        );
        let guest = config.get(field!(VirtualMachineConfigInfo.guestId)).unwrap_or_default();
        let all = |kind: &devices::Kind| kind.map(config);
        Ok(Value::Record(Record::new(
            "vcenter.VM.info",
            [
                ("guest_OS", guest_os::shown(guest).into()),
                ("name", name(&node).into()),
                ("identity", Value::Record(identity)),
                ("power_state", power_state(&node).into()),
                ("hardware", hardware::shown(config)),
                ("boot", settings::boot(config)),
                ("boot_devices", settings::boot_devices(config)),
                ("cpu", settings::cpu(config)),
                ("memory", settings::memory(config)),
                ("disks", all(&devices::DISKS)),
                ("nics", all(&devices::NICS)),
                ("cdroms", all(&devices::CDROMS)),
                ("floppies", all(&devices::FLOPPIES)),
                ("parallel_ports", all(&devices::PARALLEL_PORTS)),
                ("serial_ports", all(&devices::SERIAL_PORTS)),
                ("sata_adapters", all(&devices::SATA_ADAPTERS)),
                ("scsi_adapters", all(&devices::SCSI_ADAPTERS)),
                ("nvme_adapters", all(&devices::NVME_ADAPTERS)),
            ],
        )))
    };
    async move { read(&ask) }.boxed()
}
