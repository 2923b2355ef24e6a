"""Users and groups of an LDAP server at a center and at a host, by pyVmomi and by the command line."""
import json

import pytest
from pyVmomi import vim, vmodl

from conftest import command_line
from ldap_server import BASE, PASSWORD, Ldap
from saml import bearer, with_token
from vsphere import all_of

Permission = vim.AuthorizationManager.Permission
Account = vim.host.LocalAccountManager.AccountSpecification
READ_ONLY = -2


@pytest.fixture
def ldap(tmp_path):
    directory = tmp_path / "ldap"
    directory.mkdir()
    server = Ldap(directory)
    yield server
    server.stop()


def add(esfera, ldap, *more, password=PASSWORD, url=None, name="example.org"):
    (ldap.directory / "password").write_text(password)
    words = ["identity", "add", name, "--alias", "EXAMPLE", "--schema", "open-ldap", "--server", url or ldap.url,
             "--ca", str(ldap.ca), "--account", f"cn=reader,{BASE}", "--password-file", str(ldap.directory / "password"),
             "--users", f"ou=people,{BASE}", "--groups", f"ou=groups,{BASE}"]
    return esfera(*words, *more)


def added(esfera, ldap):
    result = add(esfera, ldap)
    assert result.returncode == 0, result.stderr


def permit(si, principal, role, group=False):
    permission = Permission(principal=principal, group=group, roleId=role, propagate=True)
    si.content.authorizationManager.SetEntityPermissions(si.content.rootFolder, [permission])


@pytest.fixture(params=["sim", "esx"])
def server(request):
    return request.getfixturevalue(request.param)


def test_a_user_of_an_ldap_server_logs_in_and_has_the_permissions_of_his_nested_groups(server, ldap, tmp_path):
    esfera = command_line(server, tmp_path)
    added(esfera, ldap)
    si = server.connect()
    permit(si, "EXAMPLE\\Staff", READ_ONLY, group=True)
    assert "EXAMPLE.ORG" in si.content.userDirectory.domainList
    for name in ("alice@example.org", "EXAMPLE\\alice", "example.org\\ALICE"):
        alice = server.connect(name, PASSWORD)
        assert alice.content.sessionManager.currentSession.userName == "EXAMPLE.ORG\\Alice"
        assert alice.content.sessionManager.currentSession.fullName == "Alice Example"
        assert all_of(alice, vim.VirtualMachine)[0].name
        with pytest.raises(vim.fault.NoPermission):
            all_of(alice, vim.VirtualMachine)[0].PowerOff()
    bob = server.connect("bob@example.org", PASSWORD)
    with pytest.raises(vim.fault.NoPermission):
        bob.content.rootFolder.name
    for name, password in (("alice@example.org", "wrong"), ("alice@example.org", ""), ("alice", PASSWORD),
                           ("*@example.org", PASSWORD), ("nobody@example.org", PASSWORD), ("alice@elsewhere.org", PASSWORD)):
        with pytest.raises(vim.fault.InvalidLogin):
            server.connect(name, password or " ")
    principals = {(p.principal, p.group) for p in si.content.authorizationManager.RetrieveAllPermissions()}
    assert ("EXAMPLE.ORG\\staff", True) in principals


def test_a_user_of_a_source_with_the_name_of_an_administrator_is_not_he(sim, esfera, ldap):
    added(esfera, ldap)
    si = sim.connect()
    impostor = sim.connect("administrator@example.org", PASSWORD)
    assert impostor.content.sessionManager.currentSession.userName == "EXAMPLE.ORG\\administrator"
    with pytest.raises(vim.fault.NoPermission):
        impostor.content.rootFolder.name
    permit(si, "administrator@example.org", READ_ONLY)
    assert impostor.content.rootFolder.name
    # Not even one who manages users may say which server vouches for others.
    role = si.content.authorizationManager.AddAuthorizationRole("Clerk", ["Host.Local.ManageUserGroups", "Authorization.ModifyPermissions"])
    permit(si, "administrator@example.org", role)
    clerk = type(sim)(sim.url, "administrator@example.org", PASSWORD)
    directory = ldap.directory / "clerk"
    directory.mkdir()
    theirs = command_line(clerk, directory)
    for result in (add(theirs, ldap, "--replace"), theirs("identity", "ls"), theirs("identity", "rm", "example.org")):
        assert result.returncode != 0 and "rivilege" in result.stderr, result.stderr
    assert impostor.content.rootFolder.name, "his session goes on"


def test_groups_here_hold_users_and_groups_of_a_source(server, ldap, tmp_path):
    esfera = command_line(server, tmp_path)
    added(esfera, ldap)
    si = server.connect()
    accounts = si.content.accountManager
    accounts.CreateGroup(Account(id="night"))
    permit(si, "night", READ_ONLY, group=True)
    bob, alice = server.connect("bob@example.org", PASSWORD), server.connect("alice@example.org", PASSWORD)
    accounts.AssignUserToGroup("EXAMPLE\\bob", "night")
    assert bob.content.rootFolder.name
    accounts.AssignUserToGroup("staff@example.org", "night")
    assert alice.content.rootFolder.name, "through operators and staff there and night here"
    with pytest.raises(vim.fault.AlreadyExists):
        accounts.AssignUserToGroup("bob@example.org", "night")
    with pytest.raises(vim.fault.UserNotFound):
        accounts.AssignUserToGroup("nobody@example.org", "night")
    found = si.content.userDirectory.RetrieveUserGroups(None, "", "night", None, False, True, True)
    assert {(one.principal.lower(), one.group) for one in found} == {("example.org\\bob", False), ("example.org\\staff", True)}
    ldap.stop()
    accounts.UnassignUserFromGroup("bob@example.org", "night")
    accounts.UnassignUserFromGroup("EXAMPLE\\staff", "night")
    for session in (bob, alice):
        with pytest.raises(vim.fault.NoPermission):
            session.content.rootFolder.name


