"""The simulator as a product: its inventory, its flags, failures on demand, and inventories in files."""
import datetime
import json
import os
import signal
import time

import pytest
from pyVmomi import vim

from conftest import Daemon, Server, command_line, start_sim
from vsphere import all_of, by_name, disks, nics, wait


def names(si, kind):
    return sorted(thing.name for thing in all_of(si, kind))


def test_vms_have_a_drive_a_disk_and_an_adapter_and_a_guest_with_an_address_of_its_own(sim):
    si = sim.connect()
    addresses = set()
    for vm in all_of(si, vim.VirtualMachine):
        assert len(disks(vm)) == 1 and len(nics(vm)) == 1
        assert any(isinstance(device, vim.vm.device.VirtualCdrom) for device in vm.config.hardware.device)
        assert vm.guest.toolsRunningStatus == "guestToolsRunning" and vm.guestHeartbeatStatus == "green"
        assert vm.guest.hostName == vm.name.lower().replace("_", "-")
        assert vm.summary.guest.ipAddress == vm.guest.ipAddress == vm.guest.net[0].ipAddress[0]
        assert vm.guest.net[0].macAddress == nics(vm)[0].macAddress
        assert si.content.searchIndex.FindByIp(None, vm.guest.ipAddress, True) == vm
        addresses.add(vm.guest.ipAddress)
    assert len(addresses) == 4
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    wait(si, vm.PowerOffVM_Task())
    assert vm.guest.ipAddress is None and vm.guest.toolsRunningStatus == "guestToolsNotRunning"
    wait(si, vm.PowerOnVM_Task())


def test_hosts_have_cards_and_an_adapter_for_management_with_addresses_of_their_own(sim):
    hosts = all_of(sim.connect(), vim.HostSystem)
    found = [host.config.network for host in hosts]
    assert all([adapter.device for adapter in network.vnic] == ["vmk0"] for network in found)
    assert all([card.device for card in network.pnic] == ["vmnic0", "vmnic1"] for network in found)
    assert len({network.vnic[0].spec.ip.ipAddress for network in found}) == 4
    assert len({card.mac for network in found for card in network.pnic}) == 8
    assert all(host.summary.hardware.numNics == 2 for host in hosts)


def test_the_history_tells_how_the_inventory_was_made(sim):
    si = sim.connect()
    collector = si.content.taskManager.CreateCollectorForTasks(vim.TaskFilterSpec())
    done = [(task.descriptionId, task.state) for task in collector.ReadNextTasks(100)]
    for task, number in (("Folder.addStandaloneHost", 1), ("ClusterComputeResource.addHost", 3),
                         ("Folder.createVm", 4), ("VirtualMachine.powerOn", 4)):
        assert done.count((task, "success")) == number, done
    events = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec())
    kinds = [type(event) for event in events]
    for kind, number in ((vim.event.HostAddedEvent, 4), (vim.event.VmPoweredOnEvent, 4)):
        assert kinds.count(kind) == number, kinds


def test_datastores_pools_and_folders_are_made_on_request_and_vms_stay_off(make_sim):
    server = make_sim("--ds", "2", "--pool", "2", "--folder", "1", "--autostart=false")
    si = server.connect()
    assert names(si, vim.Datastore) == ["LocalDS_0", "LocalDS_1"]
    assert names(si, vim.ResourcePool) == ["DC0_C0_RP1", "DC0_C0_RP2", "Resources", "Resources"]
    find = si.content.searchIndex.FindByInventoryPath
    for path in ("/F0/DC0/vm/F0/DC0_C0_RP2_VM1", "/F0/DC0/vm/F0/DC0_H0_VM0", "/F0/DC0/host/F0/DC0_C0/DC0_C0_H2",
                 "/F0/DC0/datastore/F0/LocalDS_1", "/F0/DC0/network/F0/VM Network"):
        assert find(path), path
    assert find("/F0/DC0/vm/F0/DC0_C0_RP2_VM1").resourcePool.name == "DC0_C0_RP2"
    assert {vm.runtime.powerState for vm in all_of(si, vim.VirtualMachine)} == {"poweredOff"}
    assert all(host.datastore and len(host.datastore) == 2 for host in all_of(si, vim.HostSystem))


def test_vapps_and_datastore_clusters_are_made_on_request(make_sim):
    si = make_sim("--app", "1", "--pod", "2", "--folder", "1").connect()
    assert names(si, vim.VirtualApp) == ["DC0_C0_APP0"] and names(si, vim.StoragePod) == ["DC0_POD0", "DC0_POD1"]
    vapp = all_of(si, vim.VirtualApp)[0]
    assert sorted(vm.name for vm in vapp.vm) == ["DC0_C0_APP0_VM0", "DC0_C0_APP0_VM1"]
    assert all(vm.parentVApp == vapp and vm.runtime.powerState == "poweredOn" for vm in vapp.vm)
    assert si.content.searchIndex.FindByInventoryPath("/F0/DC0/vm/F0/DC0_C0_RP0_VM0")


def test_a_simulated_host_has_an_adapter_with_a_disk(sim):
    for host in all_of(sim.connect(), vim.HostSystem):
        system = host.configManager.storageSystem
        devices = system.storageDeviceInfo
        assert [hba.device for hba in devices.hostBusAdapter] == ["vmhba0"] and host.summary.hardware.numHBAs == 1
        disk, = devices.scsiLun
        assert disk.capacity.block * disk.capacity.blockSize == 10 << 40
        assert host.config.storageDevice.multipathInfo.lun[0].lun == disk.key
        system.RescanAllHba()
        assert system.storageDeviceInfo.scsiLun[0].key == disk.key


