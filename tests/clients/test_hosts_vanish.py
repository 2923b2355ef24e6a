"""A center loses hosts and finds them again: cut off, silent, stopped, taken by another center."""
import os
import select
import signal
import socket
import threading

import pytest
from pyVmomi import vim, vmodl

from conftest import Daemon, Server
from test_pyvmomi_lab import wait_for
from vsphere import all_of, by_name, new_vm_spec, wait


class Path:
    """A network path to a server that a test can break: `cut` refuses and ends connections, `silent` carries nothing."""

    def __init__(self, server):
        self.target, self.state, self.pairs = (server.address, server.port), "open", {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.wake_read, self.wake_write = socket.socketpair()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def become(self, state):
        self.state = state
        self.wake_write.send(b"x")

    def run(self):
        while self.state != "end":
            readable = [self.wake_read]
            if self.state != "silent":
                readable += [self.listener, *self.pairs]
            for ready in select.select(readable, [], [])[0]:
                if ready is self.wake_read:
                    ready.recv(100)
                    if self.state in ("cut", "end"):
                        for one in list(self.pairs):
                            one.close()
                        self.pairs.clear()
                elif ready is self.listener:
                    self.accept()
                elif ready in self.pairs:
                    self.carry(ready)
        self.listener.close()

    def accept(self):
        near = self.listener.accept()[0]
        if self.state == "cut":
            near.close()
            return
        try:
            far = socket.create_connection(self.target)
        except OSError:
            near.close()
            return
        self.pairs[near], self.pairs[far] = far, near

    def carry(self, source):
        sink = self.pairs[source]
        try:
            data = source.recv(1 << 16)
            sink.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (source, sink):
                del self.pairs[one]
                one.close()


@pytest.fixture
def path_to():
    paths = []

    def make(server):
        paths.append(Path(server))
        return paths[-1]

    yield make
    for path in paths:
        path.become("end")
        path.thread.join(10)


@pytest.fixture
def make_center(tmp_path):
    """Starts centers that reach their hosts by the network."""
    daemons = []

    def make(name):
        directory = tmp_path / name
        directory.mkdir()
        password = directory / "password"
        password.write_text("Correct-horse-7")
        daemon = Daemon(directory, "center", "--listen", "127.0.0.1:0", "--data", str(directory / "data"),
                        "--password-file", str(password), "--name", f"{name}.example.org")
        daemons.append(daemon)
        server = Server(**{**daemon.wait_ready(), "password": "Correct-horse-7"})
        server.process = daemon.process
        return server

    yield make
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def simulated_host(tmp_path):
    """One simulated host in a process of its own."""
    directory = tmp_path / "host"
    directory.mkdir()
    daemon = Daemon(directory, "sim", "--listen", "127.0.0.1:0", "--esx", "--vms", "3")
    server = Server(**daemon.wait_ready())
    server.process = daemon.process
    yield server
    server.process.send_signal(signal.SIGCONT)
    daemon.stop()


def connect_spec(host, port=None, force=False):
    return vim.host.ConnectSpec(hostName=host.address, port=port or host.port, userName=host.user, password=host.password,
                                force=force)


def with_thumbprint(si, attempt, spec):
    """Confirms the certificate that the first attempt names, as every script does."""
    with pytest.raises(vim.fault.SSLVerifyFault) as untrusted:
        wait(si, attempt(spec))
    spec.sslThumbprint = untrusted.value.thumbprint
    return wait(si, attempt(spec))


def datacenter(si):
    known = all_of(si, vim.Datacenter)
    return known[0] if known else si.content.rootFolder.CreateDatacenter("dc")


def add(si, spec):
    folder = datacenter(si).hostFolder
    return with_thumbprint(si, lambda spec: folder.AddStandaloneHost_Task(spec, None, True), spec).host[0]


def is_in(host, state):
    return lambda: host.runtime.connectionState == state


def events(si, entity):
    by = vim.event.EventFilterSpec.ByEntity(entity=entity, recursion="self")
    found = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(entity=by))
    return [type(event).__name__.rpartition(".")[2] for event in sorted(found, key=lambda event: event.key)]


