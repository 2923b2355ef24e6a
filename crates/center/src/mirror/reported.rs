//! The facts that the center decides by, as a host last reported them, in the center's references.
//!
//! The mirror updates them in the same step as the tree. They stay when the host is lost, except that its datastores
//! are out of reach, and are empty until it is first connected.

use std::collections::{HashMap, HashSet};

use vim::{DataId, MoRef, Object, Value, field, prop, ty, vim_enum};

use super::facts::{self, Properties};

/// The facts of one host.
#[derive(Default)]
pub(crate) struct Reported {
    /// `HostSystem.datastore`, in its order.
    datastores: Vec<MoRef>,
    /// Whether the host reaches each datastore that it mounts.
    mounts: HashMap<MoRef, bool>,
    /// `HostSystem.network`, in its order.
    networks: Vec<MoRef>,
    vms: HashMap<MoRef, VmReport>,
}

/// The facts of one VM.
#[derive(Default)]
struct VmReport {
    power: Option<ty!(VirtualMachinePowerState)>,
    /// The key of each device with a backing, and the backing's type and file (empty for none).
    files: Box<[(i32, DataId, Box<str>)]>,
}

impl Reported {
    pub(crate) fn datastores(&self) -> &[MoRef] {
        &self.datastores
    }

    /// The datastores and networks of the host.
    pub(super) fn shared(&self) -> impl Iterator<Item = &MoRef> {
        self.datastores.iter().chain(&self.networks)
    }

    /// Whether the host mounts the datastore and can access it.
    pub(super) fn reaches(&self, datastore: &MoRef) -> bool {
        self.mounts.get(datastore) == Some(&true)
    }

    /// Whether the host mounts the datastore or has the network.
    pub(super) fn has(&self, object: &MoRef) -> bool {
        self.mounts.contains_key(object) || self.networks.contains(object)
    }

    pub(crate) fn vms(&self) -> impl Iterator<Item = &MoRef> {
        self.vms.keys()
    }

    pub(super) fn vm_count(&self) -> usize {
        self.vms.len()
    }

    /// Whether no VM on the host is on.
    pub(crate) fn is_idle(&self) -> bool {
        self.vms.values().all(VmReport::is_off)
    }

    pub(super) fn power(&self, vm: &MoRef) -> Option<ty!(VirtualMachinePowerState)> {
        self.vms.get(vm)?.power
    }

    pub(super) fn is_powered_off(&self, vm: &MoRef) -> bool {
        self.vms.get(vm).is_none_or(VmReport::is_off)
    }

    /// Whether the VM's device with this key has a backing of this type with this file.
    pub(crate) fn has_file(&self, vm: &MoRef, device: i32, backing: DataId, file: &str) -> bool {
        let mut files = self.vms.get(vm).into_iter().flat_map(|vm| &vm.files);
        files.any(|(key, ty, path)| (*key, *ty, &**path) == (device, backing, file))
    }

    /// A whole state follows.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The host is lost: it reaches no datastore.
    pub(super) fn lose(&mut self) {
        self.mounts.values_mut().for_each(|accessible| *accessible = false);
    }

    /// Takes in changed properties of the host itself, in the center's references.
    pub(super) fn host(&mut self, properties: &Properties) {
        if let Some(datastores) = facts::changed(properties, prop!(HostSystem.datastore)) {
            let new = references(datastores);
            let gone: HashSet<MoRef> =
                self.datastores.drain(..).filter(|datastore| !new.contains(datastore)).collect();
            self.mounts.retain(|datastore, _| !gone.contains(datastore));
            self.datastores = new;
        }
        if let Some(networks) = facts::changed(properties, prop!(HostSystem.network)) {
            self.networks = references(networks);
        }
    }

    /// Takes in the host's mount of a datastore.
    pub(super) fn mount(&mut self, datastore: &MoRef, accessible: bool) {
        self.mounts.insert(datastore.clone(), accessible);
    }

    /// Takes in changed properties of a VM.
    pub(super) fn vm(&mut self, me: &MoRef, properties: &Properties) {
        let vm = self.vms.entry(me.clone()).or_default();
        if let Some(runtime) = facts::changed(properties, prop!(VirtualMachine.runtime)) {
            let runtime = runtime.and_then(Value::as_object);
            vm.power = runtime.and_then(|runtime| runtime.get(field!(VirtualMachineRuntimeInfo.powerState)));
        }
        if let Some(config) = facts::changed(properties, prop!(VirtualMachine.config)) {
            vm.files = config.and_then(Value::as_object).map(|config| files(config)).unwrap_or_default();
        }
    }

