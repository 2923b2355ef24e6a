"""The inventory in the automation API: lists by filters, VMs through their lives, tasks, the OpenAPI document; by REST and the official SDK."""
import time

import pytest
from com.vmware.vapi.std.errors_client import AlreadyInDesiredState, NotFound, Unauthorized
from com.vmware.vcenter.vm.hardware_client import Cpu, Memory
from com.vmware.vcenter_client import VM, Cluster, Datastore, Folder, Host, Network, ResourcePool
from pyVmomi import vim
from test_ansible import play
from test_automation import rest, sdk  # noqa: F401


@pytest.fixture
def api(sim, rest):  # noqa: F811
    _, key = rest("POST", "/api/session", auth=(sim.user, sim.password))
    return lambda method, path, **more: rest(method, "/api" + path, key, **more)


def by_soap(sim, ty):
    """Ids of all objects of the type by their names."""
    content = sim.connect().content
    view = content.viewManager.CreateContainerView(content.rootFolder, [ty], True)
    return {one.name: one._GetMoId() for one in view.view}


def test_lists_have_what_the_vsphere_api_has(sim, api):
    for path, ty, key in [
        ("vm", vim.VirtualMachine, "vm"), ("host", vim.HostSystem, "host"), ("cluster", vim.ClusterComputeResource, "cluster"),
        ("datastore", vim.Datastore, "datastore"), ("network", vim.Network, "network"), ("datacenter", vim.Datacenter, "datacenter"),
        ("resource-pool", vim.ResourcePool, "resource_pool"),
    ]:
        status, listed = api("GET", f"/vcenter/{path}")
        assert status == 200, listed
        assert {one["name"]: one[key] for one in listed} == by_soap(sim, ty), path
        name = listed[0]["name"]
        assert all(one["name"] == name for one in api("GET", f"/vcenter/{path}?names={name}")[1])
        assert api("GET", f"/vcenter/{path}?names=none-such")[1] == []
    status, folders = api("GET", "/vcenter/folder?type=VIRTUAL_MACHINE")
    assert status == 200 and {one["type"] for one in folders} == {"VIRTUAL_MACHINE"}


def test_vms_are_filtered_by_place_and_state(sim, api):
    hosts, clusters = by_soap(sim, vim.HostSystem), by_soap(sim, vim.ClusterComputeResource)
    names = lambda query: {one["name"] for one in api("GET", f"/vcenter/vm?{query}")[1]}  # noqa: E731
    everything = names("")
    lone = names(f"hosts={hosts['DC0_H0']}")
    assert lone and all(name.startswith("DC0_H0") for name in lone)
    assert names(f"clusters={clusters['DC0_C0']}") == everything - lone
    assert names("power_states=POWERED_ON") | names("power_states=POWERED_OFF") == everything
    assert names(f"hosts={hosts['DC0_H0']}&names=DC0_H0_VM0&names=x") == {"DC0_H0_VM0"}
    status, error = api("GET", "/vcenter/vm?power_states=ON")
    assert status == 400 and error["error_type"] == "INVALID_ARGUMENT"


def test_the_official_sdk_reads_the_inventory(sim):
    client = sdk(sim)
    vcenter = client.vcenter
    cluster = vcenter.Cluster.list(Cluster.FilterSpec(names={"DC0_C0"}))[0]
    assert vcenter.Cluster.get(cluster.cluster).resource_pool
    assert all(host.connection_state == Host.ConnectionState.CONNECTED for host in vcenter.Host.list())
    store = vcenter.Datastore.list(Datastore.FilterSpec(names={"LocalDS_0"}))[0]
    assert store.capacity > store.free_space > 0 and vcenter.Datastore.get(store.datastore).accessible
    assert vcenter.Network.list(Network.FilterSpec(types={Network.Type.STANDARD_PORTGROUP}))
    assert vcenter.Folder.list(Folder.FilterSpec(type=Folder.Type.HOST))
    machine = vcenter.VM.list(VM.FilterSpec(names={"DC0_H0_VM0"}))[0]
    shown = vcenter.VM.get(machine.vm)
    assert (shown.name, shown.cpu.count, shown.memory.size_mib) == ("DC0_H0_VM0", machine.cpu_count, machine.memory_size_mib)
    assert shown.disks and shown.nics and shown.identity.instance_uuid
    for key, nic in shown.nics.items():
        assert vcenter.vm.hardware.Ethernet.get(machine.vm, key).mac_address == nic.mac_address
    with pytest.raises(NotFound):
        vcenter.VM.get("vm-99999")


