//! What an uplink is again when it leaves its switch.
#![allow(clippy::unwrap_used)]

mod network;

use network::{Network, counts, declaration, port_group, switch};

fn ipv6_is_off(net: &Network, interface: &str) -> bool {
    net.text("host", &format!("sysctl -n net.ipv6.conf.{interface}.disable_ipv6")).trim() == "1"
}

#[tokio::test]
async fn a_former_uplink_has_its_ipv6_again_and_one_that_had_none_has_none() {
    let net = Network::new(&["up0", "up1", "up2"]);
    // The administrator has turned it off on one card alone.
    net.run("host", "sysctl -qw net.ipv6.conf.default.disable_ipv6=0 net.ipv6.conf.up0.disable_ipv6=0 net.ipv6.conf.up1.disable_ipv6=0");
    let with = |uplinks: &[&str]| declaration(switch(uplinks, vec![port_group(1, 0)]), vec![]);
    let engine = net.engine().await;
    engine.declare(with(&["up0", "up1", "up2"])).await.unwrap();
    assert!(["up0", "up1", "up2"].iter().all(|uplink| ipv6_is_off(&net, uplink)));
    // It is known over a restart, in which one leaves.
    drop(engine);
    let engine = net.engine().await;
    engine.declare(with(&["up0"])).await.unwrap();
    assert!(ipv6_is_off(&net, "up0"), "still an uplink");
    assert!(!ipv6_is_off(&net, "up1"));
    let has_address = async || net.text("host", "ip -6 addr show dev up1").contains("fe80::");
    counts("it has an address", true, has_address).await;
    assert!(ipv6_is_off(&net, "up2"), "as it was");
    // With the switch the rest.
    engine.declare(vswitch::declare::Declaration::default()).await.unwrap();
    assert!(!ipv6_is_off(&net, "up0"));
    // One that was silent once is not silent for ever.
    net.run("host", "sysctl -qw net.ipv6.conf.up2.disable_ipv6=0");
    engine.declare(with(&["up2"])).await.unwrap();
    engine.declare(vswitch::declare::Declaration::default()).await.unwrap();
    assert!(!ipv6_is_off(&net, "up2"));
}