    pub(super) fn remove_vm(&mut self, me: &MoRef) {
        self.vms.remove(me);
    }
}

impl VmReport {
    fn is_off(&self) -> bool {
        self.power.is_none_or(|power| power == vim_enum!(VirtualMachinePowerState.poweredOff))
    }
}

fn references(list: Option<&Value>) -> Vec<MoRef> {
    list.map(Value::items).unwrap_or_default().iter().filter_map(Value::as_ref).cloned().collect()
}

/// The backings of the devices in a `VirtualMachineConfigInfo`.
fn files(config: &Object) -> Box<[(i32, DataId, Box<str>)]> {
    let hardware = config.get(field!(VirtualMachineConfigInfo.hardware));
    let devices = hardware.and_then(|hardware| hardware.get(field!(VirtualHardware.device)));
    let files = devices.into_iter().flatten().filter_map(|device| {
        let backing = device.get(field!(VirtualDevice.backing))?;
        let file = backing.named("fileName").and_then(|name| name.as_str()).unwrap_or_default().trim();
        Some((device.get(field!(VirtualDevice.key))?, backing.ty(), file.into()))
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use vim::{Kind, List, data_id, managed_id, vim};

    use super::*;

    fn datastore(id: &str) -> MoRef {
        MoRef::new(managed_id!(Datastore), id)
    }

    fn listed(ids: &[&str]) -> Properties {
        let items: Vec<Value> = ids.iter().map(|id| Value::from(&datastore(id))).collect();
        let list = Value::List(List::new(Kind::Ref(managed_id!(Datastore)), items));
        vec![(prop!(HostSystem.datastore).number(), Some(list))]
    }

    #[test]
    fn a_datastore_is_reached_while_the_host_is_connected_and_lists_it() {
        let (a, b) = (datastore("a"), datastore("b"));
        let mut reported = Reported::default();
        reported.host(&listed(&["a", "b"]));
        reported.mount(&a, true);
        reported.mount(&b, false);
        assert!(reported.reaches(&a) && !reported.reaches(&b) && reported.has(&b));
        reported.host(&listed(&["a"]));
        assert!(!reported.has(&b), "the host no longer mounts it");
        reported.lose();
        assert!(!reported.reaches(&a) && reported.has(&a), "the mount of a lost host stays");
        assert_eq!(reported.datastores(), [a]);
    }

    #[test]
    fn a_vm_keeps_the_facts_that_a_change_does_not_name() {
        let me = MoRef::new(managed_id!(VirtualMachine), "vm-1");
        let runtime = |state: &str| {
            let mut runtime = Object::new(data_id!(VirtualMachineRuntimeInfo));
            let state = vim::EnumOf::parse(state).expect("a power state");
            runtime.set(field!(VirtualMachineRuntimeInfo.powerState), state);
            vec![(prop!(VirtualMachine.runtime).number(), Some(Value::from(runtime)))]
        };
        let disk = vim!(VirtualDisk {
            key: 2_000,
            capacityInKB: 1i64,
            backing: VirtualDiskFlatVer2BackingInfo { fileName: "[ds] a.vmdk", diskMode: "persistent" },
        });
        let mut config = Object::new(data_id!(VirtualMachineConfigInfo));
        config.set(
            field!(VirtualMachineConfigInfo.hardware),
            vim!(VirtualHardware { numCPU: 1, memoryMB: 64, device: [disk] }),
        );
        let mut reported = Reported::default();
        assert!(reported.is_powered_off(&me), "nothing is known of it");
        reported.vm(&me, &runtime("poweredOn"));
        reported.vm(&me, &vec![(prop!(VirtualMachine.config).number(), Some(Value::from(config)))]);
        assert!(!reported.is_powered_off(&me) && !reported.is_idle());
        let backing = data_id!(VirtualDiskFlatVer2BackingInfo);
        assert!(reported.has_file(&me, 2_000, backing, "[ds] a.vmdk"));
        assert!(!reported.has_file(&me, 2_000, backing, "[ds] b.vmdk"));
        assert!(!reported.has_file(&me, 2_001, backing, "[ds] a.vmdk"));
        reported.vm(&me, &runtime("suspended"));
        assert!(!reported.is_powered_off(&me), "a suspended VM is not off");
        reported.remove_vm(&me);
        assert_eq!((reported.vm_count(), reported.is_idle()), (0, true));
    }
}
