"""Moving, renaming and removing objects of every kind, each at every place: what fits is done, everything else is refused by its fault."""
import pytest
from pyVmomi import vim, vmodl

from vsphere import all_of, by_name, new_vm_spec, wait

NotSupported = vmodl.fault.NotSupported


def outcome(attempt, si):
    """The name of the fault, or `done`."""
    try:
        task = attempt()
        if isinstance(task, vim.Task):
            wait(si, task)
        return "done"
    except vmodl.MethodFault as fault:
        return type(fault).__name__.rpartition(".")[2]


class Place:
    """An inventory with an object of each kind."""

    def __init__(self, server):
        self.si = si = server.connect()
        root = si.content.rootFolder
        self.dc = by_name(si, vim.Datacenter, "DC0")
        self.other = root.CreateDatacenter("other")
        self.homes = {"vm": self.dc.vmFolder, "host": self.dc.hostFolder, "datastore": self.dc.datastoreFolder,
                      "network": self.dc.networkFolder, "datacenter": root}
        self.folders = {holds: home.CreateFolder("to") for holds, home in self.homes.items()}
        self.pod = self.dc.datastoreFolder.CreateStoragePod("pod")
        host = by_name(si, vim.HostSystem, "DC0_H0")
        pool = host.parent.resourcePool
        template = wait(si, self.dc.vmFolder.CreateVM_Task(new_vm_spec("template", "LocalDS_0"), pool))
        template.MarkAsTemplate()

        def allocation():
            return vim.ResourceAllocationInfo(reservation=0, expandableReservation=True, limit=-1,
                                              shares=vim.SharesInfo(level="normal", shares=0))
        resources = vim.ResourceConfigSpec(cpuAllocation=allocation(), memoryAllocation=allocation())
        things = {
            "datacenter": (root.CreateDatacenter("moved datacenter"), "datacenter"),
            "vm": (by_name(si, vim.VirtualMachine, "DC0_H0_VM0"), "vm"),
            "template": (template, "vm"),
            "vApp": (pool.CreateVApp("vapp", resources, vim.vApp.VAppConfigSpec(), self.dc.vmFolder), "vm"),
            "cluster": (self.dc.hostFolder.CreateClusterEx("empty", vim.cluster.ConfigSpecEx()), "host"),
            "standalone host": (host.parent, "host"),
            "datastore": (by_name(si, vim.Datastore, "LocalDS_0"), "datastore"),
            "datastore cluster": (self.dc.datastoreFolder.CreateStoragePod("moved pod"), "datastore"),
            "network": (by_name(si, vim.Network, "VM Network"), "network"),
            "pool": (pool.CreateResourcePool("pool", resources), None),
            "root pool": (pool, None),
            "root folder": (root, None),
            "fixed folder": (self.dc.vmFolder, None),
        }
        for holds, home in self.homes.items():
            things[f"folder of {holds}s"] = (home.CreateFolder("moved"), holds)
        self.things = things


def test_each_kind_moves_into_the_folders_that_hold_it_and_into_no_other(sim):
    place = Place(sim)
    si = place.si
    targets = {**place.folders, "pod": place.pod}
    found, expected = {}, {}
    for kind, (thing, holds) in place.things.items():
        for name, target in targets.items():
            fits = holds == name or (name == "pod" and kind == "datastore")
            expected[kind, name] = "done" if fits else "NotSupported"
            found[kind, name] = outcome(lambda: target.MoveIntoFolder_Task([thing]), si)
            if found[kind, name] == "done":
                parent = thing.parentFolder if kind == "vApp" else thing.parent
                assert parent == target, f"{kind} into {name}"
                wait(si, place.homes[holds].MoveIntoFolder_Task([thing]))
    assert found == expected


def test_a_folder_takes_neither_what_is_around_it_nor_a_second_of_a_name_nor_what_is_elsewhere(sim):
    place = Place(sim)
    si = place.si
    elsewhere = {"vm": place.other.vmFolder, "host": place.other.hostFolder, "datastore": place.other.datastoreFolder,
                 "network": place.other.networkFolder}
    for kind, (thing, holds) in place.things.items():
        if holds is None:
            continue
        if holds in elsewhere:
            assert outcome(lambda: elsewhere[holds].MoveIntoFolder_Task([thing]), si) == "InvalidFolder", kind
        if kind.startswith("folder"):
            inner = thing.CreateFolder("inner")
            for target in (thing, inner):
                assert outcome(lambda: target.MoveIntoFolder_Task([thing]), si) == "InvalidFolder", kind
            # A folder and an object of the same kind share the names of their folder.
            place.folders[holds].CreateFolder("moved")
            assert outcome(lambda: place.folders[holds].MoveIntoFolder_Task([thing]), si) == "DuplicateName", kind
    # All or nothing: the second does not fit, so the first stays.
    vm, pool = place.things["vm"][0], place.things["pool"][0]
    assert outcome(lambda: place.folders["vm"].MoveIntoFolder_Task([vm, pool]), si) == "NotSupported"
    assert vm.parent == place.dc.vmFolder


