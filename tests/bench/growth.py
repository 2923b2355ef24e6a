"""Curves of what must stay flat as history, inventory and crowds grow, on one center over simulated hosts:

* power operations, one round after another: the history grows, the cost of an operation must not;
* the same round by the number of VMs in the inventory;
* the start of one host by the number of its VMs;
* the memory of a client that follows all VMs and waits.

Sizes and rounds are arguments: `cargo xtask bench growth -- --vms 64,45000 --rounds 10 --clients 32`. Each figure names the server's CPU time, which does
not depend on how fast the clients are; the last point of a curve has the first one beside it.
"""
import argparse
import multiprocessing
import re
import tempfile
import time
from pathlib import Path

from bench import Client, cpu_s, figure, memory_mib, note, parameter, reference, sim

HOSTS = 4
FLAT = 1.3


def numbers(text):
    return [int(number) for number in text.replace("_", "").split(",")]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--vms", type=numbers, default=[64, 1_000, 4_000], help="sizes of the inventory")
    options.add_argument("--on-one-host", type=numbers, default=[500, 1_000, 2_000], help="VMs of one host at its start")
    options.add_argument("--rounds", type=int, default=6, help="rounds of power operations, one after another")
    options.add_argument("--tasks", type=int, default=640, help="operations in a round")
    options.add_argument("--clients", type=int, default=8, help="clients that wait for their tasks")
    options.add_argument("--followers", type=int, default=10, help="clients that follow all VMs")
    options = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="esf-bench-") as room:
        history(Path(room), options)
        inventory(Path(room), options)
        start(Path(room), options)
        waiting(Path(room), options)


def counts(vms, hosts=HOSTS):
    return ["--clusters", "1", "--hosts", str(hosts), "--standalone-hosts", "0", "--vms", str(vms)]


def curve(what, unit, points):
    """One figure for each point (a label and a value); the last has the first as its peer, and a target against it."""
    (first, least), (last, most) = points[0], points[-1]
    for label, value in points[:-1]:
        figure(f"{what}, {label}", value, unit)
    figure(f"{what}, {last}", most, unit, f"<= {FLAT * least:.6g}", first, least)


def vms_of(client):
    """The ids of all VMs."""
    view = client.made(*client.content["viewManager"], "CreateContainerView",
                       reference("container", "Folder", client.content["rootFolder"][1])
                       + parameter("type", "VirtualMachine") + parameter("recursive", "true"))
    return re.findall(r'type="VirtualMachine"[^>]*>([^<]+)<', client.retrieve("ContainerView", view, "view"))


def operate(ready, vms, tasks, done):
    """One client: powers its VMs, which are on, off and on in turn, and waits for each task."""
    client = Client(ready)
    done.put("ready")
    on = dict.fromkeys(vms, True)
    for number in range(tasks):
        vm = vms[number % len(vms)]
        task = client.made("VirtualMachine", vm, "PowerOffVM_Task" if on[vm] else "PowerOnVM_Task")
        if client.wait_until("Task", task, "info.state", ("success", "error")) == "error":
            raise SystemExit(client.retrieve("Task", task, "info"))
        on[vm] = not on[vm]
    for vm in (vm for vm in vms if not on[vm]):
        client.task("VirtualMachine", vm, "PowerOnVM_Task")
    client.close()


def round_of_tasks(server, vms, options):
    """CPU time of the server for one task, in microseconds, and tasks in a second."""
    shares = [vms[number::options.clients] for number in range(options.clients)]
    shares = [share for share in shares if share]
    each = options.tasks // len(shares)
    done = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=operate, args=(server.ready, share, each, done)) for share in shares]
    for worker in workers:
        worker.start()
    for _ in workers:
        done.get()
    cpu, wall = cpu_s(server.pid), time.perf_counter()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit("a client failed")
    wall, cpu = time.perf_counter() - wall, cpu_s(server.pid) - cpu
    total = each * len(shares)
    return cpu / total * 1e6, total / wall


def history(room, options):
    with sim(room / "history", *counts(options.vms[0])) as server:
        client = Client(server.ready)
        vms = vms_of(client)
        points = []
        for number in range(1, options.rounds + 1):
            cpu, rate = round_of_tasks(server, vms, options)
            note(f"round {number}: {rate:.0f} tasks a second")
            points.append((f"round {number}", cpu))
        curve(f"CPU of a power operation, {len(vms)} VMs", "us", points)


def inventory(room, options):
    points = []
    for size in options.vms:
        with sim(room / f"inventory-{size}", *counts(size)) as server:
            client = Client(server.ready)
            vms = vms_of(client)[:options.vms[0]]
            cpu, rate = round_of_tasks(server, vms, options)
            note(f"{size} VMs: {rate:.0f} tasks a second")
            points.append((f"{size} VMs", cpu))
    curve("CPU of a power operation", "us", points)


def start(room, options):
    points = []
    with sim(room / "start-empty", *counts(0, 1)) as server:
        empty = cpu_s(server.pid)
    for size in options.on_one_host:
        with sim(room / f"start-{size}", *counts(size, 1)) as server:
            points.append((f"{size} VMs", (cpu_s(server.pid) - empty) / size * 1e6))
    curve("CPU of the start of one host, for one VM", "us", points)


def waiting(room, options):
    """Clients that follow the names and power states of all VMs, have all of them, and wait."""
    points = []
    for size in options.vms[1:] or options.vms:
        with sim(room / f"waiting-{size}", *counts(size)) as server:
            # The first one also warms up what all share.
            followers = [follow(server)]
            before, _ = memory_mib(server.pid)
            followers.extend(follow(server) for _ in range(options.followers))
            after, _ = memory_mib(server.pid)
            points.append((f"{size} VMs", (after - before) * 2**20 / options.followers / size))
            for client in followers:
                client.close()
    curve("memory of a waiting client, for one VM", "bytes", points)


def follow(server):
    client = Client(server.ready)
    view = client.made(*client.content["viewManager"], "CreateContainerView",
                       reference("container", "Folder", client.content["rootFolder"][1])
                       + parameter("type", "VirtualMachine") + parameter("recursive", "true"))
    traverse = ('<selectSet xsi:type="TraversalSpec"><type>ContainerView</type><path>view</path>'
                '<skip>false</skip></selectSet>')
    spec = ("<spec><propSet><type>VirtualMachine</type><pathSet>name</pathSet><pathSet>runtime.powerState</pathSet></propSet>"
            f"<objectSet>{reference('obj', 'ContainerView', view)}<skip>true</skip>{traverse}</objectSet></spec>"
            "<partialUpdates>false</partialUpdates>")
    collector = client.content["propertyCollector"]
    client.made(*collector, "CreateFilter", spec)
    limit = "<options><maxWaitSeconds>0</maxWaitSeconds></options>"
    version = ""
    while True:
        answer = client.call(*collector, "WaitForUpdatesEx", parameter("version", version) + limit)
        if "<version>" not in answer:
            client.version = version
            return client
        version = re.search(r"<version>([^<]*)</version>", answer).group(1)


if __name__ == "__main__":
    main()
