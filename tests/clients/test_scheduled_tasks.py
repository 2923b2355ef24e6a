"""Scheduled tasks as scripts make them: what is asked for, when it runs, what became of it."""
import time
from datetime import datetime, timedelta, timezone

import pytest
from pyVmomi import vim, vmodl

from vsphere import all_of, by_name, wait


def spec(name, method, arguments=(), scheduler=None, enabled=True):
    values = [vim.action.MethodActionArgument(value=value) for value in arguments]
    return vim.scheduler.ScheduledTaskSpec(
        name=name, description="made by a test", enabled=enabled, notification="",
        scheduler=scheduler or vim.scheduler.DailyTaskScheduler(interval=1, hour=2, minute=30),
        action=vim.action.MethodAction(name=method, argument=values))


def until(holds, limit_s=60):
    """Waits for a state of the server."""
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, "the state did not come"
        time.sleep(0.1)


def test_a_scheduled_power_operation_is_shown_and_run_and_removed(sim):
    si = sim.connect()
    manager = si.content.scheduledTaskManager
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    wait(si, vm.PowerOffVM_Task())
    task = manager.CreateScheduledTask(vm, spec("power on", vim.VirtualMachine.PowerOn, [None]))
    info = task.info
    assert (info.name, info.entity, info.taskObject, info.state) == ("power on", vm, vm, "queued")
    assert (info.nextRunTime.hour, info.nextRunTime.minute) == (2, 30)
    assert info.nextRunTime > datetime.now(timezone.utc) and info.prevRunTime is None
    assert info.lastModifiedUser == si.content.sessionManager.currentSession.userName
    assert manager.scheduledTask == [task] == manager.RetrieveEntityScheduledTask(vm)
    assert manager.RetrieveObjectScheduledTask(by_name(si, vim.VirtualMachine, "DC0_H0_VM1")) == []
    task.RunScheduledTask()
    until(lambda: task.info.state == "success")
    assert vm.runtime.powerState == "poweredOn"
    assert task.info.prevRunTime is not None and task.info.activeTask is None and task.info.error is None
    found = si.content.taskManager.CreateCollectorForTasks(vim.TaskFilterSpec(scheduledTask=task)).ReadNextTasks(10)
    assert [(t.descriptionId, t.state, type(t.reason)) for t in found] == [
        ("VirtualMachine.powerOn", "success", vim.TaskReasonSchedule)]
    events = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(scheduledTask=task))
    kinds = [type(event).__name__.rpartition(".")[2] for event in events]
    assert kinds == ["ScheduledTaskCreatedEvent", "ScheduledTaskStartedEvent", "ScheduledTaskCompletedEvent"]
    assert len({event.chainId for event in events[1:]}) == 1 and events[1].chainId == found[0].eventChainId
    # A task that fails says why.
    task.RunScheduledTask()
    until(lambda: task.info.state == "error")
    assert isinstance(task.info.error, vim.fault.InvalidPowerState)
    task.RemoveScheduledTask()
    assert manager.scheduledTask == []
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        task.info


