//! The way of an inventory out of a center, into a file, and into another center.

use clap::Parser;

use super::super::args::SimArgs;
use super::super::build::{build, insider};
use super::super::record::{self, Door};
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: SimArgs,
}

fn args(line: &str) -> SimArgs {
    Line::parse_from(["sim"].into_iter().chain(line.split_whitespace())).args
}

async fn made(args: &SimArgs, inventory: &Inventory) -> (Arc<Center>, Inventory) {
    let center = build(args, CENTER_USER, "127.0.0.1", inventory).await.unwrap();
    let shown = record::read(&Door::Inside(&insider(&center, CENTER_USER).unwrap())).await.unwrap();
    (center, shown)
}

/// The identities that a center shows: of its hosts and VMs, and of their adapters.
fn identities(center: &Arc<Center>) -> Vec<String> {
    let state = center.service().core.tree.snapshot();
    let mut found = Vec::new();
    for node in state.iter() {
        if let Some(config) =
            node.get(prop!(VirtualMachine.config)).filter(|_| node.me().is_a(managed_id!(VirtualMachine)))
        {
            found.push(format!("{:?}", config.get(field!(VirtualMachineConfigInfo.instanceUuid))));
            found.push(format!("{:?}", config.get(field!(VirtualMachineConfigInfo.uuid))));
            let hardware = config.get(field!(VirtualMachineConfigInfo.hardware)).unwrap();
            let devices = hardware.get(field!(VirtualHardware.device)).unwrap();
            found.extend(
                devices.into_iter().filter_map(|device| Some(format!("{:?}", device.named("macAddress")?))),
            );
        }
        if let Some(summary) =
            node.get(prop!(HostSystem.summary)).filter(|_| node.me().is_a(managed_id!(HostSystem)))
        {
            let hardware = summary.get(field!(HostListSummary.hardware)).unwrap();
            found.push(format!("{:?}", hardware.get(field!(HostHardwareSummary.uuid))));
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_that_was_saved_is_loaded_as_it_was() {
    let args = args("--datacenters 2 --folders 1 --hosts 2 --pools 2 --vms 1 --datastores 2");
    let (_center, saved) = made(&args, &plan(&args.counts())).await;
    let text = serde_json::to_vec(&saved).unwrap();
    let (_again, loaded) = made(&args, &Inventory::read(&text).unwrap()).await;
    assert_eq!(saved, loaded);
    let [inside, outside] = saved.datacenters.as_slice() else { panic!("two datacenters") };
    assert_eq!((inside.folder.as_slice(), outside.folder.len()), (["F0".to_owned()].as_slice(), 0));
    let vm = &inside.computes[0].hosts[0].vms[0];
    assert_eq!(
        (vm.folder.as_slice(), vm.pool.as_slice()),
        (["F0".to_owned()].as_slice(), ["DC0_C0_RP1".to_owned()].as_slice())
    );
    assert!(
        vm.cdrom && vm.powered_on && vm.disks_kib == [10 << 20] && vm.networks == ["VM Network"],
        "{vm:?}"
    );
    assert_eq!(inside.datastores[1].folder, ["F0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_makes_the_same_identities_whether_hosts_or_the_center_make_the_vms() {
    let told = args("--vms 2 --seed 7");
    let (first, _) = made(&told, &plan(&told.counts())).await;
    let (second, _) = made(&told, &plan(&told.counts())).await;
    assert_eq!(identities(&first), identities(&second));
    assert_eq!(identities(&first).len(), 4 + 4 * 3);
    let other = args("--vms 2 --seed 8");
    let (third, _) = made(&other, &plan(&other.counts())).await;
    assert_ne!(identities(&first), identities(&third));
    // More VMs than are made through the center.
    let many = args("--vms 129 --seed 7 --autostart=false");
    let (fourth, _) = made(&many, &plan(&many.counts())).await;
    let all = identities(&fourth);
    assert_eq!(all.len(), 4 + 258 * 3);
    assert!(
        identities(&first)
            .iter()
            .filter(|known| !known.contains("00:50:56"))
            .all(|known| all.contains(known))
    );
}
