"""Standard switches and port groups, by pyVmomi: on a center and on a single host."""
import pytest
from pyVmomi import vim, vmodl

from vsphere import all_of, by_name, new_vm_spec, wait


def a_host(si):
    return next(host for host in all_of(si, vim.HostSystem) if host.name in ("DC0_H0", "localhost.localdomain"))


def bond(*nics):
    return vim.host.VirtualSwitch.BondBridge(nicDevice=list(nics))


def policy(**security):
    return vim.host.NetworkPolicy(security=vim.host.NetworkPolicy.SecurityPolicy(**security))


def group(name, vlan=0, switch="vSwitch0", policy=None):
    return vim.host.PortGroup.Specification(name=name, vlanId=vlan, vswitchName=switch,
                                            policy=policy or vim.host.NetworkPolicy())


def find(things, name):
    return next((thing for thing in things if thing.name == name), None)


def group_of(host, name):
    return next((group for group in host.config.network.portgroup if group.spec.name == name), None)


@pytest.mark.parametrize("server", ["sim", "esx"])
def test_a_switch_and_its_port_groups_live_their_life(server, request):
    si = request.getfixturevalue(server).connect()
    host = a_host(si) if server == "sim" else all_of(si, vim.HostSystem)[0]
    network = host.configManager.networkSystem
    assert network.capabilities.supportsVlan and "failover_explicit" in network.capabilities.nicTeamingPolicy
    first = find(network.networkInfo.vswitch, "vSwitch0")
    assert first.spec.bridge.nicDevice == ["vmnic0"] and first.mtu == 1500
    assert [nic.device for nic in network.networkInfo.pnic] == ["vmnic0", "vmnic1"]

    network.AddVirtualSwitch("vSwitch1", vim.host.VirtualSwitch.Specification(numPorts=256, bridge=bond("vmnic1"), mtu=9000))
    with pytest.raises(vim.fault.AlreadyExists):
        network.AddVirtualSwitch("vSwitch1")
    with pytest.raises(vim.fault.ResourceInUse):
        network.AddVirtualSwitch("vSwitch2", vim.host.VirtualSwitch.Specification(numPorts=8, bridge=bond("vmnic0")))
    with pytest.raises(vmodl.fault.InvalidArgument):
        network.AddVirtualSwitch("vSwitch2", vim.host.VirtualSwitch.Specification(numPorts=8, bridge=bond("eth7")))
    made = find(host.config.network.vswitch, "vSwitch1")
    assert made.mtu == 9000 and made.spec.policy.nicTeaming.nicOrder.activeNic == ["vmnic1"]

    network.AddPortGroup(group("Production", 10, "vSwitch1", policy(forgedTransmits=False)))
    for wrong in (-1, 4096):
        with pytest.raises(vmodl.fault.InvalidArgument):
            network.AddPortGroup(group("Wrong", wrong, "vSwitch1"))
    with pytest.raises(vim.fault.NotFound):
        network.AddPortGroup(group("Wrong", 0, "vSwitch9"))
    shown = group_of(host, "Production")
    assert shown.spec.vlanId == 10 and shown.vswitch == made.key
    assert shown.spec.policy.security.macChanges is None, "what is not overridden is unset"
    computed = shown.computedPolicy.security
    assert (computed.allowPromiscuous, computed.macChanges, computed.forgedTransmits) == (False, True, False)

    place = by_name(si, vim.Network, "Production")
    assert host in place.host and place in host.network
    datastore = host.datastore[0].name
    spec = new_vm_spec("on-production", datastore, network="Production")
    folder = all_of(si, vim.Datacenter)[0].vmFolder
    vm = wait(si, folder.CreateVM_Task(config=spec, pool=host.parent.resourcePool, host=host))
    wait(si, vm.PowerOnVM_Task())
    assert vm.network == [place] and place.vm == [vm]
    with pytest.raises(vim.fault.ResourceInUse):
        network.RemovePortGroup("Production")
    with pytest.raises(vim.fault.ResourceInUse):
        network.RemoveVirtualSwitch("vSwitch1")
    network.UpdatePortGroup("Production", group("Production", 20, "vSwitch1"))
    shown = group_of(host, "Production")
    assert shown.spec.vlanId == 20 and shown.computedPolicy.security.forgedTransmits
    assert len(shown.port) == 1 and shown.port[0].type == "virtualMachine"

    wait(si, vm.PowerOffVM_Task())
    wait(si, vm.Destroy_Task())
    network.RemovePortGroup("Production")
    with pytest.raises(vim.fault.NotFound):
        network.RemovePortGroup("Production")
    assert "Production" not in [thing.name for thing in all_of(si, vim.Network)]
    network.RemoveVirtualSwitch("vSwitch1")
    assert [switch.name for switch in host.config.network.vswitch] == ["vSwitch0"]


