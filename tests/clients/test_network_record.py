"""A host daemon that cannot read the record of its network: an older daemon after a newer one, or a damaged store."""
import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from pyVmomi import vim

from segment import Segment
from test_faults import answering_host, kill_and_wait_for_restart, reconnect
from test_network import group
from test_network_lab import Pinging, declared, guests, network_itself, plain  # noqa: F401
from test_pyvmomi_lab import wait_for
from vsphere import by_name, nics, wait


@contextlib.contextmanager
def store_of(lab):
    database = sqlite3.connect(Path(lab.ready["run"]).parent / "host1" / "host.db", timeout=30)
    try:
        with database:
            yield database
    finally:
        database.close()


def record(lab):
    with store_of(lab) as database:
        return database.execute("SELECT value FROM record WHERE collection = 'network' AND key = 'standard'").fetchone()[0]


def write_record(lab, value):
    with store_of(lab) as database:
        database.execute("UPDATE record SET value = ? WHERE collection = 'network' AND key = 'standard'", (value,))


def newer(record):
    return json.dumps({**json.loads(record), "format": 1000, "unknown": {"anything": True}}).encode()


def garbage(_):
    return bytes(range(256))


@pytest.mark.parametrize("damage, words, shown", [(newer, "has format 1000", True), (garbage, "cannot be read (", False)])
def test_a_network_whose_record_cannot_be_read_goes_on_and_is_not_changed(lab, guests, damage, words, shown):  # noqa: F811
    a, b = guests
    before = declared(network_itself(lab)[0])
    good = record(lab)
    bad = damage(good)
    pinging = Pinging(b, Segment.ADDRESS)
    write_record(lab, bad)
    try:
        kill_and_wait_for_restart(lab, "host1")
        host, network = network_itself(lab)
        # State that only the virtual switch has, such as an adapter's addresses, is not shown.
        kinds = ("vswitch", "portgroup")
        assert all((plain({kind: declared(host)[kind]}) == plain({kind: before[kind]})) == shown for kind in kinds)
        # The host reports the error, and so does its center.
        through_center = answering_host(reconnect(lab.center), lab.ready["hosts"][0]["management_address"])
        for seen in (host, through_center):
            issue = wait_for(lambda: seen.configIssue)[0]
            assert words in issue.fullFormattedMessage and "goes on as it is" in issue.fullFormattedMessage
            assert issue.eventTypeId == "esfera.host.network.unreadable" and issue.severity == "error"
            assert seen.configStatus == "red"
        for change in (lambda: network.AddPortGroup(group("Lost", 7)), lambda: network.RemovePortGroup("VM Network")):
            with pytest.raises(vim.fault.HostConfigFault) as refused:
                change()
            assert words in refused.value.msg
        # Running VMs go on; a change that needs a new port fails.
        assert b.reaches(a.address)
        si = reconnect(lab.hosts[0])
        vm = by_name(si, vim.VirtualMachine, a.name)
        card = nics(vm)[0]
        card.backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
        with pytest.raises(vim.fault.VimFault):
            change = vim.vm.device.VirtualDeviceSpec(operation="add", device=vim.vm.device.VirtualVmxnet3(
                key=-1, addressType="generated", backing=card.backing))
            wait(si, vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
        assert a.reaches(Segment.ADDRESS)
        assert record(lab) == bad, "the record is unchanged"
    finally:
        write_record(lab, good)
        kill_and_wait_for_restart(lab, "host1")
    host, network = network_itself(lab)
    assert plain(declared(host)) == plain(before) and not host.configIssue and host.configStatus == "green"
    network.AddPortGroup(group("Found", 7))
    network.RemovePortGroup("Found")
    assert pinging.lost() == []
