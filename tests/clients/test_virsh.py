"""libvirt's esx driver: esx:// to a host, vpx:// to a center."""
import re
import subprocess

import pytest


@pytest.fixture
def virsh(tmp_path):
    """Runs virsh against a server; the password comes from an authentication file, as libvirt documents it."""

    def run(server, uri_path, *command):
        auth = tmp_path / "auth.conf"
        auth.write_text(f"[credentials-test]\nusername={server.user}\npassword={server.password}\n"
                        f"[auth-esx-{server.address}]\ncredentials=test\n")
        scheme = uri_path.split(":")[0]
        uri = f"{scheme}://{server.address}:{server.port}{uri_path.split(':', 1)[1]}?no_verify=1&transport={server.scheme}"
        process = subprocess.run(["virsh", "-c", uri + f"&authfile={auth}", *command], capture_output=True, text=True,
                                 timeout=120)
        assert process.returncode == 0, f"virsh {command}: {process.stderr}\n{process.stdout}"
        return process.stdout

    return run


CENTER = "vpx:/DC0/DC0_H0"
HOST = "esx:/"


def domains(text):
    return dict(re.findall(r"^\s*(?:\d+|-)\s+(\S+)\s+(.+?)\s*$", text, re.M))


@pytest.mark.parametrize("fixture, path", [("sim", CENTER), ("esx", HOST)])
def test_domains_are_listed_described_stopped_and_started(virsh, request, fixture, path):
    server = request.getfixturevalue(fixture)
    listed = domains(virsh(server, path, "list", "--all"))
    assert listed, "virsh sees no domain"
    name = sorted(listed)[0]
    xml = virsh(server, path, "dumpxml", name)
    assert f"<name>{name}</name>" in xml and "<uuid>" in xml and "type='vmware'" in xml
    if listed[name] == "running":
        virsh(server, path, "destroy", name)
    assert domains(virsh(server, path, "list", "--all"))[name] == "shut off"
    virsh(server, path, "start", name)
    assert domains(virsh(server, path, "list", "--all"))[name] == "running"


@pytest.mark.parametrize("fixture, path", [("sim", CENTER), ("esx", HOST)])
def test_the_host_is_described(virsh, request, fixture, path):
    server = request.getfixturevalue(fixture)
    assert re.search(r"CPU\(s\):\s+\d+", virsh(server, path, "nodeinfo"))
    assert virsh(server, path, "hostname").strip()
    assert "<arch>x86_64</arch>" in virsh(server, path, "capabilities")
    assert int(virsh(server, path, "freecell").split()[1]) > 0
    assert "LocalDS_0" in virsh(server, path, "pool-list")
    assert ".vmdk" in virsh(server, path, "vol-list", "LocalDS_0")


def test_the_hosts_of_a_cluster_have_the_vms_of_the_cluster(virsh, sim):
    seen = {}
    for host in ("DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2"):
        seen |= domains(virsh(sim, f"vpx:/DC0/DC0_C0/{host}", "list", "--all"))
    assert seen == {"DC0_C0_RP0_VM0": "running", "DC0_C0_RP0_VM1": "running"}


@pytest.mark.parametrize("fixture, path, name", [("sim", CENTER, "DC0_H0_VM0"), ("esx", HOST, "ha-host_VM0")])
def test_a_domain_is_described_changed_kept_and_forgotten(virsh, request, fixture, path, name):
    server = request.getfixturevalue(fixture)

    def on(command, *more):
        return virsh(server, path, command, name, *more)

    assert on("domstate").strip() == "running"
    assert re.search(r"Max memory:\s+32768 KiB", on("dominfo"))
    assert ".vmdk" in on("domblklist")
    on("suspend")
    on("resume")
    on("snapshot-create-as", "before", "--disk-only")
    assert "before" in on("snapshot-list")
    on("destroy")
    on("snapshot-revert", "before")
    on("snapshot-delete", "before")
    assert "before" not in on("snapshot-list")
    on("setvcpus", "2")
    assert re.search(r"CPU\(s\):\s+2", on("dominfo"))
    on("undefine")
    assert name not in domains(virsh(server, path, "list", "--all"))


def test_the_lab_is_driven_through_its_center(virsh, lab):
    for host in ("10.77.0.11", "10.77.0.12"):
        listed = domains(virsh(lab.center, f"vpx:/Lab/{host}", "list", "--all"))
        if "demo" in listed:
            assert listed["demo"] == "running"
            assert "<mac address=" in virsh(lab.center, f"vpx:/Lab/{host}", "dumpxml", "demo")
            return
    raise AssertionError("no host runs demo")
