"""Lockdown modes of hosts: the center gets in, users do not, exception users do."""
import pytest
from pyVmomi import vim, vmodl
from vsphere import all_of


def test_the_lockdown_mode_of_a_host_is_changed_through_the_center(sim):
    si = sim.connect()
    host = all_of(si, vim.HostSystem)[0]
    access = host.configManager.hostAccessManager
    assert (access.lockdownMode, host.config.lockdownMode, host.config.adminDisabled) == (
        "lockdownDisabled", "lockdownDisabled", False)
    host.EnterLockdownMode()
    assert (access.lockdownMode, host.config.lockdownMode, host.config.adminDisabled) == (
        "lockdownNormal", "lockdownNormal", True)
    with pytest.raises(vim.fault.AdminDisabled):
        host.EnterLockdownMode()
    access.ChangeLockdownMode("lockdownStrict")
    assert host.config.lockdownMode == "lockdownStrict"
    assert not list(access.QueryLockdownExceptions())
    access.UpdateLockdownExceptions(["root"])
    assert list(access.QueryLockdownExceptions()) == ["root"]
    with pytest.raises(vim.fault.UserNotFound):
        access.UpdateLockdownExceptions(["nobody"])
    host.ExitLockdownMode()
    assert host.config.lockdownMode == "lockdownDisabled"
    with pytest.raises(vim.fault.AdminNotDisabled):
        host.ExitLockdownMode()
    events = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(eventTypeId=["vim.event.HostAdminDisableEvent"]))
    assert [event.host.host for event in events] == [host]


def test_a_host_refuses_lockdown_without_its_center(esx):
    si = esx.connect()
    host = all_of(si, vim.HostSystem)[0]
    with pytest.raises(vim.fault.DisableAdminNotSupported):
        host.EnterLockdownMode()
    assert host.config.lockdownMode == "lockdownDisabled"


def test_a_host_in_lockdown_refuses_direct_logins_except_of_exception_users(lab):
    center, direct = lab.center.connect(), lab.hosts[0]
    before = direct.connect()
    host = next(h for h in all_of(center, vim.HostSystem) if h.hardware.systemInfo.uuid
                == all_of(before, vim.HostSystem)[0].hardware.systemInfo.uuid)
    access = host.configManager.hostAccessManager
    try:
        access.ChangeLockdownMode("lockdownNormal")
        with pytest.raises(vim.fault.NotAuthenticated):
            before.content.sessionManager.sessionList
        with pytest.raises(vim.fault.NoPermission):
            direct.connect()
        with pytest.raises(vim.fault.InvalidLogin):
            direct.connect(password="wrong")
        assert host.runtime.connectionState == "connected" and host.summary.hardware.numCpuCores > 0
        access.UpdateLockdownExceptions([direct.user])
        assert all_of(direct.connect(), vim.HostSystem)[0].config.lockdownMode == "lockdownNormal"
        access.UpdateLockdownExceptions([])
        access.ChangeLockdownMode("lockdownStrict")
        with pytest.raises(vim.fault.NoPermission):
            direct.connect()
    finally:
        access.UpdateLockdownExceptions([])
        access.ChangeLockdownMode("lockdownDisabled")
    assert direct.connect() is not None
