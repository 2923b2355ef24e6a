//! Describes the inventory that a center shows: its structure, without identities, addresses, settings and secrets.
//!
//! Distributed port groups become port groups, vApps become pools, templates become VMs that are off.

use std::collections::{BTreeMap, HashMap};

use vim::{ManagedId, MoRef, Object, Value, data_id, managed_id};

use super::inventory::{Compute, Datacenter, Datastore, Host, Inventory, Network, Path, Vm};

/// The kinds of objects that are looked at, and the properties of each.
pub const KINDS: &[(ManagedId, &[&str])] = &[
    (
        managed_id!(Datacenter),
        &["name", "parent", "vmFolder", "hostFolder", "datastoreFolder", "networkFolder"],
    ),
    (managed_id!(Folder), &["name", "parent"]),
    (managed_id!(ComputeResource), &["name", "parent", "resourcePool"]),
    (managed_id!(ResourcePool), &["name", "parent", "owner"]),
    (managed_id!(HostSystem), &["name", "parent", "datastore", "network", "summary.hardware"]),
    (managed_id!(Datastore), &["name", "parent", "summary.capacity"]),
    (managed_id!(Network), &["name", "parent"]),
    (
        managed_id!(VirtualMachine),
        &[
            "name",
            "parent",
            "resourcePool",
            "runtime.host",
            "runtime.powerState",
            "summary.config",
            "config.hardware",
        ],
    ),
];

/// A host whose hardware is unknown is described with this.
const THREADS: u16 = 16;
const MEMORY_MIB: u64 = 64 << 10;

/// An object as a client sees it.
pub struct Shown {
    pub me: MoRef,
    pub properties: BTreeMap<String, Value>,
}

impl Shown {
    fn text(&self, name: &str) -> &str {
        self.properties.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn reference(&self, name: &str) -> Option<&MoRef> {
        self.properties.get(name).and_then(Value::as_ref)
    }

    fn references(&self, name: &str) -> impl Iterator<Item = &MoRef> {
        self.properties.get(name).into_iter().flat_map(Value::items).filter_map(Value::as_ref)
    }

    fn object(&self, name: &str) -> Option<&Object> {
        self.properties.get(name).and_then(Value::as_object).map(|object| &**object)
    }
}

fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Short(number) => Some((*number).into()),
        Value::Int(number) => Some((*number).into()),
        Value::Long(number) => Some(*number),
        _ => None,
    }
}

struct All<'a> {
    objects: HashMap<&'a MoRef, &'a Shown>,
    /// Pools by their owner, hosts by their parent, VMs by their host: each sorted by name.
    pools: HashMap<&'a MoRef, Vec<&'a Shown>>,
    hosts: HashMap<&'a MoRef, Vec<&'a Shown>>,
    vms: HashMap<&'a MoRef, Vec<&'a Shown>>,
    networks: HashMap<&'a str, &'a str>,
}

impl<'a> All<'a> {
    fn new(shown: &'a [Shown]) -> Self {
        let mut all = Self {
            objects: shown.iter().map(|one| (&one.me, one)).collect(),
            pools: HashMap::new(),
            hosts: HashMap::new(),
            vms: HashMap::new(),
            networks: HashMap::new(),
        };
        all.pools = all.grouped(managed_id!(ResourcePool), "owner");
        all.hosts = all.grouped(managed_id!(HostSystem), "parent");
        all.vms = all.grouped(managed_id!(VirtualMachine), "runtime.host");
        all.networks =
            all.of(managed_id!(Network)).into_iter().map(|one| (one.me.id(), one.text("name"))).collect();
        all
    }

    fn grouped(&self, ty: ManagedId, property: &str) -> HashMap<&'a MoRef, Vec<&'a Shown>> {
        let mut groups: HashMap<&MoRef, Vec<&Shown>> = HashMap::new();
        for one in self.of(ty) {
            if let Some(of) = one.reference(property) {
                groups.entry(of).or_default().push(one);
            }
        }
        groups
    }

