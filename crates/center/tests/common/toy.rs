//! A toy host: objects with the ids that every host has, and the few methods that the tests carry there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use api::files::Files;
use api::ticket::ByteStream;
use api::{Account, Acting, Authority, Call, Core, Guard, Methods, Service, Snapshot, TaskOptions};
use async_trait::async_trait;
use center::link::{Changes, HostLink, HostStream, LinkError, LocalLink, names};
use store::Store;
use tokio::sync::Semaphore;
use vim::{
    Args, Fault, ManagedId, MoRef, Value, arg, fault, field, managed_id, method, prop, props, ty, vim,
};

use super::Cut;

pub struct Toy {
    pub service: Arc<Service>,
    pub name: String,
    pub cut: Cut,
    /// A task that powers on or creates a VM waits for one of these.
    pub gate: Arc<Semaphore>,
    /// Its history of events.
    pub past: Arc<Past>,
    /// The runtime of the host, which is not that of the center, since that may end.
    home: tokio::runtime::Handle,
}

/// The events of a toy, and the number of those that queries have looked at.
#[derive(Default)]
pub struct Past {
    events: std::sync::Mutex<Vec<vim::Object>>,
    looked_at: AtomicUsize,
}

impl Past {
    /// The number of events that queries have looked at since the last time.
    pub fn take_looked_at(&self) -> usize {
        self.looked_at.swap(0, Ordering::Relaxed)
    }

    /// Answers `QueryEvents` like a host: the newest come first, and a filter has to look at every event.
    fn query(&self, filter: &vim::Object) -> Value {
        let events = self.events.lock().expect("the lock is whole");
        let most = filter.get(field!(EventFilterSpec.maxCount)).unwrap_or(1_000);
        let most = usize::try_from(most).expect("a count");
        let since = filter.get(field!(EventFilterSpec.time));
        let since = since.and_then(|time| time.get(field!(EventFilterSpecByTime.beginTime)));
        let looked_at = if since.is_some() { events.len() } else { most.min(events.len()) };
        self.looked_at.fetch_add(looked_at, Ordering::Relaxed);
        let newest = events.iter().rev().take(most);
        let found: Vec<Value> = newest
            .filter(|event| since.is_none_or(|since| event.get(field!(Event.createdTime)) >= Some(since)))
            .map(|event| event.clone().into())
            .collect();
        Value::List(vim::List::new(vim::Kind::Data(vim::data_id!(Event)), found))
    }
}

struct Anyone;

#[async_trait]
impl Authority for Anyone {
    async fn login(&self, user: &str, password: &str) -> Result<Account, Fault> {
        if (user, password) == ("root", "secret") {
            return Ok(Account { name: user.into(), ..Account::default() });
        }
        Err(fault!(InvalidLogin {}, "no"))
    }
    async fn login_by_certificate(&self, _: &api::tls::Chain) -> Result<Account, Fault> {
        Err(fault!(InvalidLogin {}, "no"))
    }
    fn allows(&self, _: &Account, _: &MoRef, _: &str, _: &Snapshot) -> bool {
        true
    }
    fn roles(&self, _: &Account, _: &MoRef, _: &Snapshot) -> Vec<i32> {
        vec![-1]
    }
    fn permissions(&self, _: &MoRef) -> Vec<ty!(Permission)> {
        Vec::new()
    }
}

pub fn vm_ref(id: &str) -> MoRef {
    MoRef::new(managed_id!(VirtualMachine), id)
}

pub const DATASTORE: &str = "5f1c-shared";

