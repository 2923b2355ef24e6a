use parking_lot::Mutex;

use super::*;
use crate::config::NetworkConfig;

/// Two cards, and a note of what was declared.
#[derive(Default)]
struct Below {
    nics: Mutex<Vec<Nic>>,
    declared: Mutex<Vec<Declaration>>,
}

fn nic(interface: &str, mac: &str) -> Nic {
    let (name, interface) = (interface.into(), interface.into());
    Nic { name, interface, permanent_mac: Some(mac.into()), pci: mac.into(), ..Nic::default() }
}

impl Below {
    fn with(nics: Vec<Nic>) -> Arc<Self> {
        Arc::new(Self { nics: Mutex::new(nics), ..Self::default() })
    }

    /// The uplinks that were declared last.
    fn uplinks(&self) -> Vec<String> {
        self.declared.lock().last().unwrap().switches[0].uplinks.clone()
    }
}

#[async_trait]
impl Fabric for Below {
    fn nics(&self) -> Vec<Nic> {
        self.nics.lock().clone()
    }

    async fn declare(&self, declaration: Declaration) -> Result<(), FabricError> {
        let broken = declaration.switches[0].uplinks.contains(&"broken".to_owned());
        self.declared.lock().push(declaration);
        match broken {
            true => Err(FabricError::about("broken", "it is")),
            false => Ok(()),
        }
    }

    async fn make_tap(&self, _: &str, _: Option<u32>) -> Result<bool, FabricError> {
        Ok(false)
    }

    async fn remove_tap(&self, _: &str) -> Result<(), FabricError> {
        Ok(())
    }

    fn taps(&self) -> Vec<String> {
        Vec::new()
    }

    fn seen(&self) -> State {
        let mut state = State::default();
        state.isolated.insert("eth1".into());
        state.seats.insert(1, vec![Some("eth0".into()), None]);
        state.uplinks.insert("vm1n0".into(), "eth1".into());
        state
    }

    async fn counters(&self, _: &str) -> Option<Counters> {
        None
    }

    async fn capture(&self, filter: Filter) -> Result<BoxStream<'static, Captured>, FabricError> {
        let frame = |interface: String| Captured {
            time: std::time::UNIX_EPOCH,
            interface,
            point: vswitch::capture::Point::UplinkIn,
            reason: None,
            length: 60,
            tag: None,
            bytes: Vec::new(),
            lost: 0,
        };
        Ok(futures_util::stream::iter(filter.interfaces.into_iter().map(frame)).boxed())
    }

    async fn changed(&self) {}
}

fn named(below: &Arc<Below>, store: &Store) -> Named {
    let mut cards = Cards::read(store).unwrap();
    cards.see(&below.nics());
    Named::new(below.clone(), Some(store), cards)
}

fn declaration(uplinks: &[&str]) -> Declaration {
    let uplinks: Vec<String> = uplinks.iter().map(|uplink| (*uplink).to_owned()).collect();
    NetworkConfig::first(&uplinks, &["VM Network".into()], None).declaration(Vec::new())
}

#[tokio::test]
async fn the_switch_is_told_interfaces_and_everybody_else_names() {
    let (below, store) =
        (Below::with(vec![nic("eth1", "m1"), nic("eth0", "m0")]), Store::in_memory().unwrap());
    let named = named(&below, &store);
    let names: Vec<_> = named.nics().into_iter().map(|nic| (nic.name, nic.interface)).collect();
    assert_eq!(names, [("vmnic0".into(), "eth0".into()), ("vmnic1".into(), "eth1".to_owned())]);

    named.declare(declaration(&["vmnic1", "vmnic0", "vmnic7"])).await.unwrap();
    let mut declared = below.declared.lock().pop().unwrap();
    let switch = declared.switches.remove(0);
    assert_eq!(
        (switch.uplinks, switch.policy.teaming.active),
        (vec!["eth1".into(), "eth0".to_owned()], vec!["eth1".into(), "eth0".into()])
    );
    let called = [("eth0".to_owned(), "vmnic0".to_owned()), ("eth1".into(), "vmnic1".into())];
    assert_eq!(declared.names, called.into(), "neighbours are told these");

    let seen = named.seen();
    assert_eq!(seen.isolated, ["vmnic1".to_owned()].into());
    assert_eq!(seen.seats[&1], [Some("vmnic0".to_owned()), None]);
    assert_eq!(seen.uplinks["vm1n0"], "vmnic1");

    let filter = Filter { interfaces: vec!["vmnic1".into(), "vm1n0".into()], ..Filter::default() };
    let frames: Vec<_> = named.capture(filter).await.unwrap().map(|frame| frame.interface).collect().await;
    assert_eq!(frames, ["vmnic1", "vm1n0"]);
}

#[tokio::test]
async fn what_is_wrong_with_an_uplink_is_said_of_its_name() {
    let (below, store) = (Below::with(vec![nic("broken", "m0")]), Store::in_memory().unwrap());
    let error = named(&below, &store).declare(declaration(&["vmnic0"])).await.unwrap_err();
    assert_eq!((error.subject(), &*error.to_string()), (Some("vmnic0"), "vmnic0: it is"));
}

#[tokio::test]
async fn an_uplink_whose_interface_is_renamed_stays_one_and_a_new_card_is_kept() {
    let (below, store) = (Below::with(vec![nic("eth0", "m0")]), Store::in_memory().unwrap());
    let own = named(&below, &store);
    own.declare(declaration(&["vmnic0"])).await.unwrap();
    assert_eq!(below.uplinks(), ["eth0"]);
    *below.nics.lock() = vec![nic("eth0", "m1"), nic("lan0", "m0")];
    let names = |named: &Named| named.nics().into_iter().map(|nic| nic.name).collect::<Vec<_>>();
    assert_eq!(names(&own), ["vmnic0"], "a new card has no name yet");
    own.changed().await;
    assert_eq!(below.uplinks(), ["lan0"]);
    assert_eq!(names(&own), ["vmnic0", "vmnic1"]);
    let again = named(&below, &store);
    assert_eq!(again.interface("vmnic1"), "eth0");
}
