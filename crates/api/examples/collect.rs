//! Prints how long it takes to find 10,000 VMs and to write their name, runtime.powerState and summary.config as SOAP
//! from the tree: `cargo run --release -p api --example collect`; with `ESFERA_FIGURES` set, figures for `cargo xtask bench`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::managers::{self, Common, Facts, Singletons};
use api::session::Peer;
use api::{Account, Authority, Call, Core, Methods, Service, Snapshot};
use async_trait::async_trait;
use vim::{Fault, MoRef, Value, call, fault, field, managed_id, prop, props, vim};

const VMS: u32 = 10_000;
const RUNS: usize = 15;

/// Permits everything to everybody.
struct Open;

#[async_trait]
impl Authority for Open {
    async fn login(&self, _: &str, _: &str) -> Result<Account, Fault> {
        Err(fault!(InvalidLogin {}, "nobody logs in here"))
    }
    async fn login_by_certificate(&self, _: &api::tls::Chain) -> Result<Account, Fault> {
        Err(fault!(InvalidLogin {}, "nobody logs in here"))
    }
    fn allows(&self, _: &Account, _: &MoRef, _: &str, _: &Snapshot) -> bool {
        true
    }
    fn roles(&self, _: &Account, _: &MoRef, _: &Snapshot) -> Vec<i32> {
        vec![-1]
    }
}

fn vm(n: u32) -> MoRef {
    MoRef::new(managed_id!(VirtualMachine), format!("vm-{n}"))
}

