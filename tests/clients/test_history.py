"""The history: events with who, when and what, in the reader's language; tasks; both read in pages."""
import pytest
from pyVmomi import vim, vmodl

from vsphere import all_of, by_name, wait


def kinds(events):
    return [type(event).__name__.rpartition(".")[2] for event in events]


def newest(si, **filters):
    return si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(**filters))


def test_every_change_of_the_inventory_leaves_who_did_it(sim):
    si = sim.connect()
    me = si.content.sessionManager.currentSession.userName
    root = si.content.rootFolder
    begin = si.content.eventManager.latestEvent.key
    dc = root.CreateDatacenter("A")
    wait(si, dc.Rename_Task("B"))
    folder = dc.vmFolder.CreateFolder("f")
    cluster = dc.hostFolder.CreateClusterEx("C", vim.cluster.ConfigSpecEx())
    wait(si, cluster.ReconfigureComputeResource_Task(
        vim.cluster.ConfigSpecEx(drsConfig=vim.cluster.DrsConfigInfo(vmotionRate=2)), True))
    allocation = vim.ResourceAllocationInfo(reservation=0, expandableReservation=True, limit=-1,
                                            shares=vim.SharesInfo(level="normal", shares=4000))
    pools = [cluster.resourcePool.CreateResourcePool(
        name, vim.ResourceConfigSpec(cpuAllocation=allocation, memoryAllocation=allocation)) for name in "pq"]
    pools[0].MoveIntoResourcePool([pools[1]])
    wait(si, pools[1].Destroy_Task())
    wait(si, cluster.Destroy_Task())
    wait(si, folder.Destroy_Task())
    wait(si, dc.Destroy_Task())
    events = [event for event in newest(si) if event.key > begin]
    assert [kind for kind in kinds(events) if kind != "EventEx"] == [
        "DatacenterCreatedEvent", "DatacenterRenamedEvent", "ClusterCreatedEvent", "ClusterReconfiguredEvent",
        "ResourcePoolCreatedEvent", "ResourcePoolCreatedEvent", "ResourcePoolMovedEvent",
        "ResourcePoolDestroyedEvent", "ClusterDestroyedEvent"]
    assert {event.eventTypeId for event in events if isinstance(event, vim.event.EventEx)} == {
        "esfera.folder.created", "esfera.folder.removed", "esfera.datacenter.removed"}
    assert {event.userName for event in events} == {me}
    renamed = events[1]
    assert renamed.fullFormattedMessage == "Renamed datacenter from A to B"
    tasks = {task.info.eventChainId for task in si.content.taskManager.recentTask}
    assert renamed.chainId in tasks, "the event is chained to its task"


