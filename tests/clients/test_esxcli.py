"""esxcli through the executer of a host, directly and through the center, by pyVmomi's object model and by our own command."""
import json
import os
import subprocess

import pytest
from pyVmomi import vim, vmodl

from conftest import ESFERA
from esxcli import Esxcli
from segment import Segment, run_in
from test_faults import answering_host, reconnect
from test_network import find
from test_pyvmomi_lab import wait_for
from test_vmkernel_lab import adapter
from vsphere import all_of, nics

SWITCHES = "ha-cli-handler-network-vswitch-standard"
LIST = "vim.EsxCLI.network.vswitch.standard.list"


def host_of(server):
    return all_of(server.connect(), vim.HostSystem)[0]


@pytest.fixture(params=["sim", "esx"])
def simulated(request):
    return request.getfixturevalue(request.param)


def test_commands_are_methods_of_an_object_model(simulated):
    host = host_of(simulated)
    cli = Esxcli(host)
    switch, = cli.run("network vswitch standard list", vswitchname="vSwitch0")
    shown = find(host.config.network.vswitch, "vSwitch0")
    assert (switch.MTU, switch.ConfiguredPorts, list(switch.Uplinks)) == (shown.mtu, shown.spec.numPorts, ["vmnic0"])
    assert list(switch.Portgroups) == ["VM Network", "Management Network"] and switch.BeaconEnabled is False
    assert [nic.Name for nic in cli.run("network nic list")] == [nic.device for nic in host.config.network.pnic]
    assert cli.run("network nic get", nicname="vmnic0").LinkDetected is True
    assert cli.run("system hostname get").FullyQualifiedDomainName == host.name
    assert cli.run("system uuid get") == host.hardware.systemInfo.uuid
    assert cli.run("system version get").Version == host.config.product.version
    assert list(cli.run("network vswitch dvs vmware list") or []) == []
    on = {vm.name for vm in host.vm if vm.runtime.powerState == "poweredOn"}
    worlds = {vm.DisplayName: vm.WorldID for vm in cli.run("vm process list") or []}
    assert set(worlds) == on
    for machine in cli.run("network vm list") or []:
        ports = cli.run("network vm port list", worldid=machine.WorldID)
        assert [port.Portgroup for port in ports] == list(machine.Networks) and len(ports) == machine.NumPorts


def test_changes_are_those_of_the_api(simulated):
    host = host_of(simulated)
    cli = Esxcli(host)
    assert cli.run("network vswitch standard add", vswitchname="vSwitch7", ports=64) is True
    assert cli.run("network vswitch standard uplink add", vswitchname="vSwitch7", uplinkname="vmnic1") is True
    cli.run("network vswitch standard set", vswitchname="vSwitch7", mtu=9000, cdpstatus="both")
    cli.run("network vswitch standard portgroup add", vswitchname="vSwitch7", portgroupname="Web")
    cli.run("network vswitch standard portgroup set", portgroupname="Web", vlanid=20)
    cli.run("network vswitch standard portgroup policy security set", portgroupname="Web", allowpromiscuous=True)
    cli.run("network vswitch standard policy shaping set", vswitchname="vSwitch7", enabled=True, avgbandwidth=2000,
            peakbandwidth=4000, burstsize=64)
    switch = find(host.config.network.vswitch, "vSwitch7")
    assert (switch.mtu, switch.spec.bridge.nicDevice, switch.spec.numPorts) == (9000, ["vmnic1"], 64)
    shaping = switch.spec.policy.shapingPolicy
    assert (shaping.enabled, shaping.averageBandwidth, shaping.burstSize) == (True, 2_000_000, 65_536)
    group = next(group for group in host.config.network.portgroup if group.spec.name == "Web")
    assert group.spec.vlanId == 20 and group.spec.policy.security.allowPromiscuous is True
    assert group.spec.policy.security.forgedTransmits is None
    assert "Web" in [network.name for network in host.network]
    with pytest.raises(vim.EsxCLI.CLIFault) as refused:
        cli.run("network vswitch standard uplink add", vswitchname="vSwitch0", uplinkname="vmnic1")
    assert "vSwitch7" in refused.value.errMsg[0] and refused.value.msg == "EsxCLI.CLIFault.summary"
    cli.run("network vswitch standard portgroup remove", vswitchname="vSwitch7", portgroupname="Web")
    cli.run("network vswitch standard remove", vswitchname="vSwitch7")
    assert find(host.config.network.vswitch, "vSwitch7") is None


