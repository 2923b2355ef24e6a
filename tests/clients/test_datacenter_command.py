"""`esfera datacenter` over the simulator, as a user types it."""
import json


def names(esfera):
    return [datacenter["name"] for datacenter in json.loads(esfera("datacenter", "ls", "--json").stdout)]


def test_a_datacenter_is_created_renamed_and_removed(esfera):
    assert names(esfera) == ["DC0"]
    added = esfera("datacenter", "add", "Lyon")
    assert added.returncode == 0 and added.stdout.startswith("datacenter-"), added
    rows = esfera("datacenter", "ls").stdout.splitlines()
    assert rows[0].split() == ["NAME", "ID", "DATASTORES", "NETWORKS"]
    assert rows[1].split()[0] == "DC0" and rows[2].split()[:2] == ["Lyon", added.stdout.strip()]
    assert rows[2].split()[2:] == ["0", "0"]

    assert esfera("datacenter", "rename", "Lyon", "Nantes").returncode == 0
    assert names(esfera) == ["DC0", "Nantes"]
    assert esfera("datacenter", "rm", "Nantes").returncode == 0
    assert names(esfera) == ["DC0"]


def test_a_refused_datacenter_is_named_in_the_error(esfera):
    taken = esfera("datacenter", "add", "DC0")
    assert taken.returncode == 1 and "DC0" in taken.stderr, taken.stderr
    missing = esfera("datacenter", "rm", "Nowhere")
    assert missing.returncode == 3 and "Nowhere" in missing.stderr, missing.stderr
    in_use = esfera("datacenter", "rm", "DC0")
    assert in_use.returncode == 1 and in_use.stderr.count("error:") == 1, in_use.stderr
    assert names(esfera) == ["DC0"]