def test_events_of_a_host_are_chained_to_the_task_at_the_center(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    task = vm.PowerOffVM_Task()
    wait(si, task)
    for _ in range(100):
        found = newest(si, eventChainId=task.info.eventChainId, eventTypeId=["VmPoweredOffEvent"])
        if found:
            break
    assert kinds(found) == ["VmPoweredOffEvent"]
    assert found[0].userName == si.content.sessionManager.currentSession.userName
    assert found[0].fullFormattedMessage == "DC0_H0_VM0 on DC0_H0 in DC0 is powered off"


def test_a_spanish_session_reads_spanish(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    wait(si, vm.PowerOffVM_Task())
    other = sim.connect()
    manager = other.content.sessionManager
    manager.Logout()
    manager.Login(sim.user, sim.password, "es")
    found = newest(other, eventTypeId=["VmPoweredOffEvent"])
    assert found[-1].fullFormattedMessage == "DC0_H0_VM0 está apagada en DC0_H0, en DC0"
    described = {info.key: info for info in other.content.eventManager.description.eventInfo}
    assert described[vim.event.VmPoweredOffEvent].description == "Máquina virtual apagada"
    described = {info.key: info for info in si.content.eventManager.description.eventInfo}
    assert described[vim.event.VmPoweredOffEvent].description == "VM powered off"
    collector = other.content.eventManager.CreateCollectorForEvents(
        vim.event.EventFilterSpec(eventTypeId=["VmPoweredOffEvent"]))
    assert "apagada" in collector.latestPage[0].fullFormattedMessage
    assert "apagada" in collector.ReadNextEvents(1)[0].fullFormattedMessage


def test_collectors_move_both_ways(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    for _ in range(6):
        si.content.eventManager.LogUserEvent(vm, "here")
    filters = vim.event.EventFilterSpec(
        entity=vim.event.EventFilterSpec.ByEntity(entity=vm.parent, recursion="all"), category=["user"])
    collector = si.content.eventManager.CreateCollectorForEvents(filters)
    collector.SetCollectorPageSize(2)
    keys = [event.key for event in collector.latestPage]
    assert keys == sorted(keys, reverse=True) and len(keys) == 2
    first = [event.key for event in collector.ReadNextEvents(4)]
    assert first == sorted(first) and len(first) == 4
    assert [event.key for event in collector.ReadPreviousEvents(2)] == first[:1:-1]
    collector.RewindCollector()
    assert [event.key for event in collector.ReadNextEvents(4)] == first
    collector.ResetCollector()
    assert [event.key for event in collector.ReadPreviousEvents(10)] == first[::-1]
    collector.DestroyCollector()
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        collector.ReadNextEvents(1)


def test_a_filter_by_what_does_not_exist_is_refused(sim):
    si = sim.connect()
    nothing = vim.scheduler.ScheduledTask("schedule-999", si._stub)
    alarm = vim.alarm.Alarm("alarm-999", si._stub)
    for field in ({"scheduledTask": nothing}, {"alarm": alarm}):
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            newest(si, **field)
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            si.content.taskManager.CreateCollectorForTasks(vim.TaskFilterSpec(**field))


def test_a_task_is_cancelled_if_it_can_be(sim):
    si = sim.connect()
    host = by_name(si, vim.HostSystem, "DC0_H0")
    # VMs run on the host, so it waits for them.
    task = host.EnterMaintenanceMode_Task(timeout=0, evacuatePoweredOffVms=False)
    while not task.info.cancelable:
        pass
    task.CancelTask()
    with pytest.raises(vmodl.fault.RequestCanceled):
        wait(si, task)
    assert task.info.state == "error" and task.info.cancelled
    with pytest.raises(vmodl.fault.InvalidState if hasattr(vmodl.fault, "InvalidState") else vim.fault.InvalidState):
        task.CancelTask()


def test_extensions_move_their_own_tasks(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    info = si.content.taskManager.CreateTask(vm, "com.example.backup", "", True)
    task = info.task
    task.SetTaskState("running", None, None)
    task.UpdateProgress(40)
    task.SetTaskDescription(vmodl.LocalizableMessage(key="com.example.half", message="half way"))
    assert (task.info.state, task.info.progress, task.info.description.message) == ("running", 40, "half way")
    task.SetTaskState("success", 7, None)
    assert (task.info.state, task.info.result) == ("success", 7)


def test_ages_of_the_history_are_settings(sim):
    si = sim.connect()
    setting = si.content.setting
    value = {option.key: option.value for option in setting.QueryOptions("event.")}
    assert value == {"event.maxAge": 30, "event.maxAgeEnabled": True}
    setting.UpdateOptions([vim.option.OptionValue(key="task.maxAge", value=7)])
    assert setting.QueryOptions("task.maxAge")[0].value == 7
    with pytest.raises(vmodl.fault.InvalidArgument):
        setting.UpdateOptions([vim.option.OptionValue(key="event.maxAge", value=0)])


def test_custom_fields_and_the_descriptions_of_events(sim):
    si = sim.connect()
    fields = si.content.customFieldsManager
    made = fields.AddCustomFieldDef("owner", vim.VirtualMachine)
    fields.RenameCustomFieldDef(made.key, "keeper")
    fields.RemoveCustomFieldDef(made.key)
    found = newest(si, eventTypeId=["CustomFieldDefEvent"])
    assert kinds(found) == ["CustomFieldDefAddedEvent", "CustomFieldDefRenamedEvent", "CustomFieldDefRemovedEvent"]
    assert all(event.userName for event in found)
    arguments = si.content.eventManager.RetrieveArgumentDescription("vim.event.DatacenterRenamedEvent")
    assert {argument.name for argument in arguments} == {"oldName", "newName"}
    assert si.content.eventManager.description.category[0].key == "info"
    assert all_of(si, vim.Datacenter)
