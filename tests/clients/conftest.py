"""The vocabulary of the whole-system tests: a simulated data center, a lab with real VMs, clients of both.

Each test names the fixtures it needs:

sim          a center over simulated hosts, the default inventory (fresh for each test)
esx          one simulated standalone host
lab          a center, two hosts and a running Linux VM, real QEMU (one for the whole run; tests clean up after themselves)
"""
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from pyVim import connect

ESFERA = os.environ.get("ESFERA_BIN", str(Path(__file__).parents[2] / "target/debug/esfera"))
START_TIMEOUT_S = 120


class Server:
    """A server of the API: its address, and how to log in."""

    def __init__(self, url, user, password, **_):
        self.url, self.user, self.password = url, user, password
        self.scheme, _, rest = url.partition("://")
        self.address, _, port = rest.rstrip("/").partition(":")
        self.port = int(port or 443)

    def connect(self, user=None, password=None):
        """A pyVmomi ServiceInstance."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return connect.SmartConnect(host=self.address, port=self.port, user=user or self.user,
                                    pwd=password or self.password, sslContext=context)


class Daemon:
    """A process of ours that reports in a file when it is ready."""

    def __init__(self, directory, *args):
        self.directory = Path(directory)
        self.ready_file = self.directory / "ready.json"
        self.ready_file.unlink(missing_ok=True)
        self.log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen([ESFERA, *args, "--ready-file", str(self.ready_file)],
                                        stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def wait_ready(self, timeout_s=START_TIMEOUT_S):
        end = time.monotonic() + timeout_s
        while not self.ready_file.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                tail = (self.directory / "log").read_text(errors="replace")[-4000:]
                raise AssertionError(f"not ready (exit status {self.process.poll()}):\n{tail}")
            time.sleep(0.02)
        return json.loads(self.ready_file.read_text())

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def start_sim(directory, *args):
    daemon = Daemon(directory, "sim", "--listen", "127.0.0.1:0", *args)
    return daemon, daemon.wait_ready()


@pytest.fixture
def make_sim(tmp_path):
    """Starts simulated data centers with the given arguments of `esfera sim`."""
    daemons = []

    def make(*args):
        directory = tmp_path / f"sim{len(daemons)}"
        directory.mkdir()
        daemon, ready = start_sim(directory, *args)
        daemons.append(daemon)
        return Server(**ready)

    yield make
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def sim(make_sim):
    return make_sim()


@pytest.fixture
def esx(make_sim):
    return make_sim("--esx")


def command_line(server, directory):
    """`esfera` with a session of the server, as a user types it; its sessions are kept in the directory."""
    environment = {**os.environ, "HOME": str(directory), "XDG_CONFIG_HOME": str(directory), "ESFERA_PASSWORD": server.password}

    def run(*words, **options):
        options = {"capture_output": True, "text": True, "timeout": 60, **options}
        return subprocess.run([ESFERA, *words], env=environment, check=False, **options)

    login = run("login", server.url, "--user", server.user, "--insecure")
    assert login.returncode == 0, login.stderr
    return run


@pytest.fixture
def esfera(sim, tmp_path):
    """Runs `esfera` with a session of the simulator."""
    return command_line(sim, tmp_path)


class Lab:
    """The lab: `center` and `hosts` are servers, `ready` is the content of its ready file."""

    def __init__(self, ready, log=None):
        self.log = log
        self.center = Server(**ready["center"])
        self.hosts = [Server(**host) for host in ready["hosts"]]
        self.ready = ready


@contextlib.contextmanager
def open_directory():
    """A directory that VMs' users can enter, as a datastore must be; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="esfera-test-", dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def lab():
    if "ESFERA_LAB" in os.environ:  # the ready file of a running lab: for quick work on tests
        yield Lab(json.loads(Path(os.environ["ESFERA_LAB"]).read_text()))
        return
    with open_directory() as directory:
        yield from run_lab(directory)


def run_lab(directory, prefix="t"):
    name = f"{prefix}{os.getpid()}"
    daemon = Daemon(directory, "lab", "--name", name, "--data", str(directory / "data"), "--listen", "127.0.0.1:0")
    try:
        yield Lab(daemon.wait_ready(300), directory / "log")
    finally:
        daemon.stop()
        sys.stderr.write((directory / "log").read_text(errors="replace")[-2000:])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the end of the lab's log with a test that failed."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and lab and lab.log:
        report.sections.append(("the end of the lab's log", lab.log.read_text(errors="replace")[-6000:]))
    return report
