"""A host with real VMs for the measures that need some."""
import os
import subprocess
import sys

from bench import Daemon, parameter, reference

MEMORY_MIB = 96


def own_network():
    """Moves to a new network namespace, because hosts make taps. /sys is mounted anew, since it shows the interfaces of
    the namespace that mounted it; a host's virtual switch is pinned there, and ends with the mount namespace."""
    if os.environ.get("ESFERA_BENCH_INSIDE"):
        subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    os.environ["ESFERA_BENCH_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--", sys.executable, *sys.argv])


def host(room, *more, name="host"):
    """`esfera host` with its own datastore below `room`."""
    (room / "ds").mkdir()
    return Daemon(room / name, "host", "--listen", "127.0.0.1:0", "--data", str(room / name / "data"),
                  "--runtime", str(room / "run"),
                  "--bpf", "/sys/fs/bpf", "--datastore", f"bench={room / 'ds'}", *more)


def make_vm(client, name, network=False):
    """A VM on the datastore `bench` with a disk of 1 GiB."""
    change = ("<deviceChange><operation>add</operation>{}</deviceChange>").format
    devices = change('<device xsi:type="ParaVirtualSCSIController"><key>-1</key><busNumber>0</busNumber>'
                     "<sharedBus>noSharing</sharedBus></device>")
    devices += change("<fileOperation>create</fileOperation>"
                      '<device xsi:type="VirtualDisk"><key>-2</key><backing xsi:type="VirtualDiskFlatVer2BackingInfo">'
                      "<fileName></fileName><diskMode>persistent</diskMode><thinProvisioned>true</thinProvisioned>"
                      "</backing><controllerKey>-1</controllerKey><unitNumber>0</unitNumber>"
                      "<capacityInKB>1048576</capacityInKB></device>")
    if network:
        devices += change('<device xsi:type="VirtualVmxnet3"><key>-3</key>'
                          '<backing xsi:type="VirtualEthernetCardNetworkBackingInfo"><deviceName>VM Network</deviceName>'
                          "</backing><addressType>generated</addressType></device>")
    config = (f"<config>{parameter('name', name)}<guestId>otherLinux64Guest</guestId>"
              "<files><vmPathName>[bench]</vmPathName></files><numCPUs>1</numCPUs>"
              f"<memoryMB>{MEMORY_MIB}</memoryMB>{devices}</config>")
    info = client.task("Folder", "ha-folder-vm", "CreateVM_Task", config + reference("pool", "ResourcePool", "ha-root-pool"))
    return info.partition("<result")[2].partition(">")[2].partition("<")[0]