def test_an_update_of_a_switch_keeps_what_it_does_not_say(sim):
    si = sim.connect()
    host = a_host(si)
    network = host.configManager.networkSystem
    spec = find(network.networkInfo.vswitch, "vSwitch0").spec
    spec.policy.security.allowPromiscuous = True
    spec.bridge.nicDevice = ["vmnic0", "vmnic1"]
    spec.policy.nicTeaming.nicOrder = vim.host.NetworkPolicy.NicOrderPolicy(activeNic=["vmnic1"], standbyNic=["vmnic0"])
    spec.policy.nicTeaming.policy = "failover_explicit"
    network.UpdateVirtualSwitch("vSwitch0", spec)
    network.UpdateVirtualSwitch("vSwitch0", vim.host.VirtualSwitch.Specification(numPorts=64, bridge=bond("vmnic0", "vmnic1")))
    shown = find(host.config.network.vswitch, "vSwitch0").spec.policy
    assert shown.security.allowPromiscuous
    assert shown.nicTeaming.policy == "failover_explicit"
    assert (shown.nicTeaming.nicOrder.activeNic, shown.nicTeaming.nicOrder.standbyNic) == (["vmnic1"], ["vmnic0"])
    with pytest.raises(vim.fault.NotFound):
        network.UpdateVirtualSwitch("vSwitch9", spec)


def test_traffic_is_shaped_as_it_is_asked_for(sim):
    si = sim.connect()
    host = a_host(si)
    network = host.configManager.networkSystem

    def shaped(**shaping):
        shaping = vim.host.NetworkPolicy.TrafficShapingPolicy(**shaping)
        return group("Shaped", 0, policy=vim.host.NetworkPolicy(shapingPolicy=shaping))

    for wrong in ({"averageBandwidth": 10}, {"averageBandwidth": 10_000_000, "peakBandwidth": 1_000_000}, {"burstSize": 0}):
        with pytest.raises(vmodl.fault.InvalidArgument):
            network.AddPortGroup(shaped(enabled=True, **wrong))
    network.AddPortGroup(shaped(enabled=True, averageBandwidth=10_000_000, peakBandwidth=20_000_000))
    shown = group_of(host, "Shaped")
    assert shown.spec.policy.shapingPolicy.burstSize is None
    computed = shown.computedPolicy.shapingPolicy
    assert (computed.enabled, computed.averageBandwidth, computed.peakBandwidth) == (True, 10_000_000, 20_000_000)
    assert computed.burstSize > 0
    assert not group_of(host, "VM Network").computedPolicy.shapingPolicy.enabled



def test_many_changes_are_made_at_once_or_not_at_all(sim):
    si = sim.connect()
    host = a_host(si)
    network = host.configManager.networkSystem
    config = vim.host.NetworkConfig

    def change(operation, name, vlan):
        return vim.host.PortGroup.Config(changeOperation=operation, spec=group(name, vlan, "vSwitch1"))

    def nic(address):
        ip = vim.host.IpConfig(dhcp=False, ipAddress=address, subnetMask="255.255.255.0")
        return vim.host.VirtualNic.Config(changeOperation="add", portgroup="Storage", spec=vim.host.VirtualNic.Specification(ip=ip))

    switch = vim.host.VirtualSwitch.Config(changeOperation="add", name="vSwitch1", spec=vim.host.VirtualSwitch.Specification(
        numPorts=64, bridge=bond("vmnic1")))
    whole = config(vswitch=[switch], portgroup=[change("add", "Storage", 7)], vnic=[nic("10.9.0.1"), nic("10.9.0.2")])
    twice = config(vswitch=[switch], portgroup=[change("add", "Storage", 7)], vnic=[nic("10.9.0.1"), nic("10.9.0.1")])
    with pytest.raises(vim.fault.AlreadyExists):
        network.UpdateNetworkConfig(twice, "modify")
    assert [switch.name for switch in host.config.network.vswitch] == ["vSwitch0"]
    with pytest.raises(vmodl.fault.NotSupported):
        network.UpdateNetworkConfig(whole, "replace")
    made = network.UpdateNetworkConfig(whole, "modify").vnicDevice
    assert len(made) == 2
    assert {nic.spec.ip.ipAddress for nic in host.config.network.vnic} >= {"10.9.0.1", "10.9.0.2"}

    switch.changeOperation = "remove"
    gone = [vim.host.VirtualNic.Config(changeOperation="remove", device=device, portgroup="") for device in made]
    network.UpdateNetworkConfig(config(vswitch=[switch], portgroup=[change("remove", "Storage", 7)], vnic=gone), "modify")
    assert [switch.name for switch in host.config.network.vswitch] == ["vSwitch0"]
