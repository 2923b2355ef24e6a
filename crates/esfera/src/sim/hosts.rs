//! Simulated hosts with their VMs.

use std::sync::Arc;

use anyhow::{Context, Result};
use api::accounts::{AccountsDoor, CENTER_ACCOUNT};
use api::server::Site;
use center::sim::{Host as Described, Vm};
use datastore::Datastore;
use host::{Host, SimulatedOptions};
use vim::{Object, field, vim, vim_enum};

use super::identity::Seed;

/// Disks of a SCSI controller, whose unit 7 is its own; controllers of a VM.
const DISKS: usize = 15;
const CONTROLLERS: usize = 4;
const RESERVED_UNIT: usize = 7;

/// A host to be made.
pub struct Plan<'a> {
    pub host: &'a Described,
    /// The names that tell it and its VMs from others: of its datacenter, and its own.
    pub names: [&'a str; 2],
    pub datastores: Vec<(String, Arc<Datastore>)>,
    /// A number that no other host has.
    pub number: u32,
    /// The number of its VMs' first network adapter.
    pub first_adapter: u32,
    pub seed: Seed,
    /// Whether the host makes its VMs; otherwise the caller makes them through the center.
    pub with_vms: bool,
    /// Name and password of its administrator.
    pub administrator: Option<(&'a str, &'a str)>,
}

impl Plan<'_> {
    /// The network adapters of all its VMs.
    pub fn adapters(host: &Described) -> u32 {
        let many = host.vms.iter().map(|vm| vm.networks.len()).sum::<usize>();
        u32::try_from(many).unwrap_or(u32::MAX)
    }

    /// The instance UUID of a VM.
    pub fn instance_uuid(seed: Seed, names: [&str; 2], vm: &Vm) -> String {
        seed.uuid("instance", &vm_names(names, vm)).to_string()
    }

    /// Makes the host with its VMs.
    pub async fn make(self) -> Result<Site> {
        let mut options = SimulatedOptions::new(&self.host.name, self.datastores);
        options.networks.clone_from(&self.host.networks);
        options.threads = self.host.threads;
        options.memory_bytes = self.host.memory_mib << 20;
        options.uuid = Some(self.seed.uuid("host", &self.names));
        options.number = Some(self.number);
        let host = Host::simulated(options).await?;
        let accounts = host.accounts().await?;
        accounts.ensure_administrator(CENTER_ACCOUNT, "Control center", None).await?;
        if let Some((user, password)) = self.administrator {
            accounts.ensure_administrator(user, "Administrator", Some(password)).await?;
        }
        let service = host.service(&accounts, &[esxcli::register])?;
        let mut adapter = self.first_adapter;
        let (mut on, mut off): (Vec<Arc<Object>>, Vec<Arc<Object>>) = Default::default();
        for vm in self.host.vms.iter().filter(|_| self.with_vms) {
            let config = Arc::new(new_vm(vm, self.seed, self.names, &mut adapter));
            if vm.powered_on { &mut on } else { &mut off }.push(config);
        }
        for (specs, turn_on) in [(on, true), (off, false)] {
            let named = || format!("the VMs of the host {}", self.host.name);
            host.populate(&specs, turn_on).await.with_context(named)?;
        }
        Ok(Site {
            files: Some(host.storage().files(accounts.clone())),
            screens: Some(host.screens()),
            captures: Some(host.networking().captures()),
            protocols: vec![Arc::new(AccountsDoor(accounts))],
            service,
        })
    }
}

fn vm_names<'a>([datacenter, host]: [&'a str; 2], vm: &'a Vm) -> Vec<&'a str> {
    let mut names = vec![datacenter, host, vm.name.as_str()];
    names.extend(vm.folder.iter().map(String::as_str));
    names
}

/// The specification of a VM on the host with these names; `adapter` is the number of the next network adapter.
pub fn new_vm(vm: &Vm, seed: Seed, names: [&str; 2], adapter: &mut u32) -> Object {
    let mut changes: Vec<Object> = Vec::new();
    let mut add = |device: Object, creates: bool| {
        let mut change: Object = vim!(VirtualDeviceConfigSpec { operation: "add", device: device }).into();
        if creates {
            let create = vim_enum!(VirtualDeviceConfigSpecFileOperation.create);
            change.set(field!(VirtualDeviceConfigSpec.fileOperation), create);
        }
        changes.push(change);
    };
    if vm.cdrom {
        let backing = vim!(VirtualCdromRemotePassthroughBackingInfo {
            deviceName: "",
            exclusive: false,
            useAutoDetect: false,
        });
        add(vim!(VirtualIDEController { key: -1, busNumber: 0 }).into(), false);
        add(vim!(VirtualCdrom { key: -2, controllerKey: -1, unitNumber: 0, backing: backing }).into(), false);
    }
    for (bus, disks) in (0i32..).zip(vm.disks_kib.chunks(DISKS).take(CONTROLLERS)) {
        let controller = -10 - bus;
        let scsi =
            vim!(ParaVirtualSCSIController { key: controller, busNumber: bus, sharedBus: "noSharing" });
        add(scsi.into(), false);
        let units = (0i32..).filter(|unit| usize::try_from(*unit) != Ok(RESERVED_UNIT));
        for (unit, kib) in units.zip(disks) {
            let backing = vim!(VirtualDiskFlatVer2BackingInfo {
                fileName: "",
                diskMode: "persistent",
                thinProvisioned: true,
            });
            let disk = vim!(VirtualDisk {
                key: -100 - 16 * bus - unit,
                controllerKey: controller,
                unitNumber: unit,
                capacityInKB: *kib,
                backing: backing,
            });
            add(disk.into(), true);
        }
    }
    for (at, network) in (0i32..).zip(&vm.networks) {
        let card = vim!(VirtualE1000 {
            key: -1000 - at,
            addressType: "generated",
            macAddress: seed.mac(*adapter),
            backing: VirtualEthernetCardNetworkBackingInfo { deviceName: network },
        });
        *adapter = adapter.wrapping_add(1);
        add(card.into(), false);
    }
    vim!(VirtualMachineConfigSpec {
        name: &vm.name,
        uuid: seed.uuid("vm", &vm_names(names, vm)).to_string(),
        instanceUuid: Plan::instance_uuid(seed, names, vm),
        guestId: &vm.guest_id,
        numCPUs: vm.cpus,
        memoryMB: vm.memory_mib,
        files: VirtualMachineFileInfo { vmPathName: format!("[{}]", vm.datastore) },
        deviceChange: changes,
    })
    .into()
}