def test_a_source_is_searched(sim, esfera, ldap):
    added(esfera, ldap)
    search = sim.connect().content.userDirectory.RetrieveUserGroups
    found = search("example.org", "LIC", None, None, False, True, True)
    assert [(one.principal, one.fullName, one.group) for one in found] == [("Alice", "Alice Example", False)]
    found = search("EXAMPLE", "operators", None, None, True, True, True)
    assert [(one.principal, one.fullName, one.group) for one in found] == [("operators", "They operate", True)]
    assert not search("example.org", "*)(uid=", None, None, False, True, True)
    assert "Alice" not in {one.principal for one in search(None, "", None, None, False, True, True)}
    with pytest.raises(vim.fault.NotFound):
        search("elsewhere.org", "", None, None, False, True, True)


def test_a_source_is_added_tested_replaced_and_removed_by_the_command_line(sim, esfera, ldap):
    for result, reason in ((add(esfera, ldap, password="wrong"), "does not accept the account"),
                           (add(esfera, ldap, url=f"ldap://127.0.0.1:{ldap.plain}"), "clear"),
                           (add(esfera, ldap, url=f"ldaps://localhost:{ldap.plain}"), "no server"),
                           (add(esfera, ldap, name="vsphere.local"), "already"),
                           (add(esfera, ldap, "--replace"), "does not exist")):
        assert result.returncode != 0 and reason in result.stderr, result.stderr
    assert json.loads(esfera("identity", "ls", "--json").stdout) == []
    added(esfera, ldap)
    listed = esfera("identity", "ls", "--json").stdout
    assert json.loads(listed)[0]["domain"] == "example.org" and PASSWORD not in listed
    tested = json.loads(esfera("identity", "test", "example.org", "alice", "--json").stdout)
    assert tested["user"]["groups"] == ["operators", "staff"] and tested["user"]["name"] == "EXAMPLE.ORG\\Alice"

    si = sim.connect()
    permit(si, "alice@example.org", READ_ONLY)
    alice = sim.connect("alice@example.org", PASSWORD)
    assert alice.content.rootFolder.name
    result = add(esfera, ldap, "--replace", "--clear-text", url=f"ldap://127.0.0.1:{ldap.plain}")
    assert result.returncode == 0, result.stderr
    with pytest.raises(vim.fault.NotAuthenticated):
        alice.content.rootFolder.name
    alice = sim.connect("alice@example.org", PASSWORD)
    assert alice.content.rootFolder.name, "the permission has stayed"
    assert esfera("identity", "rm", "example.org").returncode == 0
    with pytest.raises(vim.fault.NotAuthenticated):
        alice.content.rootFolder.name
    with pytest.raises(vim.fault.InvalidLogin):
        sim.connect("alice@example.org", PASSWORD)
    assert not [p for p in si.content.authorizationManager.RetrieveAllPermissions() if "lice" in p.principal]
    ids = [e.eventTypeId for e in si.content.eventManager.QueryEvents(vim.event.EventFilterSpec()) if isinstance(e, vim.event.EventEx)]
    assert [i.rsplit(".", 1)[1] for i in ids if "identitySource" in i] == ["added", "changed", "removed"]


def test_a_server_that_hangs_or_is_gone_keeps_nobody_else_out(sim, esfera, ldap):
    added(esfera, ldap)
    si = sim.connect()
    permit(si, "alice@example.org", READ_ONLY)
    alice = sim.connect("alice@example.org", PASSWORD)
    ldap.pause()
    try:
        with pytest.raises(vmodl.fault.SystemError) as refused:
            sim.connect("alice@example.org", PASSWORD)
        assert "example.org" in refused.value.msg and "localhost" not in refused.value.msg
        assert sim.connect().content.rootFolder.name
        assert alice.content.rootFolder.name, "her session goes on"
    finally:
        ldap.resume()
    assert sim.connect("alice@example.org", PASSWORD).content.rootFolder.name
    ldap.stop()
    with pytest.raises(vmodl.fault.SystemError):
        sim.connect("alice@example.org", PASSWORD)
    assert sim.connect().content.rootFolder.name
    assert esfera("identity", "test", "example.org").returncode != 0


def test_a_user_of_a_source_logs_in_with_a_saml_token(sim, esfera, ldap):
    added(esfera, ldap)
    token = bearer(sim, "alice@example.org", PASSWORD)
    session = with_token(sim, token).RetrieveContent().sessionManager.LoginByToken()
    assert session.userName == "EXAMPLE.ORG\\Alice"
    assert esfera("identity", "rm", "example.org").returncode == 0
    with pytest.raises(vim.fault.InvalidLogin):
        with_token(sim, token).RetrieveContent().sessionManager.LoginByToken()
