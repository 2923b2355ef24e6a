use super::change::batch;
use super::*;
use crate::{Error, SwitchSpec};

fn options(uplinks: &[&str]) -> NetworkOptions {
    let uplinks = uplinks.iter().map(|name| (*name).to_owned()).collect();
    NetworkOptions { uplinks, ..NetworkOptions::simulated(vec!["VM Network".into()]) }
}

fn uplinks(network: &HostNetwork) -> Vec<String> {
    network.config().switches[0].declared.uplinks.clone()
}

#[tokio::test]
async fn what_was_kept_before_cards_had_names_is_renamed_once() {
    let store = Store::in_memory().unwrap();
    // The interface `vmnic1` is the second card's; `eth0` is not there.
    let old = NetworkConfig::first(&["eth0".into(), "vmnic1".into()], &[], None);
    store.commit(batch(&old).unwrap()).await.unwrap();
    for _ in 0..2 {
        let network = HostNetwork::open(&store, options(&[])).await.unwrap();
        assert_eq!(uplinks(&network), ["vmnic2", "vmnic1"]);
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_alone_and_so_is_the_network() {
    for (collection, key, bytes) in [
        ("network", "standard", &br#"{"format":99,"switches":[],"new":1}"#[..]),
        ("network", "standard", b"\xff\x00 garbage"),
        ("network-card", "vmnic0", b"garbage"),
    ] {
        let store = Store::in_memory().unwrap();
        HostNetwork::open(&store, options(&["vmnic0"])).await.unwrap();
        let mut damage = Batch::new();
        damage.put(collection, key, bytes.to_vec());
        store.commit(damage).await.unwrap();
        let before = stored(&store);
        let fabric = Arc::new(NoFabric::new(3));
        let opened = NetworkOptions { fabric: fabric.clone(), ..options(&["vmnic1"]) };
        let network = HostNetwork::open(&store, opened).await.unwrap();
        let reason = network.unread().unwrap().to_owned();
        assert!(reason.starts_with("the host's record of its network "), "{reason}");

        let refused = network
            .change(&|_| None, |config, around| config.add_switch("vSwitch9", SwitchSpec::default(), around));
        let Err(Error::Fault(fault)) = refused.await else { panic!("refused") };
        assert!(fault.is_a(vim::data_id!(HostConfigFault)) && fault.to_string().contains(&reason), "{fault}");
        let spec = PortSpec {
            vm: "1".into(),
            key: 4000,
            mac: "02:00:00:00:00:01".into(),
            network: "VM Network".into(),
        };
        assert!(network.plug(&spec, None).await.unwrap_err().reason.contains(&reason));
        assert!(network.move_port(&spec).await.unwrap_err().reason.contains(&reason));
        assert!(network.adopt(vec![(spec, None)]).await.unwrap_err().to_string().contains(&reason));
        network.unplug("1", 4000).await.unwrap();
        network.resolve().await;
        assert_eq!(fabric.declared(), vswitch::declare::Declaration::default(), "nothing is declared");
        assert_eq!(stored(&store), before, "nothing is written");
    }
}

fn stored(store: &Store) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let read = store.read(|view| {
        for collection in ["network", "network-card"] {
            view.for_each(collection, |key, value| {
                all.push((format!("{collection}/{key}"), value.to_vec()));
                Ok(())
            })?;
        }
        Ok(())
    });
    read.unwrap();
    all
}

#[tokio::test]
async fn a_new_host_needs_the_uplinks_that_it_is_to_begin_with() {
    let store = Store::in_memory().unwrap();
    let refused = HostNetwork::open(&store, options(&["vmnic7"])).await.err().unwrap();
    let said = "the host has no network card vmnic7; it has vmnic0, vmnic1";
    assert_eq!(refused.to_string(), said);
    let network = HostNetwork::open(&store, options(&["vmnic1", "vmnic0"])).await.unwrap();
    assert_eq!(uplinks(&network), ["vmnic1", "vmnic0"]);
}