impl Toy {
    /// A host with this name and UUID, a datastore `ds` that all toys share, one of its own, and the usual network.
    pub fn new(name: &str) -> Arc<Self> {
        let core = Arc::new(Core::new(Store::in_memory().expect("a store")));
        create_objects(&core, name);
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let mut methods = Methods::default();
        register(&mut methods, gate.clone());
        core.tree.write(|w| w.create(&names::session_manager(), props!(SessionManager {})));
        methods.on(managed_id!(SessionManager), method!(AcquireGenericServiceTicket), |call| async move {
            let id = format!("of {}", call.user());
            Ok(Some(vim!(SessionManagerGenericServiceTicket { id: id }).into()))
        });
        let past = Arc::new(Past::default());
        let events = past.clone();
        methods.on(managed_id!(EventManager), method!(QueryEvents), move |call| {
            let events = events.clone();
            async move { Ok(Some(events.query(call.required(arg!(QueryEvents.filter))?))) }
        });
        let service = Arc::new(Service::new(core, Arc::new(Anyone), methods));
        Arc::new(Self {
            service,
            name: name.to_owned(),
            cut: Cut::default(),
            gate,
            past,
            home: tokio::runtime::Handle::current(),
        })
    }

    pub fn link(self: &Arc<Self>) -> Arc<dyn HostLink> {
        let local = LocalLink::new(&self.name, self.service.clone(), None).expect("a link");
        Arc::new(CutLink {
            local: Arc::new(local),
            cut: self.cut.clone(),
            host: self.name.clone(),
            home: self.home.clone(),
        })
    }

    pub fn core(&self) -> &Core {
        &self.service.core
    }

    /// Adds a VM on the host without the center.
    pub fn add_vm(&self, id: &str, name: &str, instance_uuid: &str) {
        add_vm(self.core(), id, name, instance_uuid);
    }

    /// Renames the datastore that only this host has.
    pub fn rename_own_datastore(&self, new: &str) {
        let own = datastore(&format!("own-{}", self.name));
        self.core().tree.write(|w| {
            let summary = w.find(&own).and_then(|own| own.get(prop!(Datastore.summary)).cloned());
            let mut summary = vim::Object::clone(&summary.expect("a datastore"));
            summary.set(field!(DatastoreSummary.name), new);
            w.set(&own, props!(Datastore { name: new, summary: summary }));
        });
    }

    /// Waits until the host has started a task.
    pub async fn until_task_runs(&self) {
        let mut versions = self.core().tree.versions();
        while !self.core().tree.snapshot().iter().any(|node| node.me().is_a(managed_id!(Task))) {
            versions.changed().await.expect("the tree lives");
        }
    }

    /// Posts an event about a VM.
    pub fn say(&self, key: i32, vm: &str) {
        self.say_unseen(key, vm);
        let event = self.past.events.lock().expect("the lock is whole").last().cloned();
        let events = MoRef::new(managed_id!(EventManager), "ha-eventmgr");
        self.core().tree.write(|w| w.set(&events, props!(EventManager { latestEvent: event })));
    }

    /// The same, so soon before the next one that the host's report does not name it.
    pub fn say_unseen(&self, key: i32, vm: &str) {
        let event = vim!(VmRemovedEvent {
            key: key,
            chainId: key,
            createdTime: vim::DateTime::now(),
            userName: "root",
            template: false,
            fullFormattedMessage: format!("gone {key}"),
            vm: VmEventArgument { name: "web", vm: vm_ref(vm) },
        });
        self.past.events.lock().expect("the lock is whole").push(event.into());
    }

    pub fn remove_vm(&self, id: &str) {
        remove_vm(self.core(), id);
    }
}

pub fn remove_vm(core: &Core, id: &str) {
    let vm = vm_ref(id);
    core.tree.write(|w| {
        w.remove_ref(&names::host(), prop!(HostSystem.vm), &vm);
        w.remove_ref(&names::vm_folder(), prop!(Folder.childEntity), &vm);
        w.remove(&vm);
    });
}

fn datastore(id: &str) -> MoRef {
    MoRef::new(managed_id!(Datastore), id)
}

fn network() -> MoRef {
    MoRef::new(managed_id!(Network), "HaNetwork-VM Network")
}

