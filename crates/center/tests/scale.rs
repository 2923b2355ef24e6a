//! Many VMs: the first state of a host is one change, and the memory for a VM is bounded.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Instant;

use center::Place;
use common::toy::Toy;
use common::{Client, center, root};
use vim::{call, managed_id, prop};

/// The memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = status.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test]
async fn ten_thousand_vms_come_in_as_a_handful_of_changes() {
    const HOSTS: usize = 20;
    const VMS: usize = 500;
    let center = center().await;
    let client = Client::of(&center);
    let dc = client.make(&root(), call!(CreateDatacenter { name: "DC" })).await;
    let vms = client.reference(&dc, prop!(Datacenter.vmFolder).number());
    let hosts = client.reference(&dc, prop!(Datacenter.hostFolder).number());
    let toys: Vec<_> = (0..HOSTS)
        .map(|host| {
            let toy = Toy::new(&format!("h{host}"));
            for vm in 0..VMS {
                toy.add_vm(&vm.to_string(), &format!("h{host}-vm{vm}"), &format!("u-{host}-{vm}"));
            }
            toy
        })
        .collect();
    let (memory, version) = (resident(), center.service().core.tree.snapshot().version());
    let begun = Instant::now();
    for toy in &toys {
        center.attach(toy.link(), &Place::Standalone { folder: hosts.clone() }).await.unwrap();
    }
    let took = begun.elapsed();
    let grown = resident().saturating_sub(memory);
    println!("{} VMs in {took:?}, {} bytes each", HOSTS * VMS, grown / (HOSTS * VMS));
    assert_eq!(client.refs(&vms, prop!(Folder.childEntity).number()).len(), HOSTS * VMS);
    assert_eq!(client.all(managed_id!(VirtualMachine)).len(), HOSTS * VMS);
    let changes = center.service().core.tree.snapshot().version() - version;
    assert!(changes < 10 * HOSTS as u64, "{changes} changes for {HOSTS} hosts");
}
