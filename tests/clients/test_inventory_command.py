"""`esfera vapp`, `esfera pod`, `esfera customization` and `esfera host lockdown` over the simulator."""
import json


def ok(answer):
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def table(esfera, *words):
    return json.loads(ok(esfera(*words, "--json")))


def test_a_vapp_is_made_ordered_started_and_removed(esfera):
    assert ok(esfera("vapp", "create", "shop")).startswith("resgroup-v")
    vms = [vm["name"] for vm in table(esfera, "vm", "ls") if vm["name"].startswith("DC0_C0")][:2]
    ok(esfera("vapp", "put", "shop", *vms))
    ok(esfera("vapp", "order", "shop", vms[0], "--order", "2", "--stop", "suspend"))
    shown = {row["name"]: row for row in table(esfera, "vapp", "show", "shop")}
    assert (shown[vms[0]]["order"], shown[vms[0]]["stop"], shown[vms[1]]["order"]) == (2, "suspend", 1)
    state = {vm["name"]: vm for vm in table(esfera, "vm", "ls")}
    if any("off" in json.dumps(state[vm]).lower() for vm in vms):
        ok(esfera("vapp", "start", "shop"))
    assert table(esfera, "vapp", "ls")[0]["state"] == "started"
    ok(esfera("vapp", "stop", "shop", "--force"))
    assert table(esfera, "vapp", "ls")[0]["state"] == "stopped"
    refused = esfera("vapp", "rm", "shop")
    assert refused.returncode == 1 and "not empty" in refused.stderr, refused.stderr
    ok(esfera("vapp", "take", "shop", *vms))
    ok(esfera("vapp", "rm", "shop"))
    assert table(esfera, "vapp", "ls") == []


def test_a_datastore_cluster_takes_and_gives_back_a_datastore(esfera):
    ok(esfera("pod", "create", "gold"))
    ok(esfera("pod", "put", "gold", "LocalDS_0"))
    [pod] = table(esfera, "pod", "ls")
    assert pod["datastores"] == 1 and pod["capacity_mib"] > 0
    ok(esfera("pod", "rename", "gold", "silver"))
    ok(esfera("pod", "take", "silver", "LocalDS_0"))
    assert table(esfera, "pod", "ls")[0]["capacity_mib"] == 0
    ok(esfera("pod", "rm", "silver"))
    assert table(esfera, "pod", "ls") == []


def test_the_lockdown_mode_is_set_and_listed(esfera):
    ok(esfera("host", "lockdown", "set", "DC0_H0", "normal"))
    ok(esfera("host", "lockdown", "except", "DC0_H0", "root"))
    modes = {row["host"]: row for row in table(esfera, "host", "lockdown", "ls")}
    assert (modes["DC0_H0"]["lockdown"], modes["DC0_H0"]["exceptions"]) == ("normal", "root")
    assert modes["DC0_C0_H0"]["lockdown"] == "disabled"
    ok(esfera("host", "lockdown", "set", "DC0_H0", "off"))
    unknown = esfera("host", "lockdown", "reset", "--data", "/nonexistent")
    assert unknown.returncode == 3 and "/nonexistent" in unknown.stderr, unknown.stderr


def test_customization_specifications_are_exported_and_imported(esfera, sim, tmp_path):
    from test_inventory import windows
    sim.connect().content.customizationSpecManager.CreateCustomizationSpec(windows("win", "s3cret!"))
    exported = ok(esfera("customization", "export", "win"))
    assert "s3cret!" not in exported
    file = tmp_path / "win.json"
    file.write_text(exported)
    twice = esfera("customization", "import", str(file))
    assert twice.returncode == 1 and "exists" in twice.stderr, twice.stderr
    ok(esfera("customization", "import", str(file), "--replace"))
    assert [row["name"] for row in table(esfera, "customization", "ls")] == ["win"]
    ok(esfera("customization", "rm", "win"))
    assert table(esfera, "customization", "ls") == []
