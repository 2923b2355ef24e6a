use super::*;
use vim::{DataId, data_id};

fn begun() -> NetworkConfig {
    NetworkConfig::first(&["vmnic0".into()], &["VM Network".into()], None)
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn to_port(transmitted: &[&str], received: &[&str], destination: &[&str]) -> MirrorSession {
    MirrorSession {
        number: 0,
        source: MirrorSource::Ports { transmitted: names(transmitted), received: names(received) },
        destination: MirrorDestination::Ports { interfaces: names(destination), vlan: None },
        every: 1,
        length: None,
        strip_vlan: false,
        normal_traffic: false,
    }
}

fn to_address(address: [u8; 4], encapsulation: Encapsulation) -> MirrorSession {
    let destination = MirrorDestination::Routed { encapsulation, destination_ip: address.into() };
    MirrorSession { destination, ..to_port(&["t1"], &[], &["t2"]) }
}

fn refused(config: &mut NetworkConfig, session: MirrorSession, ty: DataId) -> String {
    let before = config.clone();
    let ports = names(&["t1", "t2", "vmnic0"]);
    let fault = config.add_mirror("new", session, &ports).expect_err("it is refused");
    assert!(fault.object().is_a(ty), "{fault}");
    assert_eq!(*config, before, "a change that is refused changes nothing");
    fault.to_string()
}

#[test]
fn sessions_have_names_and_numbers_of_their_own() {
    let (mut config, ports) = (begun(), names(&["t1", "t2", "vmnic0"]));
    for name in ["a", "b", "c"] {
        config.add_mirror(name, to_port(&["t1"], &["t1"], &["t2"]), &ports).unwrap();
    }
    let fault = config.add_mirror("b", to_port(&["t1"], &[], &["t2"]), &ports).unwrap_err();
    assert!(fault.object().is_a(data_id!(AlreadyExists)));
    config.remove_mirror("b").unwrap();
    assert!(config.remove_mirror("b").unwrap_err().object().is_a(data_id!(NotFound)));
    let erspan = Encapsulation::Erspan3 { session: 1023, class_of_service: 7, fine_time: true };
    config.add_mirror("d", to_address([10, 0, 0, 9], erspan), &ports).unwrap();
    let numbers: Vec<u32> = config.mirrors.iter().map(|mirror| mirror.session.number).collect();
    assert_eq!(numbers, [0, 2, 1], "a number that is free is given again");
    let kept = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<NetworkConfig>(&kept).unwrap(), config);
}

#[test]
fn what_cannot_be_mirrored_is_refused_in_words() {
    let config = &mut begun();
    let invalid = data_id!(InvalidArgument);
    let words = refused(config, to_port(&["t9"], &[], &["t2"]), invalid);
    assert!(words.contains("t9") && words.contains("t1, t2") && !words.contains("vmnic0"), "{words}");
    refused(config, to_port(&[], &[], &["t2"]), invalid);
    refused(config, to_port(&["t1"], &[], &["t1"]), invalid);
    refused(config, to_port(&["vmnic0"], &[], &["t2"]), invalid);
    refused(config, to_port(&["t1"], &[], &[]), invalid);
    refused(config, MirrorSession { length: Some(59), ..to_port(&["t1"], &[], &["t2"]) }, invalid);
    refused(config, to_address([224, 0, 0, 1], Encapsulation::Gre), invalid);
    let erspan = |session, class_of_service| Encapsulation::Erspan2 { session, class_of_service };
    refused(config, to_address([10, 0, 0, 9], erspan(1024, 0)), invalid);
    refused(config, to_address([10, 0, 0, 9], erspan(0, 8)), invalid);
    let uplink =
        |name: &str| MirrorDestination::Uplink { interfaces: names(&[name]), vlan: 9.try_into().unwrap() };
    let by = |name| MirrorSession { destination: uplink(name), ..to_port(&["t1"], &[], &["t2"]) };
    refused(config, by("t2"), invalid);
    config.add_mirror("by an uplink", by("vmnic0"), &names(&["t1"])).unwrap();
    let vlans = |switch| MirrorSource::Vlans { switch, vlans: vec![5.try_into().unwrap()] };
    let remote = |switch| MirrorSession { source: vlans(switch), ..to_port(&[], &[], &["t2"]) };
    refused(config, remote(77), invalid);
    refused(config, MirrorSession { destination: uplink("vmnic0"), ..remote(1) }, invalid);
    config.add_mirror("from a VLAN", remote(1), &names(&["t2"])).unwrap();
    let around = crate::Around { has_nic: &|_| true, user: &|_| None };
    let fault = config.remove_switch("vSwitch0", &around).unwrap_err();
    assert!(
        fault.object().is_a(data_id!(ResourceInUse)) && fault.to_string().contains("from a VLAN"),
        "{fault}"
    );
    config.remove_mirror("from a VLAN").unwrap();
    config.remove_switch("vSwitch0", &around).unwrap();
}
