"""esxcli through the executer of a host, directly and through the center, by pyVmomi's object model and by our own command."""
import json
import os
import subprocess

import pytest
from pyVmomi import vim, vmodl

from conftest import ESFERA
from esxcli import Esxcli
from test_network import find
from vsphere import all_of, by_name

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
    assert list(switch.Portgroups) == ["VM Network"] and switch.BeaconEnabled is False
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
    """Runs `esfera esxcli` as a user who has logged in."""
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
    inner = run("network", "vswitch", "standard").stdout
    for word in ("portgroup", "policy", "uplink", "list", "set"):
        assert word in inner.split()
    assert "--mtu" in run("network", "vswitch", "standard", "set", "--help").stdout

    switches = json.loads(run("network", "vswitch", "standard", "list", "--json").stdout)
    assert [(switch["Name"], switch["MTU"], switch["Uplinks"]) for switch in switches] == [("vSwitch0", 1500, ["vmnic0"])]
    assert "   CDP Status: listen\n" in run("network", "vswitch", "standard", "list").stdout
    rows = run("network", "vswitch", "standard", "portgroup", "list").stdout.splitlines()
    assert rows[0].split("  ")[0] == "NAME" and rows[1].startswith("VM Network  vSwitch0")

    assert run("network", "vswitch", "standard", "portgroup", "add", "-p", "Web", "--vswitch-name=vSwitch0").stdout == ""
    groups = json.loads(run("--json", "network", "vswitch", "standard", "portgroup", "list").stdout)
    assert [group["Name"] for group in groups] == ["VM Network", "Web"]
    again = run("network", "vswitch", "standard", "portgroup", "add", "-p", "Web", "-v", "vSwitch0", check=False)
    assert again.returncode == 1 and "There is a port group Web already" in again.stderr
    assert run("network", "nowhere", check=False).returncode == 3
    assert run("network", "nic", "get", "--color", "red", check=False).returncode == 2
    ambiguous = command(sim, tmp_path, "system", "uuid", "get", check=False)
    assert ambiguous.returncode == 2 and "DC0_H0" in ambiguous.stderr
