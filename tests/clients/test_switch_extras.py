"""Features that standard switches have here and in vSphere only distributed ones: mirroring, IPFIX, multicast snooping, MAC learning, load
balancing. `esfera esxcli` sets them, and the segment shows their effect."""
import json
import signal
import subprocess
import sys

import pytest
from pyVmomi import vim

from segment import run_in
from test_esxcli import command
from test_faults import kill_and_wait_for_restart, reconnect
from test_network_lab import guests, home, network_itself, segment  # noqa: F401 (fixtures)
from test_pyvmomi_lab import wait_for

SESSION = ("network", "mirror", "session")
SWITCH = ("network", "vswitch", "standard")
GROUP = "VM Network"


@pytest.fixture
def esxcli(lab, home, tmp_path):  # noqa: F811
    def run(*words, **more):
        return command(lab.hosts[0], tmp_path, *words, **more)

    return run


def rows(esxcli, *words):
    return json.loads(esxcli("--json", *words).stdout)


def session(esxcli, name):
    return next((row for row in rows(esxcli, *SESSION, "list") if row["Name"] == name), None)


def port_of(esxcli, guest, lab):
    """The host's name of a guest's port."""
    shown = network_itself(lab)[0].config.network.portgroup
    return next(port.key for group in shown for port in group.port or [] if guest.mac in port.mac)


# Protocol *local experimental* (IEEE 802); a frame of it ends a capture.
MARK = 0x88B5
SEND_MARK = f"""
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind((sys.argv[1], 0))
    wire.send(bytes.fromhex("02ff0000000102ff00000002{MARK:04x}").ljust(60, b"."))
"""


class Listening:
    """tcpdump in a namespace, and what tshark makes of its capture."""

    def __init__(self, namespace, interface, capture, path):
        self.namespace, self.interface, self.path = namespace, interface, str(path)
        words = ["ip", "netns", "exec", namespace, "tcpdump", "-Z", "root", "--immediate-mode", "-U", "-i", interface, "-w",
                 self.path, *f"ether proto {MARK:#x} or ({capture})".split()]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        line = ""
        while "listening" not in line:
            line = self.process.stderr.readline()
            assert line, "tcpdump has ended"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self.process.stderr.close()

    def seen(self, wanted, *fields, count):
        """Fields of the captured frames, once `count` of them have arrived and all before the end of the capture."""
        words = [word for field in fields for word in ("-e", field)]

        def so_far():
            # The last frame may be incomplete.
            shown = run_in(self.namespace, "tshark", "-r", self.path, "-Y", wanted, "-T", "fields", *words, check=False)
            return [line.split("\t") for line in shown.splitlines()]

        wait_for(lambda: len(so_far()) >= count)
        # Frames before a mark are in the file once the mark is.
        run_in(self.namespace, sys.executable, "-c", SEND_MARK, self.interface)
        wait_for(lambda: run_in(self.namespace, "tshark", "-r", self.path, "-Y", f"eth.type == {MARK:#x}", check=False))
        self.__exit__()
        return so_far()


def ping(guest, address, count=5):
    return guest.shell.run(f"ping -c {count} -W 5 {address} >/dev/null && echo yes") == "yes"


