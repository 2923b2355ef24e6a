"""Tags: by the official SDK, by Ansible, by the command line; who may do what with them, and what becomes of them."""
import json

import pytest
from com.vmware.cis.tagging_client import CategoryModel
from com.vmware.vapi.std.errors_client import AlreadyExists, InvalidArgument, NotFound, Unauthorized
from com.vmware.vapi.std_client import DynamicID
from pyVmomi import vim
from test_ansible import play
from test_automation import sdk

SINGLE, MULTIPLE = CategoryModel.Cardinality.SINGLE, CategoryModel.Cardinality.MULTIPLE


def vms(sim, si=None):
    """The VMs of the simulator by their names."""
    content = (si or sim.connect()).content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    return {vm.name: vm for vm in view.view}


def dynamic(entity):
    return DynamicID(type=type(entity).__name__.rpartition(".")[2], id=entity._GetMoId())


def category(client, name, cardinality=MULTIPLE, types=()):
    service = client.tagging.Category
    return service.create(service.CreateSpec(name=name, description="", cardinality=cardinality, associable_types=set(types)))


def tag(client, name, of):
    service = client.tagging.Tag
    return service.create(service.CreateSpec(name=name, description="", category_id=of))


def test_the_official_sdk_makes_attaches_and_lists_tags(sim):
    client, machines = sdk(sim), vms(sim)
    tier = category(client, "tier", SINGLE, ["VirtualMachine"])
    gold, silver = tag(client, "gold", tier), tag(client, "silver", tier)
    assert gold.startswith("urn:vmomi:InventoryServiceTag:") and gold.endswith(":GLOBAL")
    with pytest.raises(AlreadyExists):
        tag(client, "gold", tier)
    shown = client.tagging.Tag.get(gold)
    assert (shown.name, shown.category_id, shown.used_by) == ("gold", tier, set())
    associations = client.tagging.TagAssociation
    one, two = (dynamic(machines[name]) for name in ("DC0_H0_VM0", "DC0_H0_VM1"))
    associations.attach(gold, one)
    associations.attach(gold, one)
    with pytest.raises(InvalidArgument):
        associations.attach(silver, one)
    root = sim.connect().content.rootFolder
    with pytest.raises(InvalidArgument):
        associations.attach(silver, dynamic(root))
    with pytest.raises(NotFound):
        associations.attach(silver, DynamicID(type="VirtualMachine", id="vm-99999"))
    result = associations.attach_tag_to_multiple_objects(silver, [one, two, dynamic(root)])
    assert not result.success and len(result.error_messages) == 2
    assert associations.list_attached_tags(two) == [silver]
    assert [found.id for found in associations.list_attached_objects(silver)] == [two.id]
    by_object = associations.list_attached_tags_on_objects([one, two])
    assert {found.object_id.id: found.tag_ids for found in by_object} == {one.id: [gold], two.id: [silver]}
    by_tag = associations.list_attached_objects_on_tags([gold, silver])
    assert {found.tag_id: [at.id for at in found.object_ids] for found in by_tag} == {gold: [one.id], silver: [two.id]}
    assert associations.list_attachable_tags(one) == []
    associations.detach(gold, one)
    assert set(associations.list_attachable_tags(one)) == {gold, silver}
    client.tagging.Category.delete(tier)
    assert client.tagging.Tag.list() == [] and associations.list_attached_tags(two) == []


def test_a_tag_goes_with_its_object(sim):
    client, si = sdk(sim), sim.connect()
    vm = vms(sim, si)["DC0_H0_VM0"]
    blue = tag(client, "blue", category(client, "any"))
    client.tagging.TagAssociation.attach(blue, dynamic(vm))
    events = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(eventTypeId=["com.vmware.cis.AttachTag"]))
    assert len(events) == 1 and "blue" in events[0].fullFormattedMessage
    if vm.runtime.powerState != "poweredOff":
        task = vm.PowerOffVM_Task()
        while task.info.state in ("queued", "running"):
            pass
    task = vm.Destroy_Task()
    while task.info.state in ("queued", "running"):
        pass
    assert task.info.state == "success", task.info.error
    assert client.tagging.TagAssociation.list_attached_objects(blue) == []
    assert client.tagging.Tag.list() == [blue]