pub fn create_objects(core: &Core, name: &str) {
    let host = names::host();
    let own = format!("own-{name}");
    let system = MoRef::new(managed_id!(HostNetworkSystem), "networkSystem");
    let options = MoRef::new(managed_id!(OptionManager), "ha-adv-options");
    let clock = MoRef::new(managed_id!(HostDateTimeSystem), "dateTimeSystem");
    let datastores = MoRef::new(managed_id!(HostDatastoreSystem), "ha-datastoresystem");
    core.tree.write(|w| {
        w.create(&names::vm_folder(), props!(Folder { name: "vm" }));
        w.create(&options, props!(OptionManager {}));
        w.create(&clock, props!(HostDateTimeSystem { dateTimeInfo: date_time_info("UTC") }));
        w.create(&datastores, props!(HostDatastoreSystem {}));
        w.create(&names::root_pool(), props!(ResourcePool { name: "Resources" }));
        w.create(
            &names::datacenter(),
            props!(Datacenter { name: "ha-datacenter", vmFolder: names::vm_folder() }),
        );
        w.create(&names::file_manager(), props!(FileManager {}));
        w.create(&names::method_executer(), props!(ReflectManagedMethodExecuter {}));
        let events = MoRef::new(managed_id!(EventManager), "ha-eventmgr");
        w.create(&events, props!(EventManager { maxCollector: 1 }));
        let browser = MoRef::new(managed_id!(EnvironmentBrowser), "ha-envbrowser");
        w.create(&browser, props!(EnvironmentBrowser {}));
        w.create(
            &names::compute_resource(),
            props!(ComputeResource { name: name, environmentBrowser: &browser }),
        );
        for (id, label) in [(DATASTORE, "ds"), (own.as_str(), own.as_str())] {
            let browser = MoRef::new(managed_id!(HostDatastoreBrowser), format!("browser-{id}"));
            w.create(&browser, props!(HostDatastoreBrowser { datastore: [datastore(id)] }));
            w.create(
                &datastore(id),
                props!(Datastore {
                    name: label,
                    browser: browser,
                    summary: DatastoreSummary {
                        datastore: datastore(id),
                        name: label,
                        url: format!("ds:///vmfs/volumes/{id}/"),
                        capacity: 1_000,
                        freeSpace: 500,
                        accessible: true,
                        type: "VMFS",
                    },
                    host: [DatastoreHostMount {
                        key: names::host(),
                        mountInfo: HostMountInfo { accessMode: "readWrite", accessible: true, mounted: true },
                    }],
                }),
            );
        }
        w.create(
            &network(),
            props!(Network {
                name: "VM Network",
                summary: NetworkSummary {
                    network: network(),
                    name: "VM Network",
                    accessible: true,
                    ipPoolName: "",
                },
                host: [names::host()],
            }),
        );
        w.create(
            &system,
            props!(HostNetworkSystem {
                offloadCapabilities: HostNetOffloadCapabilities { tcpSegmentation: true }
            }),
        );
        let runtime = vim!(HostRuntimeInfo {
            connectionState: "connected",
            powerState: "poweredOn",
            inMaintenanceMode: false,
        });
        w.create(
            &host,
            props!(HostSystem {
                name: name,
                runtime: runtime.clone(),
                summary: HostListSummary {
                    host: &host,
                    runtime: runtime,
                    hardware: HostHardwareSummary {
                        vendor: "Toy",
                        model: "T1",
                        uuid: format!("uuid-of-{name}"),
                        memorySize: 4_i64 << 30,
                        cpuModel: "none",
                        cpuMhz: 2_000,
                        numCpuPkgs: 1,
                        numCpuCores: 4,
                        numCpuThreads: 8,
                        numNics: 1,
                        numHBAs: 0,
                    },
                    config: HostConfigSummary {
                        name: name,
                        port: 443,
                        vmotionEnabled: false,
                        faultToleranceEnabled: false,
                    },
                    quickStats: HostListSummaryQuickStats {},
                    overallStatus: "green",
                    rebootRequired: false,
                },
                configManager: HostConfigManager {
                    networkSystem: &system,
                    advancedOption: &options,
                    dateTimeSystem: &clock,
                    datastoreSystem: &datastores,
                },
                datastore: [datastore(DATASTORE), datastore(&own)],
                datastoreBrowser: MoRef::new(
                    managed_id!(HostDatastoreBrowser),
                    format!("browser-{DATASTORE}")
                ),
                network: [network()],
            }),
        );
    });
}

