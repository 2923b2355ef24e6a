"""`esfera folder` and `esfera cluster` over the simulator, as a user types them."""
import json


def paths(esfera):
    return {folder["path"]: folder for folder in json.loads(esfera("folder", "ls", "--json").stdout)}


def ok(answer):
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_folders_are_created_renamed_and_removed(esfera):
    assert {"/DC0/vm", "/DC0/host", "/DC0/datastore", "/DC0/network"} <= set(paths(esfera))
    assert ok(esfera("folder", "create", "web", "--in", "/DC0/vm")).startswith("group-v")
    assert ok(esfera("folder", "create", "inner", "--in", "web")).startswith("group-v")
    assert ok(esfera("folder", "create", "Europe")).startswith("group-d")
    known = paths(esfera)
    assert known["/DC0/vm/web"]["holds"] == "VMs" and known["/DC0/vm/web"]["children"] == 1
    assert known["/Europe"]["holds"] == "datacenters"

    not_empty = esfera("folder", "rm", "web")
    assert not_empty.returncode == 1 and "/DC0/vm/web is not empty" in not_empty.stderr, not_empty.stderr
    ok(esfera("folder", "rename", "web", "shop"))
    ok(esfera("folder", "rm", "/DC0/vm/shop/inner"))
    ok(esfera("folder", "rm", "/DC0/vm/shop"))
    assert "/DC0/vm/shop" not in paths(esfera)


def test_a_folder_with_vms_is_not_removed_with_them(esfera):
    before = esfera("vm", "ls").stdout
    refused = esfera("folder", "rm", "/DC0/vm")
    assert refused.returncode == 1 and "is not empty" in refused.stderr, refused.stderr
    assert esfera("vm", "ls").stdout == before


def test_a_folder_that_is_not_the_only_one_of_its_name_is_named_by_its_path(esfera):
    ok(esfera("datacenter", "add", "DC1"))
    several = esfera("folder", "create", "x", "--in", "vm")
    assert several.returncode == 3 and "/DC0/vm" in several.stderr and "/DC1/vm" in several.stderr, several.stderr
    missing = esfera("folder", "rm", "nowhere")
    assert missing.returncode == 3 and "nowhere" in missing.stderr, missing.stderr


def test_clusters_are_created_renamed_and_removed(esfera):
    def names():
        return [cluster["name"] for cluster in json.loads(esfera("cluster", "ls", "--json").stdout)]

    assert names() == ["DC0_C0"]
    assert ok(esfera("cluster", "create", "Production")).startswith("domain-c")
    ok(esfera("cluster", "rename", "Production", "Test"))
    assert names() == ["DC0_C0", "Test"]
    ok(esfera("cluster", "rm", "Test"))
    in_use = esfera("cluster", "rm", "DC0_C0")
    assert in_use.returncode == 1 and "DC0_C0" in in_use.stderr, in_use.stderr
    assert names() == ["DC0_C0"]

    ok(esfera("datacenter", "add", "DC1"))
    unclear = esfera("cluster", "create", "C")
    assert unclear.returncode == 2 and "--datacenter" in unclear.stderr, unclear.stderr
    ok(esfera("cluster", "create", "C", "--datacenter", "DC1"))
    assert names() == ["C", "DC0_C0"]
