use super::change::batch;
use super::*;
use crate::{Error, Nic, SwitchSpec};

fn options(uplinks: &[&str]) -> NetworkOptions {
    let uplinks = uplinks.iter().map(|name| (*name).to_owned()).collect();
    NetworkOptions { uplinks, ..NetworkOptions::simulated(vec!["VM Network".into()], None) }
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
        assert!(network.adopt(vec![(spec, None)], &[]).await.unwrap_err().to_string().contains(&reason));
        network.unplug("1", 4000).await.unwrap();
        network.resolve().await;
        assert_eq!(fabric.declared(), vswitch::declare::Declaration::default(), "nothing is declared");
        assert_eq!(stored(&store), before, "nothing is written");
    }
}

/// A fabric with taps, which connects nothing.
struct Taps(NoFabric, parking_lot::Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Fabric for Taps {
    fn nics(&self) -> Vec<Nic> {
        self.0.nics()
    }

    async fn declare(&self, declaration: vswitch::declare::Declaration) -> Result<(), FabricError> {
        self.0.declare(declaration).await
    }

    async fn make_tap(&self, name: &str, _: Option<u32>) -> Result<bool, FabricError> {
        self.1.lock().push(name.to_owned());
        Ok(true)
    }

    async fn remove_tap(&self, name: &str) -> Result<(), FabricError> {
        self.1.lock().retain(|tap| tap != name);
        Ok(())
    }

    fn taps(&self) -> Vec<String> {
        self.1.lock().clone()
    }

    fn seen(&self) -> vswitch::State {
        self.0.seen()
    }

    async fn counters(&self, interface: &str) -> Option<vswitch::layout::Counters> {
        self.0.counters(interface).await
    }

    async fn capture(
        &self,
        filter: vswitch::capture::Filter,
    ) -> Result<futures_util::stream::BoxStream<'static, vswitch::capture::Captured>, FabricError> {
        self.0.capture(filter).await
    }

    async fn changed(&self) {
        self.0.changed().await;
    }
}

#[tokio::test]
async fn a_vm_that_runs_and_is_not_known_keeps_its_taps_and_gets_its_ports_when_it_is() {
    let store = Store::in_memory().unwrap();
    let taps = ["vm1n0", "vm1n1", "vm11n0", "vm2n0", "vm3n0"].map(str::to_owned).to_vec();
    let fabric = Arc::new(Taps(NoFabric::new(2), taps.into()));
    let opened = NetworkOptions { fabric: fabric.clone(), ..options(&["vmnic0"]) };
    let network = HostNetwork::open(&store, opened).await.unwrap();
    let spec = |vm: &str| PortSpec {
        vm: vm.into(),
        key: 4000,
        mac: "02:00:00:00:00:01".into(),
        network: "VM Network".into(),
    };
    network.adopt(vec![(spec("2"), None)], &["1".to_owned()]).await.unwrap();
    assert_eq!(fabric.taps(), ["vm1n0", "vm1n1", "vm2n0"]);
    network.adopt_more(vec![(spec("1"), None)]).await.unwrap();
    let ports: Vec<_> = fabric.0.declared().ports.into_iter().map(|port| port.interface).collect();
    assert_eq!(ports, ["vm1n0", "vm2n0"]);
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