@pytest.mark.parametrize("broken", ["cut", "silent"])
def test_a_host_that_was_out_of_reach_tells_what_changed_meanwhile(make_center, simulated_host, path_to, broken):
    si, direct = make_center("one").connect(), simulated_host.connect()
    path = path_to(simulated_host)
    host = add(si, connect_spec(simulated_host, path.port))
    vms = {vm.name: vm for vm in all_of(si, vim.VirtualMachine)}
    renamed, stopped, gone = (vms[f"ha-host_VM{at}"] for at in range(3))
    path.become(broken)
    wait_for(is_in(host, "notResponding"))
    assert {vm.runtime.connectionState for vm in vms.values()} == {"disconnected"}
    assert {vm.runtime.powerState for vm in vms.values()} == {"poweredOn"}, "the last that is known"
    assert host.configIssue[0].fullFormattedMessage and host.overallStatus == "red"
    assert (host.configStatus, host.parent.overallStatus) == ("red", "yellow")
    assert not any(mount.mountInfo.accessible for store in host.datastore for mount in store.host)
    with pytest.raises(vmodl.fault.HostNotConnected):
        wait(si, stopped.PowerOffVM_Task())
    with pytest.raises(vmodl.fault.HostNotConnected):
        wait(si, host.EnterMaintenanceMode_Task(0))

    at_host = {name: by_name(direct, vim.VirtualMachine, name) for name in vms}
    wait(direct, at_host[renamed.name].Rename_Task("renamed meanwhile"))
    wait(direct, at_host[stopped.name].PowerOffVM_Task())
    wait(direct, at_host[gone.name].PowerOffVM_Task())
    at_host[gone.name].UnregisterVM()
    pool = all_of(direct, vim.ComputeResource)[0].resourcePool
    wait(direct, all_of(direct, vim.Datacenter)[0].vmFolder.CreateVM_Task(new_vm_spec("new meanwhile", "LocalDS_0"), pool))

    path.become("open")
    wait_for(is_in(host, "connected"))
    assert sorted(vm.name for vm in all_of(si, vim.VirtualMachine)) == ["ha-host_VM1", "new meanwhile", "renamed meanwhile"]
    assert (renamed.name, renamed.runtime.connectionState) == ("renamed meanwhile", "connected")
    assert stopped.runtime.powerState == "poweredOff"
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        gone.name
    assert len(all_of(si, vim.Datastore)) == 1 and len(host.datastore) == 1
    assert host.datastore[0].host[0].mountInfo.accessible and not host.configIssue
    assert (host.configStatus, host.parent.overallStatus) == ("green", "green")
    wait(si, stopped.PowerOnVM_Task())
    lost = [event for event in wait_for(lambda: (lambda all: all if "VmConnectedEvent" in all else None)(events(si, host)))
            if "Connect" in event or "Disconnect" in event]
    assert lost.count("HostConnectionLostEvent") == 1 and lost.count("HostConnectedEvent") == 1
    assert lost.count("VmDisconnectedEvent") == 3 and lost.count("VmConnectedEvent") == 3
    assert lost.index("HostConnectionLostEvent") < lost.index("HostConnectedEvent")


def test_a_host_whose_daemon_stands_still_is_not_responding_until_it_goes_on(make_center, simulated_host):
    si = make_center("one").connect()
    host = add(si, connect_spec(simulated_host))
    before = {vm._moId for vm in host.vm}
    simulated_host.process.send_signal(signal.SIGSTOP)
    wait_for(is_in(host, "notResponding"))
    with pytest.raises(vmodl.fault.HostNotConnected):
        wait(si, host.vm[0].PowerOffVM_Task())
    simulated_host.process.send_signal(signal.SIGCONT)
    wait_for(is_in(host, "connected"))
    assert {vm._moId for vm in host.vm} == before
    wait(si, host.vm[0].PowerOffVM_Task())


def test_a_host_that_was_killed_is_not_responding_and_its_vms_stay(make_center, simulated_host):
    si = make_center("one").connect()
    host = add(si, connect_spec(simulated_host))
    simulated_host.process.kill()
    wait_for(is_in(host, "notResponding"))
    assert [vm.runtime.connectionState for vm in host.vm] == ["disconnected"] * 3
    assert "ReconnectHost_Task" not in host.disabledMethod and "PowerOnVM_Task" in host.vm[0].disabledMethod
    wait(si, host.parent.Destroy_Task())
    assert not all_of(si, vim.VirtualMachine) and not all_of(si, vim.HostSystem) and not all_of(si, vim.Datastore)


def test_a_host_belongs_to_one_center_until_another_takes_it_by_force(make_center, simulated_host):
    one, two = make_center("one").connect(), make_center("two").connect()
    host = add(one, connect_spec(simulated_host))
    with pytest.raises(vim.fault.AlreadyConnected):
        wait(one, datacenter(one).hostFolder.AddStandaloneHost_Task(connect_spec(simulated_host), None, True))
    with pytest.raises(vim.fault.AlreadyBeingManaged) as managed:
        add(two, connect_spec(simulated_host))
    assert managed.value.ipAddress == "one.example.org"
    assert host.runtime.connectionState == "connected" and not all_of(two, vim.HostSystem)

    taken = add(two, connect_spec(simulated_host, force=True))
    assert taken.runtime.connectionState == "connected" and len(taken.vm) == 3
    wait_for(is_in(host, "disconnected"))
    assert [vm.runtime.connectionState for vm in host.vm] == ["disconnected"] * 3
    wait_for(lambda: "HostDisconnectedEvent" in events(one, host))
    # The former center has not the right to come back by itself.
    with pytest.raises(vim.fault.InvalidLogin):
        wait(one, host.ReconnectHost_Task())
    again = connect_spec(simulated_host)
    with pytest.raises(vim.fault.AlreadyBeingManaged):
        wait(one, host.ReconnectHost_Task(again))
    before = sorted(vm._moId for vm in host.vm)
    again.force = True
    wait(one, host.ReconnectHost_Task(again))
    assert host.runtime.connectionState == "connected" and sorted(vm._moId for vm in host.vm) == before
    wait_for(is_in(taken, "disconnected"))
    # A center that lost its host takes nothing from the one that has it.
    wait(two, taken.parent.Destroy_Task())
    assert is_in(host, "connected")()
    wait(one, host.vm[0].PowerOffVM_Task())


def test_a_host_of_the_lab_that_stands_still_is_lost_and_comes_back(lab):
    from test_faults import daemon_pid
    si = lab.center.connect()
    host = by_name(si, vim.HostSystem, lab.ready["hosts"][1]["management_address"])
    wait_for(is_in(host, "connected"))
    vms = {vm._moId for vm in host.vm}
    pid = daemon_pid(lab, "host2")
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(is_in(host, "notResponding"))
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(is_in(host, "connected"))
    assert {vm._moId for vm in host.vm} == vms and daemon_pid(lab, "host2") == pid
