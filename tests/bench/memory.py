"""The memory of the daemons, resident (RSS) and with shared pages divided (PSS): a host with ten running VMs, a
center with two hosts, `esfera sim` by its number of VMs, and a center alone over hosts with many.
"""
import re
import sys
import tempfile
import time
from pathlib import Path

from bench import Client, Daemon, figure, memory_mib, note, parameter, sim
from machines import host, make_vm, own_network

VMS = 10
SIMULATED = (0, 1_000, 10_000)
SETTLE_S = 5
HOST_TARGET, CENTER_TARGET = "<= 40", "<= 100"


def main():
    own_network()
    measures = {"host": real_host, "center": center, "sim": simulated, "alone": center_alone}
    for name in sys.argv[1:] or measures:
        with tempfile.TemporaryDirectory(prefix="esf-bench-") as room:
            Path(room).chmod(0o755)
            measures[name](Path(room))


def settled(pid):
    time.sleep(SETTLE_S)
    return memory_mib(pid)


def report(what, pid, target="", peer="", peer_value=None):
    rss, pss = settled(pid)
    figure(what, rss, "MiB RSS", target, peer, peer_value)
    note(f"{what}: PSS {pss:.1f} MiB")
    return rss


def real_host(room):
    with host(room) as server:
        empty, _ = settled(server.pid)
        client = Client(server.ready)
        vms = [make_vm(client, f"bench{number}") for number in range(VMS)]
        for vm in vms:
            client.task("VirtualMachine", vm, "PowerOnVM_Task")
        report(f"esfera host, {VMS} VMs on", server.pid, HOST_TARGET, "without VMs", empty)
        for vm in vms:
            client.task("VirtualMachine", vm, "PowerOffVM_Task")


def center(room):
    # The address identifies a host, so each has its own.
    hosts = [Daemon(room / f"h{n}", "sim", "--esx", "--listen", f"127.0.0.{n}:0", "--user", "root") for n in (1, 2)]
    with Daemon(room / "center", "center", "--listen", "127.0.0.1:0", "--data", str(room / "center/data")) as server:
        try:
            empty, _ = settled(server.pid)
            client = Client(server.ready)
            for each in hosts:
                add_host(client, each)
            report("esfera center, 2 hosts of 2 VMs", server.pid, CENTER_TARGET, "without hosts", empty)
        finally:
            for each in hosts:
                each.stop()


def add_host(client, daemon):
    """Adds a host, by the thumbprint of the certificate that it shows."""
    root = client.content["rootFolder"][1]
    if not (datacenters := referred(client, "Folder", root, "childEntity")):
        client.made("Folder", root, "CreateDatacenter", parameter("name", "DC"))
        datacenters = referred(client, "Folder", root, "childEntity")
    folder, = referred(client, "Datacenter", datacenters[0], "hostFolder")
    address, thumbprint = Client(daemon.ready, login=False).server()
    spec = (f"<spec>{parameter('hostName', address[0])}{parameter('port', address[1])}"
            f"{parameter('sslThumbprint', thumbprint)}{parameter('userName', daemon.ready['user'])}"
            f"{parameter('password', daemon.ready['password'])}<force>true</force></spec><addConnected>true</addConnected>")
    client.task("Folder", folder, "AddStandaloneHost_Task", spec)


def referred(client, kind, value, path):
    """The references in a property."""
    answer = client.retrieve(kind, value, path).partition("<val")[2]
    return re.findall(r'type="\w+"[^>]*>([^<]+)</', answer)


def simulated(room):
    empty = None
    for vms in SIMULATED:
        counts = ["--clusters", "1", "--hosts", "10", "--standalone-hosts", "0", "--vms", str(vms)]
        with sim(room / str(vms), *counts) as server:
            rss, _ = settled(server.pid)
            if not vms:
                empty = rss
                figure("esfera sim, 10 hosts, no VM", rss, "MiB RSS")
                continue
            figure(f"esfera sim, 10 hosts, {vms} VMs", rss, "MiB RSS", "", "without VMs", empty)
            figure("center and hosts together, for one VM", (rss - empty) * 1024 / vms, "KiB")


def center_alone(room):
    """A center over simulated hosts in separate processes, each with as many VMs as one host may have."""
    vms, count = SIMULATED[-1], 4
    hosts = [Daemon(room / f"h{n}", "sim", "--esx", "--listen", f"127.0.0.{n}:0", "--vms", str(vms // count))
             for n in range(1, count + 1)]
    with Daemon(room / "center", "center", "--listen", "127.0.0.1:0", "--data", str(room / "center/data")) as server:
        try:
            empty, _ = settled(server.pid)
            client = Client(server.ready)
            for each in hosts:
                add_host(client, each)
            rss = report(f"esfera center alone, {count} hosts, {vms} VMs", server.pid, "", "without hosts", empty)
            figure("center alone, for one VM", (rss - empty) * 1024 / vms, "KiB")
            report(f"a host of {vms // count} simulated VMs", hosts[0].pid)
        finally:
            for each in hosts:
                each.stop()


if __name__ == "__main__":
    main()
