"""pyVmomi against the lab: real VMs, observed from outside and from inside, through the center and on a host."""
import time

import pytest
import requests
from pyVmomi import vim, vmodl

from guest import Guest, console_of
from vsphere import all_of, by_name, disks, nics, wait

requests.packages.urllib3.disable_warnings()


def wait_for(what, timeout_s=120):
    end = time.monotonic() + timeout_s
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def server_and_place(lab, where):
    """A connection to the center or to the first host, and the host, pool and folder for a VM."""
    si = (lab.center if where == "center" else lab.hosts[0]).connect()
    host = all_of(si, vim.HostSystem)[0]
    return si, host, host.parent.resourcePool, all_of(si, vim.Datacenter)[0].vmFolder


def guest_spec(si, name, host, memory_mib=192):
    """A VM whose disk is a copy of the demo VM's image in the shared datastore."""
    datastore = next(ds for ds in host.datastore if ds.name == "shared")
    datacenter = all_of(si, vim.Datacenter)[0]
    si.content.fileManager.MakeDirectory(f"[shared] {name}", datacenter, True)
    disk = f"[shared] {name}/{name}.vmdk"
    wait(si, si.content.virtualDiskManager.CopyVirtualDisk_Task("[shared] images/guest.vmdk", datacenter, disk,
                                                                datacenter))
    scsi = vim.vm.device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing")
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(diskMode="persistent", fileName=disk)
    vmdk = vim.vm.device.VirtualDisk(key=-2, controllerKey=-1, unitNumber=0, backing=backing)
    nic = vim.vm.device.VirtualVmxnet3(key=-3, addressType="generated",
                                       backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(
                                           deviceName="VM Network"))
    console = vim.vm.device.VirtualSerialPort(key=-4, yieldOnPoll=True,
                                              backing=vim.vm.device.VirtualSerialPort.PipeBackingInfo(
                                                  pipeName="console", endpoint="server"))
    changes = [vim.vm.device.VirtualDeviceSpec(operation="add", device=device)
               for device in (scsi, vmdk, nic, console)]
    return vim.vm.ConfigSpec(name=name, memoryMB=memory_mib, numCPUs=2, guestId="otherLinux64Guest",
                             files=vim.vm.FileInfo(vmPathName=f"[{datastore.name}] {name}/{name}.vmx"), deviceChange=changes)


@pytest.fixture(params=["center", "host"])
def guest_vm(request, lab):
    """A powered-on VM for the test, made through the center or directly on a host."""
    si, host, pool, folder = server_and_place(lab, request.param)
    name = f"guest-{request.param}-{time.monotonic_ns() % 100000}"
    vm = wait(si, folder.CreateVM_Task(config=guest_spec(si, name, host), pool=pool, host=host))
    wait(si, vm.PowerOnVM_Task())
    yield si, vm
    if vm.runtime.powerState != "poweredOff":
        wait(si, vm.PowerOffVM_Task())
    wait(si, vm.Destroy_Task())


def open_guest(lab, vm):
    return Guest(console_of(lab.ready["runtime"], vm.name))


def test_the_demo_vm_runs_and_has_an_address(lab):
    si = lab.center.connect()
    demo = by_name(si, vim.VirtualMachine, "demo")
    assert demo.runtime.powerState == "poweredOn"
    address = wait_for(lambda: demo.guest.ipAddress)
    assert address.startswith("10.77.0.")
    assert demo.guest.toolsRunningStatus == "guestToolsRunning"


def test_two_hosts_share_one_datastore(lab):
    si = lab.center.connect()
    shared = by_name(si, vim.Datastore, "shared")
    assert len(shared.host) == 2 and shared.summary.multipleHostAccess
    assert 0 < shared.summary.freeSpace <= shared.summary.capacity


