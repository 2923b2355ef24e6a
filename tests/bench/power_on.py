"""The time that a host adds to the start of QEMU: from sending PowerOnVM_Task until the client knows that runtime.powerState is
poweredOn, beside a bare start of the same program with the same arguments until its processors run. The two alternate.
"""
import fcntl
import json
import os
import re
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import Client, figure, median, note
from machines import host, make_vm, own_network

ROUNDS = 21
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TARGET_ON_TOP = "<= 50"


def main():
    own_network()
    with tempfile.TemporaryDirectory(prefix="esf-bench-") as room:
        room = Path(room)
        room.chmod(0o755)
        with host(room) as server:
            client = Client(server.ready)
            vm = make_vm(client, "bench", network=True)
            rounds(client, vm, room)
            client.task("VirtualMachine", vm, "Destroy_Task")


def rounds(client, vm, room):
    ours, bare, command = [], [], None
    for number in range(ROUNDS + 1):
        taken = power_on(client, vm)
        command = command or launched(room)
        client.task("VirtualMachine", vm, "PowerOffVM_Task")
        beside = bare_start(command, room)
        if number:  # The first of each warms the caches.
            ours.append(taken)
            bare.append(beside)
    difference = median(mine - other for mine, other in zip(ours, bare))
    note(f"bare: {min(bare):.0f} to {max(bare):.0f} ms; ours: {min(ours):.0f} to {max(ours):.0f} ms")
    figure("PowerOnVM_Task until poweredOn", median(ours), "ms", "", "bare QEMU until running", median(bare))
    figure("the same, on top of bare QEMU", difference, "ms", TARGET_ON_TOP)


def power_on(client, vm):
    begun = task = None

    def begin():
        nonlocal begun, task
        begun = time.perf_counter()
        task = client.made("VirtualMachine", vm, "PowerOnVM_Task")

    client.wait_until("VirtualMachine", vm, "runtime.powerState", ("poweredOn",), begin)
    taken = (time.perf_counter() - begun) * 1e3
    client.finish(task)
    return taken


def launched(room):
    record, = (room / "run").rglob("launch.json")
    return json.loads(record.read_text())["command"]


def bare_start(command, room):
    """Starts QEMU with sockets and a tap that wait for it, as the host does, and ends it."""
    inherited, listening = [], {}

    def descriptor(argument):
        if argument.startswith("socket,"):
            name = re.search(r"id=(\w+)", argument).group(1)
            path = room / f"bare-{name}.sock"
            path.unlink(missing_ok=True)
            end = socket.socket(socket.AF_UNIX)
            end.bind(str(path))
            end.listen(1)
            listening[name] = path
        else:
            end = tap()
        inherited.append(end)
        return end.fileno()

    def own(argument):
        argument = re.sub(r"\bfd=\d+", lambda _: f"fd={descriptor(argument)}", argument)
        argument = re.sub(r'("fd":\s*)"\d+"', lambda found: f'{found[1]}"{descriptor(argument)}"', argument)
        return re.sub(r"[^=,:\"]*/vnc\.sock", str(room / "bare-vnc.sock"), argument)

    arguments = [own(argument) for argument in command]
    numbers = [end.fileno() for end in inherited]
    begun = time.perf_counter()
    process = subprocess.Popen(arguments, pass_fds=numbers, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        monitor = socket.socket(socket.AF_UNIX)
        monitor.settimeout(60)
        monitor.connect(str(listening["qmp"]))
        for end in inherited:
            end.close()
        lines = monitor.makefile("rw")
        lines.readline()
        for execute in ("qmp_capabilities", "cont"):
            lines.write(json.dumps({"execute": execute}) + "\n")
            lines.flush()
            while "return" not in (answer := json.loads(lines.readline())):
                if "error" in answer:
                    sys.exit(f"{execute}: {answer}")
        return (time.perf_counter() - begun) * 1e3
    except (ConnectionError, ValueError):
        process.wait()
        sys.exit(f"QEMU ended: {process.stderr.read().decode()[:2000]}\n{shlex.join(arguments)}")
    finally:
        process.kill()
        process.wait()


def tap():
    end = open("/dev/net/tun", "r+b", buffering=0)
    os.set_blocking(end.fileno(), False)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"bare%d", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    return end


if __name__ == "__main__":
    main()