def test_a_user_sees_the_tags_of_what_he_may_read_and_changes_none_without_the_privilege(sim):
    admin, si = sdk(sim), sim.connect()
    machines = vms(sim, si)
    mine, other = machines["DC0_H0_VM0"], machines["DC0_H0_VM1"]
    group = category(admin, "any")
    blue, red = tag(admin, "blue", group), tag(admin, "red", group)
    admin.tagging.TagAssociation.attach(blue, dynamic(mine))
    admin.tagging.TagAssociation.attach(red, dynamic(other))
    si.content.accountManager.CreateUser(vim.host.LocalAccountManager.AccountSpecification(id="eve", password="Test!1234"))
    manager = si.content.authorizationManager
    rule = vim.AuthorizationManager.Permission(principal="VSPHERE.LOCAL\\eve", group=False, roleId=-2, propagate=True)
    manager.SetEntityPermissions(mine, [rule])
    eve = sdk(sim, "eve@vsphere.local", "Test!1234")
    assert eve.tagging.TagAssociation.list_attached_tags(dynamic(mine)) == [blue]
    assert eve.tagging.Tag.get(blue).name == "blue" and eve.tagging.Category.get(group).name == "any"
    for ask in (
        lambda: eve.tagging.Tag.get(red),
        lambda: eve.tagging.TagAssociation.list_attached_tags(dynamic(other)),
        lambda: eve.tagging.TagAssociation.attach(blue, dynamic(mine)),
        lambda: eve.tagging.TagAssociation.detach(blue, dynamic(mine)),
        lambda: eve.tagging.Tag.delete(blue),
        lambda: tag(eve, "own", group),
        lambda: category(eve, "own"),
        lambda: eve.tagging.Category.delete(group),
    ):
        with pytest.raises(Unauthorized):
            ask()
    assert eve.tagging.Tag.list() == []
    assert [one.tag_id for one in eve.tagging.TagAssociation.list_attached_objects_on_tags([blue, red])] == [blue]


def test_playbooks_manage_tags_and_change_nothing_the_second_time(sim, tmp_path):
    changed = play("tags.yml", sim, tmp_path)
    assert {"category", "tag", "attach", "attach to a host"} <= set(changed)
    assert play("tags.yml", sim, tmp_path) == []
    for part, task in [("attached", "detach"), ("tags", "remove tags"), ("categories", "remove categories")]:
        assert play("tags_gone.yml", sim, tmp_path, part=part) == [task]
        assert play("tags_gone.yml", sim, tmp_path, part=part) == []


def test_the_command_line_manages_tags(esfera):
    def done(*words):
        result = esfera(*words)
        assert result.returncode == 0, result.stderr
        return result.stdout

    done("category", "add", "tier", "--cardinality", "single", "--type", "VirtualMachine", "--description", "importance")
    done("tag", "add", "gold", "--category", "tier")
    done("tag", "add", "silver", "--category", "tier")
    done("tag", "attach", "gold", "DC0_H0_VM0", "DC0_H0_VM1")
    assert esfera("tag", "attach", "silver", "DC0_H0_VM0").returncode != 0
    listed = json.loads(done("tag", "ls", "DC0_H0_VM0", "--json"))
    assert [(one["category"], one["name"]) for one in listed] == [("tier", "gold")]
    objects = json.loads(done("tag", "objects", "gold", "--json"))
    assert {one["name"] for one in objects} == {"DC0_H0_VM0", "DC0_H0_VM1"}
    done("tag", "set", "gold", "--name", "first")
    done("tag", "detach", "first", "DC0_H0_VM1")
    done("category", "set", "tier", "--cardinality", "multiple", "--type", "Folder")
    assert "multiple" in done("category", "ls") and "first" in done("tag", "ls", "--category", "tier")
    done("tag", "rm", "silver")
    done("category", "rm", "tier")
    assert json.loads(done("tag", "ls", "--json")) == []