fn inventory(core: &Core, root: &MoRef) {
    let folder = MoRef::new(managed_id!(Folder), "group-v1");
    core.tree.write(|w| {
        w.create(root, props!(Folder { name: "Datacenters", childEntity: [&folder] }));
        let all: Vec<MoRef> = (0..VMS).map(vm).collect();
        w.create(&folder, props!(Folder { name: "vm", parent: root, childEntity: all }));
        for n in 0..VMS {
            let config = vim!(VirtualMachineConfigSummary {
                name: format!("DC0_H0_VM{n}"),
                template: false,
                vmPathName: format!("[LocalDS_0] DC0_H0_VM{n}/DC0_H0_VM{n}.vmx"),
                memorySizeMB: 1024,
                cpuReservation: 0,
                memoryReservation: 0,
                numCpu: 2,
                numEthernetCards: 1,
                numVirtualDisks: 1,
                uuid: format!("42000000-0000-0000-0000-{n:012}"),
                instanceUuid: format!("52000000-0000-0000-0000-{n:012}"),
                guestId: "otherLinux64Guest",
                guestFullName: "Other Linux (64-bit)",
                annotation: "",
            });
            let summary = vim!(VirtualMachineSummary { vm: vm(n), config: config, overallStatus: "green" });
            let runtime = vim!(VirtualMachineRuntimeInfo { powerState: "poweredOn" });
            w.create(
                &vm(n),
                props!(VirtualMachine {
                    name: format!("DC0_H0_VM{n}"),
                    parent: &folder,
                    runtime: runtime,
                    summary: summary
                }),
            );
        }
    });
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let core = Arc::new(Core::new(store::Store::in_memory().expect("a store in memory")));
    let ids = Singletons::center();
    let facts = Facts {
        about: vim!(AboutInfo { name: "collect", apiType: "VirtualCenter" }),
        capability: vim!(Capability { provisioningSupported: true, multiHostSupported: true }),
        settings: Vec::new(),
        extensible: true,
    };
    let common = Arc::new(Common { core: core.clone(), ids: ids.clone(), facts });
    managers::create(&common).expect("an empty store can be read");
    inventory(&core, &ids.root_folder);
    let mut methods = Methods::default();
    managers::register(&mut methods, &common);
    let service = Arc::new(Service::new(core, Arc::new(Open), methods));
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let peer = Arc::new(Peer { address, user_agent: "collect".into(), certificate: None });
    let account = Account { name: "root".into(), ..Account::default() };
    let session = service.core.sessions.open(account, &peer, "en").expect("the first session");
    let call_of = |this: &MoRef, args| {
        Call::new(service.clone(), peer.clone(), Some(session.clone()), this.clone(), args)
    };
    let make_view =
        call!(CreateContainerView { container: &ids.root_folder, type: ["VirtualMachine"], recursive: true });
    let view =
        service.invoke(call_of(&ids.view_manager, make_view)).await.expect("a view").expect("a reference");
    let view = Value::as_ref(&view).expect("a reference").clone();
    let spec = vim!(PropertyFilterSpec {
        propSet: [PropertySpec { type: "VirtualMachine", pathSet: ["name", "runtime.powerState", "summary.config"] }],
        objectSet: [ObjectSpec {
            obj: &view,
            skip: true,
            selectSet: [TraversalSpec { type: "ContainerView", path: "view" }],
        }],
    });
    let pc = &ids.property_collector;
    let (mut finding, mut writing, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        let args = call!(RetrievePropertiesEx { specSet: [spec.clone()], options: RetrieveOptions {} });
        let begun = Instant::now();
        let answer = service.answer(call_of(pc, args)).await.expect("a result");
        finding.push(begun.elapsed());
        let mut body = Vec::with_capacity(16 << 20);
        let begun = Instant::now();
        vim::soap::write_response(
            &mut body,
            vim::method!(RetrievePropertiesEx),
            answer.as_deref().map(|answer| answer as _),
            vim::api_release(),
        );
        writing.push(begun.elapsed());
        bytes = body.len();
    }
    let (finding, writing) = (median(finding), median(writing));
    let megabytes = bytes as f64 / 1e6;
    if std::env::var_os("ESFERA_FIGURES").is_some() {
        let rate = megabytes / (finding + writing).as_secs_f64();
        println!("figure\t{VMS} VMs, finding and writing SOAP\t{rate}\tMB/s\t\t\t");
        return;
    }
    println!("{VMS} VMs x 3 properties, median of {RUNS} runs:");
    println!("  find             {:8.2} ms", finding.as_secs_f64() * 1e3);
    println!(
        "  write            {:8.2} ms   {:.1} MB, {:.0} MB/s",
        writing.as_secs_f64() * 1e3,
        megabytes,
        megabytes / writing.as_secs_f64()
    );
    println!("  both                           {:.0} MB/s", megabytes / (finding + writing).as_secs_f64());

    let args = call!(CreateFilter { spec: spec, partialUpdates: false });
    service.invoke(call_of(pc, args)).await.expect("a filter");
    let set =
        service.invoke(call_of(pc, call!(CheckForUpdates {}))).await.expect("updates").expect("all of them");
    let mut version =
        set.as_object().and_then(|set| set.get(field!(UpdateSet.version))).expect("a version").to_owned();
    let mut times = Vec::new();
    for n in 0..200 {
        service.core.tree.write(|w| w.set(&vm(n), props!(VirtualMachine { name: format!("renamed{n}") })));
        let args = call!(CheckForUpdates { version: &version });
        let begun = Instant::now();
        let set = service.invoke(call_of(pc, args)).await.expect("updates").expect("one update");
        times.push(begun.elapsed());
        version =
            set.as_object().and_then(|set| set.get(field!(UpdateSet.version))).expect("a version").to_owned();
    }
    println!("  one VM's change  {:8.3} ms", median(times).as_secs_f64() * 1e3);
    let mut times = Vec::new();
    for n in 0..20 {
        let folder = MoRef::new(managed_id!(Folder), "group-v1");
        service.core.tree.write(|w| {
            w.remove_ref(&folder, prop!(Folder.childEntity), &vm(n));
            w.remove(&vm(n));
        });
        let args = call!(CheckForUpdates { version: &version });
        let begun = Instant::now();
        let set = service.invoke(call_of(pc, args)).await.expect("updates").expect("one update");
        times.push(begun.elapsed());
        version =
            set.as_object().and_then(|set| set.get(field!(UpdateSet.version))).expect("a version").to_owned();
    }
    println!("  one VM removed   {:8.3} ms", median(times).as_secs_f64() * 1e3);
}