def test_what_a_guest_says_is_mirrored_to_an_address_also_after_the_daemon_was_killed(lab, guests, segment, esxcli, tmp_path):  # noqa: F811
    a, b = guests
    assert a.reaches(b.address)
    port = port_of(esxcli, a, lab)
    esxcli(*SESSION, "add", "--session-name=far", f"--transmitted-port={port}", f"--received-port={port}",
           f"--destination-ip={segment.ADDRESS}", "--encapsulation=erspan3", "--erspan-id=77")
    try:
        wait_for(lambda: session(esxcli, "far")["Status"] == "active")

        def is_mirrored(name):
            with Listening(segment.namespace, segment.BRIDGE, "ip proto 47", tmp_path / name) as listening:
                assert ping(a, b.address)
                seen = listening.seen("erspan && icmp && !(icmp.type == 3)", "ip.src", "icmp.type", "erspan.spanid", count=10)
            assert all(line[2] == "77" for line in seen)
            kinds = [line[1] for line in seen]
            assert (kinds.count("8"), kinds.count("0")) == (5, 5), seen

        is_mirrored("before")
        shown = session(esxcli, "far")
        assert shown["PacketsMirrored"] >= 10 and shown["TransmittedPorts"] == [port] and shown["ERSPANID"] == 77
        kill_and_wait_for_restart(lab, "host1")
        reconnect(lab.hosts[0])
        wait_for(lambda: session(esxcli, "far")["Status"] == "active")
        assert session(esxcli, "far")["PacketsMirrored"] >= 10, "the counters go on"
        is_mirrored("after")
        again = esxcli(*SESSION, "add", "--session-name=far", f"--transmitted-port={port}", "--destination-ip=10.77.0.1", check=False)
        assert again.returncode == 1 and "already has a mirroring session far" in again.stderr
    finally:
        esxcli(*SESSION, "remove", "--session-name=far")
    with Listening(segment.namespace, segment.BRIDGE, "ip proto 47", tmp_path / "none") as listening:
        assert ping(a, b.address)
        assert not listening.seen("erspan", "ip.src", count=0)


def test_what_a_guest_says_is_mirrored_to_a_vlan_of_the_segment(lab, guests, segment, esxcli, tmp_path):  # noqa: F811
    a, b = guests
    port = port_of(esxcli, a, lab)
    esxcli(*SESSION, "add", "--session-name=rspan", f"--transmitted-port={port}", "--destination-uplink=vmnic0", "--vlan-id=99",
           "--sampling-rate=1", "--packet-length=60")
    try:
        wait_for(lambda: session(esxcli, "rspan")["Status"] == "active")
        with Listening(segment.namespace, "h1", "vlan 99", tmp_path / "rspan") as listening:
            assert ping(a, b.address)
            seen = listening.seen("icmp", "vlan.id", "ip.src", "icmp.type", "frame.len", count=5)
        assert seen == [["99", a.address, "8", "64"]] * 5
    finally:
        esxcli(*SESSION, "remove", "--session-name=rspan")


@pytest.mark.parametrize("words, says", [
    (("--transmitted-port=nowhere", "--destination-ip=10.77.0.1"), "The host has no port nowhere"),
    (("--transmitted-port=vmk0",), "The session has no destination"),
    (("--destination-ip=10.77.0.1",), "The session has no source"),
    (("--transmitted-port=vmk0", "--destination-ip=10.77.0.1", "--erspan-id=1024"), "out of range (0–1023)"),
    (("--transmitted-port=vmk0", "--destination-ip=300.1.1.1"), "300.1.1.1 is not a valid value"),
    (("--transmitted-port=vmk0", "--destination-uplink=vmnic0"), "vlanid"),
    (("--source-vlan=7", "--destination-port=vmk0"), "sourcevswitch"),
])
def test_sessions_that_cannot_be_are_refused(esxcli, words, says):
    refused = esxcli(*SESSION, "add", "--session-name=wrong", *words, check=False)
    assert refused.returncode == 1 and says in refused.stderr, refused.stderr
    assert session(esxcli, "wrong") is None


