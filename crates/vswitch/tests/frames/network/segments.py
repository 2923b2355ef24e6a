"""A guest behind a tap that lies about its frames: `segments.py TAP KIND COUNT SEED OWN_MAC DESTINATION_MAC OWN_IP DESTINATION_IP`.

Writes frames behind a virtio header (virtio 1.2, 5.1.6, as in Linux's `virtio_net.h`), and prints how many the kernel accepted and refused.
Each frame has `<KIND>` in its payload. The same seed makes the same frames.
"""

import fcntl
import os
import random
import socket
import struct
import sys
import time

tap, kind, count, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
own, destination = (bytes.fromhex(mac.replace(":", "")) for mac in sys.argv[5:7])
own_ip, destination_ip = (socket.inet_aton(address) for address in sys.argv[7:9])
chance = random.Random(seed)
ALL = b"\xff" * 6
MARK = f"<{kind}>".encode()
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
TAP, NO_HEADER_OF_ITS_OWN, VIRTIO_HEADER = 0x0002, 0x1000, 0x4000
# Offloads offered to the guest: checksums, TCP over IPv4 and IPv6, ECN, UFO, UDP over IPv4 and IPv6.
OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40
HEADER = 12
NEEDS_CHECKSUM = 1
NONE, TCP4, UFO, TCP6, UDP, ECN = 0, 1, 3, 4, 5, 0x80
ETHERNET, LARGEST = 14, 65_535


def virtio(of=NONE, size=0, header=0, start=None, offset=0):
    flags = 0 if start is None else NEEDS_CHECKSUM
    return struct.pack("=BBHHHHH", flags, of, header, size, start or 0, offset, 1)


def payload(length):
    return (MARK + b"." * length)[:length]


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def sum_of_pseudo_header(addresses, protocol, length):
    return ~checksum(addresses + struct.pack("!II", protocol, length)) & 0xFFFF


def ip4(protocol, body, to):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0) + own_ip + destination_ip
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return to + own + b"\x08\x00" + head + body


def ip6(protocol, body, to):
    addresses = b"\xfd" + bytes(14) + b"\x01" + b"\xfd" + bytes(14) + b"\x02"
    return to + own + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + addresses + body


def tcp(addresses, length, flags=0x10):
    pseudo = sum_of_pseudo_header(addresses, 6, 20 + length)
    return struct.pack("!HHIIBBHHH", 1000, 2000, 1, 1, 0x50, flags, 8192, pseudo, 0) + payload(length)


def udp(addresses, length):
    return struct.pack("!HHHH", 1000, 2000, 8 + length, sum_of_pseudo_header(addresses, 17, 8 + length)) + payload(length)


V4 = own_ip + destination_ip
V6 = b"\xfd" + bytes(14) + b"\x01" + b"\xfd" + bytes(14) + b"\x02"


def tcp4(size, length=60_000, of=TCP4, header=54, to=destination, flags=0x10):
    return virtio(of, size, header, 34, 16) + ip4(6, tcp(V4, length, flags), to)


def tcp6(size, length=60_000, to=destination):
    return virtio(TCP6, size, 74, 54, 16) + ip6(6, tcp(V6, length), to)


def udp4(size, length, of=UDP, to=destination):
    return virtio(of, size, 42, 34, 6) + ip4(17, udp(V4, length), to)


def plain(length=60, start=None, offset=0):
    return virtio(NONE, 0, 0, start, offset) + (destination + own + b"\x88\xb5" + MARK).ljust(length, b".")


def tagged(vlans, size):
    frame = ip4(6, tcp(V4, 40_000), destination)
    tags = b"".join(struct.pack("!HH", 0x8100, vlan) for vlan in vlans)
    at = 34 + len(tags)
    return virtio(TCP4, size, at + 20, at, 16) + frame[:12] + tags + frame[12:]


