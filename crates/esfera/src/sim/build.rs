//! Makes a simulated center of a described inventory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use api::server::Site;
use api::{Account, TaskOptions};
use center::link::LocalLink;
use center::sim::{Compute, Datacenter, Host as Described, Inventory, Path};
use center::{Center, Place};
use datastore::Datastore;
use store::Store;
use vim::{MoRef, Value, call, field, managed_id, method, prop};

use super::args::SimArgs;
use super::connector::SimulatedHosts;
use super::hosts::{Plan, new_vm};
use super::identity::Seed;
use super::insider::Insider;

/// An inventory of so many VMs is made through the center, as an administrator makes it, so that its history tells of them. The hosts of
/// larger ones make their VMs before they are added, which is much quicker.
const TOLD: usize = 256;
/// The size of a datastore whose description has none.
const DATASTORE_BYTES: u64 = 10 << 40;

/// Makes the center with all that is described.
pub async fn build(args: &SimArgs, user: &str, address: &str, inventory: &Inventory) -> Result<Arc<Center>> {
    let seed = Seed(args.seed);
    let hosts = Arc::new(SimulatedHosts::new(seed));
    let mut options = center::Options::new(Store::in_memory()?);
    options.durable = false;
    options.address = Some(address.to_owned());
    options.administrator = user.to_owned();
    options.password = Some(args.password.clone());
    options.network = center::Network::Connector(hosts.clone());
    options.uuid = Some(seed.uuid("center", &[]).to_string());
    let center = Center::open(options).await?;
    let insider = insider(&center, user)?;
    let hosts_of = inventory.datacenters.iter().flat_map(Datacenter::hosts);
    let told = hosts_of.map(|(_, host)| host.vms.len()).sum::<usize>() <= TOLD;
    let mut builder =
        Builder { center: &center, insider: &insider, hosts: &hosts, seed, number: 0, adapter: 0, told };
    for datacenter in &inventory.datacenters {
        let named = || format!("the datacenter {}", datacenter.name);
        builder.datacenter(datacenter).await.with_context(named)?;
    }
    drop(insider);
    Ok(center)
}

/// A caller with the rights of the administrator.
pub fn insider(center: &Center, user: &str) -> Result<Insider> {
    let account = Account {
        name: user.to_owned(),
        full_name: "Administrator".into(),
        extension: false,
        narrowed: None,
    };
    Insider::of(&center.service(), account)
}

struct Builder<'a> {
    center: &'a Arc<Center>,
    insider: &'a Insider,
    hosts: &'a SimulatedHosts,
    seed: Seed,
    /// The number of the next host and that of the next network adapter.
    number: u32,
    adapter: u32,
    /// Whether VMs are made through the center.
    told: bool,
}

/// The folders of one kind in a datacenter, by path.
struct Tree(HashMap<Path, MoRef>);

impl Tree {
    fn at(&self, path: &Path) -> Result<&MoRef> {
        self.0.get(path).ok_or_else(|| anyhow!("no folder or pool {} is described", path.join("/")))
    }
}

