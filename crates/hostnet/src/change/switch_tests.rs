use vim::{DataId, data_id};
use vswitch::Vlan;
use vswitch::declare::Balancing;

use super::*;
use crate::change::GroupSpec;

fn around() -> Around<'static> {
    Around {
        has_nic: &|name| name.starts_with("vmnic"),
        user: &|name| (name == "used").then(|| "a VM".into()),
    }
}

fn spec(uplinks: &[&str]) -> SwitchSpec {
    SwitchSpec { uplinks: uplinks.iter().map(|name| (*name).into()).collect(), ..SwitchSpec::default() }
}

fn ordered(active: &[&str], standby: &[&str]) -> Override {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    Override { order: Some((names(active), names(standby))), ..Override::default() }
}

fn group(name: &str, switch: &str, vlan: i32) -> GroupSpec {
    GroupSpec {
        name: name.into(),
        switch: switch.into(),
        vlan: Vlan::try_from(vlan).unwrap(),
        policy: Override::default(),
    }
}

/// `vSwitch0` with vmnic0, and the port groups `VM Network` and `used`.
fn begun() -> NetworkConfig {
    NetworkConfig::first(&["vmnic0".into()], &["VM Network".into(), "used".into()], None)
}

fn refused(result: Result<(), Fault>, ty: DataId) -> String {
    let fault = result.expect_err("it is refused");
    assert!(fault.object().is_a(ty), "{fault}");
    fault.to_string()
}

#[test]
fn what_exists_or_is_used_is_refused_by_name() {
    let mut config = begun();
    let before = config.clone();
    refused(config.add_switch("vSwitch0", spec(&[]), &around()), data_id!(AlreadyExists));
    let words = refused(config.add_switch("vSwitch1", spec(&["vmnic0"]), &around()), data_id!(ResourceInUse));
    assert!(words.contains("vSwitch0"), "{words}");
    refused(config.add_switch("vSwitch1", spec(&["eth9"]), &around()), data_id!(InvalidArgument));
    refused(config.add_switch("vSwitch1", spec(&["vmnic1", "vmnic1"]), &around()), data_id!(InvalidArgument));
    refused(config.add_switch(&"x".repeat(32), spec(&[]), &around()), data_id!(InvalidArgument));
    refused(config.add_switch(" ", spec(&[]), &around()), data_id!(InvalidArgument));
    refused(config.update_switch("vSwitch9", spec(&[]), &around()), data_id!(NotFound));
    refused(config.remove_switch("vSwitch9", &around()), data_id!(NotFound));
    refused(config.remove_switch("vSwitch0", &around()), data_id!(ResourceInUse));
    refused(config.add_group(group("used", "vSwitch0", 0)), data_id!(AlreadyExists));
    refused(config.add_group(group("new", "vSwitch9", 0)), data_id!(NotFound));
    refused(config.remove_group("used", &around()), data_id!(ResourceInUse));
    refused(config.remove_group("new", &around()), data_id!(NotFound));
    refused(config.update_group("used", group("renamed", "vSwitch0", 0), &around()), data_id!(ResourceInUse));
    refused(
        config.update_group("used", group("VM Network", "vSwitch0", 0), &around()),
        data_id!(AlreadyExists),
    );
    refused(config.update_group("used", group("used", "vSwitch9", 0), &around()), data_id!(NotFound));
    assert_eq!(config, before, "what is refused changes nothing");
}

#[test]
fn a_switch_is_made_changed_and_removed() {
    let mut config = begun();
    config.add_switch("vSwitch1", spec(&["vmnic1", "vmnic2"]), &around()).unwrap();
    config.add_group(group("Production", "vSwitch1", 10)).unwrap();
    let made = config.switch("vSwitch1").unwrap().clone();
    assert_eq!(made.declared.policy.teaming.active, ["vmnic1", "vmnic2"], "new uplinks are active");
    assert_ne!(made.declared.number, config.switch("vSwitch0").unwrap().declared.number);

    let mut change = spec(&["vmnic1", "vmnic3"]);
    change.policy = Override { balancing: Some(Balancing::IpHash), ..ordered(&["vmnic3"], &["vmnic1"]) };
    change.mtu = Some(9000);
    config.update_switch("vSwitch1", change, &around()).unwrap();
    let declared = &config.switch("vSwitch1").unwrap().declared;
    assert_eq!((declared.mtu, declared.number), (9000, made.declared.number));
    assert_eq!(
        (&declared.policy.teaming.active, &declared.policy.teaming.standby),
        (&vec!["vmnic3".into()], &vec!["vmnic1".into()])
    );
    assert_eq!(declared.policy.teaming.balancing, Balancing::IpHash);

    let words = config.update_switch(
        "vSwitch1",
        SwitchSpec { policy: ordered(&["vmnic7"], &[]), ..spec(&["vmnic1"]) },
        &around(),
    );
    refused(words, data_id!(InvalidArgument));
    config.remove_switch("vSwitch1", &around()).unwrap();
    assert!(config.group("Production").is_none(), "its port groups go with it");
}

#[test]
fn an_uplink_that_leaves_a_switch_leaves_every_order() {
    let mut config = begun();
    config.update_switch("vSwitch0", spec(&["vmnic0", "vmnic1"]), &around()).unwrap();
    let mut own = group("VM Network", "vSwitch0", 0);
    own.policy = ordered(&["vmnic1"], &["vmnic0"]);
    config.update_group("VM Network", own, &around()).unwrap();
    config.update_switch("vSwitch0", spec(&["vmnic1"]), &around()).unwrap();
    let (switch, group) = config.group("VM Network").unwrap();
    assert_eq!(switch.declared.policy.teaming.active, ["vmnic1"]);
    assert_eq!(group.policy, ordered(&["vmnic1"], &[]));
}

#[test]
fn numbers_stay_with_port_groups_and_are_given_again() {
    let mut config = begun();
    let number = |config: &NetworkConfig, name: &str| config.group(name).unwrap().1.number;
    let before = number(&config, "used");
    config.add_group(group("third", "vSwitch0", 7)).unwrap();
    config.remove_group("VM Network", &around()).unwrap();
    config.add_group(group("fourth", "vSwitch0", 4095)).unwrap();
    assert_eq!(number(&config, "used"), before);
    let mut all: Vec<u32> = config.groups().map(|(_, group)| group.number).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3);
    config.update_group("third", group("renamed", "", 8), &around()).unwrap();
    assert_eq!(config.group("renamed").unwrap().1.vlan.number(), 8);
}
