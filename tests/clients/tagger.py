"""A VLAN interface for kernels without them: `tagger.py CABLE TAP VLAN` makes the tap and relays between it and the cable,
where frames are tagged. It prints "ready" when it does."""
import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
ETH_P_ALL, ETH_P_8021Q = 0x0003, 0x8100
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
TP_STATUS_VLAN_VALID = 1 << 4
LARGEST_FRAME = 65536


def relay(cable, tap, vlan):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.bind((cable, ETH_P_ALL))
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", tap.encode(), IFF_TAP | IFF_NO_PI))
    print("ready", flush=True)
    while True:
        for ready in select.select([wire, device], [], [])[0]:
            try:
                if ready is wire:
                    frame = untagged(wire, vlan)
                    if frame:
                        os.write(device, frame)
                else:
                    frame = os.read(device, LARGEST_FRAME)
                    wire.send(frame[:12] + struct.pack("!HH", ETH_P_8021Q, vlan) + frame[12:])
            except OSError:
                pass  # The interface is down; frames are lost, as on any unplugged cable.


def untagged(wire, vlan):
    """The next frame without its tag, if it is one of this VLAN."""
    frame, ancillary, _, origin = wire.recvmsg(LARGEST_FRAME, 128)
    if origin[2] == PACKET_OUTGOING:
        return None
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):  # The kernel has moved the tag out of the frame.
            status, _, _, _, _, tag, _ = struct.unpack("IIIHHHH", data[:20])
            if status & TP_STATUS_VLAN_VALID:
                return frame if tag & 0xFFF == vlan else None
    kind, tag = struct.unpack("!HH", frame[12:16])
    return frame[:12] + frame[16:] if kind == ETH_P_8021Q and tag & 0xFFF == vlan else None


if __name__ == "__main__":
    relay(sys.argv[1], sys.argv[2], int(sys.argv[3]))
