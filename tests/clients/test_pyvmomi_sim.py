"""pyVmomi against a simulated center and a simulated host: the ways in which scripts use the API."""
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
import requests
from pyVmomi import vim, vmodl

from vsphere import all_of, by_name, disks, new_vm_spec, nics, wait

requests.packages.urllib3.disable_warnings()


def test_the_default_inventory_has_the_well_known_names(sim):
    si = sim.connect()
    assert si.content.about.apiType == "VirtualCenter"
    names = {kind: {thing.name for thing in all_of(si, kind)}
             for kind in (vim.Datacenter, vim.ClusterComputeResource, vim.HostSystem, vim.VirtualMachine,
                          vim.Datastore, vim.Network)}
    assert names[vim.Datacenter] == {"DC0"}
    assert names[vim.ClusterComputeResource] == {"DC0_C0"}
    assert names[vim.HostSystem] == {"DC0_H0", "DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2"}
    assert names[vim.VirtualMachine] == {"DC0_H0_VM0", "DC0_H0_VM1", "DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1"}
    assert "LocalDS_0" in names[vim.Datastore]
    assert "VM Network" in names[vim.Network]


def test_a_vm_says_what_it_is_and_where_it_runs(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    assert vm.summary.config.name == "DC0_H0_VM0"
    assert vm.config.uuid and vm.config.instanceUuid and vm.config.hardware.numCPU >= 1
    assert vm.parent.name == "vm" and vm.runtime.host.name == "DC0_H0"
    assert vm.guest.toolsRunningStatus


@pytest.mark.parametrize("server", ["sim", "esx"])
def test_a_vm_lives_its_life(server, request):
    si = request.getfixturevalue(server).connect()
    host = all_of(si, vim.HostSystem)[0]
    datastore = host.datastore[0].name
    folder = all_of(si, vim.Datacenter)[0].vmFolder
    pool = host.parent.resourcePool
    spec = new_vm_spec("alpha", datastore, disk_gib=1, network="VM Network")
    vm = wait(si, folder.CreateVM_Task(config=spec, pool=pool, host=host))
    assert vm.name == "alpha" and vm.runtime.powerState == "poweredOff"
    assert disks(vm)[0].key >= 2000 and disks(vm)[0].capacityInKB == 1024 * 1024
    assert nics(vm)[0].macAddress.startswith("00:50:56")
    wait(si, vm.PowerOnVM_Task())
    assert vm.runtime.powerState == "poweredOn"
    with pytest.raises(vim.fault.InvalidPowerState) as refused:
        wait(si, vm.PowerOnVM_Task())
    assert refused.value.existingState == "poweredOn"
    before = vm.config.changeVersion
    wait(si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="hello")))
    assert vm.config.annotation == "hello" and vm.config.changeVersion != before
    with pytest.raises(vim.fault.ConcurrentAccess):
        wait(si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="late", changeVersion=before)))
    wait(si, vm.CreateSnapshot_Task("one", "first", memory=False, quiesce=False))
    assert vm.snapshot.rootSnapshotList[0].name == "one"
    wait(si, vm.PowerOffVM_Task())
    wait(si, vm.Rename_Task("beta"))
    assert vm.name == "beta"
    wait(si, vm.RemoveAllSnapshots_Task())
    assert vm.snapshot is None
    wait(si, vm.Destroy_Task())
    assert "beta" not in {v.name for v in all_of(si, vim.VirtualMachine)}
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        vm.name


def test_waiting_for_updates_sees_a_power_change(sim):
    si, other = sim.connect(), sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    wait(si, vm.PowerOffVM_Task())
    collector = si.content.propertyCollector
    spec = vmodl.query.PropertyCollector.FilterSpec(
        propSet=[vmodl.query.PropertyCollector.PropertySpec(type=vim.VirtualMachine, pathSet=["runtime.powerState"])],
        objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=vm)])
    collector.CreateFilter(spec, True)
    first = collector.WaitForUpdatesEx("", None)
    assert first.filterSet[0].objectSet[0].changeSet[0].val == "poweredOff"

    def power_on():
        time.sleep(0.2)
        vim.VirtualMachine(vm._moId, other._stub).PowerOnVM_Task()

    thread = threading.Thread(target=power_on)
    thread.start()
    change = collector.WaitForUpdatesEx(first.version, vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=30))
    thread.join()
    assert change.filterSet[0].objectSet[0].changeSet[0].val == "poweredOn"
    nothing = collector.WaitForUpdatesEx(change.version,
                                         vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=0))
    assert nothing is None