impl Builder<'_> {
    async fn datacenter(&mut self, described: &Datacenter) -> Result<()> {
        let root = managed_id!(Folder);
        let mut above = self.insider.service.core.tree.snapshot().iter().find_map(|node| {
            (node.me().is_a(root) && node.get(prop!(ManagedEntity.parent)).is_none())
                .then(|| node.me().clone())
        });
        for name in &described.folder {
            let parent = above.context("the center has no root folder")?;
            above = Some(match self.child(&parent, name) {
                Some(known) => known,
                None => self.insider.make(&parent, call!(CreateFolder { name: name })).await?,
            });
        }
        let parent = above.context("the center has no root folder")?;
        let me = self.insider.make(&parent, call!(CreateDatacenter { name: &described.name })).await?;
        let [vm, host, datastore, network] = self.fixed_folders(&me)?;
        let vms = self.folders(vm, &described.folders.vm).await?;
        let computes = self.folders(host, &described.folders.host).await?;
        let stores = self.folders(datastore, &described.folders.datastore).await?;
        let networks = self.folders(network, &described.folders.network).await?;
        for pod in &described.pods {
            self.insider.make(stores.at(&Path::new())?, call!(CreateStoragePod { name: pod })).await?;
        }
        let path: String = described
            .folder
            .iter()
            .chain([&described.name])
            .fold(String::new(), |all, name| all + "/" + name);
        let datastores: HashMap<&str, Arc<Datastore>> = described
            .datastores
            .iter()
            .map(|store| {
                let bytes = if store.capacity_bytes == 0 { DATASTORE_BYTES } else { store.capacity_bytes };
                let uuid = self.seed.uuid("datastore", &[&path, &store.name]);
                (store.name.as_str(), Arc::new(Datastore::memory(uuid, bytes)))
            })
            .collect();
        for compute in &described.computes {
            let named = || compute.name.clone();
            self.compute(compute, &path, &datastores, computes.at(&compute.folder)?, &vms)
                .await
                .with_context(named)?;
        }
        let datastores = described.datastores.iter().map(|store| (&store.name, &store.folder));
        self.sort(&me, prop!(Datacenter.datastore).number(), datastores, &stores).await?;
        let described = described.networks.iter().map(|network| (&network.name, &network.folder));
        self.sort(&me, prop!(Datacenter.network).number(), described, &networks).await
    }

    /// The folders for VMs, hosts, datastores and networks.
    fn fixed_folders(&self, datacenter: &MoRef) -> Result<[MoRef; 4]> {
        let state = self.insider.service.core.tree.snapshot();
        let node = state.find(datacenter).context("the datacenter is gone")?;
        let [vm, host, datastore, network] = [
            node.get(prop!(Datacenter.vmFolder)),
            node.get(prop!(Datacenter.hostFolder)),
            node.get(prop!(Datacenter.datastoreFolder)),
            node.get(prop!(Datacenter.networkFolder)),
        ]
        .map(|folder| folder.cloned().context("the datacenter lacks a folder"));
        Ok([vm?, host?, datastore?, network?])
    }

    fn child(&self, parent: &MoRef, name: &str) -> Option<MoRef> {
        let state = self.insider.service.core.tree.snapshot();
        let children = state.find(parent)?.get(prop!(Folder.childEntity))?;
        children.into_iter().find(|child| self.name(child).as_deref() == Some(name)).cloned()
    }

    fn name(&self, of: &MoRef) -> Option<String> {
        let state = self.insider.service.core.tree.snapshot();
        Some(state.find(of)?.get(prop!(ManagedEntity.name))?.to_owned())
    }

    async fn folders(&self, top: MoRef, paths: &[Path]) -> Result<Tree> {
        let mut made = Tree(HashMap::from([(Path::new(), top)]));
        for path in paths {
            let Some((name, above)) = path.split_last() else { continue };
            let parent = made.at(&above.to_vec())?.clone();
            let folder = self.insider.make(&parent, call!(CreateFolder { name: name })).await?;
            made.0.insert(path.clone(), folder);
        }
        Ok(made)
    }

    async fn compute(
        &mut self,
        described: &Compute,
        datacenter: &str,
        datastores: &HashMap<&str, Arc<Datastore>>,
        folder: &MoRef,
        vms: &Tree,
    ) -> Result<()> {
        let mut place = Place::Standalone { folder: folder.clone() };
        let mut pools = None;
        if described.cluster {
            let cluster = self.center.add_cluster(folder, &described.name).await?;
            pools = Some(self.pools(&cluster, described, vms).await?);
            place = Place::Cluster { cluster };
        }
        for host in &described.hosts {
            let first_adapter = self.adapter;
            let me = self.host(host, datacenter, datastores, &place).await?;
            let pools = match &pools {
                Some(pools) => pools,
                None => {
                    let state = self.insider.service.core.tree.snapshot();
                    let parent =
                        state.find(&me).and_then(|node| node.get(prop!(ManagedEntity.parent)).cloned());
                    let made = self.pools(&parent.context("the host is gone")?, described, vms).await?;
                    pools.insert(made)
                }
            };
            if self.told {
                self.make_vms(&me, host, datacenter, first_adapter, vms, pools).await?;
            } else {
                self.place(&me, host, datacenter, vms, pools).await?;
            }
        }
        Ok(())
    }

    /// Makes the pools of a cluster or of a host that stands alone, and its vApps, which are in the VM folder of the datacenter.
    async fn pools(&self, compute: &MoRef, described: &Compute, vms: &Tree) -> Result<Tree> {
        let root = {
            let state = self.insider.service.core.tree.snapshot();
            let node = state.find(compute).context("the compute resource is gone")?;
            node.get(prop!(ComputeResource.resourcePool)).cloned().context("it has no resource pool")?
        };
        let mut made = Tree(HashMap::from([(Path::new(), root.clone())]));
        let resources = || {
            let allocation = || {
                vim::vim!(ResourceAllocationInfo {
                    reservation: 0,
                    expandableReservation: true,
                    limit: -1,
                    shares: SharesInfo { shares: 4000, level: "normal" },
                })
            };
            vim::vim!(ResourceConfigSpec { cpuAllocation: allocation(), memoryAllocation: allocation() })
        };
        for path in &described.pools {
            let Some((name, above)) = path.split_last() else { continue };
            let parent = made.at(&above.to_vec())?.clone();
            let create = call!(CreateResourcePool { name: name, spec: resources() });
            let pool = self.insider.make(&parent, create).await?;
            made.0.insert(path.clone(), pool);
        }
        for name in &described.vapps {
            let folder = vms.at(&Path::new())?;
            let config = vim::vim!(VAppConfigSpec {});
            let create =
                call!(CreateVApp { name: name, resSpec: resources(), configSpec: config, vmFolder: folder });
            let vapp = self.insider.make(&root, create).await?;
            made.0.insert(vec![name.clone()], vapp);
        }
        Ok(made)
    }

    /// Makes a host and adds it to the center, by a task that stays in the history.
    async fn host(
        &mut self,
        described: &Described,
        datacenter: &str,
        datastores: &HashMap<&str, Arc<Datastore>>,
        place: &Place,
    ) -> Result<MoRef> {
        let mounted = described
            .datastores
            .iter()
            .filter_map(|name| Some((name.clone(), datastores.get(name.as_str())?.clone())));
        let plan = Plan {
            host: described,
            names: [datacenter, &described.name],
            datastores: mounted.collect(),
            number: self.number,
            first_adapter: self.adapter,
            seed: self.seed,
            with_vms: !self.told,
            administrator: None,
        };
        self.number += 1;
        self.adapter = self.adapter.wrapping_add(Plan::adapters(described));
        let site = plan.make().await?;
        self.hosts.know(&described.name, &site).await;
        let Site { service, files, .. } = site;
        let link = Arc::new(LocalLink::new(&described.name, service, files)?);
        let (method, entity) = match place {
            Place::Cluster { cluster } => (method!(AddHost_Task), cluster),
            Place::Standalone { folder } => (method!(AddStandaloneHost_Task), folder),
        };
        let options = TaskOptions {
            entity: Some(entity.clone()),
            entity_name: self.name(entity),
            ..TaskOptions::default()
        };
        let (center, at) = (self.center.clone(), place.clone());
        let user = &self.insider.session.account.name;
        let task = self.insider.service.core.tasks.start(method, user, options, move |_| async move {
            match center.attach(link, &at).await {
                Ok(host) => Ok(Some(Value::Ref(host))),
                Err(error) => Err(vim::fault!(HostConnectFault {}, "{error}")),
            }
        });
        let added = self.insider.wait(&task.await?).await?;
        added.as_ref().and_then(Value::as_ref).cloned().context("the center added no host")
    }

    /// Makes the VMs of a host through the center, and turns them on.
    async fn make_vms(
        &self,
        host: &MoRef,
        described: &Described,
        datacenter: &str,
        mut adapter: u32,
        vms: &Tree,
        pools: &Tree,
    ) -> Result<()> {
        for vm in &described.vms {
            let named = || format!("the VM {} of the host {}", vm.name, described.name);
            let config = new_vm(vm, self.seed, [datacenter, &described.name], &mut adapter);
            let pool = pools.at(&vm.pool)?;
            let made = if pool.is_a(managed_id!(VirtualApp)) {
                self.insider.task(pool, call!(CreateChildVM_Task { config: config, host: host })).await
            } else {
                let create = call!(CreateVM_Task { config: config, pool: pool, host: host });
                self.insider.task(vms.at(&vm.folder)?, create).await
            };
            let made = made.with_context(named)?;
            let made = made.as_ref().and_then(Value::as_ref).context("the center made no VM")?;
            if vm.powered_on {
                self.insider.task(made, call!(PowerOnVM_Task {})).await.with_context(named)?;
            }
        }
        Ok(())
    }

    /// Puts the VMs of a host into their folders and pools.
    async fn place(
        &self,
        host: &MoRef,
        described: &Described,
        datacenter: &str,
        vms: &Tree,
        pools: &Tree,
    ) -> Result<()> {
        if described.vms.iter().all(|vm| vm.folder.is_empty() && vm.pool.is_empty()) {
            return Ok(());
        }
        let known: HashMap<String, MoRef> = {
            let state = self.insider.service.core.tree.snapshot();
            let here = state.find(host).and_then(|node| node.get(prop!(HostSystem.vm)));
            let of = |vm: &MoRef| {
                let config = state.find(vm)?.get(prop!(VirtualMachine.config))?;
                Some((config.get(field!(VirtualMachineConfigInfo.instanceUuid))?.to_owned(), vm.clone()))
            };
            here.into_iter().flatten().filter_map(of).collect()
        };
        let mut folders: BTreeMap<&Path, Vec<MoRef>> = BTreeMap::new();
        let mut moved: BTreeMap<&Path, Vec<MoRef>> = BTreeMap::new();
        for vm in &described.vms {
            let uuid = Plan::instance_uuid(self.seed, [datacenter, &described.name], vm);
            let me =
                known.get(&uuid).with_context(|| format!("the host does not show the VM {}", vm.name))?;
            if !vm.folder.is_empty() {
                folders.entry(&vm.folder).or_default().push(me.clone());
            }
            if !vm.pool.is_empty() {
                moved.entry(&vm.pool).or_default().push(me.clone());
            }
        }
        for (folder, list) in folders {
            self.insider.task(vms.at(folder)?, call!(MoveIntoFolder_Task { list: list })).await?;
        }
        for (pool, list) in moved {
            self.insider.call(pools.at(pool)?, call!(MoveIntoResourcePool { list: list })).await?;
        }
        Ok(())
    }

    /// Puts the datastores or networks of a datacenter into their folders.
    async fn sort<'d>(
        &self,
        datacenter: &MoRef,
        property: u16,
        described: impl Iterator<Item = (&'d String, &'d Path)>,
        folders: &Tree,
    ) -> Result<()> {
        let here: Vec<MoRef> = {
            let state = self.insider.service.core.tree.snapshot();
            let list = state.find(datacenter).and_then(|node| node.at(property).cloned());
            list.iter().flat_map(Value::items).filter_map(Value::as_ref).cloned().collect()
        };
        let named: HashMap<String, MoRef> =
            here.into_iter().filter_map(|me| Some((self.name(&me)?, me))).collect();
        for (name, path) in described.filter(|(_, path)| !path.is_empty()) {
            if let Some(me) = named.get(name) {
                let list = vec![me.clone()];
                self.insider.task(folders.at(path)?, call!(MoveIntoFolder_Task { list: list })).await?;
            }
        }
        Ok(())
    }
}
