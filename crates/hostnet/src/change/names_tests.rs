use vim::vim;
use vswitch::State;

use super::*;
use crate::change::{AdapterSpec, adapter_spec};
use crate::fabric::resolv_conf::write as resolv_conf;
use crate::show::names_shown as shown;

fn config(host: &str, domain: &str, servers: &[&str], search: &[&str]) -> Object {
    vim!(HostDnsConfig {
        dhcp: false,
        hostName: host,
        domainName: domain,
        address: servers.to_vec(),
        searchDomain: search.to_vec(),
    })
    .into()
}

fn leased(device: &str) -> Object {
    vim!(HostDnsConfig { dhcp: true, virtualNicDevice: device, hostName: "", domainName: "" }).into()
}

fn with_adapter(ipv4: Ipv4Config) -> NetworkConfig {
    let mut known = NetworkConfig::first(&[], &["Net".into()], None);
    let spec = AdapterSpec { ipv4: Some(ipv4), ..Default::default() };
    known.add_adapter("Net", spec, vswitch::Mac([2; 6])).unwrap();
    known
}

#[test]
fn what_is_said_is_kept_shown_and_declared() {
    let mut known = NetworkConfig::default();
    let own = Dns { host_name: "box".into(), ..Dns::default() };
    let seen = State::default();
    let show = |known: &NetworkConfig| shown(known.names.as_ref(), &seen, &own);
    assert_eq!(show(&known), config("box", "", &[], &[]));
    let said = config("esx1", "example.com", &["10.0.0.1", "fd00::1"], &["example.com", "lab"]);
    known.set_names(&said, "box").unwrap();
    assert_eq!(show(&known), said);
    assert_eq!(known.declaration(Vec::new()).stacks[0].dns.host_name, "esx1", "as DHCP servers are told");
    // Only the name of the host stays if it is left out.
    known.set_names(&config("", "", &[], &[]), "box").unwrap();
    assert_eq!(show(&known), config("esx1", "", &[], &[]));
}

#[test]
fn what_is_no_name_or_address_is_refused() {
    for (property, wrong) in [
        ("config.hostName", config("a b", "", &[], &[])),
        ("config.hostName", config("-a", "", &[], &[])),
        ("config.hostName", config(&"a".repeat(64), "", &[], &[])),
        ("config.domainName", config("a", "b..c", &[], &[])),
        ("config.searchDomain", config("a", "", &[], &["b\nnameserver 6.6.6.6"])),
        ("config.searchDomain", config("a", "", &[], &["b"; 33])),
        ("config.address", config("a", "", &["ns.example.com"], &[])),
        ("config.address", config("a", "", &["0.0.0.0"], &[])),
        ("config.virtualNicDevice", leased("")),
        ("config.virtualNicDevice", leased("vmk0")),
    ] {
        let mut known = with_adapter(Ipv4Config::None);
        let fault = known.set_names(&wrong, "box").unwrap_err();
        assert_eq!(fault.object().get(field!(InvalidArgument.invalidProperty)), Some(property), "{fault}");
        assert_eq!(known.names, None);
    }
    let mut known = with_adapter(Ipv4Config::None);
    assert_eq!(known.set_names(&leased("vmk9"), "box").unwrap_err().type_name(), "NotFound");
}

/// An adapter that has been told a DNS server and a domain by DHCP.
fn with_lease() -> vswitch::vmkernel::AdapterState {
    let lease = vswitch::vmkernel::dhcp::Lease {
        address: [10, 0, 0, 5].into(),
        prefix: 24,
        server: [10, 0, 0, 1].into(),
        seconds: 60,
        router: None,
        dns: vec![[10, 0, 0, 2].into()],
        domain: Some("lab".into()),
        mtu: None,
    };
    vswitch::vmkernel::AdapterState { lease: Some(lease), ..Default::default() }
}

#[test]
fn a_lease_says_what_nobody_gave() {
    let mut known = with_adapter(Ipv4Config::Dhcp);
    known.set_names(&leased("vmk0"), "box").unwrap();
    let names = known.names.unwrap();
    let mut seen = State::default();
    assert_eq!(names.effective(&seen), None, "nothing is said before there is a lease");
    seen.adapters.insert("vmk0".into(), with_lease());
    let dns = names.effective(&seen).unwrap();
    assert_eq!(resolv_conf(&dns).lines().skip(1).collect::<Vec<_>>(), ["search lab", "nameserver 10.0.0.2"]);
    let shown = shown(Some(&names), &seen, &Dns::default());
    assert_eq!(shown.get(field!(HostDnsConfig.virtualNicDevice)), Some("vmk0"));
    assert_eq!((shown.get(field!(HostDnsConfig.hostName)), dns.host_name.as_str()), (Some("box"), "box"));
    assert_eq!(shown.get(field!(HostDnsConfig.domainName)), Some("lab"));
}

