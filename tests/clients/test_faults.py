"""Breaks things on purpose: daemons are killed in mid-task, QEMU dies, a datastore fills up."""
import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from pyVmomi import vim, vmodl

from conftest import Daemon, Server, open_directory
from guest import Guest, console_of
from test_pyvmomi_lab import guest_spec, wait_for
from vsphere import all_of, by_name, new_vm_spec, wait

FINISHED = ("success", "error")


def reconnect(server, timeout_s=60):
    """A connection as soon as the daemon answers again."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            return server.connect()
        except (OSError, vmodl.RuntimeFault, vim.fault.VimFault) as error:
            assert time.monotonic() < end, f"the daemon did not come back: {error!r}"
            time.sleep(0.2)


def daemon_pid(lab, name):
    """The present pid of a daemon of the lab; the lab restarts those that die."""
    return int((Path(lab.ready["run"]) / f"{name}.pid").read_text())


def kill_and_wait_for_restart(lab, name):
    pid = daemon_pid(lab, name)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: daemon_pid(lab, name) != pid, 60)


def answering_host(si, address):
    """The host, once the center reaches it: the center may take a moment to notice that the daemon was killed at all."""
    host = by_name(si, vim.HostSystem, address)

    def answers():
        try:
            # The host itself does this, not the center's cache.
            system = host.configManager.networkSystem
            if system is None:
                return None  # The center has started, and the host has not reported yet.
            system.RefreshNetworkSystem()
            return host.runtime.connectionState == "connected"
        except (vmodl.fault.HostNotConnected, vmodl.fault.HostCommunication):
            return None

    wait_for(answers)
    return host


def running_qemus(lab):
    """Names of the VMs whose QEMU is alive, over all hosts of the lab."""
    names = []
    for record in Path(lab.ready["runtime"]).glob("**/pid"):
        pid = int(record.read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and b"qemu-system" in command.read_bytes():
            names.append(record.parent)
    return names


def host_number(lab, vm):
    return [h["management_address"] for h in lab.ready["hosts"]].index(vm.runtime.host.name) + 1


def test_a_guest_does_not_notice_that_its_host_daemon_was_killed(lab):
    si = lab.center.connect()
    demo = by_name(si, vim.VirtualMachine, "demo")
    with Guest(console_of(lab.ready["runtime"], "demo")) as guest:
        boot = guest.run("cat /proc/sys/kernel/random/boot_id")
        guest.run("echo here > /tmp/mark")
    kill_and_wait_for_restart(lab, f"host{host_number(lab, demo)}")
    si = reconnect(lab.center)
    demo = by_name(si, vim.VirtualMachine, "demo")
    wait_for(lambda: demo.runtime.connectionState == "connected" and demo.runtime.powerState == "poweredOn")
    with Guest(console_of(lab.ready["runtime"], "demo")) as guest:
        assert guest.run("cat /proc/sys/kernel/random/boot_id") == boot
        assert guest.run("cat /tmp/mark") == "here"
    wait_for(lambda: demo.guest.toolsRunningStatus == "guestToolsRunning")


@pytest.mark.parametrize("victim", ["host1", "center"])
@pytest.mark.parametrize("operation", ["create", "power_on", "snapshot", "reconfigure", "destroy", "copy_disk"])
def test_a_daemon_killed_in_mid_task_leaves_the_truth(lab, victim, operation):
    """However far the task got, afterwards inventory, files and processes agree with each other."""
    si = lab.center.connect()
    address = lab.ready["hosts"][0]["management_address"]
    host = answering_host(si, address)
    datacenter = all_of(si, vim.Datacenter)[0]
    name = f"kill-{victim}-{operation.replace('_', '-')}"
    pool = host.parent.resourcePool
    before = {v.name for v in all_of(si, vim.VirtualMachine)}
    spec = new_vm_spec(name, "shared", disk_gib=1)
    if operation != "create":
        vm = wait(si, datacenter.vmFolder.CreateVM_Task(config=spec, pool=pool, host=host))
    disks = si.content.virtualDiskManager
    start = {
        "create": lambda: datacenter.vmFolder.CreateVM_Task(config=spec, pool=pool, host=host),
        "power_on": lambda: vm.PowerOnVM_Task(),
        "snapshot": lambda: vm.CreateSnapshot_Task("s", "", memory=False, quiesce=False),
        "reconfigure": lambda: vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="changed", memoryMB=96)),
        "destroy": lambda: vm.Destroy_Task(),
        "copy_disk": lambda: disks.CopyVirtualDisk_Task("[shared] images/guest.vmdk", datacenter,
                                                        f"[shared] {name}/copy.vmdk", datacenter),
    }[operation]
    task = start()._moId
    time.sleep(random.Random(name).uniform(0.0, 0.15))
    kill_and_wait_for_restart(lab, victim)
    si = reconnect(lab.center)
    answering_host(si, address)
    info = wait_for(lambda: finished(si, task), 60)
    # The task has ended, so the center has noticed by now if it lost the host, which may still be on its way back.
    answering_host(si, address)
    wait_for(lambda: settled(lab, si), 60)
    vms = {v.name: v for v in all_of(si, vim.VirtualMachine)}
    assert before <= set(vms), "a VM that was acknowledged is gone"
    directory = Path(lab.ready["datastore"]) / name
    if operation == "create":
        assert (name in vms) == (directory / f"{name}.vmx").exists()
        if info and info.state == "success":
            assert name in vms
    elif operation == "destroy":
        assert (name in vms) == directory.exists()
    else:
        assert name in vms
    if operation == "reconfigure":
        changed = vms[name].config.annotation == "changed"
        assert changed == (vms[name].config.hardware.memoryMB == 96), "half a reconfiguration"
        assert changed or info.state == "error"
    if operation == "snapshot":
        assert (vms[name].snapshot is not None) == (info.state == "success") or info.state == "error"
    if operation == "copy_disk" and info.state == "success":
        wait(si, si.content.virtualDiskManager.CopyVirtualDisk_Task(
            f"[shared] {name}/copy.vmdk", all_of(si, vim.Datacenter)[0], f"[shared] {name}/again.vmdk",
            all_of(si, vim.Datacenter)[0]))
    if name in vms:
        vm = vms[name]
        if vm.runtime.powerState != "poweredOff":
            wait(si, vm.PowerOffVM_Task())
        wait(si, vm.PowerOnVM_Task())
        wait(si, vm.PowerOffVM_Task())
        wait(si, vm.Destroy_Task())


def finished(si, task_id):
    """The info of an ended task, from its object or from the history."""
    try:
        info = vim.Task(task_id, si._stub).info
    except vmodl.fault.ManagedObjectNotFound:
        collector = si.content.taskManager.CreateCollectorForTasks(vim.TaskFilterSpec())
        try:
            found = [t for t in collector.ReadNextTasks(1000) or [] if t.key == task_id]
        finally:
            collector.DestroyCollector()
        assert found, "the center forgot a task that it had acknowledged"
        info = found[0]
    return info if info.state in FINISHED else None


def settled(lab, si):
    """Every QEMU belongs to a VM that is on, and every VM that is on has a QEMU."""
    on = [v for v in all_of(si, vim.VirtualMachine) if v.runtime.powerState == "poweredOn"]
    return len(running_qemus(lab)) == len(on)


def test_a_qemu_that_dies_is_noticed_with_the_reason(lab):
    si = lab.center.connect()
    host = all_of(si, vim.HostSystem)[0]
    folder = all_of(si, vim.Datacenter)[0].vmFolder
    vm = wait(si, folder.CreateVM_Task(config=guest_spec(si, "victim", host), pool=host.parent.resourcePool,
                                       host=host))
    wait(si, vm.PowerOnVM_Task())
    record = next(d for d in running_qemus(lab) if (d / "serial.sock") == console_of(lab.ready["runtime"], "victim"))
    os.kill(int((record / "pid").read_text().split()[0]), signal.SIGKILL)
    wait_for(lambda: vm.runtime.powerState == "poweredOff", 30)
    spec = vim.event.EventFilterSpec(entity=vim.event.EventFilterSpec.ByEntity(entity=vm, recursion="self"))

    def reason():
        messages = [e.fullFormattedMessage for e in si.content.eventManager.QueryEvents(spec)]
        return [m for m in messages if "signal 9" in m or "SIGKILL" in m or "killed" in m]

    assert wait_for(reason, 30)
    wait(si, vm.PowerOnVM_Task())
    wait(si, vm.PowerOffVM_Task())
    wait(si, vm.Destroy_Task())


@pytest.fixture
def small_host():
    """A host whose only datastore holds 40 MiB."""
    with open_directory() as directory:
        yield from run_small_host(directory)


def run_small_host(tmp_path):
    datastore = tmp_path / "ds"
    datastore.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(datastore)], check=True)
    password = tmp_path / "password"
    password.write_text("Small-host-1")
    # Different from the name of the lab in the same run.
    runtime = Path(f"/run/esfera/small{os.getpid()}")
    try:
        daemon = Daemon(tmp_path, "host", "--data", str(tmp_path / "host"), "--runtime", str(runtime),
                        "--bpf", f"{runtime}.bpf", "--listen", "127.0.0.1:0", "--datastore", f"small={datastore}",
                        "--password-file", str(password))
        try:
            yield Server(**daemon.wait_ready()), datastore
        finally:
            daemon.stop()
    finally:
        subprocess.run(["umount", str(datastore)], check=True)
        subprocess.run(["umount", f"{runtime}.bpf"], check=True)
        subprocess.run(["rm", "-rf", str(runtime), f"{runtime}.bpf"], check=True)


def test_a_full_datastore_is_a_clear_fault_and_nothing_is_left_half_made(small_host):
    server, datastore = small_host
    si = server.connect()
    host = all_of(si, vim.HostSystem)[0]
    folder = all_of(si, vim.Datacenter)[0].vmFolder
    filler = datastore / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 65536):
            pass
    with pytest.raises((vim.fault.NoDiskSpace, vim.fault.FileFault)):
        wait(si, folder.CreateVM_Task(config=new_vm_spec("full", "small", disk_gib=1),
                                      pool=host.parent.resourcePool, host=host))
    assert "full" not in {v.name for v in all_of(si, vim.VirtualMachine)}
    assert not (datastore / "full").exists()
    filler.unlink()
    vm = wait(si, folder.CreateVM_Task(config=new_vm_spec("full", "small", disk_gib=1),
                                       pool=host.parent.resourcePool, host=host))
    wait(si, vm.Destroy_Task())
    assert not (datastore / "full").exists()