    fn name(&self, at: &MoRef) -> &'a str {
        self.objects.get(at).map(|shown| shown.text("name")).unwrap_or_default()
    }

    fn parent(&self, at: &MoRef) -> Option<&'a MoRef> {
        self.objects.get(at)?.reference("parent")
    }

    /// Names from below `top` down to `at`, both excluded and included; none if `at` does not lie below it.
    fn path(&self, at: &MoRef, top: &MoRef) -> Option<Path> {
        let mut names = Vec::new();
        let mut now = at;
        // A server that shows a circle is not followed for ever.
        for _ in 0..self.objects.len() {
            if now == top {
                names.reverse();
                return Some(names);
            }
            names.push(self.name(now).to_owned());
            now = self.parent(now)?;
        }
        None
    }

    fn is_below(&self, at: &MoRef, top: &MoRef) -> bool {
        self.path(at, top).is_some()
    }

    fn of(&self, ty: ManagedId) -> Vec<&'a Shown> {
        let mut found: Vec<&Shown> =
            self.objects.values().filter(|shown| shown.me.is_a(ty)).copied().collect();
        found.sort_by(|a, b| (a.text("name"), &a.me).cmp(&(b.text("name"), &b.me)));
        found
    }

    /// The folder of an object, below the fixed folder.
    fn folder(&self, shown: &Shown, top: &MoRef) -> Option<Path> {
        self.path(shown.reference("parent")?, top)
    }

    /// All folders below a fixed folder, parents first.
    fn folders(&self, top: &MoRef) -> Vec<Path> {
        let below = self.of(managed_id!(Folder)).into_iter().filter(|folder| folder.me != *top);
        let mut found: Vec<Path> = below.filter_map(|folder| self.path(&folder.me, top)).collect();
        found.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        found
    }
}

/// Describes what is shown of the kinds and properties in [`KINDS`].
pub fn describe(shown: &[Shown]) -> Inventory {
    let all = All::new(shown);
    let datacenters = all.of(managed_id!(Datacenter));
    Inventory::new(
        datacenters.into_iter().filter_map(|datacenter| describe_datacenter(&all, datacenter)).collect(),
    )
}

fn describe_datacenter(all: &All<'_>, me: &Shown) -> Option<Datacenter> {
    let [vms, hosts, datastores, networks] =
        ["vmFolder", "hostFolder", "datastoreFolder", "networkFolder"].map(|name| me.reference(name));
    let (vms, hosts, datastores, networks) = (vms?, hosts?, datastores?, networks?);
    let mut described = Datacenter { name: me.text("name").to_owned(), ..Datacenter::default() };
    let mut above = me.reference("parent");
    // The root folder has no parent; its name is not part of any path.
    for _ in 0..all.objects.len() {
        let Some(folder) = above.filter(|folder| all.parent(folder).is_some()) else { break };
        described.folder.insert(0, all.name(folder).to_owned());
        above = all.parent(folder);
    }
    described.folders.vm = all.folders(vms);
    described.folders.host = all.folders(hosts);
    described.folders.datastore = all.folders(datastores);
    described.folders.network = all.folders(networks);
    for store in all.of(managed_id!(Datastore)) {
        let Some(folder) = all.folder(store, datastores) else { continue };
        let capacity = number(store.properties.get("summary.capacity")).unwrap_or(0);
        described.datastores.push(Datastore {
            name: store.text("name").to_owned(),
            capacity_bytes: u64::try_from(capacity).unwrap_or(0),
            folder,
        });
    }
    // A pod is a folder too.
    for pod in all.of(managed_id!(StoragePod)) {
        described.folders.datastore.retain(|path| Some(path) != all.path(&pod.me, datastores).as_ref());
    }
    let pods: Vec<Path> =
        all.of(managed_id!(StoragePod)).iter().filter_map(|pod| all.path(&pod.me, datastores)).collect();
    for store in described.datastores.iter_mut().filter(|store| pods.contains(&store.folder)) {
        store.folder.pop();
    }
    for network in all.of(managed_id!(Network)) {
        match all.folder(network, networks) {
            Some(folder) if !folder.is_empty() => {
                described.networks.push(Network { name: network.text("name").to_owned(), folder });
            }
            _ => {}
        }
    }
    let known: Vec<&str> = described.datastores.iter().map(|store| store.name.as_str()).collect();
    for compute in all.of(managed_id!(ComputeResource)) {
        if let Some(folder) = all.folder(compute, hosts) {
            described.computes.push(describe_compute(all, compute, folder, vms, &known));
        }
    }
    Some(described)
}

