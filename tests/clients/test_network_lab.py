"""The virtual switch with real guests, seen from inside them and from the segment that the hosts are plugged into.

Two guests on one host, `a` and `b`, serve all tests; each finds them on "VM Network" and leaves them there.
"""
import contextlib
import threading

import pytest
from pyVmomi import vim, vmodl

from guest import Guest, console_of
from segment import Segment
from test_faults import answering_host, kill_and_wait_for_restart, reconnect
from test_network import group, policy
from test_pyvmomi_lab import guest_spec, wait_for
from vsphere import all_of, by_name, nics, wait

HOME = "VM Network"
VLANS = {20: "10.77.0.20", 30: "10.77.0.30"}


class Machine:
    """A guest and the terminal in it. Operations on its VM go through the center."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.shell = Guest(console_of(lab.ready["runtime"], name))
        self.shell.run("for i in $(seq 60); do ip -4 addr show dev eth0 | grep -q 10.77 && break; sleep 1; done; "
                       "kill -KILL $(cat /run/dhcp.eth0)")
        self.address = self.shell.run("ip -4 -o addr show dev eth0").split("inet ")[1].split("/")[0]
        self.mac = self.shell.run("cat /sys/class/net/eth0/address")

    def vm(self, server=None):
        return by_name((server or self.lab.center).connect(), vim.VirtualMachine, self.name)

    def reaches(self, address):
        """Whether an address answers; it may take a moment until neighbours have found each other."""
        return self.shell.run(f"for i in $(seq 20); do ping -c 1 -W 1 {address} >/dev/null && echo yes && break; done; true") == "yes"

    def misses(self, address):
        """Whether an address does not answer."""
        return self.shell.run(f"ping -c 3 -W 1 {address} >/dev/null || echo silence") == "silence"

    def move(self, network, server=None):
        """Moves the running VM's adapter to another port group."""
        si = (server or self.lab.center).connect()
        vm = by_name(si, vim.VirtualMachine, self.name)
        card = nics(vm)[0]
        card.backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)
        change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)
        wait(si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))

    def received(self):
        return int(self.shell.run("cat /sys/class/net/eth0/statistics/rx_packets"))


@pytest.fixture(scope="module")
def guests(lab):
    si = lab.hosts[0].connect()
    host = all_of(si, vim.HostSystem)[0]
    folder = all_of(si, vim.Datacenter)[0].vmFolder
    vms = []
    try:
        for name in ("net-a", "net-b"):
            spec = guest_spec(si, name, host, memory_mib=160)
            spec.numCPUs = 1
            vms.append(wait(si, folder.CreateVM_Task(config=spec, pool=host.parent.resourcePool, host=host)))
            wait(si, vms[-1].PowerOnVM_Task())
        wait_for(lambda: {"net-a", "net-b"} <= {vm.name for vm in all_of(lab.center.connect(), vim.VirtualMachine)})
        yield [Machine(lab, vm.name) for vm in vms]
    finally:
        si = reconnect(lab.hosts[0])
        for vm in [vm for vm in all_of(si, vim.VirtualMachine) if vm.name in ("net-a", "net-b")]:
            if vm.runtime.powerState == "poweredOn":
                wait(si, vm.PowerOffVM_Task())
            wait(si, vm.Destroy_Task())


@pytest.fixture(scope="module")
def segment(lab):
    return Segment(lab)


def network_of(lab, number=0):
    """The first host and its network system, through the center."""
    host = answering_host(reconnect(lab.center), lab.ready["hosts"][number]["management_address"])
    return host, host.configManager.networkSystem


def network_itself(lab):
    """The first host and its network system without the center, which may notice a killed daemon late."""
    host = all_of(reconnect(lab.hosts[0]), vim.HostSystem)[0]
    return host, host.configManager.networkSystem