def test_the_guest_sees_the_hardware_that_was_asked_for(lab, guest_vm):
    si, vm = guest_vm
    with open_guest(lab, vm) as guest:
        assert guest.run("nproc") == "2"
        assert 150_000 < int(guest.run("awk '/MemTotal/{print $2}' /proc/meminfo")) < 192 * 1024
        assert nics(vm)[0].macAddress in guest.run("cat /sys/class/net/*/address")
        sectors = guest.run("cat /sys/block/sda/size /sys/block/vda/size 2>/dev/null | head -n 1")
        assert int(sectors) * 512 == disks(vm)[0].capacityInKB * 1024
    address = wait_for(lambda: vm.guest.ipAddress)
    assert address.startswith("10.77.0.")
    net = next(net for net in vm.guest.net if net.macAddress == nics(vm)[0].macAddress)
    assert address in net.ipAddress


def test_a_sound_card_comes_and_goes_with_the_vm_off(lab, guest_vm):
    si, vm = guest_vm
    card = vim.vm.device.VirtualHdAudioCard

    def change(operation, device):
        spec = vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)
        wait(si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[spec])))

    def cards():
        return [device for device in vm.config.hardware.device if isinstance(device, card)]

    def classes():
        with open_guest(lab, vm) as guest:
            return guest.run("cat /sys/bus/pci/devices/*/class").split()

    with pytest.raises(vim.fault.InvalidPowerState):
        change("add", card(key=-1))
    wait(si, vm.PowerOffVM_Task())
    with pytest.raises(vim.fault.InvalidDeviceBacking):
        change("add", card(key=-1, backing=card.DeviceBackingInfo(deviceName="/dev/dsp", useAutoDetect=False)))
    change("add", card(key=-1))
    wait(si, vm.PowerOnVM_Task())
    assert cards()[0].connectable.connected
    assert "0x040300" in classes()
    wait(si, vm.PowerOffVM_Task())
    change("remove", cards()[0])
    assert not cards()
    wait(si, vm.PowerOnVM_Task())
    assert "0x040300" not in classes()


def test_what_was_written_before_a_snapshot_is_back_after_a_revert(lab, guest_vm):
    si, vm = guest_vm
    with open_guest(lab, vm) as guest:
        guest.run("echo before > /data/file && sync")
    wait(si, vm.CreateSnapshot_Task("clean", "", memory=False, quiesce=False))
    with open_guest(lab, vm) as guest:
        guest.run("echo after > /data/file && sync")
    wait(si, vm.PowerOffVM_Task())
    wait(si, vm.PowerOnVM_Task())
    with open_guest(lab, vm) as guest:
        assert guest.run("cat /data/file") == "after"
    wait(si, vm.RevertToCurrentSnapshot_Task())
    assert vm.runtime.powerState == "poweredOff"
    wait(si, vm.PowerOnVM_Task())
    with open_guest(lab, vm) as guest:
        assert guest.run("cat /data/file") == "before"
        guest.run("echo kept > /data/file && sync")
    wait(si, vm.RemoveAllSnapshots_Task())
    assert vm.snapshot is None
    wait(si, vm.ResetVM_Task())
    with open_guest(lab, vm) as guest:
        assert guest.run("cat /data/file") == "kept"


def test_a_disk_is_added_grown_and_removed_while_the_guest_runs(lab, guest_vm):
    si, vm = guest_vm
    controller = disks(vm)[0].controllerKey
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(diskMode="persistent", thinProvisioned=True)
    disk = vim.vm.device.VirtualDisk(key=-1, controllerKey=controller, unitNumber=1, backing=backing,
                                     capacityInKB=65536)

    def change(operation, device, files=None):
        spec = vim.vm.device.VirtualDeviceSpec(operation=operation, device=device, fileOperation=files)
        wait(si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[spec])))

    def sizes(guest):
        # A disk may go between the listing and the look at it.
        return guest.run("cat /sys/block/[sv]d*/size 2>/dev/null; true").split()

    with open_guest(lab, vm) as guest:
        before = len(sizes(guest))
        change("add", disk, "create")
        wait_for(lambda: str(65536 * 2) in sizes(guest), 30)
        added = next(d for d in disks(vm) if d.capacityInKB == 65536)
        added.capacityInKB = 131072
        change("edit", added)
        assert next(d for d in disks(vm) if d.key == added.key).capacityInKB == 131072
        change("remove", added, "destroy")
        wait_for(lambda: len(sizes(guest)) == before, 30)
    assert len(disks(vm)) == 1


