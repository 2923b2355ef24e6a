"""The Ansible collections community.vmware and vmware.vmware."""
import json
import subprocess
import sys
from pathlib import Path

PLAYBOOKS = Path(__file__).parent / "playbooks"


def play(name, server, tmp_path, **more):
    variables = {"address": server.address, "port": server.port, "user": server.user, "password": server.password,
                 **more}
    extra = tmp_path / "variables.json"
    extra.write_text(json.dumps(variables))
    process = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-e", f"@{extra}",
         "-e", f"ansible_python_interpreter={sys.executable}", str(PLAYBOOKS / name)],
        capture_output=True, text=True, timeout=600,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "ANSIBLE_LOCAL_TEMP": str(tmp_path),
             "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"})
    assert process.returncode == 0, process.stdout[-6000:] + process.stderr[-2000:]


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
