"""The virtual switch beside a bare veth pair, Linux' bridge and Open vSwitch in user space. Two guests, namespaces `a` and `b` at
the other ends of ports 0 and 1, speak over each of them in turn; the other ports exist and are silent.

A packet's cost is the user and system time of the sender's process: over veth that covers the whole way to the receiver's socket.
"""
import contextlib
import ctypes
import json
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import ESFERA, figure, median, note

PORTS = (2, 100, 1000)
# Ports of the last measure of fail-over: nearly all that a host can have.
MANY_PORTS = 4000
# All policies that cost something, and each alone; crates/vswitch/examples/bench_switch.rs explains the words.
ALL = "strict,vlan,iphash,shaped"
EACH = ("strict", "vlan", "iphash", "shaped", "learning", "snooping", "flows", "captured", "mirrored", "mirrored-short")
# Ports of the measures of each policy: the two guests', and the target of mirrors.
EACH_PORTS = 3
# In user space each port is a thread's socket; with more ports the threads would be measured.
OVS_PORTS = 100
ROUNDS = 5
PACKETS, BATCH, PAYLOAD = 200_000, 64, 22  # 64 bytes on the wire: 14 Ethernet, 20 IP, 8 UDP
REQUESTS = 3000
TCP_S = 2
FAILOVERS = 9
WAIT_S = 60
A, B, UDP_PORT, TCP_PORT = "10.1.0.1", "10.1.0.2", 7000, 7001
SWITCH = Path(ESFERA).parent / "examples" / "bench_switch"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


def run(*command, **more):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, **more).stdout


def inside(namespace, *command):
    return ["ip", "netns", "exec", namespace, *(str(word) for word in command)]


def mac(port):
    return f"02:00:00:00:{port >> 8:02x}:{port & 255:02x}"


