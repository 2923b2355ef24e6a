"""Resource pools on a center and on a host without one: the same methods, faults and commands."""
import json

import pytest
from conftest import command_line
from pyVmomi import vim, vmodl
from vsphere import all_of, wait

BOTH = pytest.mark.parametrize("where", ["sim", "esx"])


def part(reservation=0, limit=-1, expandable=True, level="normal", shares=0):
    return vim.ResourceAllocationInfo(reservation=reservation, expandableReservation=expandable, limit=limit,
                                      shares=vim.SharesInfo(level=level, shares=shares))


def spec(cpu=None, memory=None):
    return vim.ResourceConfigSpec(cpuAllocation=cpu or part(), memoryAllocation=memory or part())


@pytest.fixture
def place(request, where):
    """A connection, and the root pool of a host."""
    si = request.getfixturevalue(where).connect()
    host = next(host for host in all_of(si, vim.HostSystem) if not isinstance(host.parent, vim.ClusterComputeResource))
    return si, host.parent.resourcePool


@BOTH
def test_pools_are_made_changed_moved_and_removed_with_their_vms(place):
    si, root = place
    gold = root.CreateResourcePool("gold", spec())
    inner = gold.CreateResourcePool("inner", spec(memory=part(reservation=64, level="high")))
    assert inner.parent == gold and inner.owner == root.owner and list(gold.resourcePool) == [inner]
    assert inner.config.memoryAllocation.reservation == 64
    assert inner.config.memoryAllocation.shares.shares == 327680
    assert gold.runtime.memory.reservationUsed == 64 << 20
    with pytest.raises(vim.fault.DuplicateName):
        root.CreateResourcePool("gold", spec())
    vm = all_of(si, vim.VirtualMachine, root.owner)[0] if root.vm == [] else root.vm[0]
    inner.MoveIntoResourcePool([vm])
    assert vm.resourcePool == inner and list(inner.vm) == [vm]
    assert inner.summary.configuredMemoryMB == vm.config.hardware.memoryMB
    with pytest.raises(vmodl.fault.InvalidArgument):
        inner.MoveIntoResourcePool([gold])
    wait(si, inner.Rename_Task("silver"))
    inner.UpdateConfig(None, spec(cpu=part(limit=500)))
    assert inner.name == "silver" and inner.config.cpuAllocation.limit == 500
    gold.UpdateChildResourceConfiguration([vim.ResourceConfigSpec(
        entity=inner, cpuAllocation=part(limit=600), memoryAllocation=part())])
    assert inner.config.cpuAllocation.limit == 600
    wait(si, gold.Destroy_Task())
    assert inner.parent == root
    root.DestroyChildren()
    assert vm.resourcePool == root and list(root.resourcePool) == []


@BOTH
def test_a_pool_reserves_no_more_than_its_parent_has(place):
    _, root = place
    fixed = root.CreateResourcePool("fixed", spec(memory=part(reservation=100, expandable=False)))
    with pytest.raises(vim.fault.InsufficientMemoryResourcesFault):
        fixed.CreateResourcePool("more", spec(memory=part(reservation=101)))
    inner = fixed.CreateResourcePool("all", spec(memory=part(reservation=100)))
    with pytest.raises(vim.fault.InsufficientResourcesFault):
        inner.UpdateConfig(None, spec(memory=part(reservation=101)))
    with pytest.raises(vim.fault.InsufficientResourcesFault):
        fixed.UpdateConfig(None, spec(memory=part(reservation=99, expandable=False)))
    assert inner.config.memoryAllocation.reservation == 100


@BOTH
def test_a_vm_is_made_in_a_pool(place, where):
    si, root = place
    pool = root.CreateResourcePool("made", spec())
    datastore = root.owner.datastore[0] if root.owner.datastore else all_of(si, vim.Datastore)[0]
    config = vim.vm.ConfigSpec(name="in-a-pool", memoryMB=64, numCPUs=1, guestId="otherGuest64",
                               files=vim.vm.FileInfo(vmPathName=f"[{datastore.name}]"))
    vm = wait(si, pool.CreateChildVM_Task(config))
    assert vm.resourcePool == pool and list(pool.vm) == [vm]
    wait(si, vm.Destroy_Task())
    assert list(pool.vm) == []


@BOTH
def test_pools_are_managed_by_the_command_line(request, tmp_path, where):
    esfera = command_line(request.getfixturevalue(where), tmp_path)

    def pools():
        return {pool["path"]: pool for pool in json.loads(esfera("pool", "ls", "--json").stdout)}

    top = sorted(pools())[-1]
    added = esfera("pool", "add", "gold", "--in", top, "--memory-reservation", "64", "--cpu-limit", "1000")
    assert added.returncode == 0, added
    inner = esfera("pool", "add", "inner", "--in", f"{top}/gold")
    assert inner.returncode == 0, inner
    gold = pools()[f"{top}/gold"]
    assert (gold["id"], gold["memory_reservation"], gold["cpu_limit"]) == (added.stdout.strip(), 64, 1000)
    assert esfera("pool", "set", "gold", "--name", "silver", "--cpu-limit", "-1").returncode == 0
    silver = pools()[f"{top}/silver"]
    assert (silver["memory_reservation"], silver["cpu_limit"]) == (64, None), "what is not named stays"
    assert f"{top}/silver/inner" in pools()
    assert esfera("pool", "rm", "silver").returncode == 0
    assert f"{top}/inner" in pools()
    missing = esfera("pool", "rm", "silver")
    assert missing.returncode == 3 and "silver" in missing.stderr, missing
    assert esfera("pool", "rm", inner.stdout.strip()).returncode == 0
