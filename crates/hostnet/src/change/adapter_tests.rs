use super::*;
use vim::{DataId, data_id, vim};
use vswitch::vmkernel::AdapterState;

const MAC: Mac = Mac([0, 0x50, 0x56, 0x60, 0, 1]);

fn begun() -> NetworkConfig {
    let mut config =
        NetworkConfig::first(&["vmnic0".into()], &["VM Network".into(), "Management Network".into()], None);
    let device = config.add_adapter("Management Network", with_address("10.0.0.1"), MAC).unwrap();
    config.select(&device, Service::Management).unwrap();
    config
}

fn with_address(address: &str) -> AdapterSpec {
    let ipv4 = Some(Ipv4Config::Static { address: address.parse().unwrap(), prefix: 24 });
    AdapterSpec { ipv4, ..AdapterSpec::default() }
}

fn refused<T: std::fmt::Debug>(result: Result<T, Fault>, ty: DataId) {
    let fault = result.expect_err("it is refused");
    assert!(fault.object().is_a(ty), "{fault}");
}

fn spec(address: &str, mask: &str) -> Result<AdapterSpec, Fault> {
    read(
        &vim!(HostVirtualNicSpec { ip: HostIpConfig { dhcp: false, ipAddress: address, subnetMask: mask } })
            .into(),
    )
}

#[test]
fn addresses_and_masks_are_checked() {
    assert_eq!(
        spec("10.1.2.3", "255.255.240.0").unwrap().ipv4,
        Some(Ipv4Config::Static { address: [10, 1, 2, 3].into(), prefix: 20 })
    );
    for (address, mask) in [
        ("10.1.2", "255.255.255.0"),
        ("224.0.0.5", "255.255.255.0"),
        ("0.0.0.0x", "255.0.0.0"),
        ("127.0.0.1", "255.0.0.0"),
        ("10.1.2.3", "255.0.255.0"),
        ("10.1.2.3", "0.0.0.0"),
        ("10.1.2.3", ""),
    ] {
        refused(spec(address, mask), data_id!(InvalidArgument));
    }
    assert_eq!(spec("", "").unwrap().ipv4, Some(Ipv4Config::None));
    for mtu in [0, 1279, 9001, -1] {
        refused(read(&vim!(HostVirtualNicSpec { mtu: mtu }).into()), data_id!(InvalidArgument));
    }
    refused(read(&vim!(HostVirtualNicSpec { mac: "01:00:5e:00:00:01" }).into()), data_id!(InvalidArgument));
    refused(
        read(&vim!(HostVirtualNicSpec { netStackInstanceKey: "../x" }).into()),
        data_id!(InvalidArgument),
    );
}

#[test]
fn no_address_is_given_twice_within_a_stack() {
    let mut config = begun();
    let other = || Mac([0, 0x50, 0x56, 0x60, 0, 2]);
    refused(config.add_adapter("VM Network", with_address("10.0.0.1"), other()), data_id!(AlreadyExists));
    refused(config.add_adapter("VM Network", with_address("10.0.0.2"), MAC), data_id!(AlreadyExists));
    refused(config.add_adapter("nowhere", with_address("10.0.0.2"), other()), data_id!(InvalidArgument));
    let vmotion = AdapterSpec {
        stack: Some(StackName::try_from("vmotion".to_owned()).unwrap()),
        ..with_address("10.0.0.1")
    };
    assert_eq!(
        config.add_adapter("VM Network", vmotion, other()).unwrap(),
        "vmk1",
        "another stack, another network"
    );
    config.update_adapter("vmk0", with_address("10.0.0.9")).unwrap();
    config.update_adapter("vmk0", AdapterSpec { mtu: Some(9000), ..AdapterSpec::default() }).unwrap();
    let vmk0 = config.adapter("vmk0").unwrap();
    assert_eq!(
        (vmk0.mtu, vmk0.ipv4),
        (9000, with_address("10.0.0.9").ipv4.unwrap()),
        "what is not said stays"
    );
    refused(config.update_adapter("vmk7", AdapterSpec::default()), data_id!(NotFound));
}

#[test]
fn the_host_stays_reachable() {
    let mut config = begun();
    refused(config.remove_adapter("vmk0"), data_id!(HostConfigFault));
    refused(config.deselect("vmk0", Service::Management), data_id!(HostConfigFault));
    let other =
        config.add_adapter("VM Network", with_address("10.0.0.2"), Mac([0, 0x50, 0x56, 0x60, 0, 2])).unwrap();
    config.select(&other, Service::Management).unwrap();
    config.remove_adapter("vmk0").unwrap();
    refused(config.remove_adapter("vmk0"), data_id!(NotFound));
    refused(config.select("vmk0", Service::Vmotion), data_id!(InvalidArgument));
}