fn date_time_info(zone: &str) -> ty!(HostDateTimeInfo) {
    vim!(HostDateTimeInfo {
        timeZone: HostDateTimeSystemTimeZone { key: zone, name: zone, description: zone, gmtOffset: 0 }
    })
}

pub fn add_vm(core: &Core, id: &str, name: &str, instance_uuid: &str) {
    let vm = vm_ref(id);
    let runtime = vim!(VirtualMachineRuntimeInfo {
        host: names::host(),
        connectionState: "connected",
        powerState: "poweredOff",
        faultToleranceState: "notConfigured",
        toolsInstallerMounted: false,
        numMksConnections: 0,
        recordReplayState: "inactive",
        onlineStandby: false,
        consolidationNeeded: false,
    });
    core.tree.write(|w| {
        w.create(
            &vm,
            props!(VirtualMachine {
                name: name,
                parent: names::vm_folder(),
                resourcePool: names::root_pool(),
                environmentBrowser: MoRef::new(managed_id!(EnvironmentBrowser), "ha-envbrowser"),
                runtime: runtime.clone(),
                summary: VirtualMachineSummary {
                    vm: &vm,
                    runtime: runtime,
                    config: VirtualMachineConfigSummary {
                        name: name,
                        template: false,
                        vmPathName: format!("[ds] {name}/{name}.vmx"),
                        instanceUuid: instance_uuid,
                        uuid: instance_uuid,
                        memorySizeMB: 64,
                    },
                    quickStats: VirtualMachineQuickStats { overallCpuUsage: 10, hostMemoryUsage: 20 },
                    overallStatus: "green",
                },
                datastore: [datastore(DATASTORE)],
                network: [network()],
            }),
        );
        w.add_ref(&names::host(), prop!(HostSystem.vm), &vm);
        w.add_ref(&names::vm_folder(), prop!(Folder.childEntity), &vm);
    });
}

const VM: ManagedId = managed_id!(VirtualMachine);

