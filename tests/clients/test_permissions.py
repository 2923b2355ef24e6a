"""Roles and permissions: pyVmomi, the automation API, the command line and Ansible."""
import json

import pytest
import requests
import urllib3
from pyVmomi import vim

from test_ansible import play
from vsphere import all_of, by_name, wait

KEY = "vmware-api-session-id"
PASSWORD = "Only-Testing-1"
POWER_OFF = "VirtualMachine.Interact.PowerOff"


def add_user(si, name):
    spec = vim.host.LocalAccountManager.AccountSpecification(id=name, password=PASSWORD, description=name)
    si.content.accountManager.CreateUser(spec)


def permit(si, entity, principal, role, group=False, propagate=True):
    rule = vim.AuthorizationManager.Permission(principal=principal, group=group, roleId=role, propagate=propagate)
    si.content.authorizationManager.SetEntityPermissions(entity, [rule])


@pytest.fixture
def rest(sim):
    """Asks the automation API as the administrator; the answer's status and JSON."""
    urllib3.disable_warnings()
    url = sim.url.rstrip("/")
    key = requests.post(url + "/api/session", auth=(sim.user, sim.password), verify=False, timeout=60).json()

    def ask(method, path, body=None):
        answer = requests.request(method, f"{url}/api/vcenter/authorization/{path}", headers={KEY: key}, json=body,
                                  verify=False, timeout=60)
        return answer.status_code, answer.json() if answer.content else None

    return ask


def test_all_privileges_have_a_group_and_a_label_and_the_usual_roles_are_there(sim):
    manager = sim.connect().content.authorizationManager
    privileges = {p.privId: p for p in manager.privilegeList}
    assert len(privileges) > 400
    assert privileges[POWER_OFF].privGroupName == "VirtualMachine.Interact"
    labels = {element.key: element.label for element in manager.description.privilege}
    assert set(labels) == set(privileges) and all(labels.values())
    assert {p.privGroupName for p in privileges.values()} == {e.key for e in manager.description.privilegeGroup}
    roles = {role.name: role for role in manager.roleList}
    assert {"Admin", "ReadOnly", "NoAccess", "NoCryptoAdmin", "VirtualMachinePowerUser", "NetworkConsumer"} <= set(roles)
    assert set(roles["Admin"].privilege) == set(privileges)
    assert POWER_OFF in roles["VirtualMachineUser"].privilege


def test_roles_come_change_and_go(sim):
    manager = sim.connect().content.authorizationManager
    role = manager.AddAuthorizationRole("Operator", [POWER_OFF])
    with pytest.raises(vim.fault.AlreadyExists):
        manager.AddAuthorizationRole("operator", [])
    with pytest.raises(vim.fault.InvalidName):
        manager.AddAuthorizationRole("a\u202eb", [])
    manager.UpdateAuthorizationRole(role, "Operator 2", ["VirtualMachine.Interact.PowerOn"])
    with pytest.raises(Exception, match="system"):
        manager.RemoveAuthorizationRole(-1, False)
    si = sim.connect()
    add_user(si, "eve")
    permit(si, si.content.rootFolder, "eve", role)
    with pytest.raises(vim.fault.RemoveFailed):
        manager.RemoveAuthorizationRole(role, True)
    other = manager.AddAuthorizationRole("Other", [])
    manager.MergePermissions(role, other)
    manager.RemoveAuthorizationRole(role, True)
    assert [p.principal.lower() for p in manager.RetrieveRolePermissions(other)] == ["vsphere.local\\eve"]
    manager.RemoveAuthorizationRole(other, False)
    assert not [p for p in manager.RetrieveAllPermissions() if p.principal.lower().endswith("eve")]


def test_a_refusal_names_the_object_the_privilege_and_the_roles_that_have_it(sim):
    si = sim.connect()
    add_user(si, "eve")
    permit(si, si.content.rootFolder, "eve", -2)
    vm = by_name(sim.connect("eve", PASSWORD), vim.VirtualMachine, "DC0_H0_VM0")
    with pytest.raises(vim.fault.NoPermission) as refused:
        vm.PowerOffVM_Task()
    assert refused.value.privilegeId == POWER_OFF and refused.value.object._moId == vm._moId
    assert "Virtual machine user (sample)" in refused.value.msg
    with pytest.raises(vim.fault.UserNotFound):
        permit(si, si.content.rootFolder, "stranger", -2)


