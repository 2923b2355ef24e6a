use super::*;

fn nic(interface: &str, mac: Option<&str>, bus: &str) -> Nic {
    let permanent_mac = mac.map(str::to_owned);
    Nic {
        name: interface.into(),
        interface: interface.into(),
        permanent_mac,
        pci: bus.into(),
        ..Nic::default()
    }
}

fn real(interface: &str, mac: &str, bus: &str) -> Nic {
    nic(interface, Some(mac), bus)
}

fn seen(nics: &[Nic]) -> Cards {
    let mut cards = Cards::default();
    cards.see(nics);
    cards
}

fn name_of(cards: &Cards, interface: &str) -> String {
    cards.name(interface).unwrap_or_default()
}

#[test]
fn cards_are_numbered_in_the_order_of_the_bus_and_those_without_one_by_their_interfaces() {
    let cards = seen(&[
        nic("eth10", None, ""),
        nic("eth2", None, ""),
        real("a", "m3", "0000:0b:00.0"),
        real("b", "m2", "0000:03:00.1"),
        real("c", "m1", "0000:03:00.0"),
    ]);
    let names = ["c", "b", "a", "eth2", "eth10"].map(|interface| name_of(&cards, interface));
    assert_eq!(names, ["vmnic0", "vmnic1", "vmnic2", "vmnic3", "vmnic4"]);
    assert_eq!(cards.names(), names);
}

#[tokio::test]
async fn a_name_outlives_restarts_other_interfaces_and_another_numbering_of_the_bus() {
    let store = Store::in_memory().unwrap();
    let cards = seen(&[real("enp3s0", "m1", "0000:03:00.0"), real("enp4s0", "m2", "0000:04:00.0")]);
    let mut batch = Batch::new();
    cards.write(&Cards::default(), &mut batch).unwrap();
    store.commit(batch).await.unwrap();

    let mut again = Cards::read(&store).unwrap();
    let (kept, moved) = (real("wan", "m1", "0000:03:00.0"), real("enp3s0", "m2", "0000:05:00.0"));
    again.see(&[moved, kept]);
    assert_eq!((name_of(&again, "wan"), name_of(&again, "enp3s0")), ("vmnic0".into(), "vmnic1".into()));
    assert_eq!((again.interface("vmnic0"), again.interface("vmnic1")), (Some("wan"), Some("enp3s0")));
}

#[test]
fn a_name_is_given_to_no_other_card() {
    let mut cards = seen(&[real("eth0", "m1", "0000:03:00.0"), real("eth1", "m2", "0000:04:00.0")]);
    // Another card in the same slot, with the same interface.
    cards.see(&[real("eth1", "m3", "0000:04:00.0"), real("eth0", "m1", "0000:03:00.0")]);
    assert_eq!(cards.names(), ["vmnic0", "vmnic2"]);
    // The last interface of the absent card belongs to another card now: the absent one has none.
    assert_eq!((cards.interface("vmnic1"), cards.interface("vmnic2")), (None, Some("eth1")));
    cards.see(&[real("eth0", "m1", "0000:03:00.0")]);
    assert_eq!((cards.name("eth1"), cards.interface("vmnic1")), (None, Some("eth1")));
    cards.see(&[real("eth7", "m2", "0000:04:00.0")]);
    assert_eq!(cards.names(), ["vmnic1"]);
}

#[test]
fn cards_that_share_a_mac_or_have_none_are_told_apart_by_the_bus() {
    let ports = |a: &str, b: &str| [real(a, "m", "0000:03:00.0"), real(b, "m", "0000:03:00.1")];
    let mut cards = seen(&ports("a", "b"));
    cards.see(&ports("b", "a"));
    assert_eq!((name_of(&cards, "b"), name_of(&cards, "a")), ("vmnic0".into(), "vmnic1".into()));
    let mut cards = seen(&[nic("a", None, "0000:03:00.0"), nic("b", None, "0000:04:00.0")]);
    cards.see(&[nic("b", None, "0000:03:00.0"), nic("c", None, "0000:05:00.0")]);
    assert_eq!((name_of(&cards, "b"), name_of(&cards, "c")), ("vmnic0".into(), "vmnic2".into()));
}

#[test]
fn the_command_line_may_name_either() {
    let cards = seen(&[nic("uplink1", None, ""), nic("uplink0", None, "")]);
    assert_eq!(cards.resolve("uplink1"), Some("vmnic1".into()));
    assert_eq!(cards.resolve("vmnic1"), Some("vmnic1".into()));
    assert_eq!(cards.resolve("vmnic2"), None);
}

#[test]
fn what_was_kept_with_interfaces_is_renamed_also_for_cards_that_are_not_there() {
    let uplinks = ["eth1".to_owned(), "eth9".to_owned()];
    let mut config = NetworkConfig::first(&uplinks, &["VM Network".into()], None);
    config.switches[0].declared.port_groups[0].policy.order =
        Some((vec!["eth9".into()], vec!["eth1".into()]));
    let mut cards = seen(&[real("eth0", "m0", "0000:01:00.0"), real("eth1", "m1", "0000:02:00.0")]);
    cards.rename(&mut config);
    let switch = &config.switches[0].declared;
    assert_eq!(switch.uplinks, ["vmnic1", "vmnic2"]);
    assert_eq!(switch.policy.teaming.active, ["vmnic1", "vmnic2"]);
    let order = switch.port_groups[0].policy.order.clone();
    assert_eq!(order, Some((vec!["vmnic2".into()], vec!["vmnic1".into()])));
    // It comes back and is known by its interface, from then on by itself.
    cards.see(&[real("eth9", "m9", "0000:09:00.0")]);
    assert_eq!(name_of(&cards, "eth9"), "vmnic2");
    cards.see(&[real("eth3", "m9", "0000:09:00.0")]);
    assert_eq!(name_of(&cards, "eth3"), "vmnic2");
}