@pytest.fixture
def home(lab, guests):
    """Restores the network: guests on their port group, and only the earlier switches, port groups and adapters."""
    before = declared(network_of(lab)[0])
    yield before
    host, network = network_itself(lab)
    for guest in guests:
        if guest.vm(lab.hosts[0]).network[0].name != HOME:
            guest.move(HOME, lab.hosts[0])
    now = host.config.network
    for adapter in now.vnic:
        if adapter.device not in before["vnic"]:
            network.RemoveVirtualNic(adapter.device)
    for name in {group.spec.name for group in now.portgroup} - set(before["portgroup"]):
        network.RemovePortGroup(name)
    for name in {switch.name for switch in now.vswitch} - set(before["vswitch"]):
        network.RemoveVirtualSwitch(name)
    for name, spec in before["vswitch"].items():
        network.UpdateVirtualSwitch(name, spec)
    wait_for(lambda: plain(declared(host)) == plain(before))


def declared(host):
    """The declared objects of a host's network, by name."""
    shown = host.config.network
    return {"vswitch": {switch.name: switch.spec for switch in shown.vswitch},
            "portgroup": {group.spec.name: group.spec for group in shown.portgroup},
            "vnic": {adapter.device: adapter.spec for adapter in shown.vnic}}


def plain(things):
    """Lines of text to compare."""
    return [f"{kind} {name}: {line}" for kind, specs in things.items() for name, spec in sorted(specs.items())
            for line in str(spec).splitlines()]


@contextlib.contextmanager
def vlans(segment):
    """A neighbour in each VLAN, whose address names the VLAN."""
    with contextlib.ExitStack() as stack:
        yield {vlan: stack.enter_context(segment.neighbour(vlan, address)) for vlan, address in VLANS.items()}


def test_guests_of_one_vlan_reach_each_other_and_others_do_not(lab, guests, segment, home):
    a, b = guests
    _, network = network_of(lab)
    assert a.reaches(b.address) and a.reaches(segment.ADDRESS)
    for vlan in VLANS:
        network.AddPortGroup(group(f"VLAN {vlan}", vlan))
    with vlans(segment):
        a.move("VLAN 20")
        assert a.reaches(VLANS[20])
        assert a.misses(b.address) and a.misses(segment.ADDRESS)
        b.move("VLAN 30")
        assert b.reaches(VLANS[30])
        assert b.misses(VLANS[20]) and a.misses(b.address)
        b.move("VLAN 20")
        assert a.reaches(b.address) and b.reaches(VLANS[20])


def test_a_running_vm_changes_its_port_group_and_keeps_its_adapter(lab, guests, segment, home):
    a, _ = guests
    _, network = network_of(lab)
    network.AddPortGroup(group("VLAN 20", 20))
    identity = "cat /sys/class/net/eth0/address /sys/class/net/eth0/ifindex /proc/sys/kernel/random/boot_id"
    before = a.shell.run(identity)
    with vlans(segment):
        assert a.reaches(segment.ADDRESS) and a.misses(VLANS[20])
        a.move("VLAN 20")
        assert a.reaches(VLANS[20]) and a.misses(segment.ADDRESS)
        assert a.vm().network[0].name == "VLAN 20" and nics(a.vm())[0].macAddress == a.mac
        # The port group itself changes under a running VM.
        network.UpdatePortGroup("VLAN 20", group("VLAN 20", 30))
        assert a.reaches(VLANS[30]) and a.misses(VLANS[20])
        network.UpdatePortGroup("VLAN 20", group("VLAN 20", 0))
        assert a.reaches(segment.ADDRESS)
    assert a.shell.run(identity) == before
    with pytest.raises(vim.fault.ResourceInUse):
        network.RemovePortGroup("VLAN 20")


class Pinging:
    """A guest that pings in the background, five times a second; `lost` ends it and returns the unanswered requests."""

    def __init__(self, machine, address):
        self.machine = machine
        machine.shell.run(f"ping -c 3 {address} >/dev/null; "
                          f"( ping -i 0.2 {address} >/tmp/ping 2>&1 & echo $! >/tmp/ping.pid )")
        wait_for(lambda: len(self._answered()) > 2)

    def _answered(self):
        return [int(number) for number in self.machine.shell.run("sed -n 's/.* seq=\\([0-9]*\\) .*/\\1/p' /tmp/ping").split()]

    def lost(self):
        so_far = max(self._answered())
        wait_for(lambda: max(self._answered()) > so_far + 5)
        self.machine.shell.run("kill -INT $(cat /tmp/ping.pid)")
        answered = self._answered()
        return sorted(set(range(max(answered) + 1)) - set(answered))


