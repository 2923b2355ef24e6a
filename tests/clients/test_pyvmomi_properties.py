"""Every property of every object that a client can reach is readable and well-formed, through a center and on a host.

pyVmomi checks each answer against its own copy of the schema: an unknown field, an enum without a value or a value of
another type is an error there.
"""
import pytest
from pyVmomi import VmomiSupport, vim, vmodl

from vsphere import all_of, by_name, new_vm_spec, wait

PER_KIND = 4


def properties(thing):
    """The properties that the negotiated release has."""
    release = thing._stub.version
    return [prop for prop in thing._GetPropertyList() if VmomiSupport.IsChildVersion(release, prop.version)]


def references(value):
    if isinstance(value, VmomiSupport.ManagedObject):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, VmomiSupport.DataObject):
        for prop in value._GetPropertyList():
            yield from references(getattr(value, prop.name))


def missing_fields(value, path):
    """Fields of a data object that must be set and are unset."""
    if isinstance(value, list):
        for item in value:
            yield from missing_fields(item, path)
    elif isinstance(value, VmomiSupport.DataObject):
        name = type(value).__name__
        for prop in value._GetPropertyList():
            field = getattr(value, prop.name)
            optional = prop.flags & VmomiSupport.F_OPTIONAL or isinstance(field, list)
            if field is None and not optional and not prop.name.startswith("dynamic"):
                yield f"{path}: {name}.{prop.name}"
            if not isinstance(value, vmodl.MethodFault):
                yield from missing_fields(field, path)


# They speak of the past: what they name may have been removed.
HISTORY = {"vim.Task", "vim.event.EventManager", "vim.event.EventHistoryCollector", "vim.TaskHistoryCollector"}


def walk(si, *first):
    """Reads all connected objects, these first, at most PER_KIND of a kind; returns the missing fields."""
    todo, seen, kinds, missing, broken = [si, *first], {thing._moId for thing in (si, *first)}, {}, [], []
    past = set()
    for kind in (vim.ManagedEntity,):
        todo += all_of(si, kind)
    while todo:
        thing = todo.pop(0)
        kind = type(thing).__name__
        if kinds.get(kind, 0) >= PER_KIND:
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
        for prop in properties(thing):
            path = f"{kind}.{prop.name}"
            try:
                value = getattr(thing, prop.name)
            except Exception as error:
                if isinstance(error, vmodl.fault.ManagedObjectNotFound) and thing._moId in past:
                    break
                broken.append(f"{path}: {error!r}"[:400])
                continue
            if value is None and not prop.flags & VmomiSupport.F_OPTIONAL:
                missing.append(path)
            missing += missing_fields(value, path)
            for found in references(value):
                if found._moId not in seen:
                    seen.add(found._moId)
                    if kind in HISTORY:
                        past.add(found._moId)
                    todo.append(found)
    assert not broken, "\n".join(sorted(set(broken)))
    return kinds, sorted(set(missing))


@pytest.mark.parametrize("server", ["sim", "esx"])
def test_every_property_of_everything_can_be_read(server, request):
    si = request.getfixturevalue(server).connect()
    host = all_of(si, vim.HostSystem)[0]
    folder = all_of(si, vim.Datacenter)[0].vmFolder
    spec = new_vm_spec("all", host.datastore[0].name, disk_gib=1, network="VM Network")
    vm = wait(si, folder.CreateVM_Task(config=spec, pool=host.parent.resourcePool, host=host))
    wait(si, vm.PowerOnVM_Task())
    wait(si, vm.CreateSnapshot_Task("one", "first", memory=False, quiesce=False))
    kinds, missing = walk(si, vm)
    assert {"vim.VirtualMachine", "vim.HostSystem", "vim.vm.Snapshot", "vim.Datastore", "vim.Task"} <= set(kinds)
    assert not missing, "required and unset:\n" + "\n".join(missing)
