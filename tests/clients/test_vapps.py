"""vApps on the center: made, configured, started and stopped in their order, moved, removed."""
import pytest
from pyVmomi import vim, vmodl
from vsphere import all_of, by_name, new_vm_spec, wait

SHARES = vim.SharesInfo(level="normal", shares=0)


def resources():
    def allocation():
        return vim.ResourceAllocationInfo(reservation=0, limit=-1, expandableReservation=True, shares=SHARES)
    return vim.ResourceConfigSpec(cpuAllocation=allocation(), memoryAllocation=allocation())


def dc(si):
    return by_name(si, vim.Datacenter, "DC0")


def root_pool(si):
    return by_name(si, vim.ClusterComputeResource, "DC0_C0").resourcePool


def new_vapp(si, name, parent=None, folder="vm", **config):
    parent = parent or root_pool(si)
    folder = dc(si).vmFolder if folder == "vm" else folder
    return parent.CreateVApp(name, resources(), vim.vApp.VAppConfigSpec(**config), folder)


def new_vm(si, vapp, name):
    return wait(si, vapp.CreateChildVM_Task(new_vm_spec(name, "LocalDS_0"), None))


def entity(vm, **settings):
    return vim.vApp.EntityConfigInfo(key=vm, **settings)


def starts(si, vms):
    """The names of these VMs in the order in which they were powered on."""
    events = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(eventTypeId=["vim.event.VmPoweredOnEvent"]))
    events.sort(key=lambda event: event.key)
    return [event.vm.name for event in events if event.vm.vm in vms]


def test_a_vm_in_a_vapp_has_the_vapp_in_place_of_a_folder(sim):
    si = sim.connect()
    vapp = new_vapp(si, "shop", annotation="sells")
    assert vapp._moId.startswith("resgroup-v") and vapp.parentFolder == dc(si).vmFolder
    assert vapp.parent == root_pool(si) and vapp in dc(si).vmFolder.childEntity
    assert vapp.vAppConfig.annotation == "sells" and vapp.summary.vAppState == "stopped"
    web = new_vm(si, vapp, "web")
    assert web.parent is None and web.parentVApp == vapp and web.resourcePool == vapp
    assert list(vapp.vm) == [web] and web not in dc(si).vmFolder.childEntity
    assert [config.key for config in vapp.vAppConfig.entityConfig] == [web]
    assert [store.name for store in vapp.datastore] == ["LocalDS_0"]
    assert web in all_of(si, vim.VirtualMachine)
    assert si.content.searchIndex.FindByInventoryPath("DC0/vm/shop/web") == web
    # The name is free in the folder, and taken in the vApp.
    other = wait(si, dc(si).vmFolder.CreateVM_Task(new_vm_spec("web", "LocalDS_0"), root_pool(si)))
    with pytest.raises(vim.fault.DuplicateName):
        wait(si, vapp.CreateChildVM_Task(new_vm_spec("web", "LocalDS_0"), None))
    with pytest.raises(vim.fault.DuplicateName):
        root_pool(si).MoveIntoResourcePool([web])
    wait(si, other.Rename_Task("other"))
    root_pool(si).MoveIntoResourcePool([web])
    assert web.parent == dc(si).vmFolder and web.parentVApp is None and not vapp.vm and not vapp.vAppConfig.entityConfig
    vapp.MoveIntoResourcePool([web])
    assert web.parentVApp == vapp
    wait(si, dc(si).vmFolder.MoveIntoFolder_Task([web]))
    assert web.parentVApp is None and web.resourcePool == root_pool(si)


def test_a_vapp_starts_and_stops_in_its_order(sim):
    si = sim.connect()
    vapp = new_vapp(si, "shop")
    db, app, web, spare = (new_vm(si, vapp, name) for name in ("db", "app", "web", "spare"))
    order = [entity(db, startOrder=1, startDelay=0, stopDelay=0), entity(app, startOrder=2, startDelay=1, stopDelay=0),
             entity(web, startOrder=3, startDelay=0, stopAction="suspend"), entity(spare, startOrder=0, startAction="none")]
    vapp.UpdateVAppConfig(vim.vApp.VAppConfigSpec(entityConfig=order))
    known = {config.key: config for config in vapp.vAppConfig.entityConfig}
    assert known[web].startOrder == 3 and known[web].stopAction == "suspend" and known[app].startDelay == 1
    wait(si, vapp.PowerOnVApp_Task())
    assert [vm.runtime.powerState for vm in (db, app, web, spare)] == ["poweredOn"] * 3 + ["poweredOff"]
    assert vapp.summary.vAppState == "started"
    assert starts(si, [db, app, web, spare]) == ["db", "app", "web"]
    with pytest.raises(vim.fault.InvalidPowerState):
        wait(si, vapp.Destroy_Task())
    wait(si, vapp.PowerOffVApp_Task(force=False))
    assert [vm.runtime.powerState for vm in (db, app, web)] == ["poweredOff", "poweredOff", "suspended"]
    assert vapp.summary.vAppState == "stopped" and vapp.summary.suspended
    with pytest.raises(vim.fault.InvalidState):
        wait(si, vapp.PowerOffVApp_Task(force=False))
    wait(si, vapp.PowerOnVApp_Task())
    wait(si, vapp.SuspendVApp_Task())
    assert {vm.runtime.powerState for vm in (db, app, web)} == {"suspended"} and vapp.summary.suspended
    wait(si, vapp.PowerOffVApp_Task(force=True))
    assert {vm.runtime.powerState for vm in vapp.vm} == {"poweredOff"}
    assert not vapp.summary.suspended


