"""Small pieces of pyVmomi that several tests share."""
from pyVim.task import WaitForTask
from pyVmomi import vim


def all_of(si, kind, container=None):
    """All objects of a kind below a container, by a view, as every script finds them."""
    content = si.RetrieveContent()
    view = content.viewManager.CreateContainerView(container or content.rootFolder, [kind], True)
    try:
        return list(view.view)
    finally:
        view.Destroy()


def by_name(si, kind, name):
    found = [thing for thing in all_of(si, kind) if thing.name == name]
    assert len(found) == 1, f"{len(found)} of {kind.__name__} {name}"
    return found[0]


def wait(si, task):
    """Waits for a task; returns its result or raises its fault."""
    WaitForTask(task, si=si)
    return task.info.result


def new_vm_spec(name, datastore, disk_gib=None, memory_mib=64, network=None):
    """A spec in the style of scripts: a SCSI controller, a disk, a NIC, with negative keys."""
    devices = []

    def add(device, create=False):
        change = vim.vm.device.VirtualDeviceSpec(operation="add", device=device)
        if create:
            change.fileOperation = "create"
        devices.append(change)

    if disk_gib:
        add(vim.vm.device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing"))
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(diskMode="persistent", thinProvisioned=True)
        add(vim.vm.device.VirtualDisk(key=-2, controllerKey=-1, unitNumber=0, backing=backing,
                                      capacityInKB=disk_gib * 1024 * 1024), create=True)
    if network:
        backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)
        add(vim.vm.device.VirtualVmxnet3(key=-3, backing=backing, addressType="generated"))
    return vim.vm.ConfigSpec(name=name, memoryMB=memory_mib, numCPUs=1, guestId="otherLinux64Guest",
                             files=vim.vm.FileInfo(vmPathName=f"[{datastore}]"), deviceChange=devices)


def disks(vm):
    return [d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)]


def nics(vm):
    return [d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualEthernetCard)]