def test_a_task_runs_at_its_time(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    at = datetime.now(timezone.utc) + timedelta(seconds=3)
    once = vim.scheduler.OnceTaskScheduler(runAt=at)
    snapshot = spec("snapshot", vim.VirtualMachine.CreateSnapshot, ["nightly", "", False, False], once)
    task = si.content.scheduledTaskManager.CreateScheduledTask(vm, snapshot)
    until(lambda: task.info.state == "success")
    assert vm.snapshot.rootSnapshotList[0].name == "nightly"
    assert task.info.nextRunTime is None and task.info.prevRunTime >= at


def test_every_scheduler_and_a_change_of_it(sim):
    si = sim.connect()
    manager = si.content.scheduledTaskManager
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    offered = {detail.key for detail in manager.description.schedulerInfo}
    assert vim.scheduler.MonthlyByWeekdayTaskScheduler in offered and len(offered) == 7
    weekly = dict.fromkeys(["sunday", "monday", "tuesday", "thursday", "friday", "saturday"], False)
    when = [
        vim.scheduler.AfterStartupTaskScheduler(minute=5),
        vim.scheduler.HourlyTaskScheduler(interval=2, minute=15),
        vim.scheduler.WeeklyTaskScheduler(interval=1, hour=1, minute=0, wednesday=True, **weekly),
        vim.scheduler.MonthlyByDayTaskScheduler(interval=1, hour=1, minute=0, day=31),
        vim.scheduler.MonthlyByWeekdayTaskScheduler(interval=1, hour=1, minute=0, offset="last", weekday="friday"),
    ]
    for number, scheduler in enumerate(when):
        task = manager.CreateScheduledTask(vm, spec(f"t{number}", vim.VirtualMachine.PowerOff, scheduler=scheduler))
        assert task.info.nextRunTime > datetime.now(timezone.utc)
        assert type(task.info.scheduler) is type(scheduler)
    assert task.info.nextRunTime.weekday() == 4
    disabled = spec("t4", vim.VirtualMachine.PowerOff, scheduler=when[4], enabled=False)
    task.ReconfigureScheduledTask(disabled)
    assert task.info.nextRunTime is None and not task.info.enabled


def test_what_cannot_be_scheduled_is_refused_by_its_name(sim):
    si = sim.connect()
    manager = si.content.scheduledTaskManager
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    off = spec("off", vim.VirtualMachine.PowerOff)
    manager.CreateScheduledTask(vm, off)
    with pytest.raises(vim.fault.DuplicateName):
        manager.CreateScheduledTask(vm, off)
    mail = spec("mail", vim.VirtualMachine.PowerOff)
    mail.action = vim.action.SendEmailAction(toList="a@b", ccList="", subject="s", body="b")
    with pytest.raises(vmodl.fault.NotSupported) as refused:
        manager.CreateScheduledTask(vm, mail)
    assert "mail" in refused.value.msg
    script = spec("script", vim.VirtualMachine.PowerOff)
    script.action = vim.action.RunScriptAction(script="reboot")
    with pytest.raises(vmodl.fault.NotSupported):
        manager.CreateScheduledTask(vm, script)
    with pytest.raises(vmodl.fault.InvalidArgument) as refused:
        manager.CreateScheduledTask(vm, spec("late", vim.VirtualMachine.PowerOff,
                                             scheduler=vim.scheduler.HourlyTaskScheduler(interval=1, minute=60)))
    assert refused.value.invalidProperty == "spec.scheduler.minute"
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.CreateScheduledTask(all_of(si, vim.HostSystem)[0].parent.parent.parent, spec("x", vim.VirtualMachine.PowerOff))


def test_a_user_without_the_privilege_neither_schedules_nor_sees(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    other = by_name(si, vim.VirtualMachine, "DC0_H0_VM1")
    task = si.content.scheduledTaskManager.CreateScheduledTask(vm, spec("off", vim.VirtualMachine.PowerOff))
    manager = si.content.authorizationManager
    accounts = si.content.accountManager
    if accounts is None:
        pytest.skip("the center has no door for accounts")
    accounts.CreateUser(vim.host.LocalAccountManager.AccountSpecification(id="eve", password="Sch3dule!Sch3dule"))
    role = manager.AddAuthorizationRole("scheduler", ["ScheduledTask.Create", "System.View", "System.Read"])
    rule = vim.AuthorizationManager.Permission(principal="VSPHERE.LOCAL\\eve", group=False, roleId=role, propagate=True)
    manager.SetEntityPermissions(other, [rule])
    eve = sim.connect("eve@vsphere.local", "Sch3dule!Sch3dule")
    schedule = eve.content.scheduledTaskManager
    assert schedule.scheduledTask == []
    with pytest.raises(vim.fault.NoPermission):
        schedule.CreateScheduledTask(vim.VirtualMachine(vm._moId, eve._stub), spec("mine", vim.VirtualMachine.PowerOff))
    # She may schedule on the other VM, but not what she may not do herself.
    with pytest.raises(vim.fault.NoPermission) as refused:
        schedule.CreateScheduledTask(vim.VirtualMachine(other._moId, eve._stub), spec("mine", vim.VirtualMachine.PowerOff))
    assert refused.value.privilegeId == "VirtualMachine.Interact.PowerOff"
    with pytest.raises(vim.fault.NoPermission):
        vim.scheduler.ScheduledTask(task._moId, eve._stub).RunScheduledTask()


def test_the_command_schedules_and_lists(esfera):
    made = esfera("schedule", "add", "nightly", "snapshot", "--vm", "DC0_H0_VM0", "--every", "day", "--at", "23:45")
    assert made.returncode == 0, made.stderr
    listed = esfera("schedule", "ls")
    assert "nightly" in listed.stdout and "CreateSnapshot_Task" in listed.stdout and "T23:45:00Z" in listed.stdout
    assert esfera("schedule", "disable", "nightly").returncode == 0
    assert "T23:45:00Z" not in esfera("schedule", "ls").stdout
    assert esfera("schedule", "enable", "nightly").returncode == 0
    assert esfera("schedule", "run", made.stdout.strip()).returncode == 0
    until(lambda: "success" in esfera("schedule", "ls").stdout)
    assert esfera("schedule", "rm", "nightly").returncode == 0
    assert "nightly" not in esfera("schedule", "ls").stdout
    refused = esfera("schedule", "add", "x", "snapshot", "--vm", "DC0_H0_VM0", "--every", "week")
    assert refused.returncode == 2 and "--on" in refused.stderr