def test_a_vm_has_what_its_folder_and_its_pool_give_and_its_folders_root_takes_nothing(sim):
    si = sim.connect()
    add_user(si, "eve")
    dc = all_of(si, vim.Datacenter)[0]
    role = si.content.authorizationManager.AddAuthorizationRole("Off", [POWER_OFF])
    cluster = by_name(si, vim.ClusterComputeResource, "DC0_C0")
    permit(si, cluster, "eve", role)
    eve = sim.connect("eve", PASSWORD)
    assert {vm.name for vm in all_of(eve, vim.VirtualMachine, cluster)} == {"DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1"}
    with pytest.raises(vim.fault.NoPermission):
        all_of(eve, vim.VirtualMachine)
    elsewhere = vim.VirtualMachine(by_name(si, vim.VirtualMachine, "DC0_H0_VM0")._moId, eve._stub)
    with pytest.raises(vim.fault.NoPermission):
        elsewhere.PowerOffVM_Task()
    vm = by_name(si, vim.VirtualMachine, "DC0_C0_RP0_VM0")
    held = si.content.authorizationManager.FetchUserPrivilegeOnEntities([vm], "eve")[0].privileges
    assert POWER_OFF in held and "VirtualMachine.Interact.PowerOn" not in held
    with pytest.raises(Exception, match="parent"):
        permit(si, dc.vmFolder, "eve", role)


def test_who_moves_a_thing_may_do_so_where_it_comes_from_as_well(sim):
    si = sim.connect()
    manager, dc = si.content.authorizationManager, by_name(si, vim.Datacenter, "DC0")
    vm, cluster = by_name(si, vim.VirtualMachine, "DC0_H0_VM0"), by_name(si, vim.ClusterComputeResource, "DC0_C0")
    theirs, mine = dc.vmFolder.CreateFolder("theirs"), dc.vmFolder.CreateFolder("mine")
    wait(si, theirs.MoveIntoFolder_Task([vm]))
    add_user(si, "mover")
    move = manager.AddAuthorizationRole("move", ["VirtualMachine.Inventory.Move", "Host.Inventory.MoveHost"])
    hosts = dc.hostFolder.CreateFolder("hosts")
    for entity in (vm, mine, hosts):
        permit(si, entity, "vsphere.local\\mover", move)
    host = cluster.host[0]
    user = sim.connect("mover", PASSWORD)

    def refusal(folder, thing):
        with pytest.raises(vim.fault.NoPermission) as refused:
            wait(user, vim.Folder(folder._moId, user._stub).MoveIntoFolder_Task([thing]))
        return refused.value.object._moId, refused.value.privilegeId

    assert refusal(mine, vm) == (theirs._moId, "VirtualMachine.Inventory.Move")
    # The right to move hosts takes none out of a cluster.
    permit(si, host, "vsphere.local\\mover", move)
    assert refusal(hosts, host) == (cluster._moId, "Host.Inventory.EditCluster")
    edit = manager.AddAuthorizationRole("edit", ["Host.Inventory.EditCluster", "Host.Inventory.MoveHost"])
    permit(si, cluster, "vsphere.local\\mover", edit)
    assert refusal(hosts, host) == (hosts._moId, "Host.Inventory.AddStandaloneHost")
    permit(si, theirs, "vsphere.local\\mover", move)
    wait(user, vim.Folder(mine._moId, user._stub).MoveIntoFolder_Task([vm]))
    assert vm.parent == mine


def test_a_vapp_has_a_privilege_of_its_own_for_the_vms_that_are_put_into_it(make_sim):
    si = (server := make_sim("--app", "1")).connect()
    manager, vapp = si.content.authorizationManager, all_of(si, vim.VirtualApp)[0]
    vm = by_name(si, vim.VirtualMachine, "DC0_C0_RP0_VM0")
    add_user(si, "packer")
    for privileges, refused in ((["Resource.AssignVMToPool"], "VApp.AssignVM"), (["Resource.AssignVMToPool", "VApp.AssignVM"], None)):
        role = manager.AddAuthorizationRole(f"role{len(privileges)}", privileges)
        for entity in (vm, vapp):
            permit(si, entity, "vsphere.local\\packer", role)
        user = server.connect("packer", PASSWORD)
        theirs = vim.VirtualApp(vapp._moId, user._stub)
        if refused:
            with pytest.raises(vim.fault.NoPermission) as fault:
                theirs.MoveIntoResourcePool([vm])
            assert (fault.value.object._moId, fault.value.privilegeId) == (vapp._moId, refused)
        else:
            theirs.MoveIntoResourcePool([vm])
    assert vm.parentVApp == vapp


def test_nobody_gives_or_takes_away_what_he_does_not_hold(sim):
    si = sim.connect()
    for name in ("eve", "bob"):
        add_user(si, name)
    folder = all_of(si, vim.Datacenter)[0].vmFolder.CreateFolder("team")
    manager = si.content.authorizationManager
    role = manager.AddAuthorizationRole("Delegate", ["Authorization.ModifyPermissions", POWER_OFF])
    permit(si, folder, "eve", role)
    eve = sim.connect("eve", PASSWORD)
    own = vim.Folder(folder._moId, eve._stub)
    permit(eve, own, "bob", role)
    for principal, wanted in (("bob", -1), ("eve", -1), ("administrator", -5)):
        with pytest.raises(vim.fault.NoPermission):
            permit(eve, own, principal, wanted)
    permit(si, folder, "bob", -1)
    with pytest.raises(vim.fault.NoPermission):
        eve.content.authorizationManager.RemoveEntityPermission(own, "bob", False)