def test_methods_fail_with_the_fault_that_was_asked_for_and_tasks_take_their_time(make_sim):
    server = make_sim("--fail", "PowerOffVM_Task=InsufficientResourcesFault", "--fail", "CreateFolder=DuplicateName",
                      "--fail", "ResetVM_Task=TaskInProgress:0", "--task-delay", "1500")
    si = server.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    with pytest.raises(vim.fault.DuplicateName):
        si.content.rootFolder.CreateFolder("new")
    task = vm.PowerOffVM_Task()
    assert task.info.state == "running" and task.info.entity == vm
    with pytest.raises(vim.fault.InsufficientResourcesFault):
        wait(si, task)
    assert task.info.completeTime - task.info.startTime >= datetime.timedelta(seconds=1.5)
    assert vm.runtime.powerState == "poweredOn"
    wait(si, vm.ResetVM_Task())


def test_a_misspelt_failure_is_refused_at_the_start(tmp_path):
    for given, said in (("PowerOn=Nonsense", "no method"), ("PowerOnVM_Task=Nonsense", "no fault")):
        daemon = Daemon(tmp_path, "sim", "--listen", "127.0.0.1:0", "--fail", given)
        assert daemon.process.wait(60) == 2
        daemon.stop()
        assert said in (tmp_path / "log").read_text()


def test_hosts_that_are_added_are_simulated_too(sim):
    si = sim.connect()
    folder, cluster = by_name(si, vim.Datacenter, "DC0").hostFolder, by_name(si, vim.ClusterComputeResource, "DC0_C0")
    spec = vim.host.ConnectSpec(hostName="new.example.org", userName="root", password="any", force=False)
    with pytest.raises(vim.fault.SSLVerifyFault) as told:
        wait(si, folder.AddStandaloneHost_Task(spec, None, True))
    spec.sslThumbprint = told.value.thumbprint
    added = wait(si, folder.AddStandaloneHost_Task(spec, None, True)).host[0]
    assert added.runtime.connectionState == "connected" and added.summary.hardware.model == "Simulated host"
    assert [store.name for store in added.datastore] == ["datastore1"]
    wait(si, added.DisconnectHost_Task())
    wait(si, added.ReconnectHost_Task())
    assert added.runtime.connectionState == "connected"
    spec.hostName, spec.password = "other.example.org", ""
    spec.sslThumbprint = None
    with pytest.raises(vim.fault.SSLVerifyFault) as told:
        wait(si, cluster.AddHost_Task(spec, True))
    spec.sslThumbprint = told.value.thumbprint
    with pytest.raises(vim.fault.InvalidLogin):
        wait(si, cluster.AddHost_Task(spec, True))
    spec.hostName = "there.is.none.invalid"
    with pytest.raises(vim.fault.NoHost):
        wait(si, cluster.AddHost_Task(spec, True))


def test_an_inventory_is_saved_at_a_signal_and_at_the_end_recorded_by_the_api_and_loaded(make_sim, tmp_path):
    saved, recorded = tmp_path / "saved.json", tmp_path / "recorded.json"
    (tmp_path / "first").mkdir()
    daemon, ready = start_sim(tmp_path / "first", "--pools", "1", "--save", str(saved))
    try:
        server = Server(**ready)
        si = server.connect()
        vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
        wait(si, vm.Rename_Task("web / 1 ü"))
        wait(si, vm.PowerOffVM_Task())
        esfera = command_line(server, tmp_path)
        done = esfera("sim", "record", str(recorded))
        assert done.returncode == 0, done.stderr
        os.kill(daemon.process.pid, signal.SIGUSR1)
        end = time.monotonic() + 60
        while not saved.exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert json.loads(saved.read_text()) == json.loads(recorded.read_text())
        wait(si, by_name(si, vim.VirtualMachine, "DC0_H0_VM1").Rename_Task("last"))
        shown = vm.name
    finally:
        daemon.stop()
    assert "last" in saved.read_text() and "last" not in recorded.read_text()
    si = make_sim("--load", str(saved)).connect()
    assert {shown, "last", "DC0_C0_RP1_VM0", "DC0_C0_RP1_VM1"} == set(names(si, vim.VirtualMachine))
    assert by_name(si, vim.VirtualMachine, shown).runtime.powerState == "poweredOff"
    assert by_name(si, vim.VirtualMachine, "DC0_C0_RP1_VM0").resourcePool.name == "DC0_C0_RP1"


def test_a_file_that_is_not_an_inventory_is_refused(tmp_path):
    (tmp_path / "bad.json").write_text('{"format": "other", "datacenters": []}')
    daemon = Daemon(tmp_path, "sim", "--listen", "127.0.0.1:0", "--load", str(tmp_path / "bad.json"))
    assert daemon.process.wait(60) == 1
    daemon.stop()
    assert "other" in (tmp_path / "log").read_text()


def test_the_same_seed_gives_the_same_identities(make_sim):
    def identities(*args):
        si = make_sim(*args).connect()
        return sorted((vm.name, vm.config.uuid, vm.config.instanceUuid, nics(vm)[0].macAddress, vm.guest.ipAddress)
                      for vm in all_of(si, vim.VirtualMachine)) + sorted(
                          (host.name, host.summary.hardware.uuid) for host in all_of(si, vim.HostSystem)) + [
                              si.content.about.instanceUuid]
    assert identities("--seed", "5") == identities("--seed", "5")
    assert identities("--seed", "5") != identities("--seed", "6")
