//! The settings of an interface after it leaves its switch.

use crate::network::{Network, counts, declaration, ip, port_group, switch};

fn ipv6_is_off(net: &Network, interface: &str) -> bool {
    net.text("host", &format!("sysctl -n net.ipv6.conf.{interface}.disable_ipv6")).trim() == "1"
}

#[tokio::test]
async fn a_former_uplink_has_its_ipv6_again_and_one_that_had_none_has_none() {
    let net = Network::new(&["up0", "up1", "up2"]);
    // The administrator has turned IPv6 off on one card only.
    net.run("host", "sysctl -qw net.ipv6.conf.default.disable_ipv6=0 net.ipv6.conf.up0.disable_ipv6=0 net.ipv6.conf.up1.disable_ipv6=0");
    let with = |uplinks: &[&str]| declaration(switch(uplinks, vec![port_group(1, 0)]), vec![]);
    let engine = net.engine().await;
    engine.declare(with(&["up0", "up1", "up2"])).await.unwrap();
    assert!(["up0", "up1", "up2"].iter().all(|uplink| ipv6_is_off(&net, uplink)));
    // The settings are known after a restart, in which one uplink leaves.
    engine.end().await;
    let engine = net.engine().await;
    engine.declare(with(&["up0"])).await.unwrap();
    assert!(ipv6_is_off(&net, "up0"), "still an uplink");
    assert!(!ipv6_is_off(&net, "up1"));
    let has_address = async || net.text("host", "ip -6 addr show dev up1").contains("fe80::");
    counts("it has an address", true, has_address).await;
    assert!(ipv6_is_off(&net, "up2"), "as it was");
    // The others leave with the switch.
    engine.declare(vswitch::declare::Declaration::default()).await.unwrap();
    assert!(!ipv6_is_off(&net, "up0"));
    // IPv6 that was off once does not stay off for ever.
    net.run("host", "sysctl -qw net.ipv6.conf.up2.disable_ipv6=0");
    engine.declare(with(&["up2"])).await.unwrap();
    engine.declare(vswitch::declare::Declaration::default()).await.unwrap();
    assert!(!ipv6_is_off(&net, "up2"));
}

fn mtu(net: &Network, interface: &str) -> u32 {
    let shown: serde_json::Value =
        serde_json::from_slice(&net.run("host", &format!("ip -j link show {interface}")).stdout).unwrap();
    u32::try_from(shown[0]["mtu"].as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn a_former_uplink_has_its_mtu_again_or_the_one_that_somebody_gave_it_meanwhile() {
    let all = ["up0", "up1", "up2", "up3", "up4"];
    let net = Network::new(&all);
    for uplink in all {
        ip(&net.namespace("host"), &format!("link set {uplink} mtu 1600"));
    }
    let with = |uplinks: &[&str], mtu| {
        let switch = vswitch::declare::Switch { mtu, ..switch(uplinks, vec![port_group(1, 0)]) };
        declaration(switch, vec![])
    };
    let engine = net.engine().await;
    engine.declare(with(&all, 9000)).await.unwrap();
    assert_eq!(all.map(|uplink| mtu(&net, uplink)), [9000; 5]);
    // The switch has another MTU now, and an administrator has set two.
    engine.declare(with(&all, 4000)).await.unwrap();
    assert_eq!(all.map(|uplink| mtu(&net, uplink)), [4000; 5]);
    for by_hand in ["up1", "up2"] {
        ip(&net.namespace("host"), &format!("link set {by_hand} mtu 2000"));
    }
    engine.declare(with(&["up0", "up2", "up3", "up4"], 4000)).await.unwrap();
    assert_eq!(mtu(&net, "up1"), 2000, "as it was set by hand");
    // All is known after a restart, in which two uplinks leave, one of which has lost its program. The switch needs its
    // own MTU.
    engine.end().await;
    let index = net.links()["up4"].index;
    std::fs::remove_file(net.pins().join(format!("links/{index}-from_uplink"))).unwrap();
    let engine = net.engine().await;
    engine.declare(with(&["up0", "up2"], 4000)).await.unwrap();
    let now = ["up0", "up2", "up3", "up4"].map(|uplink| mtu(&net, uplink));
    assert_eq!(now, [4000, 4000, 1600, 1600]);
    engine.declare(vswitch::declare::Declaration::default()).await.unwrap();
    assert_eq!(["up0", "up2"].map(|uplink| mtu(&net, uplink)), [1600, 2000]);
    // An MTU is not kept for ever.
    ip(&net.namespace("host"), "link set up0 mtu 1700");
    engine.declare(with(&["up0"], 4000)).await.unwrap();
    engine.declare(vswitch::declare::Declaration::default()).await.unwrap();
    assert_eq!(mtu(&net, "up0"), 1700);
}
