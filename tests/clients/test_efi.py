"""A VM that boots by EFI: its firmware keeps its variables in the VM's directory, from one power-on to the next."""
import time
from pathlib import Path

import pytest
from pyVmomi import vim

from guest import Guest, console_of
from test_pyvmomi_lab import guest_spec, server_and_place
from vsphere import wait

# Attributes (non-volatile, for boot services and at run time), then the value, as efivarfs takes them.
VARIABLE = "EsferaTest-0e5fe7a0-0000-4000-8000-000000000001"
VALUE = r"\007\000\000\000kept"


@pytest.fixture(params=["center", "host"])
def efi_vm(request, lab):
    """A VM with EFI firmware for the test, off."""
    si, host, pool, folder = server_and_place(lab, request.param)
    name = f"efi-{request.param}-{time.monotonic_ns() % 100000}"
    spec = guest_spec(si, name, host)
    spec.firmware = "efi"
    # Debian's OVMF has no driver for SCSI controllers.
    controller = next(change for change in spec.deviceChange if change.device.key == -1)
    controller.device = vim.vm.device.VirtualNVMEController(key=-1, busNumber=0)
    vm = wait(si, folder.CreateVM_Task(config=spec, pool=pool, host=host))
    yield si, vm
    if vm.runtime.powerState != "poweredOff":
        wait(si, vm.PowerOffVM_Task())
    wait(si, vm.Destroy_Task())
    assert not (Path(lab.ready["datastore"]) / name).exists(), "all of it goes with the VM"


def booted(lab, vm):
    """A login in the guest, which was booted by EFI and sees its variables."""
    guest = Guest(console_of(lab.ready["runtime"], vm.name), timeout_s=240)
    assert guest.run("ls -d /sys/firmware/efi") == "/sys/firmware/efi"
    guest.run("grep -q efivarfs /proc/mounts || mount -t efivarfs efivarfs /sys/firmware/efi/efivars")
    return guest


def test_a_vm_with_efi_boots_and_keeps_what_its_firmware_remembers(lab, efi_vm):
    si, vm = efi_vm
    variable, nvram = f"/sys/firmware/efi/efivars/{VARIABLE}", f"{vm.name}.nvram"
    assert vm.config.firmware == "efi"
    wait(si, vm.PowerOnVM_Task())
    assert (Path(lab.ready["datastore"]) / vm.name / nvram).exists()
    assert any(file.name.endswith(f"/{nvram}") and file.type == "nvram" for file in vm.layoutEx.file)
    with booted(lab, vm) as guest:
        boot = guest.run("cat /proc/sys/kernel/random/boot_id")
        guest.run(f"printf '{VALUE}' > {variable}")
    wait(si, vm.PowerOffVM_Task())
    wait(si, vm.PowerOnVM_Task())
    with booted(lab, vm) as guest:
        assert guest.run("cat /proc/sys/kernel/random/boot_id") != boot
        assert guest.run(f"tail -c 4 {variable}") == "kept"