pub fn register(methods: &mut Methods, gate: Arc<Semaphore>) {
    let next = Arc::new(AtomicU32::new(100));
    let making = gate.clone();
    methods.on(managed_id!(HostSystem), method!(RetrieveManagedMethodExecuter), |_| async {
        Ok(Some(names::method_executer().into()))
    });
    methods.on(managed_id!(HostDateTimeSystem), method!(UpdateDateTimeConfig), |call| async move {
        let config = call.required(arg!(UpdateDateTimeConfig.config))?;
        let zone = config.get(field!(HostDateTimeConfig.timeZone)).unwrap_or_default();
        let info = date_time_info(zone);
        call.service
            .core
            .tree
            .write(|w| w.set(&call.this, props!(HostDateTimeSystem { dateTimeInfo: info })));
        Ok(None)
    });
    let searched = Guard::Asks(&["Datastore.Browse"]);
    let browser = managed_id!(HostDatastoreBrowser);
    methods.guarded(browser, method!(SearchDatastore_Task), searched, |call| async move {
        let path = call.required(arg!(SearchDatastore_Task.datastorePath))?.to_owned();
        call.task(TaskOptions::default(), move |_| async move {
            if path != "[ds] dir/sub" {
                return Err(fault!(FileNotFound { file: &path }, "{path} does not exist"));
            }
            let at = vim::DateTime::from_micros(1_000_000);
            Ok(Some(
                vim!(HostDatastoreBrowserSearchResults {
                    folderPath: path,
                    file: [
                        FileInfo { path: "a.iso", fileSize: 5_i64, modification: at },
                        FolderFileInfo { path: "below" },
                    ],
                })
                .into(),
            ))
        })
        .await
    });
    // A command takes the privilege that its object is named after.
    let (executer, guard) = (managed_id!(ReflectManagedMethodExecuter), Guard::Asks(&[]));
    methods.guarded(executer, method!(ExecuteSoap), guard, |call| async move {
        call.check(&names::host(), call.required(arg!(ExecuteSoap.moid))?)?;
        let user = call.user().to_owned();
        let done = vim!(ReflectManagedMethodExecuterSoapResult { response: user });
        Ok(Some(vim::Object::from(done).into()))
    });
    methods.on(managed_id!(Folder), method!(CreateVM_Task), move |call| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let gate = making.clone();
        async move {
            let spec = call.required(arg!(CreateVM_Task.config))?.clone();
            assert_eq!(call.required(arg!(CreateVM_Task.pool))?, &names::root_pool(), "in the host's terms");
            let core = call.service.core.clone();
            call.task(TaskOptions::default(), move |running| async move {
                running.progress(50);
                gate.acquire().await.expect("the gate stays").forget();
                let name = spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default();
                let uuid = spec.get(field!(VirtualMachineConfigSpec.instanceUuid)).unwrap_or_default();
                if name == "refused" {
                    let full = MoRef::new(managed_id!(Datastore), DATASTORE);
                    return Err(fault!(DuplicateName { name: name, object: full }, "refused"));
                }
                add_vm(&core, &number.to_string(), name, uuid);
                Ok(Some(vm_ref(&number.to_string()).into()))
            })
            .await
        }
    });
    // A registered VM has a disk on the datastore that only this host has.
    methods.on(managed_id!(Folder), method!(RegisterVM_Task), |call: Call| async move {
        let state = call.state();
        let named = |node: &&Arc<api::Node>| {
            let name =
                node.me().is_a(managed_id!(Datastore)).then(|| node.get(prop!(Datastore.name))).flatten();
            name.is_some_and(|name| name.starts_with("own-"))
        };
        let own = state.iter().find(named).expect("a datastore").me().clone();
        let asked = call.clone();
        call.task(TaskOptions::default(), move |_| async move {
            asked.check(&own, "Datastore.AllocateSpace")?;
            add_vm(&asked.service.core, "99", "registered", "uuid-99");
            Ok(Some(vm_ref("99").into()))
        })
        .await
    });
    methods.on(VM, method!(PowerOnVM_Task), move |call| {
        let gate = gate.clone();
        async move {
            let (core, vm) = (call.service.core.clone(), call.this.clone());
            let user = call.user().to_owned();
            call.task(TaskOptions::default(), move |_| async move {
                gate.acquire().await.expect("the gate stays").forget();
                set_power(&core, &vm, "poweredOn");
                let about = vim!(VmEventArgument { name: "a VM", vm: vm });
                core.events.post(vim!(VmPoweredOnEvent { userName: user, vm: about, template: false })).await;
                Ok(None)
            })
            .await
        }
    });
    methods.on(VM, method!(PowerOffVM_Task), |call| async move {
        let (core, vm) = (call.service.core.clone(), call.this.clone());
        call.task(TaskOptions::default(), move |_| async move {
            set_power(&core, &vm, "poweredOff");
            Ok(None)
        })
        .await
    });
    methods.on(VM, method!(UnregisterVM), |call| async move {
        remove_vm(&call.service.core, call.this.id());
        Ok(None)
    });
    methods.guarded(managed_id!(ManagedEntity), method!(Destroy_Task), Guard::Open, |call| async move {
        let (core, vm) = (call.service.core.clone(), call.this.clone());
        call.task(TaskOptions::default(), move |_| async move {
            remove_vm(&core, vm.id());
            Ok(None)
        })
        .await
    });
    methods.guarded(managed_id!(ManagedEntity), method!(Rename_Task), Guard::Open, |call| async move {
        let (core, vm) = (call.service.core.clone(), call.this.clone());
        let name = call.required(arg!(Rename_Task.newName))?.to_owned();
        call.task(TaskOptions::default(), move |_| async move {
            rename(&core, &vm, &name);
            Ok(None)
        })
        .await
    });
    methods.guarded(managed_id!(FileManager), method!(MakeDirectory), Guard::Open, |call: Call| async move {
        let name = call.required(arg!(MakeDirectory.name))?;
        if name.ends_with("there") {
            return Err(fault!(FileAlreadyExists { file: name }, "it is there"));
        }
        Ok(None)
    });
}

