"""Abuse: users who try for more than they may have, and clients that are a burden. Each gets the right fault, and others go on."""
import threading

import pytest
import requests
import urllib3
from pyVmomi import SoapStubAdapter, vim, vmodl

from test_permissions import PASSWORD, POWER_OFF, add_user, permit
from vsphere import all_of, by_name, wait

urllib3.disable_warnings()
POWER_ON = "VirtualMachine.Interact.PowerOn"
READ_ONLY = -2
ADMIN = -1


class Team:
    """The administrator and a lesser user, eve, who may at first do nothing."""

    def __init__(self, sim):
        self.sim, self.si = sim, sim.connect()
        add_user(self.si, "eve")
        self.roles = self.si.content.authorizationManager
        self.root = self.si.content.rootFolder

    def eve(self):
        return self.sim.connect("eve@vsphere.local", PASSWORD)

    def role(self, name, *privileges):
        return self.roles.AddAuthorizationRole(name, list(privileges))

    def permit(self, entity, role, propagate=True):
        permit(self.si, entity, "eve", role, propagate=propagate)

    def find(self, kind, name):
        return by_name(self.si, kind, name)


@pytest.fixture
def team(sim):
    return Team(sim)


def as_user(si, thing):
    """The same object in another user's session."""
    return type(thing)(thing._moId, si._stub)


def soap(sim, body, cookie=None):
    envelope = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>' + body + "</e:Body></e:Envelope>")
    headers = {"Content-Type": "text/xml"} | ({"Cookie": f'vmware_soap_session="{cookie}"'} if cookie else {})
    return requests.post(f"{sim.url}/sdk", data=envelope, headers=headers, verify=False, timeout=60)


def login(sim, cookie=None):
    return soap(sim, '<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>'
                     f"<userName>{sim.user}</userName><password>{sim.password}</password></Login>", cookie)


def cookie_of(si):
    return si._stub.cookie.split('"')[1]


def test_a_session_that_a_client_made_up_or_another_began_is_never_taken_over(sim):
    answer = login(sim, "made-up-by-an-attacker")
    key = answer.cookies["vmware_soap_session"].strip('"')
    assert answer.status_code == 200 and "made-up" not in key
    current = '<CurrentTime xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></CurrentTime>'
    assert soap(sim, current, key).status_code == 200
    assert "NotAuthenticated" in soap(sim, current, "made-up-by-an-attacker").text
    again = login(sim, key)
    assert again.status_code == 500 and "vmware_soap_session" not in again.cookies, "one session, one login"
    # The part of a session that others see does not open it.
    si = sim.connect()
    for session in si.content.sessionManager.sessionList:
        assert session.key not in (key, cookie_of(si))
        assert "NotAuthenticated" in soap(sim, current, session.key).text


def test_a_ticket_works_once_for_what_it_was_given_and_ends_with_its_session(sim):
    si = sim.connect()

    def cloned(ticket):
        return SoapStubAdapter(host=sim.address, port=sim.port, path="/sdk", version="vim.version.version9",
                               sslContext=si._stub.schemeArgs["context"]), ticket

    def take(ticket):
        stub, ticket = cloned(ticket)
        return vim.ServiceInstance("ServiceInstance", stub).content.sessionManager.CloneSession(ticket)

    ticket = si.content.sessionManager.AcquireCloneTicket()
    assert take(ticket).userName.lower().endswith("administrator")
    with pytest.raises(vim.fault.InvalidLogin):
        take(ticket)
    other = sim.connect()
    ticket = other.content.sessionManager.AcquireCloneTicket()
    other.content.sessionManager.Logout()
    with pytest.raises(vim.fault.InvalidLogin):
        take(ticket)
    with pytest.raises(vim.fault.InvalidLogin):
        take("cst-VCT-52000000-0000-0000-0000-000000000000--tp-00")
    # A ticket for one file opens no other one, and not in another way.
    path = "/folder/stolen.txt?dcPath=DC0&dsName=LocalDS_0"
    spec = vim.SessionManager.HttpServiceRequestSpec(method="httpGet", url=sim.url.rstrip("/") + path)

    def fetch(method, path, ticket):
        return requests.request(method, sim.url.rstrip("/") + path, headers={"Cookie": f"vmware_cgi_ticket={ticket}"},
                                data=b"x" if method == "PUT" else None, verify=False, timeout=60).status_code

    def acquire():
        return si.content.sessionManager.AcquireGenericServiceTicket(spec).id

    assert fetch("GET", "/folder/other.txt?dcPath=DC0&dsName=LocalDS_0", acquire()) == 401
    assert fetch("PUT", path, acquire()) == 401
    ticket = acquire()
    assert fetch("GET", path, ticket) == 404, "it is the right ticket, and the file does not exist"
    assert fetch("GET", path, ticket) == 401