def test_global_permissions_lie_above_the_root_folder(sim, rest):
    si = sim.connect()
    add_user(si, "eve")
    eve = sim.connect("eve", PASSWORD)
    with pytest.raises(vim.fault.NoPermission):
        all_of(eve, vim.VirtualMachine)
    spec = {"object": {"type": "", "id": ""}, "principal": {"type": "USER", "name": "eve", "domain": "vsphere.local"},
            "role": "-2", "propagating": True}
    status, permission = rest("POST", "permissions", spec)
    assert status == 201, permission
    assert len(all_of(eve, vim.VirtualMachine)) == 4
    status, info = rest("GET", f"permissions/{permission}")
    assert status == 200 and info["role"] == "-2" and info["principal"]["name"] == "eve"
    assert rest("POST", "permissions", spec)[0] == 400, "it exists"
    assert rest("PATCH", f"permissions/{permission}", {"role": "-5"})[0] == 204
    with pytest.raises(vim.fault.NoPermission):
        all_of(eve, vim.VirtualMachine)
    assert rest("DELETE", f"permissions/{permission}")[0] == 204
    status, listed = rest("POST", "permissions?action=list", {"filter": {"objects": [{"type": "", "id": ""}]}})
    assert status == 200 and listed["items"] == []


def test_the_automation_api_shows_and_changes_the_same_roles(sim, rest):
    status, role = rest("POST", "roles", {"name": "Rest", "description": "made by REST", "privileges": [POWER_OFF]})
    assert status == 201, role
    shown = {r.name: r for r in sim.connect().content.authorizationManager.roleList}["Rest"]
    assert str(shown.roleId) == role and shown.info.label == "made by REST" and POWER_OFF in shown.privilege
    assert rest("PATCH", f"roles/{role}", {"name": "Rest 2"})[0] == 204
    status, info = rest("GET", f"roles/{role}")
    assert info["name"] == "Rest 2" and info["description"] == "made by REST" and POWER_OFF in info["privileges"]
    assert rest("DELETE", f"roles/{role}")[0] == 204 and rest("GET", f"roles/{role}")[0] == 404
    assert rest("DELETE", "roles/-1")[0] == 400
    status, page = rest("GET", "privileges?page_size=10")
    assert status == 200 and len(page["items"]) == 10 and page["marker"]


def test_the_privileges_that_were_used_can_be_read(sim, rest):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    status, marker = rest("GET", "privilege-checks/latest")
    assert status == 200
    wait(si, vm.PowerOffVM_Task())
    status, page = rest("POST", "privilege-checks?action=list",
                        {"iteration": {"marker": marker}, "filter": {"privileges": [POWER_OFF]}})
    assert status == 200, page
    assert [(use["object"]["id"], use["principal"]["name"].lower()) for use in page["items"]] == [
        (vm._moId, "administrator")]
    assert page["truncated"] is False and page["marker"] != marker


def test_the_command_line_manages_roles_and_permissions(sim, esfera):
    add_user(sim.connect(), "eve")

    def run(*words, status=0):
        done = esfera(*words)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    run("role", "add", "operator", "--privilege", "VirtualMachine.Interact.*")
    run("role", "set", "operator", "--remove", "VirtualMachine.Interact.Reset", "--add", "Datastore.Browse")
    held = {row["privilege"] for row in json.loads(run("role", "show", "operator", "--json"))}
    assert "Datastore.Browse" in held and POWER_OFF in held and "VirtualMachine.Interact.Reset" not in held
    run("role", "clone", "operator", "copy")
    run("role", "rm", "copy")
    run("role", "show", "copy", status=3)
    run("permission", "add", "eve", "operator", "/DC0")
    shown = json.loads(run("permission", "ls", "/DC0/vm/DC0_H0_VM0", "--json"))
    assert any(row["principal"].lower().endswith("eve") and row["role"] == "operator" for row in shown)
    assert "eve has " + POWER_OFF in run("permission", "explain", "eve", "/DC0/vm/DC0_H0_VM0", POWER_OFF)
    assert "does not have" in run("permission", "explain", "eve", "/DC0/vm/DC0_H0_VM0", "Host.Config.Network")
    run("permission", "rm", "eve", "/DC0")
    run("permission", "add", "--global", "eve", "ReadOnly")
    assert [row["principal"] for row in json.loads(run("permission", "ls", "--global", "--json"))] == ["eve"]
    run("permission", "rm", "--global", "eve")
    assert "Authorization.ModifyPermissions" in run("permission", "used", "administrator")


def test_roles_and_permissions_are_managed_by_playbook(sim, tmp_path):
    add_user(sim.connect(), "eve")
    for state, tasks in (("present", ["role is there", "permission"]), ("absent", ["permission", "role is not there"])):
        assert play("permissions.yml", sim, tmp_path, state=state) == tasks
        assert play("permissions.yml", sim, tmp_path, state=state) == []
