//! Objects after a restart of the daemon.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Site, added, small_with};
use host::{DEFAULT_NETWORK, ids};
use vim::{MoRef, prop, vim};

fn vms_of(c: &Client, network: &str) -> Vec<MoRef> {
    let state = c.host.core.tree.snapshot();
    let listed = state.find(&ids::network(network)).unwrap().get(prop!(Network.vm));
    listed.into_iter().flatten().cloned().collect()
}

#[tokio::test]
async fn a_network_lists_its_vms_that_are_off_again() {
    let site = Site::new();
    let c = site.open().await;
    let backing = vim!(VirtualEthernetCardNetworkBackingInfo { deviceName: DEFAULT_NETWORK });
    let nic = added(vim!(VirtualVmxnet3 { key: -1, backing: backing }));
    let vm = c.create(small_with("web", vec![nic])).await.unwrap();
    assert_eq!(vms_of(&c, DEFAULT_NETWORK), [vm.clone()]);
    c.close().await;
    let c = site.open().await;
    assert_eq!(vms_of(&c, DEFAULT_NETWORK), [vm]);
}