def test_collectors_filters_and_views_of_another_session_are_not_there(team):
    si, other = team.si, team.sim.connect()
    query = vmodl.query.PropertyCollector
    vm = team.find(vim.VirtualMachine, "DC0_H0_VM0")
    spec = query.FilterSpec(propSet=[query.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
                            objectSet=[query.ObjectSpec(obj=vm)])
    collector = si.content.propertyCollector.CreatePropertyCollector()
    mine = collector.CreateFilter(spec, True)
    events = si.content.eventManager.CreateCollectorForEvents(vim.event.EventFilterSpec())
    tasks = si.content.taskManager.CreateCollectorForTasks(vim.TaskFilterSpec())
    view = si.content.viewManager.CreateListView([vm])
    for attempt in (lambda: as_user(other, collector).WaitForUpdatesEx("", None),
                    lambda: as_user(other, collector).CreateFilter(spec, True),
                    lambda: as_user(other, collector).DestroyPropertyCollector(),
                    lambda: as_user(other, mine).DestroyPropertyFilter(),
                    lambda: as_user(other, events).ReadNextEvents(10),
                    lambda: as_user(other, events).DestroyCollector(),
                    lambda: as_user(other, events).latestPage,
                    lambda: as_user(other, tasks).ReadNextTasks(10),
                    lambda: as_user(other, tasks).RewindCollector(),
                    lambda: as_user(other, view).ModifyListView([], [vm]),
                    lambda: as_user(other, view).view):
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            attempt()
    assert len(collector.WaitForUpdatesEx("", None).filterSet) == 1 and list(view.view) == [vm]
    assert events.ReadNextEvents(1)


def test_nobody_gains_rights_by_roles_that_he_does_not_hold(team):
    vm = team.find(vim.VirtualMachine, "DC0_H0_VM0")
    strong = team.role("strong", "Authorization.ModifyRoles", "Authorization.ModifyPermissions",
                       "Authorization.ReassignRolePermissions", POWER_OFF)
    weak = team.role("weak")
    rich = team.role("rich", "VirtualMachine.Inventory.Delete")
    team.permit(team.root, strong)
    team.permit(vm, weak)
    eve = team.eve()
    roles = eve.content.authorizationManager
    with pytest.raises(vim.fault.NoPermission):
        wait(eve, as_user(eve, vm).PowerOffVM_Task())
    for attempt in (lambda: roles.AddAuthorizationRole("richer", ["VirtualMachine.Inventory.Delete"]),
                    lambda: roles.UpdateAuthorizationRole(strong, "strong", ["VirtualMachine.Inventory.Delete"]),
                    lambda: roles.UpdateAuthorizationRole(rich, "rich", []),
                    lambda: roles.SetEntityPermissions(as_user(eve, team.root), [vim.AuthorizationManager.Permission(
                        principal="eve", group=False, roleId=rich, propagate=True)]),
                    lambda: roles.SetEntityPermissions(as_user(eve, team.root), [vim.AuthorizationManager.Permission(
                        principal="eve", group=False, roleId=ADMIN, propagate=True)]),
                    lambda: roles.MergePermissions(strong, ADMIN),
                    lambda: roles.MergePermissions(weak, strong),
                    # Without the nearer permission she would have on the VM what she has above it.
                    lambda: roles.RemoveAuthorizationRole(weak, False),
                    lambda: roles.RemoveEntityPermission(as_user(eve, vm), "eve", False),
                    lambda: roles.ResetEntityPermissions(as_user(eve, vm), []),
                    lambda: roles.ResetEntityPermissions(as_user(eve, team.root), [])):
        with pytest.raises(vim.fault.NoPermission):
            attempt()
    with pytest.raises(vim.fault.NoPermission):
        wait(eve, as_user(eve, vm).PowerOffVM_Task())


def test_a_lesser_user_ends_no_session_speaks_for_nobody_and_finds_nothing_hidden(team):
    vm = team.find(vim.VirtualMachine, "DC0_H0_VM0")
    other = team.find(vim.VirtualMachine, "DC0_H0_VM1")
    team.permit(vm, READ_ONLY)
    eve = team.eve()
    sessions = eve.content.sessionManager
    key = team.si.content.sessionManager.currentSession.key
    for attempt in (lambda: sessions.TerminateSession([key]), lambda: sessions.sessionList,
                    lambda: sessions.UpdateServiceMessage("pay here"),
                    lambda: sessions.ImpersonateUser("administrator", None),
                    lambda: sessions.SessionIsActive(key, "administrator")):
        with pytest.raises((vim.fault.NoPermission, vmodl.fault.NotSupported)):
            attempt()
    search = eve.content.searchIndex
    assert search.FindByUuid(None, other.config.uuid, True, False) is None
    assert search.FindByInventoryPath("/DC0/vm/DC0_H0_VM1") is None
    assert search.FindAllByUuid(None, other.config.instanceUuid, True, True) in (None, [])
    assert [found for found in search.FindAllByUuid(None, vm.config.uuid, True) or []] == [as_user(eve, vm)]
    for hidden in (lambda: as_user(eve, other).name, lambda: as_user(eve, other).config,
                   lambda: as_user(eve, other).recentTask,
                   lambda: eve.content.viewManager.CreateContainerView(as_user(eve, other.parent), [], True).view,
                   lambda: eve.content.customFieldsManager.SetField(as_user(eve, other), 1, "x")):
        with pytest.raises((vim.fault.NoPermission, vmodl.fault.ManagedObjectNotFound)):
            hidden()
    by_entity = vim.event.EventFilterSpec.ByEntity(entity=as_user(eve, other), recursion="self")
    try:
        assert not eve.content.eventManager.QueryEvents(vim.event.EventFilterSpec(entity=by_entity))
    except (vim.fault.NoPermission, vmodl.fault.ManagedObjectNotFound, vmodl.fault.InvalidArgument):
        pass


def test_ten_thousand_filters_views_and_collectors_of_a_session_are_bounded(team):
    si = team.si
    query = vmodl.query.PropertyCollector
    spec = query.FilterSpec(propSet=[query.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
                            objectSet=[query.ObjectSpec(obj=team.find(vim.VirtualMachine, "DC0_H0_VM0"))])
    content = si.content
    makers = {
        "filters": lambda: content.propertyCollector.CreateFilter(spec, True),
        "collectors": lambda: content.propertyCollector.CreatePropertyCollector(),
        "views": lambda: content.viewManager.CreateListView([]),
        "events": lambda: content.eventManager.CreateCollectorForEvents(vim.event.EventFilterSpec()),
        "tasks": lambda: content.taskManager.CreateCollectorForTasks(vim.TaskFilterSpec()),
    }
    for what, make in makers.items():
        with pytest.raises((vmodl.MethodFault, vmodl.RuntimeFault)) as refused:
            for _ in range(10_000):
                make()
        assert not isinstance(refused.value, vmodl.fault.SystemError), (what, refused.value)
        assert refused.value.msg, what
    other = team.sim.connect()
    assert other.content.viewManager.CreateListView([]), "others are not concerned"
    si.content.sessionManager.Logout()


def test_a_user_who_is_removed_or_loses_his_role_is_out_at_once(team):
    vm = team.find(vim.VirtualMachine, "DC0_H0_VM0")
    role = team.role("operator", POWER_OFF, POWER_ON)
    team.permit(team.root, role)
    eve = team.eve()
    hers = as_user(eve, vm)
    wait(eve, hers.PowerOffVM_Task())
    ticket = eve.content.sessionManager.AcquireCloneTicket()
    team.roles.RemoveAuthorizationRole(role, False)
    with pytest.raises(vim.fault.NoPermission):
        hers.PowerOnVM_Task()
    team.si.content.accountManager.RemoveUser("eve")
    with pytest.raises((vim.fault.NotAuthenticated, vim.fault.NoPermission)):
        hers.name
    # A user of the same name is another one.
    add_user(team.si, "eve")
    team.permit(team.root, ADMIN)
    with pytest.raises((vim.fault.NotAuthenticated, vim.fault.NoPermission)):
        hers.name
    with pytest.raises(vim.fault.InvalidLogin):
        stub = SoapStubAdapter(host=team.sim.address, port=team.sim.port, path="/sdk", version="vim.version.version9",
                               sslContext=team.si._stub.schemeArgs["context"])
        vim.ServiceInstance("ServiceInstance", stub).content.sessionManager.CloneSession(ticket)


def test_one_who_guesses_locks_out_neither_the_administrator_nor_his_neighbours(sim):
    team_address = []

    def guess():
        for _ in range(8):
            try:
                sim.connect(sim.user, "wrong")
            except vim.fault.InvalidLogin:
                team_address.append(1)
            except vmodl.MethodFault:
                pass

    admin = sim.connect()
    guessers = [threading.Thread(target=guess) for _ in range(4)]
    for thread in guessers:
        thread.start()
    assert sim.connect().content.about.apiType == "VirtualCenter", "he logs in while others guess at his password"
    assert admin.content.rootFolder.name == "Datacenters"
    for thread in guessers:
        thread.join()
