"""Sessions, permissions and waits: the rights of each user, how long they last, and the client's view of their end."""
import threading

import pytest
from pyVmomi import vim, vmodl

from vsphere import all_of, by_name, wait

WaitOptions = vmodl.query.PropertyCollector.WaitOptions


def follow(collector, thing, path):
    """A filter on one property of one object."""
    query = vmodl.query.PropertyCollector
    return collector.CreateFilter(query.FilterSpec(propSet=[query.PropertySpec(type=type(thing), pathSet=[path])],
                                                   objectSet=[query.ObjectSpec(obj=thing)]), True)


def test_after_logout_everything_asks_for_a_login(sim):
    si = sim.connect()
    content = si.RetrieveContent()
    assert content.sessionManager.currentSession.userName
    content.sessionManager.Logout()
    assert content.sessionManager.currentSession is None
    with pytest.raises(vim.fault.NotAuthenticated):
        content.rootFolder.name
    with pytest.raises(vim.fault.NotAuthenticated):
        content.rootFolder.CreateDatacenter("no")
    assert si.RetrieveContent().about.apiType == "VirtualCenter"
    content.sessionManager.Login(sim.user, sim.password)
    assert content.rootFolder.name == "Datacenters"


def test_a_terminated_session_is_dead_and_a_new_login_works(sim):
    si, admin = sim.connect(), sim.connect()
    key = si.content.sessionManager.currentSession.key
    sessions = admin.content.sessionManager
    assert key in {session.key for session in sessions.sessionList}
    view = si.content.viewManager.CreateContainerView(si.content.rootFolder, [vim.VirtualMachine], True)
    assert len(view.view) == 4
    sessions.TerminateSession([key])
    assert key not in {session.key for session in sessions.sessionList}
    with pytest.raises(vim.fault.NotAuthenticated):
        view.view
    si.content.sessionManager.Login(sim.user, sim.password)
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        view.view
    with pytest.raises(vim.fault.NotFound):
        sessions.TerminateSession([key])


def test_the_view_of_one_session_is_not_there_for_another(sim):
    si, other = sim.connect(), sim.connect()
    view = si.content.viewManager.CreateContainerView(si.content.rootFolder, [], True)
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        vim.view.ContainerView(view._moId, other._stub).view


def test_a_wait_ends_by_time_by_cancelling_and_by_another_wait(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    collector = si.content.propertyCollector.CreatePropertyCollector()
    follow(collector, vm, "name")
    version = collector.WaitForUpdatesEx("", None).version
    assert collector.WaitForUpdatesEx(version, WaitOptions(maxWaitSeconds=1)) is None
    ended = []

    def waiting():
        mine = vmodl.query.PropertyCollector(collector._moId, si._stub)
        with pytest.raises(vmodl.fault.RequestCanceled) as fault:
            mine.WaitForUpdatesEx(version, WaitOptions(maxWaitSeconds=60))
        ended.append(fault.value)

    thread = threading.Thread(target=waiting)
    thread.start()
    while not ended:
        collector.CancelWaitForUpdates()
        thread.join(0.1)
    with pytest.raises(vmodl.query.InvalidCollectorVersion):
        collector.WaitForUpdatesEx("nonsense", WaitOptions(maxWaitSeconds=0))
    collector.DestroyPropertyCollector()
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        collector.CheckForUpdates(version)


def test_a_session_that_ends_ends_its_waits(sim):
    si, admin = sim.connect(), sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    key = si.content.sessionManager.currentSession.key
    follow(si.content.propertyCollector, vm, "name")
    version = si.content.propertyCollector.WaitForUpdatesEx("", None).version
    ended = threading.Event()

    def waiting():
        try:
            si.content.propertyCollector.WaitForUpdatesEx(version, WaitOptions(maxWaitSeconds=600))
        except (vmodl.fault.RequestCanceled, vim.fault.NotAuthenticated, vmodl.fault.ManagedObjectNotFound):
            ended.set()

    thread = threading.Thread(target=waiting, daemon=True)
    thread.start()
    admin.content.sessionManager.TerminateSession([key])
    assert ended.wait(60), "a wait outlives its session"


def test_many_waits_and_their_hanging_up_hold_nobody_up(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    waiting = []
    for _ in range(30):
        other = sim.connect()
        follow(other.content.propertyCollector, vm, "runtime.powerState")
        first = other.content.propertyCollector.WaitForUpdatesEx("", None)
        thread = threading.Thread(target=lambda c=other.content.propertyCollector, v=first.version, w=waiting:
                                  w.append(c.WaitForUpdatesEx(v, WaitOptions(maxWaitSeconds=120))))
        thread.start()
        waiting.append(thread)
    threads = list(waiting)
    waiting.clear()
    wait(si, vm.PowerOffVM_Task())
    for thread in threads:
        thread.join(60)
    assert [update.filterSet[0].objectSet[0].changeSet[0].val for update in waiting] == ["poweredOff"] * 30


@pytest.fixture
def reader(esx):
    """A user of a host who may read and do nothing else."""
    si = esx.connect()
    accounts = si.content.accountManager
    accounts.CreateUser(vim.host.LocalAccountManager.PosixAccountSpecification(
        id="looker", password="Only-Looking-1", description="looks"))
    si.content.authorizationManager.SetEntityPermissions(
        si.content.rootFolder, [vim.AuthorizationManager.Permission(principal="looker", group=False, roleId=-2,
                                                                    propagate=True)])
    return si


def test_who_may_only_read_reads_and_changes_nothing(esx, reader):
    si = esx.connect("looker", "Only-Looking-1")
    vm = all_of(si, vim.VirtualMachine)[0]
    assert vm.name and vm.summary.runtime.powerState == "poweredOn"
    folder = all_of(si, vim.Datacenter)[0].vmFolder
    calls = {
        "VirtualMachine.Interact.PowerOff": vm.PowerOffVM_Task,
        "VirtualMachine.Inventory.Delete": vm.Destroy_Task,
        "VirtualMachine.Config.Settings": lambda: vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="x")),
        "VirtualMachine.State.CreateSnapshot": lambda: vm.CreateSnapshot_Task("x", "", False, False),
    }
    for call in calls.values():
        with pytest.raises(vim.fault.NoPermission) as refused:
            wait(si, call())
        assert refused.value.privilegeId
    with pytest.raises(vim.fault.NoPermission):
        wait(si, folder.CreateVM_Task(vim.vm.ConfigSpec(name="x"), all_of(si, vim.ResourcePool)[0]))
    with pytest.raises(vim.fault.NoPermission):
        si.content.sessionManager.TerminateSession([reader.content.sessionManager.currentSession.key])
    with pytest.raises(vim.fault.NoPermission):
        si.content.fileManager.MakeDirectory("[LocalDS_0] x", all_of(si, vim.Datacenter)[0], True)
    assert vm.runtime.powerState == "poweredOn"


def test_who_lost_the_permission_sees_nothing(esx, reader):
    si = esx.connect("looker", "Only-Looking-1")
    assert all_of(si, vim.VirtualMachine)
    reader.content.authorizationManager.RemoveEntityPermission(reader.content.rootFolder, "looker", False)
    with pytest.raises((vim.fault.NoPermission, vim.fault.NotAuthenticated, vim.fault.InvalidLogin)):
        vm = by_name(si, vim.VirtualMachine, "ha-host_VM0")
        vm.config