def test_a_vm_is_made_changed_run_and_removed(sim, api):
    folder = next(one["folder"] for one in api("GET", "/vcenter/folder?type=VIRTUAL_MACHINE")[1])
    host = api("GET", "/vcenter/host?names=DC0_H0")[1][0]["host"]
    store = api("GET", "/vcenter/datastore?names=LocalDS_0")[1][0]["datastore"]
    network = api("GET", "/vcenter/network?types=STANDARD_PORTGROUP")[1][0]["network"]
    backing = {"type": "STANDARD_PORTGROUP", "network": network}
    spec = {
        "name": "made", "guest_OS": "OTHER_LINUX_64", "placement": {"folder": folder, "host": host, "datastore": store},
        "cpu": {"count": 2}, "memory": {"size_MiB": 512},
        "disks": [{"new_vmdk": {"capacity": 1 << 30}}], "nics": [{"backing": backing}],
    }
    status, vm = api("POST", "/vcenter/vm", json=spec)
    assert status == 201, vm
    status, info = api("GET", f"/vcenter/vm/{vm}")
    assert (info["name"], info["cpu"]["count"], info["memory"]["size_MiB"]) == ("made", 2, 512)
    assert info["guest_OS"] == "OTHER_LINUX_64" and info["power_state"] == "POWERED_OFF"
    [disk] = info["disks"].values()
    assert disk["capacity"] == 1 << 30 and disk["type"] == "SCSI"
    hardware = f"/vcenter/vm/{vm}/hardware"
    assert api("PATCH", f"{hardware}/cpu", json={"count": 4}) == (204, None)
    assert api("PATCH", f"{hardware}/memory", json={"size_MiB": 1024}) == (204, None)
    assert api("GET", f"{hardware}/cpu")[1]["count"] == 4 and api("GET", f"{hardware}/memory")[1]["size_MiB"] == 1024
    status, second = api("POST", f"{hardware}/disk", json={"new_vmdk": {"capacity": 2 << 30}})
    assert status == 201, second
    assert api("GET", f"{hardware}/disk/{second}")[1]["capacity"] == 2 << 30
    assert api("DELETE", f"{hardware}/disk/{second}") == (204, None)
    status, nic = api("POST", f"{hardware}/ethernet", json={"backing": backing, "type": "E1000E"})
    assert status == 201, nic
    assert api("GET", f"{hardware}/ethernet/{nic}")[1]["type"] == "E1000E"
    assert api("DELETE", f"{hardware}/ethernet/{nic}") == (204, None)
    status, drive = api("POST", f"{hardware}/cdrom", json={"type": "SATA", "backing": {"type": "CLIENT_DEVICE"}})
    assert status == 201, drive
    assert api("GET", f"{hardware}/cdrom/{drive}")[1]["sata"] == {"bus": 0, "unit": 0}
    assert api("POST", f"/vcenter/vm/{vm}/power?action=start") == (204, None)
    status, error = api("POST", f"/vcenter/vm/{vm}/power?action=start")
    assert status == 400 and error["error_type"] == "ALREADY_IN_DESIRED_STATE"
    assert api("GET", f"/vcenter/vm/{vm}/power")[1]["state"] == "POWERED_ON"
    status, error = api("DELETE", f"/vcenter/vm/{vm}")
    assert status == 400 and error["error_type"] == "NOT_ALLOWED_IN_CURRENT_STATE"
    assert api("POST", f"/vcenter/vm/{vm}/power?action=suspend") == (204, None)
    assert api("POST", f"/vcenter/vm/{vm}/power/start") == (204, None)
    assert api("POST", f"/vcenter/vm/{vm}/power?action=reset") == (204, None)
    assert api("POST", f"/vcenter/vm/{vm}/power?action=stop") == (204, None)
    status, tasks = api("GET", "/cis/tasks?operations=powerOn&status=SUCCEEDED")
    assert status == 200 and {"type": "VirtualMachine", "id": vm} in [task["target"] for task in tasks.values()]
    assert api("DELETE", f"/vcenter/vm/{vm}") == (204, None)
    assert api("GET", f"/vcenter/vm/{vm}")[0] == 404