def test_a_collector_is_told_of_flows(guests, segment, esxcli, tmp_path):  # noqa: F811
    a, b = guests
    assert a.reaches(b.address)
    flows = tmp_path / "flows"
    flows.mkdir()
    collector = subprocess.Popen(["ip", "netns", "exec", segment.namespace, "nfcapd", "-w", str(flows), "-p", "4739", "-t", "3600"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":4739" in run_in(segment.namespace, "ss", "-Hlun"))
        esxcli(*SWITCH, "ipfix", "set", f"--collector-ip={segment.ADDRESS}", "--idle-timeout=5", "--active-timeout=60",
               "--domain-id=5", "--vswitch-name=vSwitch0")
        esxcli(*SWITCH, "portgroup", "policy", "ipfix", "set", "--enabled=true", f"--portgroup-name={GROUP}")
        assert rows(esxcli, *SWITCH, "portgroup", "policy", "ipfix", "get", f"--portgroup-name={GROUP}")["Enabled"] is True
        assert ping(a, b.address, count=7)
        wait_for(lambda: rows(esxcli, *SWITCH, "ipfix", "get", "--vswitch-name=vSwitch0").get("RecordsSent", 0) >= 4)
    finally:
        esxcli(*SWITCH, "portgroup", "policy", "ipfix", "set", "--enabled=false", f"--portgroup-name={GROUP}")
        # The end of the export sends the remaining flows.
        esxcli(*SWITCH, "ipfix", "remove", "--vswitch-name=vSwitch0")
        # The second word is the number of bytes that the collector has not read yet.
        wait_for(lambda: all(line.split()[1] == "0" for line in run_in(segment.namespace, "ss", "-Hlun").splitlines()
                             if ":4739" in line))
        collector.terminate()
        collector.wait(10)
    told = subprocess.run(["nfdump", "-q", "-R", str(flows), "-o", "fmt:%sa %da %pr %pkt", "proto icmp"], capture_output=True, text=True,
                          check=True).stdout
    there = [line.split() for line in told.splitlines() if line.split()[:2] == [a.address, b.address]]
    # Packets from `a` enter the switch at its port and leave it at that of `b`; both count. A guest that pauses makes two flows.
    assert sum(int(line[3]) for line in there) == 14, told
    assert rows(esxcli, *SWITCH, "ipfix", "get", "--vswitch-name=vSwitch0") == {}


def test_settings_that_only_esxcli_has_outlive_changes_by_the_api_and_restarts(lab, esxcli):
    learning = (*SWITCH, "portgroup", "policy", "learning")
    esxcli(*learning, "set", "--enabled=true", "--limit=8", "--limit-policy=ALLOW", f"--portgroup-name={GROUP}")
    esxcli(*SWITCH, "policy", "multicast", "set", "--filtering-mode=snooping", "--vswitch-name=vSwitch0")
    try:
        host, network = network_itself(lab)
        group = next(group for group in host.config.network.portgroup if group.spec.name == GROUP)
        spec = group.spec
        spec.policy.nicTeaming = vim.host.NetworkPolicy.NicTeamingPolicy(policy="loadbalance_loadbased")
        network.UpdatePortGroup(GROUP, spec)
        kill_and_wait_for_restart(lab, "host1")
        reconnect(lab.hosts[0])
        shown = rows(esxcli, *learning, "get", f"--portgroup-name={GROUP}")
        assert (shown["Enabled"], shown["Limit"], shown["LimitPolicy"]) == (True, 8, "ALLOW")
        assert rows(esxcli, *SWITCH, "policy", "multicast", "get", "--vswitch-name=vSwitch0") == {"FilteringMode": "snooping"}
        failover = rows(esxcli, *SWITCH, "portgroup", "policy", "failover", "get", f"--portgroup-name={GROUP}")
        assert failover["LoadBalancing"] == "load"
        learned = rows(esxcli, "network", "port", "learned", "list")
        assert len(learned) >= 2 and all(row["Limit"] == 8 for row in learned)
    finally:
        esxcli(*learning, "set", "--enabled=false", f"--portgroup-name={GROUP}")
        esxcli(*SWITCH, "policy", "multicast", "set", "--filtering-mode=legacyFiltering", "--vswitch-name=vSwitch0")
        _, network = network_itself(lab)
        spec.policy.nicTeaming = None
        network.UpdatePortGroup(GROUP, spec)
