"""libvirt's esx driver: esx:// to a host, vpx:// to a center."""
import re
import subprocess
from xml.etree import ElementTree

import pytest
from pyVmomi import vim

from vsphere import all_of


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


NETWORK = """<network>
  <name>vSwitch7</name>
  <forward mode='bridge' dev='vmnic1'><interface dev='vmnic1'/></forward>
  <bandwidth>
    <inbound average='2000' peak='4000' burst='512'/><outbound average='2000' peak='4000' burst='512'/>
  </bandwidth>
  <portgroup name='Blue'>
    <bandwidth>
      <inbound average='1000' peak='5000' burst='1024'/><outbound average='1000' peak='5000' burst='1024'/>
    </bandwidth>
  </portgroup>
  <portgroup name='Red'/>
</network>"""


def rates(element):
    """A bandwidth in libvirt's form: kilobytes a second, and kilobytes."""
    return {way.tag: tuple(int(way.get(word)) for word in ("average", "peak", "burst")) for way in element.find("bandwidth")}


@pytest.mark.parametrize("fixture, path", [("sim", CENTER), ("esx", HOST)])
def test_switches_are_networks(virsh, request, tmp_path, fixture, path):
    server = request.getfixturevalue(fixture)

    def described(name):
        return ElementTree.fromstring(virsh(server, path, "net-dumpxml", name))

    def names():
        return virsh(server, path, "net-list", "--all", "--name").split()

    assert names() == ["vSwitch0"]
    assert re.search(r"vSwitch0\s+active\s+yes\s+yes", virsh(server, path, "net-list", "--all"))
    first = described("vSwitch0")
    assert [card.get("dev") for card in first.iter("interface")] == ["vmnic0"]
    assert sorted(group.get("name") for group in first.iter("portgroup")) == ["Management Network", "VM Network"]
    assert virsh(server, path, "net-name", first.findtext("uuid")).strip() == "vSwitch0"

    wanted, inner = tmp_path / "wanted.xml", tmp_path / "inner.xml"
    wanted.write_text(NETWORK)
    inner.write_text("<network><name>vSwitch8</name><portgroup name='Inner'/></network>")
    virsh(server, path, "net-define", str(wanted))
    virsh(server, path, "net-define", str(inner))
    assert sorted(names()) == ["vSwitch0", "vSwitch7", "vSwitch8"]
    made = described("vSwitch7")
    assert made.find("forward").get("mode") == "bridge"
    assert [card.get("dev") for card in made.iter("interface")] == ["vmnic1"]
    assert rates(made) == {"inbound": (2000, 4000, 512), "outbound": (2000, 4000, 512)}
    groups = {group.get("name"): group for group in made.iter("portgroup")}
    assert sorted(groups) == ["Blue", "Red"]
    assert rates(groups["Blue"]) == {"inbound": (1000, 5000, 1024), "outbound": (1000, 5000, 1024)}
    assert groups["Red"].find("bandwidth") is None
    assert described("vSwitch8").find("forward") is None
    for name in ("vSwitch7", "vSwitch8"):
        virsh(server, path, "net-undefine", name)
    with pytest.raises(AssertionError, match="Cannot undefine HostVirtualSwitch that has a"):
        virsh(server, path, "net-undefine", "vSwitch0")
    assert names() == ["vSwitch0"]


@pytest.mark.parametrize("fixture, path", [("sim", CENTER), ("esx", HOST)])
def test_network_cards_are_interfaces(virsh, request, fixture, path):
    """By their MACs: the driver also looks for names among the MACs, so `iface-list` and `iface-mac` find none on any host."""
    server = request.getfixturevalue(fixture)
    cards = all_of(server.connect(), vim.HostSystem)
    cards = next(host for host in cards if host.name in ("DC0_H0", "localhost.localdomain")).config.network.pnic
    assert [card.device for card in cards] == ["vmnic0", "vmnic1"]
    for card in cards:
        assert virsh(server, path, "iface-name", card.mac).strip() == card.device
        shown = ElementTree.fromstring(virsh(server, path, "iface-dumpxml", card.mac))
        assert (shown.get("type"), shown.get("name")) == ("ethernet", card.device)
        assert shown.find("mac").get("address") == card.mac
        assert shown.find("protocol") is None, "a card has no address of its own"


def test_the_lab_is_driven_through_its_center(virsh, lab):
    for host in ("10.77.0.11", "10.77.0.12"):
        listed = domains(virsh(lab.center, f"vpx:/Lab/{host}", "list", "--all"))
        if "demo" in listed:
            assert listed["demo"] == "running"
            assert "<mac address=" in virsh(lab.center, f"vpx:/Lab/{host}", "dumpxml", "demo")
            return
    raise AssertionError("no host runs demo")