#[test]
fn an_address_of_a_dhcpv6_server_is_asked_for_and_shown_and_remains_the_servers() {
    let mut config = begun();
    let set = |config: &mut NetworkConfig, six: Object| {
        let spec = vim!(HostVirtualNicSpec { ip: HostIpConfig { dhcp: true, ipV6Config: six } });
        config.update_adapter("vmk0", read(&spec.into()).unwrap()).unwrap();
        config.adapter("vmk0").unwrap().clone()
    };
    let asks = vim!(HostIpConfigIpV6AddressConfiguration { dhcpV6Enabled: true });
    let adapter = set(&mut config, asks.into());
    let expected = Ipv6Config { dhcp: true, ..Ipv6Config::default() };
    assert_eq!(adapter.ipv6.as_ref(), Some(&expected));

    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let addresses = vec![(address("fd00::5"), 128), (address("fe80::5"), 64)];
    let seen = AdapterState { addresses, deprecated: [address("fd00::5")].into(), ..AdapterState::default() };
    let shown: Object = crate::show::ip(&adapter, Some(&seen)).into();
    let six = shown.get(field!(HostIpConfig.ipV6Config)).unwrap();
    assert_eq!(six.get(field!(HostIpConfigIpV6AddressConfiguration.dhcpV6Enabled)), Some(true));
    let all = six.get(field!(HostIpConfigIpV6AddressConfiguration.ipV6Address)).into_iter().flatten();
    let all = all.map(|one| {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let origin = text(one.get(field!(HostIpConfigIpV6Address.origin)));
        (
            text(one.get(field!(HostIpConfigIpV6Address.ipAddress))),
            origin,
            text(one.get(field!(HostIpConfigIpV6Address.dadState))),
        )
    });
    let expected_shown = [("fd00::5", "dhcp", "deprecated"), ("fe80::5", "other", "preferred")];
    let expected_shown = expected_shown.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(all.collect::<Vec<_>>(), expected_shown);

    // Clients write back what they read, and only their own change takes effect.
    let mine = vim!(HostIpConfigIpV6Address { ipAddress: "fd00::5", prefixLength: 128, origin: "dhcp" });
    let again = vim!(HostIpConfigIpV6AddressConfiguration { ipV6Address: [mine], dhcpV6Enabled: true });
    assert_eq!(set(&mut config, again.into()).ipv6, Some(expected));
    let unsaid = vim!(HostIpConfigIpV6AddressConfiguration { autoConfigurationEnabled: true });
    let ipv6 = set(&mut config, unsaid.into()).ipv6.unwrap();
    assert!(ipv6.dhcp && ipv6.autoconf, "what is not said stays");
    let ends = vim!(HostIpConfigIpV6AddressConfiguration { dhcpV6Enabled: false });
    assert!(!set(&mut config, ends.into()).ipv6.unwrap().dhcp);
}

#[test]
fn an_ipv6_address_is_added_or_removed_without_touching_the_others() {
    let mut config = begun();
    let change = |config: &mut NetworkConfig, addresses: &[(&str, Option<&str>)]| {
        let addresses = addresses.iter().map(|(address, operation)| {
            vim!(HostIpConfigIpV6Address { ipAddress: *address, prefixLength: 64, operation: *operation })
        });
        let six = vim!(HostIpConfigIpV6AddressConfiguration { ipV6Address: addresses.collect::<Vec<_>>() });
        let spec = vim!(HostVirtualNicSpec {
            ip: HostIpConfig {
                dhcp: false,
                ipAddress: "10.0.0.1",
                subnetMask: "255.255.255.0",
                ipV6Config: six
            }
        });
        config.update_adapter("vmk0", read(&spec.into()).unwrap()).unwrap();
        let has = config.adapter("vmk0").unwrap().ipv6.clone().unwrap().addresses;
        has.into_iter().map(|(address, _)| address.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(change(&mut config, &[("fd00::1", None), ("fd00::2", None)]), ["fd00::1", "fd00::2"]);
    assert_eq!(change(&mut config, &[("fd00::3", Some("add"))]), ["fd00::1", "fd00::2", "fd00::3"]);
    assert_eq!(change(&mut config, &[("fd00::2", Some("remove"))]), ["fd00::1", "fd00::3"]);
    assert_eq!(change(&mut config, &[("fd00::9", None)]), ["fd00::9"]);
}

#[test]
fn an_own_gateway_is_replaced_and_taken_away() {
    let mut config = begun();
    let own = |config: &NetworkConfig| config.adapter("vmk0").unwrap().gateways;
    let mut set = |four: Option<&str>, six: Option<&str>| {
        let route = vim!(HostVirtualNicIpRouteSpec {
            ipRouteConfig: HostIpRouteConfig { defaultGateway: four, ipV6DefaultGateway: six },
        });
        let spec = read(&vim!(HostVirtualNicSpec { ipRouteSpec: route }).into()).unwrap();
        config.update_adapter("vmk0", spec).unwrap();
        let kept =
            config.update_adapter("vmk0", read(&vim!(HostVirtualNicSpec { mtu: 1500 }).into()).unwrap());
        kept.unwrap();
        own(&config)
    };
    let four = |last| Gateways { ipv4: Some([10, 0, 0, last].into()), ipv6: None };
    assert_eq!(set(Some("10.0.0.254"), None), four(254));
    assert_eq!(set(Some("10.0.0.253"), None), four(253));
    assert_eq!(set(Some("10.0.0.253"), Some("fd00::1")).ipv6, Some("fd00::1".parse().unwrap()));
    for none in [None, Some(""), Some("0.0.0.0")] {
        set(Some("10.0.0.254"), None);
        assert_eq!(set(none, None), Gateways::default(), "{none:?}");
    }
    set(Some("10.0.0.254"), None);
    let empty = vim!(HostVirtualNicSpec { ipRouteSpec: HostVirtualNicIpRouteSpec {} });
    config.update_adapter("vmk0", read(&empty.into()).unwrap()).unwrap();
    assert_eq!(own(&config), Gateways::default());
    let wrong =
        vim!(HostVirtualNicIpRouteSpec { ipRouteConfig: HostIpRouteConfig { defaultGateway: "10.0.0" } });
    refused(read(&vim!(HostVirtualNicSpec { ipRouteSpec: wrong }).into()), data_id!(InvalidArgument));
}