def test_a_guest_loses_nothing_when_the_host_daemon_is_killed(lab, guests, home):
    _, b = guests
    pinging = Pinging(b, Segment.ADDRESS)
    kill_and_wait_for_restart(lab, "host1")
    host, _ = network_itself(lab)
    assert plain(declared(host)) == plain(home)
    assert pinging.lost() == []
    assert b.reaches(guests[0].address)


def test_a_daemon_killed_in_the_middle_of_changes_keeps_what_it_acknowledged(lab, guests, home):
    a, b = guests
    _, network = network_of(lab)
    network.AddPortGroup(group("Changing", 0, policy=policy(forgedTransmits=False)))
    a.move("Changing")
    pinging = Pinging(b, Segment.ADDRESS)
    acknowledged, tried = {}, {}
    _, changed = network_itself(lab)
    some = threading.Event()

    def change():
        with contextlib.suppress(OSError, vmodl.RuntimeFault, vim.fault.VimFault, Exception):
            for number in range(200):
                name = f"Group {number}"
                tried[name] = number + 1
                changed.AddPortGroup(group(name, number + 1))
                acknowledged[name] = number + 1
                changed.UpdatePortGroup("Changing", group("Changing", 40 + number % 2))
                if number > 2:
                    some.set()
        some.set()

    thread = threading.Thread(target=change)
    thread.start()
    assert some.wait(120)
    kill_and_wait_for_restart(lab, "host1")
    thread.join(120)
    assert not thread.is_alive() and acknowledged and len(acknowledged) < 200, "the daemon was killed amid the changes"
    host, network = network_itself(lab)
    shown = wait_for(lambda: {name: spec.vlanId for name, spec in declared(host)["portgroup"].items()
                              if name.startswith("Group ")})
    assert acknowledged.items() <= shown.items() <= tried.items()
    assert set(declared(host)["vswitch"]) == set(home["vswitch"])
    assert pinging.lost() == [], "the changes did not concern this guest's port"
    network.UpdatePortGroup("Changing", group("Changing", 0))
    assert a.reaches(b.address), "the port follows the declaration"


def test_a_guest_that_forges_addresses_is_silent_where_that_is_refused(lab, guests, segment, home):
    a, _ = guests
    _, network = network_of(lab)
    # If the policy allows MAC changes, the new address is the guest's own, so nothing would be forged.
    network.AddPortGroup(group("Strict", policy=policy(forgedTransmits=False, macChanges=False)))

    forged = ["02:00:00:00:0f:01", "02:00:00:00:0f:02"]

    def speak_as(mac):
        a.shell.run(f"ip link set eth0 down; ip link set eth0 address {mac}; ip link set eth0 up; "
                    f"ping -c 3 -W 1 {segment.ADDRESS} >/dev/null; true")

    try:
        speak_as(forged[0])
        wait_for(lambda: segment.port_of(forged[0]) == "h1")
        a.move("Strict")
        speak_as(forged[1])
        assert segment.port_of(forged[1]) is None, "no forged frame got out"
    finally:
        speak_as(a.mac)
    wait_for(lambda: a.reaches(segment.ADDRESS), 60)


def test_a_promiscuous_port_sees_what_is_for_others(lab, guests, segment, home):
    a, b = guests
    _, network = network_of(lab)
    network.AddPortGroup(group("Listening", policy=policy(allowPromiscuous=False)))
    a.move("Listening")
    a.shell.run("ip link set eth0 promisc on")
    try:
        def seen_of(count):
            before = a.received()
            b.shell.run(f"ping -q -c {count} -i 0.05 {segment.ADDRESS}")
            return a.received() - before

        assert b.reaches(segment.ADDRESS)
        assert seen_of(40) < 20, "broadcasts only"
        network.UpdatePortGroup("Listening", group("Listening", policy=policy(allowPromiscuous=True)))
        assert seen_of(40) >= 40
    finally:
        a.shell.run("ip link set eth0 promisc off")
