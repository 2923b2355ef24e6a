"""Users, groups, passwords, tokens and sessions of a center and of a host, by pyVmomi and by the command line."""
import json
import os
import ssl

import pytest
from pyVmomi import SoapStubAdapter, vim, vmodl

from vsphere import all_of

Account = vim.host.LocalAccountManager.AccountSpecification
Posix = vim.host.LocalAccountManager.PosixAccountSpecification
GOOD, BETTER = "Blue-whale-7x", "Green-whale-8y"


@pytest.fixture(params=["sim", "esx"])
def server(request):
    return request.getfixturevalue(request.param)


def stub(server):
    """A connection without a session."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return SoapStubAdapter(host=server.address, port=server.port, sslContext=context, version="vim.version.version9")


def plain(name):
    return name.split("\\")[-1].lower()


def found(si, search="", group=None, user=None, exact=False, users=True, groups=True):
    results = si.content.userDirectory.RetrieveUserGroups(None, search, group, user, exact, users, groups)
    return {result.principal: result for result in results or []}


def test_users_and_groups_come_and_go(server):
    si = server.connect()
    accounts = si.content.accountManager
    accounts.CreateUser(Account(id="Eve", password=GOOD, description="Eve Doe"))
    with pytest.raises(vim.fault.AlreadyExists):
        accounts.CreateUser(Account(id="eve", password=GOOD))
    accounts.CreateGroup(Account(id="ops", description="Operators"))
    accounts.CreateGroup(Account(id="night"))
    accounts.AssignUserToGroup("eve", "night")
    accounts.AssignUserToGroup("night", "ops")
    with pytest.raises(vim.fault.AlreadyExists):
        accounts.AssignUserToGroup("eve", "night")
    with pytest.raises(vmodl.fault.InvalidArgument):
        accounts.AssignUserToGroup("ops", "night")
    with pytest.raises(vim.fault.UserNotFound):
        accounts.AssignUserToGroup("nobody", "night")

    assert found(si, "eve", exact=True)["Eve"].fullName == "Eve Doe"
    assert found(si, "ops")["ops"].group and found(si, "ops")["ops"].fullName == "Operators"
    assert list(found(si, group="night")) == ["Eve"] and list(found(si, group="ops")) == ["night"]
    assert "night" in found(si, user="eve", users=False) and "ops" not in found(si, user="eve", users=False)
    with pytest.raises(vim.fault.NotFound):
        found(si, group="nobody")
    if isinstance(found(si)["Eve"], vim.PosixUserSearchResult):
        assert found(si)["Eve"].id >= 1000 and not found(si)["Eve"].shellAccess

    eve = server.connect("eve", GOOD)
    with pytest.raises(vim.fault.NoPermission):
        eve.content.rootFolder.name
    permission = vim.AuthorizationManager.Permission(principal="ops", group=True, roleId=-2, propagate=True)
    si.content.authorizationManager.SetEntityPermissions(si.content.rootFolder, [permission])
    assert eve.content.rootFolder.name, "through a group in a group"
    accounts.UnassignUserFromGroup("eve", "night")
    with pytest.raises(vim.fault.NoPermission):
        eve.content.rootFolder.name
    accounts.RemoveGroup("ops")
    assert all(plain(known.principal) != "ops"
               for known in si.content.authorizationManager.RetrieveAllPermissions())
    accounts.RemoveUser("eve")
    with pytest.raises(vim.fault.UserNotFound):
        accounts.RemoveUser("eve")
    with pytest.raises(vim.fault.NotAuthenticated):
        eve.content.rootFolder.name


def test_who_manages_users_gains_nothing_by_it(server):
    si = server.connect()
    roles, root = si.content.authorizationManager, si.content.rootFolder
    accounts = si.content.accountManager
    role = roles.AddAuthorizationRole("Clerk", ["Host.Local.ManageUserGroups"])
    accounts.CreateUser(Account(id="clerk", password=GOOD))
    roles.SetEntityPermissions(root, [vim.AuthorizationManager.Permission(
        principal="clerk", group=False, roleId=role, propagate=True)])
    accounts.CreateGroup(Account(id="bosses"))
    roles.SetEntityPermissions(root, [vim.AuthorizationManager.Permission(
        principal="bosses", group=True, roleId=-1, propagate=True)])

    clerk = server.connect("clerk", GOOD)
    mine = clerk.content.accountManager
    mine.CreateUser(Account(id="temp", password=GOOD))
    boss = server.user.split("@")[0]
    for attempt in (lambda: mine.UpdateUser(Account(id=boss, password=BETTER)), lambda: mine.RemoveUser(boss),
                    lambda: mine.AssignUserToGroup("clerk", "bosses"), lambda: mine.RemoveGroup("bosses")):
        with pytest.raises(vim.fault.NoPermission):
            attempt()
    mine.RemoveUser("temp")
    assert server.connect().content.about.apiType


def test_passwords_follow_the_rules_that_an_administrator_sets(server):
    si = server.connect()
    accounts = si.content.accountManager
    options = si.content.setting if si.content.about.apiType == "VirtualCenter" else all_of(si, vim.HostSystem)[0].configManager.advancedOption
    for weak in ("short", "nocapitalsordigits", "Password1", "my-Anna-7x"):
        with pytest.raises(vmodl.fault.InvalidArgument):
            accounts.CreateUser(Account(id="anna", password=weak))
    options.UpdateOptions([vim.option.OptionValue(key="Security.PasswordQualityControl", value="min=20,20,20,20,20")])
    assert options.QueryOptions("Security.PasswordQualityControl")[0].value == "min=20,20,20,20,20"
    with pytest.raises(vmodl.fault.InvalidArgument):
        accounts.CreateUser(Account(id="anna", password=GOOD))
    with pytest.raises(vmodl.fault.InvalidArgument):
        options.UpdateOptions([vim.option.OptionValue(key="Security.PasswordQualityControl", value="nonsense")])
    options.UpdateOptions([vim.option.OptionValue(
        key="Security.PasswordQualityControl", value="retry=3 min=disabled,disabled,disabled,7,7")])
    accounts.CreateUser(Account(id="anna", password=GOOD))

    anna = server.connect("anna", GOOD)
    with pytest.raises(vim.fault.InvalidLogin):
        accounts.ChangePassword("anna", "wrong", BETTER)
    accounts.ChangePassword("anna", GOOD, BETTER)
    with pytest.raises(vim.fault.NotAuthenticated):
        anna.content.sessionManager.SetLocale("en")
    with pytest.raises(vmodl.fault.InvalidArgument):
        accounts.ChangePassword("anna", BETTER, GOOD)
    server.connect("anna", BETTER)
    names = {type(event).__name__.split(".")[-1] for event in
             si.content.eventManager.QueryEvents(vim.event.EventFilterSpec())}
    assert {"AccountCreatedEvent", "UserPasswordChanged", "UserLoginSessionEvent"} <= names


def test_wrong_passwords_lock_a_user_until_an_administrator_unlocks_him(sim, esfera):
    si = sim.connect()
    si.content.setting.UpdateOptions([vim.option.OptionValue(key="Security.AccountLockFailures", value=2)])
    si.content.accountManager.CreateUser(Account(id="lock", password=GOOD))
    for _ in range(2):
        with pytest.raises(vim.fault.InvalidLogin):
            sim.connect("lock", "wrong")
    with pytest.raises(vim.fault.InvalidLogin):
        sim.connect("lock", GOOD)
    events = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec())
    assert "esx.audit.account.locked" in {getattr(event, "eventTypeId", None) for event in events}
    people = {person["name"]: person for person in json.loads(esfera("user", "ls", "--json").stdout)}
    assert people["lock"]["locked"] and not people["lock"]["administrator"]
    assert esfera("user", "unlock", "lock").returncode == 0
    sim.connect("lock", GOOD)


def test_sessions_are_cloned_taken_over_and_timed(sim):
    si = sim.connect()
    sessions = si.content.sessionManager
    si.content.accountManager.CreateUser(Account(id="other", password=GOOD))
    ticket = sessions.AcquireCloneTicket()
    twin = stub(sim)
    session = vim.SessionManager("SessionManager", twin).CloneSession(ticket)
    assert session.userName == sessions.currentSession.userName and session.key != sessions.currentSession.key
    with pytest.raises(vim.fault.InvalidLogin):
        vim.SessionManager("SessionManager", stub(sim)).CloneSession(ticket)
    assert sessions.SessionIsActive(session.key, session.userName)

    with pytest.raises(vim.fault.InvalidLogin):
        sessions.Login(sim.user, sim.password)
    local = sessions.AcquireLocalTicket(sim.user)
    with open(local.passwordFilePath) as file:
        password = file.read()
    assert os.stat(local.passwordFilePath).st_mode & 0o077 == 0
    sim.connect(local.userName, password)
    assert not os.path.exists(local.passwordFilePath)
    with pytest.raises(vim.fault.InvalidLogin):
        sim.connect(local.userName, password)

    other = sim.connect("other", GOOD)
    with pytest.raises(vim.fault.NoPermission):
        other.content.sessionManager.sessionList
    with pytest.raises(vim.fault.NoPermission):
        other.content.sessionManager.ImpersonateUser(sim.user, None)
    became = vim.SessionManager("SessionManager", twin).ImpersonateUser("other", None)
    assert plain(became.userName) == "other"
    with pytest.raises(vim.fault.NoPermission):
        vim.SessionManager("SessionManager", twin).sessionList
    sessions.UpdateServiceMessage("maintenance at noon")
    assert other.content.sessionManager.message == "maintenance at noon"


def test_users_and_groups_of_the_command_line(esfera, tmp_path):
    def ok(*arguments, **more):
        answer = esfera(*arguments, **more)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def people():
        return {person["name"]: person for person in json.loads(ok("user", "ls", "--json"))}

    secret = tmp_path / "secret"
    secret.write_text(GOOD + "\n")
    ok("group", "add", "crew", "--description", "The crew")
    ok("user", "add", "mia", "--full-name", "Mia M", "--email", "mia@example.org", "--group", "crew",
       "--password-file", str(secret))
    assert people()["mia"]["email"] == "mia@example.org" and "crew" in people()["mia"]["groups"]
    groups = {group["name"]: group for group in json.loads(ok("group", "ls", "--json"))}
    assert groups["crew"]["users"] == ["mia"] and groups["crew"]["description"] == "The crew"
    assert "Administrators" in groups
    ok("user", "set", "mia", "--disable", "--full-name", "Mia N")
    assert not people()["mia"]["enabled"] and people()["mia"]["full_name"] == "Mia N"
    ok("user", "set", "mia", "--enable", "--password-expires", "false")
    assert people()["mia"]["enabled"]
    assert esfera("user", "set", "mia", "--email", "no address").returncode == 1
    ok("group", "member", "rm", "crew", "mia")
    ok("group", "rm", "crew")
    ok("user", "rm", "mia")
    assert "mia" not in people()
    assert esfera("user", "rm", "mia").returncode == 3


def test_a_token_logs_a_script_in_with_less_rights(sim, esfera):
    made = esfera("token", "add", "ci", "--role", "ReadOnly", "--days", "7")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    script = sim.connect(sim.user, token)
    assert script.content.rootFolder.name == "Datacenters"
    with pytest.raises(vim.fault.NoPermission):
        script.content.rootFolder.CreateDatacenter("no")
    listed = json.loads(esfera("token", "ls", "--json").stdout)
    assert [(known["name"], known["role"]) for known in listed] == [("ci", "ReadOnly")]
    assert "token" not in listed[0]
    assert esfera("token", "rm", "ci").returncode == 0
    with pytest.raises(vim.fault.NotAuthenticated):
        script.content.rootFolder.name
    with pytest.raises(vim.fault.InvalidLogin):
        sim.connect(sim.user, token)


def test_sessions_of_the_command_line(sim, esfera):
    si = sim.connect()
    key = si.content.sessionManager.currentSession.key
    listed = {session["id"]: session for session in json.loads(esfera("session", "ls", "--json").stdout)}
    assert key in listed and sum(session["mine"] for session in listed.values()) == 1
    assert esfera("session", "rm", key).returncode == 0
    with pytest.raises(vim.fault.NotAuthenticated):
        si.content.rootFolder.name
    assert esfera("session", "rm", key).returncode == 3