def test_suspend_and_resume_keep_the_guests_memory(lab, guest_vm):
    si, vm = guest_vm
    with open_guest(lab, vm) as guest:
        guest.run("echo in-memory > /run/mark || echo in-memory > /tmp/mark")
    wait(si, vm.SuspendVM_Task())
    assert vm.runtime.powerState == "suspended"
    wait(si, vm.PowerOnVM_Task())
    with open_guest(lab, vm) as guest:
        assert "in-memory" in guest.run("cat /run/mark /tmp/mark 2>/dev/null || true")


def test_the_guest_shuts_itself_down_when_asked(lab, guest_vm):
    si, vm = guest_vm
    wait_for(lambda: vm.guest.toolsRunningStatus == "guestToolsRunning")
    vm.ShutdownGuest()
    wait_for(lambda: vm.runtime.powerState == "poweredOff")


def test_an_iso_is_uploaded_and_read_by_the_guest(lab, guest_vm):
    si, vm = guest_vm
    content = b"\0" * 32768 + b"\1CD001\1\0" + b"hello from a disc" + b"\0" * 32768
    cookie = si._stub.cookie.split(";")[0]
    server = lab.center if si.content.about.apiType == "VirtualCenter" else lab.hosts[0]
    datacenter = all_of(si, vim.Datacenter)[0].name
    put = requests.put(f"{server.url}/folder/{vm.name}.iso", params={"dcPath": datacenter, "dsName": "shared"},
                       data=content, headers={"Cookie": cookie}, verify=False)
    assert put.status_code in (200, 201), put.text
    wait(si, vm.PowerOffVM_Task())
    ide = next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualIDEController))
    drive = vim.vm.device.VirtualCdrom(
        key=-1, controllerKey=ide.key, unitNumber=0,
        backing=vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=f"[shared] {vm.name}.iso"),
        connectable=vim.vm.device.VirtualDevice.ConnectInfo(startConnected=True, connected=True,
                                                            allowGuestControl=True))
    wait(si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(
        deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="add", device=drive)])))
    wait(si, vm.PowerOnVM_Task())
    with open_guest(lab, vm) as guest:
        assert "hello from a disc" in guest.run("dd if=/dev/sr0 bs=2048 skip=16 count=1 2>/dev/null | strings")


def test_of_two_power_ons_at_once_one_wins(lab):
    si, host, pool, folder = server_and_place(lab, "center")
    name = f"race-{time.monotonic_ns() % 100000}"
    vm = wait(si, folder.CreateVM_Task(config=guest_spec(si, name, host), pool=pool, host=host))
    outcomes = []
    tasks = []
    for _ in range(2):
        try:
            tasks.append(vm.PowerOnVM_Task())
        except (vim.fault.TaskInProgress, vim.fault.InvalidPowerState) as fault:
            outcomes.append(type(fault))
    for task in tasks:
        try:
            wait(si, task)
            outcomes.append("won")
        except (vim.fault.TaskInProgress, vim.fault.InvalidPowerState) as fault:
            outcomes.append(type(fault))
    assert outcomes.count("won") == 1 and len(outcomes) == 2
    wait(si, vm.PowerOffVM_Task())
    wait(si, vm.Destroy_Task())
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        vm.name


@pytest.mark.parametrize("where", ["center", "host"])
def test_a_host_sets_its_time_zone_and_refuses_to_set_a_clock_that_it_shares(lab, where):
    _, host, _, _ = server_and_place(lab, where)
    clock = host.configManager.dateTimeSystem
    for zone, offset in (("Asia/Tokyo", 9 * 3600), ("UTC", 0)):
        clock.UpdateDateTimeConfig(vim.host.DateTimeConfig(timeZone=zone))
        shown = host.config.dateTimeInfo.timeZone
        assert (shown.key, shown.gmtOffset) == (zone, offset)
    with pytest.raises(vmodl.fault.NotSupported):
        clock.UpdateDateTime(clock.QueryDateTime())
    with pytest.raises(vmodl.fault.NotSupported):
        clock.UpdateDateTimeConfig(vim.host.DateTimeConfig(ntpConfig=vim.host.NtpConfig(server=["192.0.2.1"])))
