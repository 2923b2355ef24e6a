"""VMkernel adapters, fail-over between uplinks, and a host that starts again: the lab's network as its segment sees it."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from pyVmomi import vim, vmodl

from conftest import Daemon, Lab, open_directory
from segment import Segment, run_in
from test_faults import daemon_pid, kill_and_wait_for_restart, reconnect
from test_network import bond, find, group
from test_network_lab import Pinging, declared, guests, home, network_itself, network_of, plain, segment  # noqa: F401 (fixtures)
from test_pyvmomi_lab import wait_for
from vsphere import all_of

ADDRESS, OTHER_ADDRESS = "10.78.0.11", "10.78.0.12"


def adapter(address=None, dhcp=False, **more):
    ip = vim.host.IpConfig(dhcp=dhcp, ipAddress=address, subnetMask=address and "255.255.255.0")
    return vim.host.VirtualNic.Specification(ip=ip, **more)


def shown(host, device):
    return next((nic for nic in host.config.network.vnic if nic.device == device), None)


def test_an_adapter_in_a_vlan_lives_its_life(lab, home, segment):
    host, network = network_of(lab)
    manager = host.configManager.virtualNicManager
    network.AddPortGroup(group("Storage", 20))
    with segment.neighbour(20, "10.78.0.1", mtu=9000) as neighbour:
        device = network.AddVirtualNic("Storage", adapter(ADDRESS))
        assert device == "vmk1"
        made = wait_for(lambda: shown(host, device))
        assert (made.portgroup, made.spec.ip.ipAddress, made.spec.mtu) == ("Storage", ADDRESS, 1500)
        assert segment.pings(ADDRESS, neighbour)
        assert made.spec.mac in run_in(neighbour, "ip", "neigh")

        with pytest.raises(vim.fault.AlreadyExists):
            network.AddVirtualNic("Storage", adapter(ADDRESS))
        with pytest.raises(vmodl.fault.InvalidArgument):
            network.AddVirtualNic("No such group", adapter(OTHER_ADDRESS))
        with pytest.raises(vim.fault.ResourceInUse):
            network.RemovePortGroup("Storage")

        manager.SelectVnicForNicType("vmotion", device)
        vmotion = manager.QueryNetConfig("vmotion")
        assert [nic.device for nic in vmotion.candidateVnic if nic.key in vmotion.selectedVnic] == [device]
        manager.DeselectVnicForNicType("vmotion", device)
        assert not manager.QueryNetConfig("vmotion").selectedVnic

        network.UpdateVirtualNic(device, adapter(OTHER_ADDRESS))
        assert segment.pings(OTHER_ADDRESS, neighbour) and segment.misses(ADDRESS, neighbour)
        assert shown(host, device).spec.mac == made.spec.mac
        switch = find(host.config.network.vswitch, "vSwitch0").spec
        switch.mtu = 9000
        network.UpdateVirtualSwitch("vSwitch0", switch)
        network.UpdateVirtualNic(device, vim.host.VirtualNic.Specification(mtu=9000))
        wait_for(lambda: (shown(host, device).spec.mtu, shown(host, device).spec.ip.ipAddress) == (9000, OTHER_ADDRESS))
        assert "mtu 9000" in run_in(segment.hosts[0], "ip", "link", "show", device)

        network.RemoveVirtualNic(device)
        wait_for(lambda: shown(host, device) is None)
        assert segment.misses(OTHER_ADDRESS, neighbour)
        assert device not in run_in(segment.hosts[0], "ip", "link")
        with pytest.raises(vim.fault.NotFound):
            network.RemoveVirtualNic(device)


def test_an_adapter_asks_for_its_address_and_shows_it(lab, home, segment):
    host, network = network_of(lab)
    network.AddPortGroup(group("By DHCP"))
    device = network.AddVirtualNic("By DHCP", adapter(dhcp=True))
    address = wait_for(lambda: shown(host, device).spec.ip.ipAddress)
    assert address.startswith("10.77.0.") and shown(host, device).spec.ip.subnetMask == "255.255.255.0"
    assert segment.pings(address)


def test_an_adapter_of_another_stack_is_in_a_namespace_of_its_own(lab, home, segment):
    host, network = network_of(lab)
    network.AddPortGroup(group("vMotion", 20))
    stack = f"{segment.hosts[0]}-vmotion"
    with segment.neighbour(20, "10.78.0.1") as neighbour:
        device = network.AddVirtualNic("vMotion", adapter(ADDRESS, netStackInstanceKey="vmotion"))
        assert segment.pings(ADDRESS, neighbour)
        seen = run_in(stack, "ip", "addr", "show", "dev", device)
        assert ADDRESS in seen
        assert ADDRESS not in run_in(segment.hosts[0], "ip", "addr")
        used = wait_for(lambda: stack_of(host, "vmotion").vmknicKeys)
        assert stack_of(host, "vmotion").state == "active" and list(used) == [shown(host, device).key]
        kill_and_wait_for_restart(lab, "host1")
        _, network = network_itself(lab)
        assert segment.pings(ADDRESS, neighbour)
        assert run_in(stack, "ip", "addr", "show", "dev", device) == seen, "it is still the same interface"
        network.RemoveVirtualNic(device)
    assert not os.path.exists(f"/run/netns/{stack}")
    wait_for(lambda: stack_of(network_itself(lab)[0], "vmotion").state == "inactive")


def stack_of(host, key):
    stacks = host.runtime.networkRuntimeInfo.netStackInstanceRuntimeInfo
    return next(stack for stack in stacks if stack.netStackInstanceKey == key)


def test_a_stack_has_the_gateway_and_the_congestion_control_that_it_is_given(lab, home, segment):
    host, network = network_of(lab)
    network.AddPortGroup(group("vMotion", 20))
    stack = f"{segment.hosts[0]}-vmotion"

    def edit(**what):
        instance = vim.host.NetStackInstance(key="vmotion", **what)
        spec = vim.host.NetworkConfig.NetStackSpec(netStackInstance=instance, operation="edit")
        network.UpdateNetworkConfig(vim.host.NetworkConfig(netStackSpec=[spec]), "modify")

    gateways = vim.host.IpRouteConfig(defaultGateway="10.78.0.1", ipV6DefaultGateway="fd00:20::1")
    edit(ipRouteConfig=gateways, congestionControlAlgorithm="newreno", requestedMaxNumberOfConnections=500)
    spec = adapter(ADDRESS, netStackInstanceKey="vmotion")
    spec.ip.ipV6Config = vim.host.IpConfig.IpV6AddressConfiguration(
        ipV6Address=[vim.host.IpConfig.IpV6Address(ipAddress="fd00:20::2", prefixLength=64)])
    device = network.AddVirtualNic("vMotion", spec)

    def routes(family):
        return run_in(stack, "ip", family, "route", "show", "default")

    wait_for(lambda: f"via 10.78.0.1 dev {device}" in routes("-4") and f"via fd00:20::1 dev {device}" in routes("-6"))
    assert run_in(stack, "cat", "/proc/sys/net/ipv4/tcp_congestion_control") == "reno\n"
    declared = next(known for known in host.config.network.netStackInstance if known.key == "vmotion")
    assert str(declared.ipRouteConfig) == str(gateways)
    assert (declared.congestionControlAlgorithm, declared.requestedMaxNumberOfConnections) == ("newreno", 500)
    edit(ipRouteConfig=vim.host.IpRouteConfig(ipV6DefaultGateway=""))
    wait_for(lambda: routes("-4") == routes("-6") == "")
    network.RemoveVirtualNic(device)


def test_names_come_from_a_dhcpv6_server(lab, home, segment):
    host, network = network_of(lab)
    before = network.dnsConfig
    network.AddPortGroup(group("By DHCP"))
    # On the segment itself: frames that pass a tagger lack checksums, which breaks UDP.
    run_in(segment.namespace, "ip", "addr", "add", "fd00:20::1/64", "dev", segment.BRIDGE, "nodad")
    server = subprocess.Popen(
        ["ip", "netns", "exec", segment.namespace, "dnsmasq", "-k", "-C", "/dev/null", "-p", "0", "-i", segment.BRIDGE,
         "--bind-interfaces", "--user=root", "--pid-file=", "--leasefile-ro", "--dhcp-range=fd00:20::100,fd00:20::1ff,64,1h",
         "--dhcp-option=option6:dns-server,[fd00:20::53]", "--dhcp-option=option6:domain-search,six.example"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        spec = adapter()
        spec.ip.ipV6Config = vim.host.IpConfig.IpV6AddressConfiguration(dhcpV6Enabled=True)
        device = network.AddVirtualNic("By DHCP", spec)
        with pytest.raises(vmodl.fault.InvalidArgument):
            network.UpdateDnsConfig(vim.host.DnsConfig(dhcp=True, virtualNicDevice=device, hostName="", domainName=""))
        network.UpdateDnsConfig(vim.host.DnsConfig(dhcp=True, ipv6VirtualNicDevice=device, hostName="", domainName=""))
        wait_for(lambda: list(network.dnsConfig.address) == ["fd00:20::53"])
        now = network.dnsConfig
        assert now.dhcp and now.ipv6VirtualNicDevice == device and now.virtualNicDevice is None
        assert list(now.searchDomain) == ["six.example"] and now.hostName == before.hostName
        assert names_of(lab, Path(lab.ready["run"]).parents[1])[1] == ["search six.example", "nameserver fd00:20::53"]
        network.RemoveVirtualNic(device)
    finally:
        server.kill()
        server.wait()
        run_in(segment.namespace, "ip", "addr", "del", "fd00:20::1/64", "dev", segment.BRIDGE)
        network.UpdateDnsConfig(before)
    assert list(network.dnsConfig.address) == list(before.address)


def test_a_gateway_of_its_own_is_shown_and_taken_away_again(lab, home, segment):
    host, network = network_of(lab)
    network.AddPortGroup(group("Storage", 20))

    def route(gateway):
        config = vim.host.IpRouteConfig(defaultGateway=gateway)
        return vim.host.VirtualNic.IpRouteSpec(ipRouteConfig=config)

    device = network.AddVirtualNic("Storage", adapter(ADDRESS, ipRouteSpec=route("10.78.0.1")))
    own = wait_for(lambda: shown(host, device)).spec.ipRouteSpec
    assert own.ipRouteConfig.defaultGateway == "10.78.0.1"
    leads = ("ip", "route", "get", "192.0.2.1", "from", ADDRESS)
    assert f"via 10.78.0.1 dev {device}" in run_in(segment.hosts[0], *leads)
    # An unset gateway stays; an empty one removes it, and the stack's gateways apply.
    network.UpdateVirtualNic(device, vim.host.VirtualNic.Specification(mtu=1400))
    wait_for(lambda: shown(host, device).spec.mtu == 1400)
    assert shown(host, device).spec.ipRouteSpec.ipRouteConfig.defaultGateway == "10.78.0.1"
    network.UpdateVirtualNic(device, vim.host.VirtualNic.Specification(ipRouteSpec=route(None)))
    wait_for(lambda: shown(host, device).spec.ipRouteSpec is None)
    rules = run_in(segment.hosts[0], "ip", "rule", "show")
    assert ADDRESS not in rules, rules
    network.RemoveVirtualNic(device)


def test_an_address_that_another_station_has_is_told(lab, home, segment):
    host, network = network_itself(lab)
    network.AddPortGroup(group("Storage", 20))
    events = reconnect(lab.hosts[0]).content.eventManager
    told = vim.event.EventFilterSpec(eventTypeId=["DuplicateIpDetectedEvent"])
    before = len(events.QueryEvents(told))
    with segment.neighbour(20, ADDRESS) as neighbour:
        mac = re.search("link/ether (\\S+)", run_in(neighbour, "ip", "link", "show", "vlan20"))[1]
        # The kernel detects duplicates of IPv6, which are shown with the address.
        run_in(neighbour, "ip", "addr", "add", "fd00:20::1/64", "dev", "vlan20", "nodad")
        six = vim.host.IpConfig.IpV6AddressConfiguration(ipV6Address=[
            vim.host.IpConfig.IpV6Address(ipAddress=f"fd00:20::{n}", prefixLength=64) for n in (1, 2)])
        spec = adapter(ADDRESS)
        spec.ip.ipV6Config = six
        device = network.AddVirtualNic("Storage", spec)
        wait_for(lambda: len(events.QueryEvents(told)) > before)
        event = events.QueryEvents(told)[-1]
        assert (event.duplicateIP, event.macAddress, event.host.host) == (ADDRESS, mac, host)

        def states():
            return {one.ipAddress: one.dadState for one in shown(host, device).spec.ip.ipV6Config.ipV6Address}

        wait_for(lambda: (states().get("fd00:20::1"), states().get("fd00:20::2")) == ("duplicate", "preferred"))
    network.RemoveVirtualNic(device)


def test_routes_are_shown_and_come_and_go(lab, segment):
    host, network = network_of(lab, 1)
    entry = vim.host.IpRouteEntry(network="10.99.0.0", prefixLength=16, gateway=segment.ADDRESS)

    def change(operation):
        op = vim.host.IpRouteOp(changeOperation=operation, route=entry)
        network.UpdateIpRouteTableConfig(vim.host.IpRouteTableConfig(ipRoute=[op]))

    def routes():
        return [(route.network, route.prefixLength, route.gateway, route.deviceName)
                for route in host.config.network.routeTableInfo.ipRoute]

    assert ("10.77.0.0", 24, "0.0.0.0", "vmk0") in routes()
    change("add")
    wait_for(lambda: ("10.99.0.0", 16, segment.ADDRESS, None) in routes())
    assert "via 10.77.0.1 dev vmk0" in run_in(segment.hosts[1], "ip", "route", "get", "10.99.1.1")
    change("remove")
    wait_for(lambda: "10.99.0.0" not in [network for network, *_ in routes()])
    assert run_in(segment.hosts[1], "ip", "route", "show", "10.99.0.0/16") == ""
    with pytest.raises(vim.fault.NotFound):
        change("remove")


def test_the_last_adapter_for_management_stays(lab, home):
    host, network = network_of(lab)
    with pytest.raises(vim.fault.HostConfigFault):
        network.RemoveVirtualNic("vmk0")
    with pytest.raises(vim.fault.HostConfigFault):
        host.configManager.virtualNicManager.DeselectVnicForNicType("management", "vmk0")


def test_a_card_that_no_switch_has_does_not_answer_for_the_adapters(lab, segment):
    """Neighbours would learn a wrong MAC from it, and lose the host for half a minute when it becomes an uplink."""
    address = lab.ready["hosts"][1]["management_address"]
    own = shown(network_of(lab, 1)[0], "vmk0").spec.mac
    for _ in range(5):
        run_in(segment.namespace, "ip", "neigh", "flush", "to", address)
        assert segment.pings(address)
        assert own in run_in(segment.namespace, "ip", "neigh", "show", "to", address)


def test_traffic_goes_over_to_the_second_uplink_and_back(lab, guests, home, segment):
    a, b = guests
    host, network = network_of(lab)
    spec = find(host.config.network.vswitch, "vSwitch0").spec
    spec.bridge = bond("vmnic0", "vmnic1")
    spec.policy.nicTeaming.policy = "failover_explicit"
    spec.policy.nicTeaming.rollingOrder = False
    spec.policy.nicTeaming.nicOrder = vim.host.NetworkPolicy.NicOrderPolicy(activeNic=["vmnic0"], standbyNic=["vmnic1"])
    network.UpdateVirtualSwitch("vSwitch0", spec)
    pinging = Pinging(a, segment.ADDRESS)
    wait_for(lambda: segment.port_of(a.mac) == "h1")
    try:
        segment.set_cable(0, 0, plugged=False)
        wait_for(lambda: segment.port_of(a.mac) == "h1-1")
        assert a.reaches(segment.ADDRESS) and b.reaches(a.address) and b.reaches(segment.ADDRESS)
        network = network_of(lab)[1]
        wait_for(lambda: find_card(network, "vmnic0").linkSpeed is None)
        assert find_card(network, "vmnic1").linkSpeed is not None
    finally:
        segment.set_cable(0, 0, plugged=True)
    wait_for(lambda: segment.port_of(a.mac) == "h1")
    assert a.reaches(segment.ADDRESS)
    wait_for(lambda: find_card(network, "vmnic0").linkSpeed is not None)
    pinging.lost()


def test_a_pinned_adapter_uses_its_uplink_while_that_works(lab, home, segment):
    host, network = network_of(lab)
    spec = find(host.config.network.vswitch, "vSwitch0").spec
    spec.bridge = bond("vmnic0", "vmnic1")
    spec.policy.nicTeaming.policy = "failover_explicit"
    spec.policy.nicTeaming.nicOrder = vim.host.NetworkPolicy.NicOrderPolicy(activeNic=["vmnic0"], standbyNic=["vmnic1"])
    network.UpdateVirtualSwitch("vSwitch0", spec)
    network.AddPortGroup(group("Pinned"))
    address = "10.77.0.251"
    with pytest.raises(vmodl.fault.InvalidArgument):
        network.AddVirtualNic("Pinned", adapter(address, pinnedPnic="vmnic2"))
    device = network.AddVirtualNic("Pinned", adapter(address, netStackInstanceKey="vmotion", pinnedPnic="vmnic1"))
    made = wait_for(lambda: shown(host, device)).spec
    assert made.pinnedPnic == "vmnic1" and not shown(host, "vmk0").spec.pinnedPnic

    def heard_at():
        segment.pings(address, timeout_s=3)
        return segment.port_of(made.mac)

    wait_for(lambda: heard_at() == "h1-1")
    assert segment.port_of(shown(host, "vmk0").spec.mac) == "h1"
    try:
        segment.set_cable(0, 1, plugged=False)
        wait_for(lambda: heard_at() == "h1")
    finally:
        segment.set_cable(0, 1, plugged=True)
    wait_for(lambda: heard_at() == "h1-1")
    network.UpdateVirtualNic(device, vim.host.VirtualNic.Specification(pinnedPnic=""))
    wait_for(lambda: heard_at() == "h1")
    assert not shown(host, device).spec.pinnedPnic


def test_cards_have_the_names_that_clients_expect_and_linux_knows_them_too(lab, segment):
    for at, namespace in enumerate(segment.hosts):
        assert [card.device for card in network_of(lab, at)[1].networkInfo.pnic] == ["vmnic0", "vmnic1"]
        for number in (0, 1):
            link, = json.loads(run_in(namespace, "ip", "-json", "link", "show", "dev", f"vmnic{number}"))
            assert link["ifname"] == f"uplink{number}"


def find_card(network, device):
    return next(card for card in network.networkInfo.pnic if card.device == device)


NAMED = ["search lab.example example", "nameserver 10.77.0.1", "nameserver fd00::1"]


def names_of(lab, directory):
    """The name that the first host's kernel reports, and the lines of its resolver's file."""
    command = ["nsenter", "--uts", "--target", str(daemon_pid(lab, "host1")), "uname", "-n"]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    file = directory / "data/host1/resolv.conf"
    return name, file.read_text().splitlines()[1:] if file.exists() else None


def test_a_host_that_starts_again_has_the_network_that_was_declared():
    with open_directory() as directory:
        start = ("lab", "--name", f"t{os.getpid()}r", "--data", str(directory / "data"), "--listen", "127.0.0.1:0", "--no-vm")
        daemon = Daemon(directory, *start)
        try:
            lab = Lab(daemon.wait_ready(300))
            host, network = network_of(lab)
            network.AddVirtualSwitch("vSwitch1", vim.host.VirtualSwitch.Specification(numPorts=64, bridge=bond("vmnic1")))
            network.AddPortGroup(group("Kept", 20, "vSwitch1"))
            network.AddVirtualNic("Kept", adapter(ADDRESS))
            network.AddVirtualNic("Kept", adapter(OTHER_ADDRESS, netStackInstanceKey="vmotion"))
            network.RemovePortGroup("VM Network")
            host.configManager.virtualNicManager.SelectVnicForNicType("vSphereReplication", "vmk1")
            own, machine = host.config.network.dnsConfig.hostName, names_of(lab, directory)
            assert machine == (own, None)
            named = vim.host.DnsConfig(dhcp=False, hostName="esx1", domainName="lab.example", address=["10.77.0.1", "fd00::1"],
                                       searchDomain=["lab.example", "example"])
            with pytest.raises(vmodl.fault.InvalidArgument):
                network.UpdateDnsConfig(vim.host.DnsConfig(dhcp=False, hostName="esx 1", domainName=""))
            network.UpdateDnsConfig(named)
            assert str(network.dnsConfig) == str(host.config.network.dnsConfig) == str(named)
            assert names_of(lab, directory) == ("esx1", NAMED) and os.uname().nodename != "esx1"
            before = plain(declared(host))
        finally:
            daemon.stop()
        os.remove(directory / "data/host1/resolv.conf")
        left = [name for name in os.listdir("/run/netns") if re.match(f"esf-t{os.getpid()}r-", name)]
        assert left == [] and not os.path.exists(lab.ready["runtime"]), "a lab leaves nothing"
        daemon = Daemon(directory, *start)
        try:
            lab = Lab(daemon.wait_ready(300))
            host, network = network_of(lab)
            wait_for(lambda: plain(declared(host)) == before)
            assert names_of(lab, directory) == ("esx1", NAMED) and str(host.config.network.dnsConfig) == str(named)
            chosen = host.configManager.virtualNicManager.QueryNetConfig("vSphereReplication")
            assert [nic.device for nic in chosen.candidateVnic if nic.key in chosen.selectedVnic] == ["vmk1"]
            segment = Segment(lab)
            with segment.neighbour(20, "10.78.0.1") as neighbour:
                assert segment.pings(ADDRESS, neighbour) and segment.pings(OTHER_ADDRESS, neighbour)
        finally:
            daemon.stop()