def rewrites(_):
    """Makes the checksum overwrite the addresses, the protocol or a tag."""
    start = chance.randrange(0, 20)
    return plain(100, start, chance.randrange(0, 20 - start))


def broken(_):
    """Frames that cannot be segmented, or whose headers are wrong or cut off."""
    of, frame, start, offset = chance.choice(
        [
            (TCP4, ip4(6, tcp(V4, 2000), destination), 34, 16),
            (TCP4 | ECN, ip4(6, tcp(V4, 2000), ALL), 34, 16),
            (TCP6, ip6(6, tcp(V6, 2000), destination), 54, 16),
            (UDP, ip4(17, udp(V4, 2000), destination), 34, 6),
            (UFO, ip4(17, udp(V4, 2000), ALL), 34, 6),
            (NONE, ip4(6, tcp(V4, 1000), destination), 34, 16),
        ]
    )
    frame = bytearray(frame)
    for _ in range(chance.randrange(0, 4)):
        frame[chance.randrange(12, 80)] = chance.randrange(256)
    if chance.random() < 0.3:
        frame = frame[: chance.choice([14, 20, 34, 40, 54, 60, 74, 500, 1514])]
    if chance.random() < 0.2:
        of, start, offset = chance.choice([TCP4, TCP6, UDP, UFO, 2, ECN]), chance.randrange(0, 100), chance.randrange(0, 20)
    size = chance.choice([47, 64, 100, 536, 1448])
    return virtio(of, size, chance.choice([0, 14, start, start + 20, len(frame)]), start, offset) + bytes(frame)


def any_header(_):
    """A header that rarely makes sense."""
    frame = ip4(chance.choice([6, 17]), chance.randbytes(chance.randrange(100, 3000)), chance.choice([destination, ALL]))
    of = chance.choice([NONE, NONE, TCP4, UFO, TCP6, UDP, ECN])
    start = chance.choice([None, chance.randrange(0, len(frame) + 100)])
    return virtio(of, chance.randrange(0x10000), chance.randrange(len(frame)), start, chance.randrange(64)) + frame


KINDS = {
    "tcp4": lambda _: tcp4(1448),
    "ecn": lambda _: tcp4(1448, of=TCP4 | ECN, flags=0xD0),
    "tcp6": lambda _: tcp6(1428),
    "udp": lambda _: udp4(1400, 40_000),
    "ufo": lambda _: udp4(1480, 40_000, of=UFO),
    "longest": lambda _: tcp4(1460, LARGEST - 40),
    "group": lambda _: udp4(1000, 20_000, to=ALL),
    "none": lambda _: tcp4(0),
    "one": lambda _: tcp4(1),
    "tiny": lambda _: tcp4(40),
    "few": lambda _: udp4(16, 1000),
    "mtu": lambda _: tcp4(1501),
    "most": lambda _: tcp4(0xFFFF),
    "nearly": lambda _: tcp4(0xFFFE),
    "small": lambda _: tcp4(1400, 100),
    "beyond": lambda _: plain(100, 99, 0),
    "far": lambda _: plain(100, 0xFFFF, 0xFFFF),
    "rewrites": rewrites,
    "large": lambda _: plain(64_000),
    "q20": lambda _: tagged([20], 1400),
    "q20q30": lambda _: tagged([20, 30], 1400),
    "broken": broken,
    "any": any_header,
}

device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", tap.encode(), TAP | NO_HEADER_OF_ITS_OWN | VIRTIO_HEADER))
fcntl.ioctl(device, TUNSETVNETHDRSZ, struct.pack("i", HEADER))
fcntl.ioctl(device, TUNSETOFFLOAD, OFFLOADS)
# The tap is up at once, without frames from before.
taken = refused = 0
for at in range(count):
    try:
        os.write(device, KINDS[kind](at))
        taken += 1
    except OSError:
        refused += 1
    # The segments must fit into the receivers' queues.
    time.sleep(0.002)
print(taken, refused)
