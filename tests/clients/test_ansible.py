"""The Ansible collections community.vmware and vmware.vmware."""
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PLAYBOOKS = Path(__file__).parent / "playbooks"


def play(name, server, tmp_path, *options, **more):
    """Plays a playbook; returns the names of the tasks that changed something."""
    variables = {"address": server.address, "port": server.port, "user": server.user, "password": server.password,
                 **more}
    extra = tmp_path / "variables.json"
    extra.write_text(json.dumps(variables))
    process = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-e", f"@{extra}",
         "-e", f"ansible_python_interpreter={sys.executable}", str(PLAYBOOKS / name), *options],
        capture_output=True, text=True, timeout=600,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "ANSIBLE_LOCAL_TEMP": str(tmp_path),
             "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"})
    assert process.returncode == 0, process.stdout[-6000:] + process.stderr[-2000:]
    tasks = [task for played in json.loads(process.stdout)["plays"] for task in played["tasks"]]
    return [task["task"]["name"] for task in tasks if task["hosts"]["localhost"].get("changed")]


def test_a_vm_lives_its_life_by_playbook(sim, tmp_path):
    play("lifecycle.yml", sim, tmp_path, datacenter="DC0", esxi="DC0_H0", datastore="LocalDS_0")


def test_devices_and_snapshots_are_managed_by_playbook(sim, tmp_path):
    play("devices.yml", sim, tmp_path, datacenter="DC0", esxi="DC0_H0", datastore="LocalDS_0")


def test_the_newer_collection_manages_a_vm(sim, tmp_path):
    play("newer.yml", sim, tmp_path, datacenter="DC0", cluster="DC0_C0", datastore="LocalDS_0")


def test_a_host_is_taken_out_and_added_by_playbook(lab, tmp_path):
    host = lab.ready["hosts"][1]
    play("hosts.yml", lab.center, tmp_path, datacenter="Lab", esxi=host["management_address"],
         esxi_password=host["password"], esxi_thumbprint=host["thumbprint"])


def test_switches_and_port_groups_are_managed_by_playbook(sim, tmp_path):
    play("network.yml", sim, tmp_path, esxi="DC0_H0")


def test_vmkernel_adapters_are_managed_by_playbook(sim, tmp_path):
    play("vmkernel.yml", sim, tmp_path, esxi="DC0_H0")


def test_advanced_settings_of_a_host_are_managed_by_playbook(sim, tmp_path):
    play("options.yml", sim, tmp_path, esxi="DC0_H0")


CENTER = ("sim", {"esxi": "DC0_H0", "datacenter": "DC0", "vm": "DC0_H0_VM0"})
HOST = ("esx", {"esxi": "localhost.localdomain", "datacenter": "ha-datacenter", "vm": "ha-host_VM0"})
BOTH = pytest.mark.parametrize("server, names", [CENTER, HOST], ids=["center", "host"])


def play_to_a_state(name, server, tmp_path, tasks, **more):
    """A playbook reports its changes, makes them, and then finds nothing left to change."""
    assert play(name, server, tmp_path, "--check", **more) == tasks
    assert play(name, server, tmp_path, **more) == tasks, "--check had changed nothing"
    assert play(name, server, tmp_path, **more) == []
    assert play(name, server, tmp_path, "--check", **more) == []


@BOTH
def test_networks_come_and_go_once(request, tmp_path, server, names):
    server = request.getfixturevalue(server)
    tasks = ["vmware_vswitch", "vmware_portgroup", "vmware_guest_network"]
    for state in ("present", "absent"):
        play_to_a_state("network_states.yml", server, tmp_path, tasks, state=state, **names)


@BOTH
def test_settings_of_the_network_are_made_once(request, tmp_path, server, names):
    server = request.getfixturevalue(server)
    tasks = ["vmware_host_tcpip_stacks", "vmware_host_config_manager"]
    play_to_a_state("network_settings.yml", server, tmp_path, tasks, **names)


@BOTH
def test_modules_tell_of_the_network(request, tmp_path, server, names):
    assert play("network_told.yml", request.getfixturevalue(server), tmp_path, **names) == []


@BOTH
def test_a_user_of_a_host_comes_and_goes_once(request, tmp_path, server, names):
    server = request.getfixturevalue(server)
    for state in ("present", "absent"):
        play_to_a_state("users.yml", server, tmp_path, ["vmware_host_user_manager"], state=state, **names)


def test_users_are_managed_at_the_host_itself_by_playbook(esx, tmp_path):
    play("local_users.yml", esx, tmp_path)


def test_the_inventory_of_the_center_comes_and_goes_once(sim, tmp_path):
    shared = ["vmware_datastore_cluster_manager", "vmware_resource_pool", "vcenter_folder", "vcenter_license",
              "vmware_host_lockdown_exceptions", "vmware_host_lockdown", "vmware_custom_attribute"]
    made = ["vmware_datastore_cluster", *shared, "vmware_custom_attribute_manager"]
    for state, tasks in (("present", made), ("absent", shared)):
        assert play("inventory_states.yml", sim, tmp_path, state=state) == tasks
        assert play("inventory_states.yml", sim, tmp_path, state=state) == [], "the second run changes nothing"


def test_what_modules_make_on_the_simulator_is_made_once(sim, tmp_path):
    made = play("sim_states.yml", sim, tmp_path)
    assert "vmware_cluster" in made and "vmware_guest_move" in made and "vmware_maintenancemode" in made
    assert play("sim_states.yml", sim, tmp_path) == [], "the second run changes nothing"


def test_the_page_about_clients_names_each_module_once_and_the_playbooks_have_those_that_work():
    page = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
    working, waiting = page.split("The other modules wait")
    played = set(re.findall(r"^[ -]+((?:community[.]vmware|vmware[.]vmware)[.]\w+):", "\n".join(
        playbook.read_text() for playbook in PLAYBOOKS.glob("*.yml")), re.MULTILINE))
    assert set(re.findall(r"^[|] `([\w.]+)`", working, re.MULTILINE)) == played
    collections = next(Path(sys.executable).parents[1].glob("lib/*/site-packages/ansible_collections"))
    modules = [f"{collection.parent.name}.{collection.name}.{module.stem}"
               for collection in (collections / "community/vmware", collections / "vmware/vmware")
               for module in (collection / "plugins/modules").glob("*.py") if module.stem != "__init__"]
    others = sorted(module for module in modules if module not in played)
    assert sorted(re.findall(r"`([\w.]+)`", waiting)) == others
