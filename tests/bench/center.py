"""A center with a large inventory over TLS, on `esfera sim`: its start and memory, all VMs read at once, clients that follow all of
them, power operations with clients that wait for each, calls of RetrieveServiceContent, and thousands of sessions.

Sizes are arguments: `cargo xtask bench center -- --hosts 2500 --vms 45000 --followers 1,50,1000 --sessions 3000`. Each figure names the
server's CPU time where there is one, because that does not depend on how fast the clients are.
"""
import argparse
import re
import tempfile
import threading
import time
from pathlib import Path

from bench import Client, cpu_s, figure, median, memory_mib, note, parameter, sim
from growth import follow, numbers, round_of_tasks, vms_of
from retrieve import measured

HOSTS_OF_A_CLUSTER = 50
RETRIEVES = 5
CALLS = 2_000
CHANGES = 20


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hosts", type=int, default=100)
    options.add_argument("--vms", type=int, default=4_500)
    options.add_argument("--followers", type=numbers, default=[1, 10], help="clients that follow all VMs")
    options.add_argument("--clients", type=int, default=32, help="clients that wait for their tasks")
    options.add_argument("--tasks", type=int, default=1_600)
    options.add_argument("--sessions", type=int, default=500)
    options = options.parse_args()
    clusters = max(1, options.hosts // HOSTS_OF_A_CLUSTER)
    hosts = options.hosts // clusters
    counts = ["--clusters", str(clusters), "--hosts", str(hosts), "--standalone-hosts", "0"]
    with tempfile.TemporaryDirectory(prefix="esf-bench-") as room:
        with sim(Path(room) / "empty", *counts, "--vms", "0") as server:
            empty, empty_cpu = memory_mib(server.pid)[0], cpu_s(server.pid)
        figure(f"{clusters * hosts} hosts without VMs, CPU of the start", empty_cpu, "s")
        figure("the same, memory of a host in the center and by itself", empty * 1024 / (clusters * hosts), "KiB")
        with sim(Path(room) / "full", *counts, "--vms", str(options.vms // clusters)) as server:
            client = Client(server.ready)
            vms = vms_of(client)
            figure(f"start with {len(vms)} VMs", server.start_s, "s")
            figure("the same, CPU for one VM", (cpu_s(server.pid) - empty_cpu) / len(vms) * 1e6, "us")
            full = memory_mib(server.pid)[0]
            figure("memory of a VM with its simulated host", (full - empty) * 1024 / len(vms), "KiB", "<= 20")
            retrieve(client, server.pid, len(vms))
            calls(client, server.pid)
            for size in sorted({64, len(vms)}):
                cpu, rate = round_of_tasks(server, vms[:size], options)
                figure(f"a power operation among {len(vms)} VMs, {size} of them in turn, CPU", cpu, "us")
                figure("the same, tasks", rate, "1/s", ">= 1500")
            for count in options.followers:
                followers(server, vms[0], len(vms), count)
            sessions(server, options.sessions)


def retrieve(client, pid, vms):
    root = client.content["rootFolder"][1]
    view = client.made(*client.content["viewManager"], "CreateContainerView",
                       f'<container type="Folder">{root}</container><type>VirtualMachine</type><recursive>true</recursive>')
    spec = ("<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet><pathSet>runtime.powerState</pathSet>"
            f'<pathSet>summary.config</pathSet></propSet><objectSet><obj type="ContainerView">{view}</obj>'
            '<skip>true</skip><selectSet xsi:type="TraversalSpec"><type>ContainerView</type><path>view</path>'
            "</selectSet></objectSet></specSet><options/>")
    cpu, _, length = measured(pid, lambda: len(client.raw(*client.content["propertyCollector"], "RetrievePropertiesEx", spec)))
    figure(f"{vms} VMs x 3 properties, {length / 1e6:.1f} MB, CPU", cpu, "ms", "<= 150")


def calls(client, pid):
    before = cpu_s(pid)
    for _ in range(CALLS):
        client.call("ServiceInstance", "ServiceInstance", "RetrieveServiceContent")
    figure("RetrieveServiceContent, CPU", (cpu_s(pid) - before) / CALLS * 1e6, "us", "<= 100")


def followers(server, vm, vms, count):
    """Clients that have all VMs and wait; then one VM changes again and again, and each of them waits for each change."""
    first = follow(server)
    before = memory_mib(server.pid)[0]
    clients = [first] + [follow(server) for _ in range(count - 1)]
    if count > 1:
        each = (memory_mib(server.pid)[0] - before) / (count - 1)
        figure(f"memory of one of {count} clients that follow {vms} VMs", each, "MiB", "<= 1")
    changer = Client(server.ready)
    began, seen = [0.0], []
    gate, done = threading.Barrier(count + 1), threading.Barrier(count + 1)

    def wait(client):
        collector = client.content["propertyCollector"]
        version = client.version
        for _ in range(CHANGES):
            gate.wait()
            answer = client.call(*collector, "WaitForUpdatesEx",
                                 parameter("version", version) + "<options><maxWaitSeconds>60</maxWaitSeconds></options>")
            seen.append(time.perf_counter() - began[0])
            version = re.search(r"<version>([^<]*)</version>", answer).group(1)
            done.wait()

    threads = [threading.Thread(target=wait, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    cpu = cpu_s(server.pid)
    for number in range(CHANGES):
        gate.wait()
        time.sleep(0.05)
        began[0] = time.perf_counter()
        changer.task("VirtualMachine", vm, "Rename_Task", parameter("newName", f"renamed-{number}"))
        done.wait()
    cpu = cpu_s(server.pid) - cpu
    for thread in threads:
        thread.join()
    seen.sort()
    figure(f"a change seen by {count} clients that follow all, median", median(seen) * 1e3, "ms")
    figure("the same, 99 of 100", seen[int(len(seen) * 0.99)] * 1e3, "ms")
    figure("the same, CPU for each client and change", cpu / count / CHANGES * 1e6, "us")
    for client in clients:
        client.close()


def sessions(server, count):
    before, cpu = memory_mib(server.pid)[0], cpu_s(server.pid)
    clients = []
    for _ in range(count):
        client = Client(server.ready)
        client.close()
        clients.append(client)
    figure(f"memory of one of {count} sessions", (memory_mib(server.pid)[0] - before) * 1024 / count, "KiB")
    figure("CPU of a login with its connection", (cpu_s(server.pid) - cpu) / count * 1e3, "ms")
    note(f"{count} sessions are open")


if __name__ == "__main__":
    main()