fn describe_compute(all: &All<'_>, me: &Shown, folder: Path, vms: &MoRef, known: &[&str]) -> Compute {
    let root = me.reference("resourcePool");
    let pools = all.pools.get(&me.me).into_iter().flatten().filter(|pool| Some(&pool.me) != root);
    let mut pools: Vec<Path> = pools.filter_map(|pool| all.path(&pool.me, root?)).collect();
    pools.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let hosts = all.hosts.get(&me.me).into_iter().flatten();
    Compute {
        name: me.text("name").to_owned(),
        cluster: me.me.is_a(managed_id!(ClusterComputeResource)),
        folder,
        pools,
        vapps: Vec::new(),
        hosts: hosts.map(|host| describe_host(all, host, root, vms, known)).collect(),
    }
}

fn describe_host(all: &All<'_>, me: &Shown, root: Option<&MoRef>, vms: &MoRef, known: &[&str]) -> Host {
    let hardware = me.object("summary.hardware");
    let threads = number(hardware.and_then(|hardware| hardware.named("numCpuThreads")));
    let memory = number(hardware.and_then(|hardware| hardware.named("memorySize")));
    let names = |property| {
        let mut names: Vec<String> = me.references(property).map(|at| all.name(at).to_owned()).collect();
        names.sort();
        names.dedup();
        names
    };
    let mut host = Host {
        name: me.text("name").to_owned(),
        threads: threads
            .and_then(|threads| u16::try_from(threads).ok())
            .filter(|threads| *threads > 0)
            .unwrap_or(THREADS),
        memory_mib: memory
            .and_then(|bytes| u64::try_from(bytes >> 20).ok())
            .filter(|mib| *mib > 0)
            .unwrap_or(MEMORY_MIB),
        datastores: names("datastore").into_iter().filter(|name| known.contains(&name.as_str())).collect(),
        networks: names("network"),
        vms: Vec::new(),
    };
    for vm in all.vms.get(&me.me).into_iter().flatten() {
        let described = describe_vm(all, vm, root, vms, &host);
        host.vms.extend(described);
    }
    host
}

/// None for a VM whose configuration cannot be read now.
fn describe_vm(all: &All<'_>, me: &Shown, root: Option<&MoRef>, vms: &MoRef, host: &Host) -> Option<Vm> {
    let config = me.object("summary.config")?;
    let text = |name: &str| config.named(name).and_then(Value::as_str).unwrap_or_default();
    let path = text("vmPathName");
    let datastore = path.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name);
    let datastore = datastore.filter(|name| host.datastores.iter().any(|known| known == name));
    let pool = me.reference("resourcePool").filter(|pool| root.is_some_and(|root| all.is_below(pool, root)));
    let mut vm = Vm {
        name: me.text("name").to_owned(),
        folder: all.folder(me, vms).unwrap_or_default(),
        pool: pool.and_then(|pool| all.path(pool, root?)).unwrap_or_default(),
        guest_id: Some(text("guestId"))
            .filter(|id| vm::guest_os::is_known(id))
            .unwrap_or("otherGuest64")
            .to_owned(),
        cpus: number(config.named("numCpu")).and_then(|cpus| i32::try_from(cpus).ok())?,
        memory_mib: number(config.named("memorySizeMB"))?,
        datastore: datastore.or_else(|| host.datastores.first().map(String::as_str))?.to_owned(),
        disks_kib: Vec::new(),
        networks: Vec::new(),
        cdrom: false,
        powered_on: me.text("runtime.powerState") == "poweredOn",
    };
    let devices = me.object("config.hardware").and_then(|hardware| hardware.named("device"));
    for device in devices.into_iter().flat_map(Value::items).filter_map(Value::as_object) {
        if device.is_a(data_id!(VirtualDisk)) {
            vm.disks_kib.extend(number(device.named("capacityInKB")));
        } else if device.is_a(data_id!(VirtualCdrom)) {
            vm.cdrom = true;
        } else if device.is_a(data_id!(VirtualEthernetCard)) {
            vm.networks.extend(network(all, device, host));
        }
    }
    Some(vm)
}

/// The port group of an adapter; the host's first one if that of the adapter is not among those of the host.
fn network(all: &All<'_>, adapter: &Object, host: &Host) -> Option<String> {
    let backing = adapter.named("backing").and_then(Value::as_object);
    let name = backing.and_then(|backing| {
        if let Some(name) = backing.named("deviceName").and_then(Value::as_str) {
            return Some(name);
        }
        let key = backing.named("port")?.as_object()?.named("portgroupKey")?.as_str()?;
        all.networks.get(key).copied()
    });
    let name = name.filter(|name| host.networks.iter().any(|known| known == name));
    name.or_else(|| host.networks.first().map(String::as_str)).map(str::to_owned)
}
