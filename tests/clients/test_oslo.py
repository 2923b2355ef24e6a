"""oslo.vmware, which reads our WSDL, pages through an inventory and polls tasks."""
from oslo_vmware import api, vim_util


def session(server):
    return api.VMwareAPISession(server.address, server.user, server.password, 3, 0.1, scheme=server.scheme,
                                port=server.port, insecure=True)


def test_the_inventory_is_read_by_the_recursive_traversal_in_pages(make_sim):
    server = make_sim("--vms", "5")
    with_oslo = session(server)
    names = set()
    result = with_oslo.invoke_api(vim_util, "get_objects", with_oslo.vim, "VirtualMachine", 3, ["name"])
    while result:
        for item in result.objects:
            names.add(item.propSet[0].val)
        result = with_oslo.invoke_api(vim_util, "continue_retrieval", with_oslo.vim, result)
    assert names == {f"DC0_H0_VM{n}" for n in range(5)} | {f"DC0_C0_RP0_VM{n}" for n in range(5)}


def test_a_vm_is_turned_off_and_the_task_is_polled(sim):
    with_oslo = session(sim)
    result = with_oslo.invoke_api(vim_util, "get_objects", with_oslo.vim, "VirtualMachine", 100, ["name"])
    vm = next(item.obj for item in result.objects if item.propSet[0].val == "DC0_H0_VM0")
    task = with_oslo.invoke_api(with_oslo.vim, "PowerOffVM_Task", vm)
    assert with_oslo.wait_for_task(task).state == "success"
    state = with_oslo.invoke_api(vim_util, "get_object_property", with_oslo.vim, vm, "runtime.powerState")
    assert state == "poweredOff"