fn rename(core: &Core, vm: &MoRef, name: &str) {
    core.tree.write(|w| {
        let summary = w.find(vm).and_then(|vm| vm.get(prop!(VirtualMachine.summary)).cloned()).expect("a VM");
        let mut summary = vim::Object::clone(&summary);
        let config = summary.get(field!(VirtualMachineSummary.config)).cloned().expect("its configuration");
        let mut config = vim::Object::clone(&config);
        config.set(field!(VirtualMachineConfigSummary.name), name);
        summary.set(field!(VirtualMachineSummary.config), config);
        w.set(vm, props!(VirtualMachine { name: name, summary: summary }));
    });
}

pub fn set_power(core: &Core, vm: &MoRef, power: &str) {
    let power = vim::EnumOf::parse(power).expect("a power state");
    core.tree.write(|w| {
        let runtime = w.find(vm).and_then(|vm| vm.get(prop!(VirtualMachine.runtime)).cloned()).expect("a VM");
        let mut runtime = vim::Object::clone(&runtime);
        runtime.set(field!(VirtualMachineRuntimeInfo.powerState), power);
        w.set(vm, props!(VirtualMachine { runtime: runtime }));
    });
}

struct CutLink {
    home: tokio::runtime::Handle,
    local: Arc<LocalLink>,
    cut: Cut,
    host: String,
}

impl CutLink {
    fn open(&self) -> Result<(), LinkError> {
        if self.cut.is_cut() {
            return Err(LinkError::Unreachable { host: self.host.clone(), reason: "cut".into() });
        }
        Ok(())
    }
}

#[async_trait]
impl HostLink for CutLink {
    fn address(&self) -> &str {
        self.local.address()
    }
    async fn invoke(&self, this: &MoRef, args: Args, by: Option<Acting>) -> Result<Option<Value>, LinkError> {
        self.open()?;
        let (local, this) = (self.local.clone(), this.clone());
        self.home.spawn(async move { local.invoke(&this, args, by).await }).await.expect("the host lives")
    }
    async fn read(&self, object: &MoRef, property: u16) -> Result<Option<Value>, LinkError> {
        self.open()?;
        self.local.read(object, property).await
    }
    async fn follow(&self) -> Result<Box<dyn HostStream>, LinkError> {
        self.open()?;
        let stream = self.local.follow().await?;
        Ok(Box::new(CutStream { stream, cut: self.cut.clone(), host: self.host.clone() }))
    }
    async fn mark(&self) -> Result<u64, LinkError> {
        self.open()?;
        self.local.mark().await
    }
    fn files(&self) -> Option<Arc<dyn Files>> {
        None
    }
    async fn console(&self, ticket: &str) -> std::io::Result<Box<dyn ByteStream>> {
        self.local.console(ticket).await
    }
}

struct CutStream {
    stream: Box<dyn HostStream>,
    cut: Cut,
    host: String,
}

#[async_trait]
impl HostStream for CutStream {
    async fn next(&mut self) -> Result<Changes, LinkError> {
        tokio::select! {
            biased;
            () = self.cut.wait_cut() => {
                Err(LinkError::Unreachable { host: self.host.clone(), reason: "cut".into() })
            }
            changes = self.stream.next() => changes,
        }
    }
}
