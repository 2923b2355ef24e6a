"""The server's cost of answering for all VMs at once: name, runtime.powerState and summary.config of 10,000 VMs in
`esfera sim`, over TLS on one connection that is kept, plain and compressed. Beside it the same number of bytes as a
file of a datastore from the same server.
"""
import os
import sys
import tempfile
import time
from pathlib import Path

from bench import Client, cpu_s, figure, median, note, sim

VMS = int(os.environ.get("ESFERA_BENCH_VMS", 10_000))
HOSTS = 10
ROUNDS = 15
TARGET_CPU = "<= 60"


def measured(pid, work):
    """Medians of the server's CPU time and of wall time in ms, and the length of the last answer."""
    cpu, wall = [], []
    work()
    for _ in range(ROUNDS):
        cpu_before, wall_before = cpu_s(pid), time.perf_counter()
        length = work()
        wall.append((time.perf_counter() - wall_before) * 1e3)
        cpu.append((cpu_s(pid) - cpu_before) * 1e3)
    return median(cpu), median(wall), length


def main():
    with tempfile.TemporaryDirectory(prefix="esf-bench-") as room:
        counts = ["--clusters", "1", "--hosts", str(HOSTS), "--standalone-hosts", "0", "--vms", str(VMS)]
        with sim(Path(room), *counts) as server:
            note(f"esfera sim with {VMS} VMs answers after {server.start_s:.1f} s")
            client = Client(server.ready)
            run(client, server.pid)


def run(client, pid):
    root = client.content["rootFolder"][1]
    view = client.made(*client.content["viewManager"], "CreateContainerView",
                       f'<container type="Folder">{root}</container><type>VirtualMachine</type><recursive>true</recursive>')
    spec = ("<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet><pathSet>runtime.powerState</pathSet>"
            f'<pathSet>summary.config</pathSet></propSet><objectSet><obj type="ContainerView">{view}</obj>'
            '<skip>true</skip><selectSet xsi:type="TraversalSpec"><type>ContainerView</type><path>view</path>'
            "</selectSet></objectSet></specSet><options/>")

    def retrieve(encoding):
        answer = client.raw(*client.content["propertyCollector"], "RetrievePropertiesEx", spec, encoding)
        return answer if encoding == "identity" else len(answer)

    answer = retrieve("identity")
    found = answer.count(b"<objects>")
    if found != VMS:
        sys.exit(f"{found} VMs were answered instead of {VMS}")
    size = len(answer)

    status, _, text = client.request("PUT", "/folder/bench.bin?dcPath=DC0&dsName=LocalDS_0", os.urandom(size))
    if status not in (200, 201):
        sys.exit(f"cannot upload: HTTP {status}: {text[:500]}")

    def download():
        status, _, body = client.request("GET", "/folder/bench.bin?dcPath=DC0&dsName=LocalDS_0")
        if status != 200 or len(body) != size:
            sys.exit(f"cannot download: HTTP {status}, {len(body)} bytes")
        return len(body)

    file_cpu, file_wall, _ = measured(pid, download)
    same = f"a file of {size / 1e6:.1f} MB"
    cpu, wall, length = measured(pid, lambda: len(retrieve("identity")))
    figure(f"{VMS} VMs x 3 properties, CPU of the server", cpu, "ms", TARGET_CPU, same, file_cpu)
    figure("the same, until the client has it", wall, "ms", "", same, file_wall)
    figure("the same, length of the answer", length / 1e6, "MB")
    cpu, wall, length = measured(pid, lambda: retrieve("gzip"))
    figure("compressed, CPU of the server", cpu, "ms", "", same, file_cpu)
    figure("compressed, until the client has it", wall, "ms", "", same, file_wall)
    figure("compressed, length of the answer", length / 1e6, "MB")


if __name__ == "__main__":
    main()