def test_a_host_leaves_its_cluster_in_maintenance_mode_and_stays_in_its_datacenter(sim):
    place = Place(sim)
    si, to = place.si, place.folders["host"]
    host = by_name(si, vim.HostSystem, "DC0_C0_H2")
    cluster = host.parent
    for vm in host.vm:
        wait(si, vm.PowerOffVM_Task())
    assert outcome(lambda: to.MoveIntoFolder_Task([host]), si) == "InvalidState"
    assert outcome(lambda: place.folders["vm"].MoveIntoFolder_Task([host]), si) == "NotSupported"
    assert outcome(lambda: host.Destroy_Task(), si) == "InvalidState"
    wait(si, host.EnterMaintenanceMode_Task(0))
    assert outcome(lambda: place.other.hostFolder.MoveIntoFolder_Task([host]), si) == "InvalidState"
    assert outcome(lambda: to.MoveIntoFolder_Task([host]), si) == "done"
    assert host.parent.parent == to and host not in cluster.host
    assert outcome(lambda: cluster.MoveInto_Task([host]), si) == "done"
    assert host.parent == cluster
    elsewhere = place.other.hostFolder.CreateClusterEx("elsewhere", vim.cluster.ConfigSpecEx())
    assert outcome(lambda: elsewhere.MoveInto_Task([host]), si) == "NotSupported"
    assert outcome(lambda: host.Destroy_Task(), si) == "done"


def test_each_kind_takes_a_name_that_is_free_and_valid(sim):
    place = Place(sim)
    si = place.si
    fixed = {"root pool", "root folder", "fixed folder", "network"}
    for kind, (thing, holds) in place.things.items():
        old = thing.name
        if kind in fixed:
            assert outcome(lambda: thing.Rename_Task("new"), si) == "NotSupported", kind
            continue
        for bad in ("", " ", "a\nb", "x" * 81):
            assert outcome(lambda: thing.Rename_Task(bad), si) == "InvalidName", (kind, bad)
        assert outcome(lambda: thing.Rename_Task("a/b%2f\\c"), si) == "done", kind
        assert thing.name == "a%2fb%2f%5cc"
        if holds and kind != "datastore":
            place.homes[holds].CreateFolder("taken")
            assert outcome(lambda: thing.Rename_Task("taken"), si) == "DuplicateName", kind
            by_path = [child for child in place.homes[holds].childEntity if child.name == "taken"]
            wait(si, by_path[0].Destroy_Task())
        assert outcome(lambda: thing.Rename_Task(old), si) == "done", kind
    assert outcome(lambda: by_name(si, vim.HostSystem, "DC0_H0").Rename_Task("new"), si) == "NotSupported"


def test_what_is_in_use_is_not_removed_and_what_is_empty_is(sim):
    place = Place(sim)
    si = place.si
    things = {kind: thing for kind, (thing, _) in place.things.items()}
    cluster = by_name(si, vim.ClusterComputeResource, "DC0_C0")
    inside = place.folders["host"]
    wait(si, inside.MoveIntoFolder_Task([things["standalone host"]]))
    for thing, fault in (
        (place.dc, "ResourceInUse"), (cluster, "ResourceInUse"), (inside, "ResourceInUse"),
        (things["datastore"], "ResourceInUse"), (things["network"], "NotSupported"), (things["root pool"], "NotSupported"),
        (things["root folder"], "NotSupported"), (things["fixed folder"], "NotSupported"),
        (things["vm"], "InvalidPowerState"), (cluster.host[0], "InvalidState"),
    ):
        assert outcome(lambda: thing.Destroy_Task(), si) == fault, thing
    gone = [things[kind] for kind in things if kind.startswith("folder")]
    gone += [things[kind] for kind in ("datacenter", "template", "vApp", "cluster", "datastore cluster", "pool")]
    gone += [place.folders["vm"], place.pod, things["standalone host"], inside]
    for thing in gone:
        name = thing.name
        assert outcome(lambda: thing.Destroy_Task(), si) == "done", name
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            thing.name
    assert not [vm for vm in all_of(si, vim.VirtualMachine) if vm.name.startswith("DC0_H0")]