def test_a_user_sees_and_changes_what_his_permissions_allow(sim):
    si = sim.connect()
    mine = by_soap(sim, vim.VirtualMachine)["DC0_H0_VM0"]
    si.content.accountManager.CreateUser(vim.host.LocalAccountManager.AccountSpecification(id="eve", password="Test!1234"))
    rule = vim.AuthorizationManager.Permission(principal="VSPHERE.LOCAL\\eve", group=False, roleId=-2, propagate=True)
    si.content.authorizationManager.SetEntityPermissions(vim.VirtualMachine(mine, si._stub), [rule])
    # A client that is collected ends its session, so it is kept.
    client = sdk(sim, "eve@vsphere.local", "Test!1234")
    eve = client.vcenter
    assert [one.vm for one in eve.VM.list()] == [mine] and eve.Host.list() == []
    for ask in (
        lambda: eve.vm.Power.stop(mine),
        lambda: eve.VM.delete(mine),
        lambda: eve.vm.hardware.Cpu.update(mine, Cpu.UpdateSpec(count=8)),
        lambda: eve.vm.hardware.Memory.update(mine, Memory.UpdateSpec(size_mib=64)),
        lambda: eve.VM.get(by_soap(sim, vim.VirtualMachine)["DC0_H0_VM1"]),
    ):
        with pytest.raises(Unauthorized):
            ask()


def test_datacenters_and_pools_are_made_and_removed(sim):
    client = sdk(sim)
    vcenter = client.vcenter
    made = vcenter.Datacenter.create(vcenter.Datacenter.CreateSpec(name="DC9", folder=None))
    assert vcenter.Datacenter.get(made).name == "DC9"
    vcenter.Datacenter.delete(made)
    with pytest.raises(NotFound):
        vcenter.Datacenter.get(made)
    parent = vcenter.Cluster.get(vcenter.Cluster.list()[0].cluster).resource_pool
    pool = vcenter.ResourcePool.create(ResourcePool.CreateSpec(name="gold", parent=parent))
    shown = vcenter.ResourcePool.get(pool)
    assert shown.name == "gold" and shown.cpu_allocation.limit == -1 and shown.memory_allocation.expandable_reservation
    update = ResourcePool.UpdateSpec(name="silver", cpu_allocation=ResourcePool.ResourceAllocationUpdateSpec(limit=2000))
    vcenter.ResourcePool.update(pool, update)
    shown = vcenter.ResourcePool.get(pool)
    assert shown.name == "silver" and shown.cpu_allocation.limit == 2000
    vcenter.ResourcePool.delete(pool)
    with pytest.raises(NotFound):
        vcenter.ResourcePool.get(pool)


def test_the_sdk_switches_a_vm_on_and_off(sim):
    client = sdk(sim)
    power = client.vcenter.vm.Power
    machine = client.vcenter.VM.list(VM.FilterSpec(names={"DC0_H0_VM0"}))[0]
    with pytest.raises(AlreadyInDesiredState):
        power.start(machine.vm)
    power.stop(machine.vm)
    assert power.get(machine.vm).state == "POWERED_OFF"
    power.start(machine.vm)


def test_the_center_tells_its_version_and_time(sim, api):
    status, version = api("GET", "/appliance/system/version")
    assert status == 200 and version["version"] == sim.connect().content.about.version
    status, now = api("GET", "/appliance/system/time")
    assert status == 200 and abs(now["seconds_since_epoch"] - time.time()) < 3600 and now["timezone"] == "UTC"
    assert api("GET", "/appliance/health/database")[1]["status"] == "HEALTHY"


def test_the_openapi_document_describes_what_is_served(sim, rest, api):  # noqa: F811
    assert rest("GET", "/api/openapi.json")[0] == 401
    status, document = api("GET", "/openapi.json")
    assert status == 200 and document["openapi"].startswith("3.")
    assert "/vcenter/vm/{vm}/power?action=start" in document["paths"]
    names = [way["operationId"] for ways in document["paths"].values() for way in ways.values()]
    assert len(names) == len(set(names)) > 140


def test_modules_that_read_by_the_automation_api_run(sim, tmp_path):
    assert play("rest_info.yml", sim, tmp_path) == []