def test_a_file_goes_up_and_comes_down(sim):
    si = sim.connect()
    session = requests.Session()
    session.trust_env, session.verify = False, False
    name, _, value = si._stub.cookie.partition("=")
    session.headers["Cookie"] = f"{name}={value.split(';')[0]}"
    content = bytes(range(256)) * 1000
    url = f"{sim.url}/folder/iso/test.iso"
    where = {"dcPath": "DC0", "dsName": "LocalDS_0"}
    si.content.fileManager.MakeDirectory("[LocalDS_0] iso", all_of(si, vim.Datacenter)[0], True)
    assert session.put(url, params=where, data=content).status_code in (200, 201)
    assert session.get(url, params=where).content == content
    part = session.get(url, params=where, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206 and part.content == content[10:20]
    datastore = by_name(si, vim.Datastore, "LocalDS_0")
    found = wait(si, datastore.browser.SearchDatastore_Task("[LocalDS_0] iso"))
    assert [f.path for f in found.file] == ["test.iso"]
    wait(si, si.content.fileManager.DeleteDatastoreFile_Task("[LocalDS_0] iso/test.iso",
                                                             all_of(si, vim.Datacenter)[0]))
    assert session.get(url, params=where).status_code == 404


@pytest.mark.parametrize("path", ["[LocalDS_0] ../../etc/passwd", "[LocalDS_0] /etc/passwd", "LocalDS_0/x",
                                  "[nonexistent] x", "[LocalDS_0] a/../../b"])
def test_a_path_that_leads_out_of_the_datastore_is_refused(sim, path):
    si = sim.connect()
    with pytest.raises((vim.fault.InvalidDatastorePath, vim.fault.InvalidDatastore, vmodl.fault.InvalidArgument,
                        vim.fault.FileNotFound)):
        wait(si, si.content.fileManager.DeleteDatastoreFile_Task(path, all_of(si, vim.Datacenter)[0]))


def test_containers_are_made_renamed_and_removed(sim):
    si = sim.connect()
    root = si.content.rootFolder
    datacenter = root.CreateDatacenter("DC9")
    folder = datacenter.vmFolder.CreateFolder("web")
    with pytest.raises(vim.fault.DuplicateName):
        datacenter.vmFolder.CreateFolder("web")
    wait(si, folder.Rename_Task("www"))
    assert folder.name == "www" and folder.parent == datacenter.vmFolder
    cluster = datacenter.hostFolder.CreateClusterEx("C9", vim.cluster.ConfigSpecEx())
    pool = cluster.resourcePool.CreateResourcePool("gold", vim.ResourceConfigSpec(
        cpuAllocation=vim.ResourceAllocationInfo(reservation=0, expandableReservation=True, limit=-1,
                                                 shares=vim.SharesInfo(level="normal", shares=4000)),
        memoryAllocation=vim.ResourceAllocationInfo(reservation=0, expandableReservation=True, limit=-1,
                                                    shares=vim.SharesInfo(level="normal", shares=163840))))
    assert pool.owner == cluster
    wait(si, pool.Destroy_Task())
    wait(si, cluster.Destroy_Task())
    wait(si, datacenter.Destroy_Task())
    assert {dc.name for dc in all_of(si, vim.Datacenter)} == {"DC0"}


def test_the_index_finds_things(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    index = si.content.searchIndex
    assert index.FindByUuid(None, vm.config.uuid, True) == vm
    assert index.FindByUuid(None, vm.config.instanceUuid, True, True) == vm
    assert index.FindByInventoryPath("DC0/vm/DC0_H0_VM0") == vm
    assert index.FindByInventoryPath("DC0/vm/nothing") is None
    assert index.FindChild(vm.parent, "DC0_H0_VM0") == vm


def test_a_wrong_password_is_refused(sim):
    with pytest.raises(vim.fault.InvalidLogin):
        sim.connect(password="wrong")


def test_unset_and_unknown_are_told_apart(sim):
    si = sim.connect()
    collector = si.content.propertyCollector
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")

    def read(path):
        spec = vmodl.query.PropertyCollector.FilterSpec(
            propSet=[vmodl.query.PropertyCollector.PropertySpec(type=vim.VirtualMachine, pathSet=[path])],
            objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=vm)])
        return collector.RetrieveContents([spec])[0].propSet

    assert not read("snapshot")
    assert read("config.hardware.numCPU")[0].val >= 1
    with pytest.raises(vmodl.query.InvalidProperty):
        read("nonsense")
    with pytest.raises(vmodl.query.InvalidProperty):
        read("config.nonsense")