class Net:
    """Guests `a` and `b`, and the connection that `connect` makes between the ports; `name` names it."""

    def __init__(self, name, stack, tag):
        self.name, self.stack = name, stack
        self.namespaces = {}
        for role in ("a", "b", "sw"):
            space = self.namespaces[role] = f"esf-bench{os.getpid()}-{tag}-{role}"
            run("ip", "netns", "add", space)
            stack.callback(subprocess.run, ["ip", "netns", "delete", space], check=False)
            run(*inside(space, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up"))

    def batch(self, namespace, lines):
        run("ip", "-n", self.namespaces[namespace], "-batch", "-", input="\n".join(lines))

    def plug(self, ports):
        """Makes the ports, with the guests behind the first two and no guest behind the others."""
        lines = []
        for port in range(ports):
            away = f"netns {self.namespaces['ab'[port]]}" if port < 2 else ""
            peer = "eth0" if port < 2 else f"q{port}"
            lines.append(f"link add p{port} type veth peer name {peer} address {mac(port)} {away}")
            lines.append(f"link set p{port} up")
        self.batch("sw", lines + [f"link set q{port} up" for port in range(2, ports)])
        self.address()

    def address(self):
        """Addresses, and permanent neighbours, so that ARP plays no part."""
        for role, own, other, port in (("a", A, B, 1), ("b", B, A, 0)):
            self.batch(role, [f"addr add {own}/24 dev eth0", "link set eth0 up",
                              f"neigh replace {other} lladdr {mac(port)} dev eth0 nud permanent"])

    def start(self, command, line, env=None):
        """A process that prints a line when it is ready, and ends with the bench."""
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env=env)
        self.stack.callback(stop, process)
        if line and process.stdout.readline().strip() != line:
            raise SystemExit(f"{command} did not start")
        return process

    def client(self, *what):
        return json.loads(run(*inside(self.namespaces["a"], sys.executable, __file__, *what)))

    def measured(self):
        """One round: the cost of a packet in ns, the time to an answer in us, Gbit/s."""
        server = inside(self.namespaces["b"], "iperf3", "-s", "-1", "-p", TCP_PORT)
        with subprocess.Popen(server, stdout=subprocess.DEVNULL) as iperf:
            packet, answer = self.client("send"), self.client("ask")
            client = inside(self.namespaces["a"], "iperf3", "-c", B, "-p", TCP_PORT, "-C", "cubic", "-t", TCP_S, "-J")
            tcp = json.loads(subprocess.run(client, capture_output=True, text=True).stdout)
            if "end" not in tcp or not tcp["end"]:
                iperf.kill()
                raise SystemExit(f"{self.name}: {tcp.get('error')}")
        return packet, answer, tcp["end"]["sum_received"]["bits_per_second"] / 1e9


def stop(process):
    process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    process.stdout.close()


def veth(stack, ports, room):
    net = Net("veth", stack, f"veth{ports}")
    net.batch("a", [f"link add eth0 address {mac(0)} type veth peer name eth0 address {mac(1)} netns {net.namespaces['b']}"])
    net.address()
    return net


def bridge(stack, ports, room):
    net = Net("bridge", stack, f"bridge{ports}")
    net.plug(ports)
    net.batch("sw", ["link add br0 type bridge", "link set br0 up"] + [f"link set p{port} master br0" for port in range(ports)])
    return net


def ours(stack, ports, room, policies="-"):
    name = NAMES.get(policies, policies)
    net = Net(name, stack, f"{name}{ports}")
    net.plug(ports)
    pins = room / f"{name}{ports}"
    stack.callback(subprocess.run, ["umount", str(pins)], check=False, capture_output=True)
    net.start([SWITCH, net.namespaces["sw"], pins, ports, policies], "ready")
    return net


NAMES = {"-": "ours", ALL: "strictest"}


def strictest(stack, ports, room):
    return ours(stack, ports, room, ALL)


def with_policy(word):
    return lambda stack, ports, room: ours(stack, ports, room, word)


def ovs(stack, ports, room):
    """Open vSwitch with its datapath in user space and its own database, sockets and processes."""
    net = Net("ovs", stack, f"ovs{ports}")
    net.plug(ports)
    for role in ("a", "b"):  # The datapath passes checksums on unchanged.
        run(*inside(net.namespaces[role], "ethtool", "-K", "eth0", "tx", "off"))
    place = room / f"ovs{ports}"
    place.mkdir()
    env = {**os.environ, "OVS_RUNDIR": str(place), "OVS_LOGDIR": str(place), "OVS_DBDIR": str(place)}
    database, space = f"unix:{place}/db.sock", net.namespaces["sw"]
    run("ovsdb-tool", "create", place / "conf.db", SCHEMA)
    net.start(["ovsdb-server", place / "conf.db", f"--remote=p{database}", f"--unixctl={place}/db.ctl", "-vconsole:off"], None, env)
    deadline = time.monotonic() + WAIT_S
    while not (place / "db.sock").exists():
        if time.monotonic() > deadline:
            raise SystemExit("ovsdb-server does not listen")
        time.sleep(0.02)
    run("ovs-vsctl", f"--db={database}", "--no-wait", "init", env=env)
    net.start(inside(space, "ovs-vswitchd", database, f"--unixctl={place}/vs.ctl", "-vconsole:off"), None, env)
    command = ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev"]
    for port in range(ports):
        command += ["--", "add-port", "br0", f"p{port}"]
    run("ovs-vsctl", f"--db={database}", f"--timeout={WAIT_S}", *command, env=env)
    return net


def send():
    """In guest `a`: sends packets, and returns the nanoseconds of user and system time per packet."""
    libc = ctypes.CDLL(None, use_errno=True)

    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    class Header(ctypes.Structure):
        _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("vectors", ctypes.POINTER(Vector)),
                    ("vector_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                    ("flags", ctypes.c_int)]

    class Message(ctypes.Structure):
        _fields_ = [("header", Header), ("length", ctypes.c_uint32)]

    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect((B, UDP_PORT))
    payload = ctypes.create_string_buffer(PAYLOAD)
    vector = Vector(ctypes.addressof(payload), PAYLOAD)
    messages = (Message * BATCH)()
    for message in messages:
        message.header.vectors, message.header.vector_count = ctypes.pointer(vector), 1
    number = out.fileno()
    before, sent = resource.getrusage(resource.RUSAGE_SELF), 0
    while sent < PACKETS:
        done = libc.sendmmsg(number, messages, BATCH, 0)
        if done < 0:
            raise OSError(ctypes.get_errno(), "sendmmsg")
        sent += done
    after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e9 / sent


def ask():
    """In guest `a`: the median of the microseconds until `b` has answered."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect((B, UDP_PORT + 1))
    out.settimeout(5)
    times = []
    for number in range(REQUESTS):
        began = time.perf_counter_ns()
        out.send(struct.pack("!Q", number))
        out.recv(64)
        times.append(time.perf_counter_ns() - began)
    return median(times) / 1e3


def hear(interface, count):
    """Prints when the last of so many RARP frames arrives, again and again. All processes share one clock."""
    rarp = 0x8035
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(rarp))
    ear.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    ear.bind((interface, rarp))
    print("ready", flush=True)
    while True:
        for _ in range(count):
            ear.recv(64)
        print(time.perf_counter(), flush=True)


def serve():
    """In guest `b`: a socket that takes the packets of `send` and is never read, and one that answers `ask`."""
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind((B, UDP_PORT))
    answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    answers.bind((B, UDP_PORT + 1))
    print("ready", flush=True)
    while True:
        data, who = answers.recvfrom(64)
        answers.sendto(data, who)


def beside_each_other(ports, kinds, room):
    """All kinds in turn, so that other work on the computer affects all of them."""
    with contextlib.ExitStack() as stack:
        nets = [kind(stack, ports, room) for kind in kinds]
        for net in nets:
            net.start(inside(net.namespaces["b"], sys.executable, __file__, "serve"), "ready")
            run(*inside(net.namespaces["a"], "ping", "-c", "1", "-W", "5", B))
        seen = {net.name: [] for net in nets}
        for number in range(ROUNDS + 1):
            for net in nets:
                figures = net.measured()
                if number:  # The first one warms up.
                    seen[net.name].append(figures)
    medians = {name: [median(column) for column in zip(*rounds)] for name, rounds in seen.items()}
    for name, (packet, answer, tcp) in medians.items():
        note(f"{ports} ports, {name}: {packet:.0f} ns a packet, {answer:.1f} us an answer, {tcp:.2f} Gbit/s")
    return medians


def tell(ports, medians):
    label = {"ours": f"{ports} ports", "strictest": f"{ports} ports, policies on"}
    for name in ("ours", "strictest"):
        packet, answer, tcp = medians[name]
        bridge = medians["bridge"]
        figure(f"CPU of a packet, {label[name]}", packet, "ns", f"<= {0.9 * bridge[0]:.0f}", "the bridge", bridge[0])
        figure("the same", packet, "ns", f"<= {1.25 * medians['veth'][0]:.0f}", "a veth pair", medians["veth"][0])
        if "ovs" in medians:
            figure("the same", packet, "ns", "", "Open vSwitch (its own threads not counted)", medians["ovs"][0])
        figure("an answer", answer, "us", "", "the bridge", bridge[1])
        figure("TCP", tcp, "Gbit/s", f">= {bridge[2]:.2f}", "the bridge", bridge[2])
        if "ovs" in medians:
            figure("TCP", tcp, "Gbit/s", "", "Open vSwitch", medians["ovs"][2])


def tell_each(medians):
    """The cost of each policy on top of none."""
    for name in EACH:
        packet, _, tcp = medians[name]
        figure(f"CPU of a packet, {name}", packet, "ns", "", "no policy", medians["ours"][0])
        figure("the same", packet, "ns", "", "the bridge", medians["bridge"][0])
        figure(f"TCP, {name}", tcp, "Gbit/s", "", "no policy", medians["ours"][2])


def failover(ports, room):
    """From the cut of an uplink's cable until the maps name the other uplink, and until the other cable has carried the last of the
    frames that teach physical switches the new place of all ports."""
    with contextlib.ExitStack() as stack:
        net = Net("failover", stack, f"failover{ports}")
        net.plug(ports)
        net.batch("sw", [f"link add up{card} type veth peer name w{card} netns {net.namespaces['b']}" for card in (0, 1)]
                  + ["link set up0 up", "link set up1 up"])
        net.batch("b", ["link set w0 up", "link set w1 up"])
        pins = room / f"failover{ports}"
        stack.callback(subprocess.run, ["umount", str(pins)], check=False, capture_output=True)
        switch = net.start([SWITCH, net.namespaces["sw"], pins, ports, "-", "up0", "up1"], "ready")
        cutter = net.start(["ip", "-n", net.namespaces["b"], "-batch", "-"], None)
        hearing = net.start(inside(net.namespaces["b"], sys.executable, __file__, "hear", "w1", ports), "ready")
        times, told = [], []

        def until(uplink):
            while switch.stdout.readline().strip() != f"uplink {uplink}":
                pass

        until("up0")
        for _ in range(FAILOVERS):
            began = time.perf_counter()
            cutter.stdin.write("link set w0 down\n")
            cutter.stdin.flush()
            until("up1")
            times.append((time.perf_counter() - began) * 1e3)
            told.append((float(hearing.stdout.readline()) - began) * 1e3)
            cutter.stdin.write("link set w0 up\n")
            cutter.stdin.flush()
            until("up0")
        figure(f"fail-over, {ports} ports", median(times), "ms", "<= 50")
        figure("the same, what comes in", median(told), "ms", "<= 50")


def available(program, package):
    """Whether a program exists, after an attempt to install it."""
    if not shutil.which(program):
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", package], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False)
    return bool(shutil.which(program))


def main():
    if os.geteuid() != 0:
        raise SystemExit("network namespaces need root")
    if not available("iperf3", "iperf3"):
        raise SystemExit("iperf3 is missing, and its package cannot be installed")
    with_ovs = available("ovs-vswitchd", "openvswitch-switch") and available("ethtool", "ethtool")
    if not with_ovs:
        note("Open vSwitch cannot be installed, so it is not measured")
    with tempfile.TemporaryDirectory(prefix="esf-bench-") as room:
        for ports in PORTS:
            kinds = [veth, bridge, ours, strictest] + [ovs] * (with_ovs and ports <= OVS_PORTS)
            tell(ports, beside_each_other(ports, kinds, Path(room)))
            failover(ports, Path(room))
        failover(MANY_PORTS, Path(room))
        kinds = [bridge, ours] + [with_policy(word) for word in EACH]
        tell_each(beside_each_other(EACH_PORTS, kinds, Path(room)))


if __name__ == "__main__":
    what = sys.argv[1:]
    if what == ["serve"]:
        serve()
    elif what[:1] == ["hear"]:
        hear(what[1], int(what[2]))
    elif what:
        print(json.dumps({"send": send, "ask": ask}[what[0]]()))
    else:
        main()