def test_the_configuration_of_a_vapp_is_kept_and_nonsense_refused(sim):
    si = sim.connect()
    vapp = new_vapp(si, "shop")
    product = vim.vApp.ProductSpec(operation="add", info=vim.vApp.ProductInfo(key=0, name="Shop", vendor="Example"))
    prop = vim.vApp.PropertySpec(operation="add", info=vim.vApp.PropertyInfo(key=1, id="port", type="int", value="80"))
    vapp.UpdateVAppConfig(vim.vApp.VAppConfigSpec(product=[product], property=[prop], eula=["be kind"],
                                                  managedBy=vim.ext.ManagedByInfo(extensionKey="com.example", type="shop")))
    config = vapp.vAppConfig
    assert config.product[0].vendor == "Example" and config.property[0].value == "80" and list(config.eula) == ["be kind"]
    assert vapp.summary.product.name == "Shop"
    assert list(si.content.extensionManager.QueryManagedBy("com.example")) == [vapp]
    edit = vim.vApp.ProductSpec(operation="edit", info=vim.vApp.ProductInfo(key=0, version="2"))
    vapp.UpdateVAppConfig(vim.vApp.VAppConfigSpec(product=[edit]))
    assert (vapp.vAppConfig.product[0].name, vapp.vAppConfig.product[0].version) == ("Shop", "2")
    stranger = all_of(si, vim.VirtualMachine)[0]
    for spec in (vim.vApp.VAppConfigSpec(product=[product]), vim.vApp.VAppConfigSpec(entityConfig=[entity(stranger)])):
        with pytest.raises(vmodl.fault.InvalidArgument):
            vapp.UpdateVAppConfig(spec)
    with pytest.raises(vim.fault.DuplicateName):
        new_vapp(si, "shop")
    with pytest.raises(vim.fault.InvalidName):
        new_vapp(si, "")
    with pytest.raises(vmodl.fault.NotSupported):
        vapp.CreateResourcePool("p", resources())


def test_vapps_lie_in_each_other_and_move(sim):
    si = sim.connect()
    outer, other = new_vapp(si, "outer"), new_vapp(si, "other")
    inner = new_vapp(si, "inner", parent=outer, folder=None)
    assert inner.parentFolder is None and inner.parentVApp == outer and list(outer.resourcePool) == [inner]
    vm = new_vm(si, inner, "deep")
    wait(si, outer.PowerOnVApp_Task())
    assert vm.runtime.powerState == "poweredOn" and outer.summary.vAppState == "started"
    wait(si, outer.PowerOffVApp_Task(force=True))
    with pytest.raises(vmodl.fault.InvalidArgument):
        inner.MoveIntoResourcePool([outer])
    other.MoveIntoResourcePool([inner])
    assert inner.parentVApp == other
    folder = dc(si).vmFolder.CreateFolder("apps")
    wait(si, folder.MoveIntoFolder_Task([other]))
    assert other.parentFolder == folder and other.parent == root_pool(si)
    root_pool(si).MoveIntoResourcePool([inner])
    assert inner.parentFolder == folder and inner.parentVApp is None
    root_pool(si).MoveIntoResourcePool([vm])
    assert vm.parent == folder
    wait(si, inner.Rename_Task("renamed"))
    assert inner.name == "renamed"
    wait(si, inner.Destroy_Task())
    inner_again = new_vapp(si, "inner", parent=outer, folder=None)
    child = new_vm(si, inner_again, "child")
    wait(si, outer.unregisterVApp_Task())
    assert child not in all_of(si, vim.VirtualMachine) and not [a for a in all_of(si, vim.VirtualApp) if a.name == "outer"]
    assert {app.name for app in all_of(si, vim.VirtualApp)} == {"other"}
    new_vm(si, other, "last")
    wait(si, folder.Destroy_Task())
    assert not all_of(si, vim.VirtualApp) and "last" not in {vm.name for vm in all_of(si, vim.VirtualMachine)}
