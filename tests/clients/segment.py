"""The "physical" network of the lab, as seen from its cables: neighbours in VLANs, links, pings."""
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

TAGGER = str(Path(__file__).parent / "tagger.py")


def run_in(namespace, *command, check=True):
    """The output of a command in a network namespace."""
    process = subprocess.run(["ip", "netns", "exec", namespace, *command], capture_output=True, text=True, timeout=120)
    assert not check or process.returncode == 0, f"{command} in {namespace}: {process.stdout}{process.stderr}"
    return process.stdout


class Segment:
    """The segment that all hosts of a lab are plugged into, a bridge that carries every VLAN."""

    BRIDGE, ADDRESS = "br-lab", "10.77.0.1"

    def __init__(self, lab):
        self.namespace = lab.ready["segment"]
        self.hosts = [host["namespace"] for host in lab.ready["hosts"]]

    def pings(self, address, namespace=None, timeout_s=30):
        """Whether an address answers; tries until `timeout_s` has passed."""
        end = time.monotonic() + timeout_s
        while "bytes from" not in run_in(namespace or self.namespace, "ping", "-c", "1", "-w", "2", address, check=False):
            if time.monotonic() > end:
                return False
        return True

    def misses(self, address, namespace=None):
        """Whether an address does not answer."""
        return "bytes from" not in run_in(namespace or self.namespace, "ping", "-c", "3", "-i", "0.3", "-W", "1", address,
                                          check=False)

    def set_cable(self, host, card, plugged):
        """Plugs a network card of a host in or out; hosts and cards are counted from 0."""
        port = f"h{host + 1}" + (f"-{card}" if card else "")
        run_in(self.namespace, "ip", "link", "set", port, "up" if plugged else "down")

    def port_of(self, mac):
        """The port of the segment where a MAC address was last heard, `h1` for the first card of the first host."""
        entries = json.loads(run_in(self.namespace, "bridge", "-json", "fdb", "show", "br", self.BRIDGE))
        return next((entry["ifname"] for entry in entries if entry["mac"] == mac and "master" in entry), None)

    def forget(self, mac):
        """Makes the segment forget where a MAC address was heard."""
        port = self.port_of(mac)
        if port:
            run_in(self.namespace, "bridge", "fdb", "del", mac, "dev", port, "master", check=False)

    @contextlib.contextmanager
    def neighbour(self, vlan, address, mtu=1500):
        """A station on the segment, in a VLAN; gives its namespace."""
        namespace, cable, card = f"{self.namespace}-v{vlan}", f"v{vlan}", f"vlan{vlan}"
        subprocess.run(["ip", "netns", "add", namespace], check=True)
        tagger = None
        try:
            run_in(self.namespace, "ip", "link", "add", cable, "type", "veth", "peer", "name", "cable", "netns", namespace)
            run_in(self.namespace, "ip", "link", "set", cable, "mtu", str(mtu), "master", self.BRIDGE, "up")
            run_in(namespace, "ip", "link", "set", "cable", "mtu", str(mtu), "addrgenmode", "none", "up")
            tagger = subprocess.Popen(["ip", "netns", "exec", namespace, sys.executable, TAGGER, "cable", card, str(vlan)],
                                      stdout=subprocess.PIPE, text=True)
            assert tagger.stdout.readline() == "ready\n"
            # Always the same MAC, since guests remember it across tests.
            run_in(namespace, "ip", "link", "set", card, "address", f"02:00:0a:4d:{vlan >> 8:02x}:{vlan & 255:02x}")
            run_in(namespace, "ip", "addr", "add", f"{address}/24", "dev", card)
            run_in(namespace, "ip", "link", "set", card, "mtu", str(mtu), "up")
            yield namespace
        finally:
            if tagger:
                tagger.kill()
                tagger.wait()
                tagger.stdout.close()
            subprocess.run(["ip", "netns", "delete", namespace], check=True)