def test_what_is_wrong_is_refused(simulated):
    cli = Esxcli(host_of(simulated))
    for wrong, moid, name, version in [("moid", "bogus", LIST, "urn:vim25/5.0"), ("version", SWITCHES, LIST, "bogus"),
                                       ("method", SWITCHES, "bogus", "urn:vim25/5.0"),
                                       ("method", SWITCHES, LIST + "x", "urn:vim25/5.0")]:
        with pytest.raises(vmodl.fault.InvalidArgument) as refused:
            cli.execute(moid, name, version=version)
        assert refused.value.invalidProperty == wrong
    for argument in [("vswitchname", "<vswitchname>nosuch</vswitchname>"), ("color", "<color>red</color>"),
                     ("vswitchname", "<a>x</b>"), ("vswitchname", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")]:
        result = cli.execute(SWITCHES, LIST, argument)
        assert result.response is None and result.fault.faultMsg == "EsxCLI.CLIFault.summary"
    with pytest.raises(vim.EsxCLI.CLIFault, match="summary"):
        cli.run("network vswitch standard set", vswitchname="vSwitch0", mtu=99999)
    with pytest.raises(vmodl.fault.InvalidArgument):
        cli.executer.FetchSoap(SWITCHES, "urn:vim25/5.0", "name")
    with pytest.raises(vim.fault.NotFound):
        cli["info"].FetchCLIInfo("vim.EsxCLI.no.such")


def test_help_is_told(simulated):
    cli = Esxcli(host_of(simulated))
    info = cli["info"].FetchCLIInfo("vim.EsxCLI.network.vswitch.standard")
    assert (info.name, info.displayName) == ("network.vswitch.standard", "standard")
    methods = {method.name: method for method in info.method}
    assert set(methods) == {"add", "list", "remove", "set"}
    mtu = next(parameter for parameter in methods["set"].param if parameter.name == "mtu")
    assert list(mtu.aliases) == ["-m", "--mtu"] and mtu.flag is False and mtu.help
    # Every object has a type and help, and every field of a hint is one of the type.
    for kind in cli.instances:
        if kind != "vim.CLIInfo":
            assert cli["info"].FetchCLIInfo(kind).method, kind


def test_who_may_only_look_changes_nothing(esx):
    si = esx.connect()
    si.content.accountManager.CreateUser(vim.host.LocalAccountManager.PosixAccountSpecification(
        id="looker", password="Only-Looking-1", description="looks"))
    si.content.authorizationManager.SetEntityPermissions(
        si.content.rootFolder, [vim.AuthorizationManager.Permission(principal="looker", group=False, roleId=-2,
                                                                    propagate=True)])
    cli = Esxcli(all_of(esx.connect("looker", "Only-Looking-1"), vim.HostSystem)[0])
    assert cli.run("network vswitch standard list")
    with pytest.raises(vim.fault.NoPermission) as refused:
        cli.run("network vswitch standard add", vswitchname="vSwitch7")
    assert refused.value.privilegeId == "Host.Config.Network"


def command(server, directory, *words, check=True):
    """Runs `esfera esxcli` as a logged-in user."""
    environment = {**os.environ, "HOME": str(directory), "XDG_CONFIG_HOME": str(directory), "XDG_STATE_HOME": str(directory),
                   "ESFERA_PASSWORD": server.password}
    def run(*words):
        return subprocess.run([ESFERA, *words], env=environment, capture_output=True, text=True, timeout=60)
    login = run("login", server.url, "--user", server.user, "--insecure")
    assert login.returncode == 0, login.stderr
    done = run("esxcli", *words)
    assert not check or done.returncode == 0, done.stderr
    return done


def test_our_own_command_shows_what_the_host_tells(sim, tmp_path):
    def run(*words, **more):
        return command(sim, tmp_path, "--host", "DC0_H0", *words, **more)

    top = run().stdout
    assert [line.split()[0] for line in top.splitlines()[1:]] == ["network", "system", "vm"]
    assert "The host's network" in top
    inner = run("network", "vswitch", "standard").stdout
    for word in ("portgroup", "policy", "uplink", "list", "set"):
        assert word in inner.split()
    assert "--mtu" in run("network", "vswitch", "standard", "set", "--help").stdout

    switches = json.loads(run("network", "vswitch", "standard", "list", "--json").stdout)
    assert [(switch["Name"], switch["MTU"], switch["Uplinks"]) for switch in switches] == [("vSwitch0", 1500, ["vmnic0"])]
    assert "   CDP Status: listen\n" in run("network", "vswitch", "standard", "list").stdout
    rows = run("network", "vswitch", "standard", "portgroup", "list").stdout.splitlines()
    assert rows[0].split("  ")[0] == "NAME" and any(row.startswith("VM Network") for row in rows)

    assert run("network", "vswitch", "standard", "portgroup", "add", "-p", "Web", "--vswitch-name=vSwitch0").stdout == ""
    groups = json.loads(run("--json", "network", "vswitch", "standard", "portgroup", "list").stdout)
    assert {group["Name"] for group in groups} == {"VM Network", "Management Network", "Web"}
    again = run("network", "vswitch", "standard", "portgroup", "add", "-p", "Web", "-v", "vSwitch0", check=False)
    assert again.returncode == 1 and "already has a port group Web" in again.stderr
    assert run("network", "nowhere", check=False).returncode == 3
    assert run("network", "nic", "get", "--color", "red", check=False).returncode == 2
    ambiguous = command(sim, tmp_path, "system", "uuid", "get", check=False)
    assert ambiguous.returncode == 2 and "DC0_H0" in ambiguous.stderr


@pytest.fixture(params=["host", "center"])
def running(lab, request):
    """A lab host with a running VM, reached directly or through the center: the host, its commands, and its namespace."""
    own = next(number for number, server in enumerate(lab.hosts)
               if any(vm.runtime.powerState == "poweredOn" for vm in host_of(server).vm))
    address = lab.ready["hosts"][own]["management_address"]
    host = host_of(lab.hosts[own]) if request.param == "host" else answering_host(reconnect(lab.center), address)
    return host, Esxcli(host), lab.ready["hosts"][own]


def kernel(namespace, *words):
    """The JSON output of `ip` in a namespace."""
    return json.loads(run_in(namespace, "ip", "-json", *words))


def test_adapters_are_those_of_the_kernel(running):
    host, cli, lab_host = running
    namespace = lab_host["namespace"]
    vmk0 = next(adapter for adapter in cli.run("network ip interface list") if adapter.Name == "vmk0")
    link = kernel(namespace, "link", "show", "vmk0")[0]
    shown = next(nic for nic in host.config.network.vnic if nic.device == "vmk0")
    assert (vmk0.MACAddress, vmk0.MTU, vmk0.Portgroup) == (link["address"], link["mtu"], shown.portgroup)
    assert vmk0.PortID == kernel(namespace, "link", "show", "vmk0-port")[0]["ifindex"]
    ipv4 = next(row for row in cli.run("network ip interface ipv4 get") if row.Name == "vmk0")
    assert (ipv4.IPv4Address, ipv4.IPv4Netmask) == (lab_host["management_address"], shown.spec.ip.subnetMask)
    addresses = [row.IPv4Address for row in cli.run("network ip interface ipv4 address list", interfacename="vmk0")]
    assert addresses == [lab_host["management_address"]]
    six = {row.Address for row in cli.run("network ip interface ipv6 address list", interfacename="vmk0") or []}
    in_kernel = {info["local"] for link in kernel(namespace, "-6", "addr", "show", "dev", "vmk0") for info in link.get("addr_info", [])}
    assert six == in_kernel
    assert list(cli.run("network ip interface tag get", interfacename="vmk0").Tags) == ["Management"]
    assert [stack.Key for stack in cli.run("network ip netstack list")] == ["defaultTcpipStack"]
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as algorithm:
        assert cli.run("network ip netstack get", netstack="defaultTcpipStack").CongestionControlAlgorithm \
            == algorithm.read().strip().replace("reno", "newreno")


def test_tables_are_those_of_the_kernel(running, lab):
    host, cli, lab_host = running
    namespace, segment = lab_host["namespace"], Segment(lab)
    assert segment.pings(lab_host["management_address"])
    routes = {(row.Network, row.Gateway, row.Interface) for row in cli.run("network ip route ipv4 list")}
    assert routes == {(route["dst"].split("/")[0], route.get("gateway", "0.0.0.0"), route["dev"])
                      for route in kernel(namespace, "-4", "route")}
    assert ("10.77.0.0", "0.0.0.0", "vmk0") in routes
    six = {(row.Network, row.PrefixLength) for row in cli.run("network ip route ipv6 list") or []}
    assert ("fe80::", 64) in six or not six
    neighbours = {row.Neighbor: row.MacAddress for row in cli.run("network ip neighbor list", version="4")}
    assert neighbours[segment.ADDRESS] == kernel(segment.namespace, "link", "show", segment.BRIDGE)[0]["address"]
    listening = [row for row in cli.run("network ip connection list", type="tcp") if row.State == "LISTEN"]
    sockets = run_in(namespace, "ss", "-Htln").splitlines()
    assert sorted(row.LocalAddress.rsplit(":", 1)[1] for row in listening) == sorted(line.split()[3].rsplit(":", 1)[1] for line in sockets)
    for row in listening:
        with open(f"/proc/{row.WorldID}/comm") as name:
            assert row.WorldName == name.read().strip() and row.CCAlgo
    with pytest.raises(vim.EsxCLI.CLIFault):
        cli.run("network ip route ipv4 list", netstack="nosuch")


def test_cards_and_ports_are_counted(running, lab):
    host, cli, lab_host = running
    namespace, segment = lab_host["namespace"], Segment(lab)
    card, = [row for row in cli.run("network nic list") if row.Name == "vmnic0"]
    link = kernel(namespace, "link", "show", "uplink0")[0]
    assert (card.MACAddress, card.MTU, card.AdminStatus, card.LinkStatus) == (link["address"], link["mtu"], "Up", "Up")

    def sent():
        return int(run_in(namespace, "cat", "/sys/class/net/uplink0/statistics/tx_bytes"))
    before = sent()
    told = cli.run("network nic stats get", nicname="vmnic0")
    assert before <= told.Bytessent <= sent() and told.Packetssent > 0

    process = next(iter(cli.run("vm process list")))
    with open(f"/proc/{process.ProcessID}/comm") as name:
        assert name.read().startswith("qemu")
    vm, = [vm for vm in host.vm if vm.name == process.DisplayName]
    assert process.ConfigFile == vm.config.files.vmPathName
    assert process.UUID.replace(" ", "").replace("-", "") == vm.config.uuid.replace("-", "")
    machine, = [row for row in cli.run("network vm list") if row.WorldID == process.WorldID]
    assert machine.NumPorts == 1 and list(machine.Networks) == ["VM Network"]
    port, = cli.run("network vm port list", worldid=process.WorldID)
    tap, = [link for link in kernel(namespace, "link") if link["ifindex"] == port.PortID]
    assert (port.vSwitch, port.Portgroup, port.TeamUplink) == ("vSwitch0", "VM Network", "vmnic0")
    assert port.UplinkPortID == link["ifindex"] and port.MACAddress == nics(vm)[0].macAddress
    first = cli.run("network port stats get", portid=port.PortID)
    run_in(segment.namespace, "ping", "-c", "3", "-i", "0.2", "-b", "10.77.0.255", check=False)
    second = cli.run("network port stats get", portid=port.PortID)
    assert second.Broadcastpacketsreceived >= first.Broadcastpacketsreceived + 3, tap["ifname"]


def test_a_stack_of_its_own_has_its_own_tables(running, lab):
    host, cli, lab_host = running
    network, stack = host.configManager.networkSystem, f"{lab_host['namespace']}-vmotion"
    cli.run("network vswitch standard portgroup add", vswitchname="vSwitch0", portgroupname="Moving")
    device = network.AddVirtualNic("Moving", adapter("10.78.0.11", netStackInstanceKey="vmotion"))
    try:
        wait_for(lambda: "vmotion" in [known.Key for known in cli.run("network ip netstack list")])
        routes = cli.run("network ip route ipv4 list", netstack="vmotion")
        assert [(row.Network, row.Interface) for row in routes] == [("10.78.0.0", device)]
        assert [(route["dst"], route["dev"]) for route in kernel(stack, "-4", "route")] == [("10.78.0.0/24", device)]
        assert "10.78.0.0" not in [row.Network for row in cli.run("network ip route ipv4 list")]
        assert [row.Name for row in cli.run("network ip interface list", netstack="vmotion")] == [device]
        assert not cli.run("network ip connection list", netstack="vmotion", type="tcp")
    finally:
        network.RemoveVirtualNic(device)
        cli.run("network vswitch standard portgroup remove", vswitchname="vSwitch0", portgroupname="Moving")


def test_policies_reach_the_switch(running):
    host, cli, _ = running
    cli.run("network vswitch standard portgroup add", vswitchname="vSwitch0", portgroupname="Strict")
    try:
        cli.run("network vswitch standard portgroup policy failover set", portgroupname="Strict", activeuplinks="vmnic0",
                loadbalancing="explicit", failback=False)
        told = cli.run("network vswitch standard portgroup policy failover get", portgroupname="Strict")
        assert (told.LoadBalancing, told.Failback, list(told.ActiveAdapters)) == ("explicit", False, ["vmnic0"])
        assert told.OverrideVswitchUplinks and not told.OverrideVswitchNotifySwitches
        group = next(group for group in host.config.network.portgroup if group.spec.name == "Strict")
        assert group.computedPolicy.nicTeaming.policy == "failover_explicit"
        cli.run("network vswitch standard portgroup policy failover set", portgroupname="Strict", usevswitch=True)
        told = cli.run("network vswitch standard portgroup policy failover get", portgroupname="Strict")
        assert told.LoadBalancing == "srcport" and not told.OverrideVswitchUplinks
        with pytest.raises(vim.EsxCLI.CLIFault) as refused:
            cli.run("network vswitch standard portgroup policy failover set", portgroupname="Strict", loadbalancing="magic")
        assert refused.value.errMsg == ["Invalid data constraint for parameter 'loadbalancing'."]
        with pytest.raises(vim.EsxCLI.CLIFault):
            cli.run("network vswitch standard portgroup policy failover set", portgroupname="Strict", activeuplinks="eth9")
    finally:
        cli.run("network vswitch standard portgroup remove", vswitchname="vSwitch0", portgroupname="Strict")
