"""The promises of the simulator's command line: counts, plain HTTP, users, a start in the blink of an eye."""
import time

import requests
from pyVim import connect
from pyVmomi import vim, vmodl

from vsphere import all_of, by_name, wait

requests.packages.urllib3.disable_warnings()


def read(si, kind, paths):
    """Properties of all objects of a kind in one call, as tools for many VMs request them."""
    query = vmodl.query.PropertyCollector
    view = si.content.viewManager.CreateContainerView(si.content.rootFolder, [kind], True)
    path = query.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
    spec = query.FilterSpec(objectSet=[query.ObjectSpec(obj=view, skip=True, selectSet=[path])],
                            propSet=[query.PropertySpec(type=kind, pathSet=paths)])
    collector, objects = si.content.propertyCollector, []
    page = collector.RetrievePropertiesEx([spec], query.RetrieveOptions(maxObjects=700))
    while page:
        objects += page.objects
        page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
    view.Destroy()
    return [{found.name: found.val for found in thing.propSet} for thing in objects]


def test_plain_http_serves_what_tls_does(make_sim):
    server = make_sim("--plain")
    assert server.scheme == "http"
    si = connect.SmartConnect(protocol="http", host=server.address, port=server.port, user=server.user,
                              pwd=server.password)
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    wait(si, vm.PowerOffVM_Task())
    assert vm.runtime.powerState == "poweredOff"
    listing = requests.get(f"{server.url}/folder", params={"dcPath": "DC0", "dsName": "LocalDS_0"},
                           auth=(server.user, server.password))
    assert listing.status_code == 200 and "DC0_H0_VM0" in listing.text


def test_counts_user_and_password_are_those_of_the_command_line(make_sim):
    server = make_sim("--datacenters", "2", "--clusters", "2", "--hosts", "1", "--standalone-hosts", "2",
                      "--vms", "3", "--user", "me@vsphere.local", "--password", "mine")
    assert server.user == "me@vsphere.local" and server.password == "mine"
    si = server.connect()
    count = {kind.__name__: len(all_of(si, kind))
             for kind in (vim.Datacenter, vim.ClusterComputeResource, vim.HostSystem, vim.VirtualMachine)}
    assert count == {"vim.Datacenter": 2, "vim.ClusterComputeResource": 4, "vim.HostSystem": 8,
                     "vim.VirtualMachine": 24}
    assert {dc.name for dc in all_of(si, vim.Datacenter)} == {"DC0", "DC1"}
    assert by_name(si, vim.HostSystem, "DC1_C1_H0").parent.name == "DC1_C1"


def test_the_default_inventory_is_there_from_the_first_answer_on(make_sim):
    begin = time.monotonic()
    server = make_sim()
    ready = time.monotonic()
    si = server.connect()
    vms = read(si, vim.VirtualMachine, ["name"])
    print(f"ready after {(ready - begin) * 1000:.0f} ms, first list after {(time.monotonic() - begin) * 1000:.0f} ms")
    assert len(vms) == 4


def test_two_thousand_vms_are_made_listed_and_driven(make_sim):
    begin = time.monotonic()
    server = make_sim("--vms", "1000")
    print(f"ready after {time.monotonic() - begin:.1f} s")
    si = server.connect()
    begin = time.monotonic()
    vms = read(si, vim.VirtualMachine, ["name", "runtime.powerState", "summary.config"])
    print(f"read after {time.monotonic() - begin:.1f} s")
    assert len({vm["name"] for vm in vms}) == 2000
    assert {vm["runtime.powerState"] for vm in vms} == {"poweredOn"}
    assert all(vm["summary.config"].numCpu == 1 for vm in vms)
    vm = si.content.searchIndex.FindByInventoryPath("DC0/vm/DC0_H0_VM999")
    wait(si, vm.PowerOffVM_Task())
    states = [vm["runtime.powerState"] for vm in read(si, vim.VirtualMachine, ["runtime.powerState"])]
    assert states.count("poweredOff") == 1