fn lease6(dns: &[&str], search: &[&str]) -> vswitch::vmkernel::AdapterState {
    let lease = vswitch::vmkernel::dhcp6::Lease {
        address: "fd00::5".parse().unwrap(),
        server: vec![0, 3, 0, 1],
        seconds: 60,
        preferred: 60,
        dns: dns.iter().map(|server| server.parse().unwrap()).collect(),
        search: search.iter().map(|domain| (*domain).to_owned()).collect(),
    };
    vswitch::vmkernel::AdapterState { lease6: Some(lease), ..Default::default() }
}

#[test]
fn a_dhcpv6_server_says_what_nobody_gave() {
    let mut known = with_adapter(Ipv4Config::Dhcp);
    let spec = vim!(HostVirtualNicSpec {
        ip: HostIpConfig {
            dhcp: false,
            ipV6Config: HostIpConfigIpV6AddressConfiguration { dhcpV6Enabled: true }
        }
    });
    let spec = adapter_spec(&spec.into()).unwrap();
    known.add_adapter("Net", spec, vswitch::Mac([4; 6])).unwrap();
    let both = |four: Option<&str>, six: &str, search: &[&str]| -> Object {
        vim!(HostDnsConfig {
            dhcp: true,
            virtualNicDevice: four,
            ipv6VirtualNicDevice: six,
            hostName: "esx",
            domainName: "",
            searchDomain: search.to_vec(),
        })
        .into()
    };
    for (property, wrong) in [
        ("config.ipv6VirtualNicDevice", both(None, "vmk0", &[])),
        ("config.virtualNicDevice", both(Some("vmk1"), "vmk1", &[])),
        ("config.virtualNicDevice", both(None, "", &[])),
    ] {
        let fault = known.set_names(&wrong, "box").unwrap_err();
        assert_eq!(fault.object().get(field!(InvalidArgument.invalidProperty)), Some(property), "{fault}");
    }
    known.set_names(&both(None, "vmk1", &[]), "box").unwrap();
    let mut seen = State::default();
    assert_eq!(
        known.names.as_ref().unwrap().effective(&seen),
        None,
        "nothing is said before there is a lease"
    );
    seen.adapters.insert("vmk1".into(), lease6(&["fd00::53", "fe80::1"], &["six.example", "b"]));
    let names = known.names.clone().unwrap();
    let dns = names.effective(&seen).unwrap();
    assert_eq!(
        (dns.servers, dns.search),
        (vec!["fd00::53".parse().unwrap()], vec!["six.example".into(), "b".into()])
    );
    let shown = shown(Some(&names), &seen, &Dns::default());
    assert_eq!(shown.get(field!(HostDnsConfig.ipv6VirtualNicDevice)), Some("vmk1"));
    assert_eq!(
        (shown.get(field!(HostDnsConfig.dhcp)), shown.get(field!(HostDnsConfig.virtualNicDevice))),
        (Some(true), None)
    );

    // Both: IPv4 first; what a client says is searched; one lease is enough.
    known.set_names(&both(Some("vmk0"), "vmk1", &["given.example"]), "box").unwrap();
    let names = known.names.clone().unwrap();
    assert_eq!(names.effective(&seen).unwrap().search, ["given.example"]);
    seen.adapters.insert("vmk0".into(), with_lease());
    let dns = names.effective(&seen).unwrap();
    assert_eq!(dns.servers, ["10.0.0.2".parse::<IpAddr>().unwrap(), "fd00::53".parse().unwrap()]);
    assert_eq!(dns.domain, "lab");
    let many: Vec<String> = (1..100).map(|number| format!("fd00::{number}")).collect();
    let many: Vec<&str> = many.iter().map(|server| &**server).collect();
    seen.adapters.insert("vmk1".into(), lease6(&many, &["a"; 100]));
    assert_eq!(names.effective(&seen).unwrap().servers.len(), MOST_SERVERS);
}