def test_tasks_and_events_tell_what_happened(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    task = vm.PowerOffVM_Task()
    wait(si, task)
    assert task.info.state == "success" and task.info.entityName == "DC0_H0_VM0"
    assert task.info.descriptionId == "VirtualMachine.powerOff"
    spec = vim.event.EventFilterSpec(entity=vim.event.EventFilterSpec.ByEntity(entity=vm, recursion="self"))
    deadline = time.monotonic() + 20
    kinds = set()
    while "VmPoweredOffEvent" not in kinds and time.monotonic() < deadline:
        kinds = {type(event).__name__.split(".")[-1] for event in si.content.eventManager.QueryEvents(spec)}
        time.sleep(0.1)
    assert "VmPoweredOffEvent" in kinds


@pytest.mark.parametrize("server", ["sim", "esx"])
def test_the_clock_of_a_host_is_read_and_set(server, request):
    si = request.getfixturevalue(server).connect()
    host = all_of(si, vim.HostSystem)[0]
    clock = host.configManager.dateTimeSystem
    assert clock.dateTimeInfo.timeZone.key == "UTC" and clock.dateTimeInfo.timeZone.gmtOffset == 0
    assert abs(clock.QueryDateTime() - datetime.now(timezone.utc)) < timedelta(hours=1)
    zones = {zone.key: zone.gmtOffset for zone in clock.QueryAvailableTimeZones()}
    assert zones["UTC"] == 0 and zones["Asia/Tokyo"] == 9 * 3600

    servers = ["0.pool.ntp.org", "192.0.2.1"]
    clock.UpdateDateTimeConfig(vim.host.DateTimeConfig(
        timeZone="Asia/Tokyo", ntpConfig=vim.host.NtpConfig(server=servers)))
    for info in (clock.dateTimeInfo, host.config.dateTimeInfo):
        assert (info.timeZone.key, info.timeZone.gmtOffset) == ("Asia/Tokyo", 9 * 3600)
        assert list(info.ntpConfig.server) == servers and info.systemClockProtocol == "ntp"
    for fault, wrong in ((vmodl.fault.InvalidArgument, {"timeZone": "Mars/Olympus"}),
                         (vmodl.fault.InvalidArgument, {"ntpConfig": vim.host.NtpConfig(server=["a b"])}),
                         (vmodl.fault.NotSupported, {"protocol": "ptp"})):
        with pytest.raises(fault):
            clock.UpdateDateTimeConfig(vim.host.DateTimeConfig(**wrong))
    assert clock.dateTimeInfo.timeZone.key == "Asia/Tokyo" and list(clock.dateTimeInfo.ntpConfig.server) == servers

    tomorrow = clock.QueryDateTime() + timedelta(days=1)
    clock.UpdateDateTime(tomorrow)
    assert timedelta(0) <= clock.QueryDateTime() - tomorrow < timedelta(hours=1)
