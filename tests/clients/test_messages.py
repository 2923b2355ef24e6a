"""Failures as an administrator meets them: each message says what happened, to what, why and what to do, and says it once."""
import contextlib
import json
import os
import subprocess

import pytest

from conftest import ESFERA, Daemon, Server, command_line, start_sim
from test_pyvmomi_lab import wait_for


class Center(Server):
    """A center with hosts that are simulators, in a directory."""

    def __init__(self, directory, daemon, ready):
        super().__init__(**ready)
        self.directory, self.daemon = directory, daemon
        self.esfera = command_line(self, directory)

    def log(self):
        return (self.directory / "log").read_text()


@contextlib.contextmanager
def running_center(directory):
    daemon = Daemon(directory, "center", "--data", str(directory / "state"), "--listen", "127.0.0.1:0")
    try:
        yield Center(directory, daemon, daemon.wait_ready())
    finally:
        daemon.stop()


@pytest.fixture
def center(tmp_path):
    with running_center(tmp_path) as center:
        yield center


def add(center, server, *more):
    """Adds a server as a host, with its password and certificate."""
    password = center.directory / "host-password"
    password.write_text(server.password)
    words = ["host", "add", server.address, "--port", str(server.port), "--user", server.user, "--password-file",
             str(password), *more]
    unknown = center.esfera(*words)
    assert unknown.returncode == 5, unknown.stderr
    lines = unknown.stderr.splitlines()
    assert lines[0] == f"error: the certificate of {server.address} is not trusted" and len(lines) == 2, unknown.stderr
    return center.esfera(*words, "--thumbprint", lines[1].split()[-1])


def test_a_fresh_center_tells_how_to_go_on(center):
    fresh = center.esfera("cluster", "create", "C")
    assert fresh.returncode == 3 and "esfera datacenter add" in fresh.stderr, fresh.stderr


def test_a_center_is_not_added_as_a_host(center, sim):
    center.esfera("datacenter", "add", "Lyon")
    refused = add(center, sim)
    assert refused.returncode == 1, refused
    assert "is a center and not a host" in refused.stderr and "ha-host" not in refused.stderr, refused.stderr


def test_a_host_of_another_center_is_taken_over_on_demand(center, esx, tmp_path):
    center.esfera("datacenter", "add", "Lyon")
    assert add(center, esx).returncode == 0
    (tmp_path / "other").mkdir()
    with running_center(tmp_path / "other") as other:
        other.esfera("datacenter", "add", "Nice")
        refused = add(other, esx)
        assert refused.returncode == 1 and "--force" in refused.stderr, refused.stderr
        taken = add(other, esx, "--force")
        assert taken.returncode == 0, taken.stderr


def test_an_unreachable_host_is_explained_in_the_log_and_in_the_list(tmp_path):
    (tmp_path / "esx").mkdir()
    esx, ready = start_sim(tmp_path / "esx", "--esx")
    try:
        with running_center(tmp_path) as center:
            center.esfera("datacenter", "add", "Lyon")
            assert add(center, Server(**ready)).returncode == 0
            assert json.loads(center.esfera("host", "ls", "--json").stdout)[0]["problem"] is None
    finally:
        esx.stop()
    before = (tmp_path / "log").stat().st_size
    with running_center(tmp_path) as center:
        def problem():
            return json.loads(center.esfera("host", "ls", "--json").stdout)[0]["problem"]

        assert "cannot be reached" in wait_for(problem, 30)
        told = [line for line in center.log()[before:].splitlines() if "host not reached" in line]
        assert len(told) == 1 and "127.0.0.1" in told[0] and "cannot be reached" in told[0], told


def test_a_datastore_without_a_directory_is_named_with_it(tmp_path):
    name = f"esfera-nods-{os.getpid()}"
    runtime = f"/run/{name}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        words = ["host", "--data", str(tmp_path / "host"), "--runtime", runtime, "--bpf", f"{runtime}.bpf", "--listen",
                 "127.0.0.1:0", "--datastore", "ds=/nonexistent/dir"]
        failed = subprocess.run(["ip", "netns", "exec", name, ESFERA, *words], capture_output=True, text=True, timeout=60)
        assert failed.returncode == 1, failed
        error = [line for line in failed.stderr.splitlines() if line.startswith("error:")]
        assert len(error) == 1 and error[0].count("the directory /nonexistent/dir does not exist") == 1, failed.stderr
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
        subprocess.run(["rm", "-rf", runtime, f"{runtime}.bpf"], check=True)


def test_a_damaged_state_is_named_with_its_place(tmp_path):
    with running_center(tmp_path):
        pass
    (tmp_path / "state/center.db").write_bytes(b"\x5a" * 8192)
    failed = subprocess.run([ESFERA, "center", "--data", str(tmp_path / "state"), "--listen", "127.0.0.1:0"],
                            capture_output=True, text=True, timeout=60)
    assert failed.returncode == 1 and failed.stderr.count("error:") == 1, failed
    assert str(tmp_path / "state") in failed.stderr and "damaged" in failed.stderr and "backup" in failed.stderr, failed.stderr


@pytest.mark.parametrize("words, said", [
    (("center", "--data", "/proc/nothing"), "cannot make /proc/nothing"),
    (("host", "ls", "--url", "https://127.0.0.1:1"), "not logged in"),
])
def test_an_error_is_said_once(words, said, tmp_path):
    failed = subprocess.run([ESFERA, *words], capture_output=True, text=True, timeout=60,
                            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path)})
    assert failed.returncode != 0 and failed.stderr.count("error:") == 1, failed.stderr
    assert failed.stderr.count(said) == 1, failed.stderr
