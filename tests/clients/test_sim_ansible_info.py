"""The modules of the Ansible collections that only read, asked about the simulator's inventory: one playbook with a task for each."""
from test_ansible import play


def test_modules_that_read_the_inventory_read_that_of_the_simulator(sim, tmp_path):
    changed = play("sim_info.yml", sim, tmp_path)
    assert changed == []
