"""A second daemon or lab that would disturb a first one refuses to start and says what is taken, and the first goes on."""
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import ESFERA, Daemon, Server, open_directory


def refused(*words):
    """The message of a daemon that must not start."""
    ended = subprocess.run([ESFERA, *words], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert ended.returncode == 1, ended
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, ended.stderr
    return errors[0]


@contextmanager
def running(directory, *words):
    directory.mkdir(exist_ok=True)
    daemon = Daemon(directory, *words)
    try:
        yield daemon, daemon.wait_ready(300)
        assert daemon.process.poll() is None, "the first instance goes on"
    finally:
        daemon.stop()


def test_a_second_center_is_told_of_the_directory_and_of_the_port(tmp_path):
    state = str(tmp_path / "state")
    with running(tmp_path / "a", "center", "--data", state, "--listen", "127.0.0.1:0") as (daemon, ready):
        same_data = refused("center", "--data", state, "--listen", "127.0.0.1:0")
        assert state in same_data and f"process {daemon.process.pid}" in same_data and "--data" in same_data, same_data
        port = Server(**ready).port
        same_port = refused("center", "--data", str(tmp_path / "other"), "--listen", f"127.0.0.1:{port}")
        assert f"127.0.0.1:{port}" in same_port and "--listen" in same_port, same_port
        assert not (tmp_path / "other").exists(), "nothing was made"
        Server(**ready).connect()


@pytest.fixture
def namespaces():
    """Two network namespaces of the test's own."""
    names = [f"esfera-two-{os.getpid()}-{number}" for number in range(2)]
    for name in names:
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield names
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_a_second_host_is_told_what_it_cannot_share(namespaces):
    with open_directory() as root:
        def words(data="a", runtime="a", bpf="a"):
            runtime = f"/run/esfera-two-{os.getpid()}-{runtime}"
            return ["host", "--data", str(root / data), "--runtime", runtime, "--bpf", f"{runtime[:-1]}{bpf}.bpf",
                    "--etc", str(root / "etc"), "--resolv-conf", str(root / "resolv.conf"), "--listen", "127.0.0.1:0"]

        def in_namespace(name, *arguments):
            command = ["ip", "netns", "exec", name, ESFERA, *arguments]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
            assert ended.returncode == 1 and ended.stderr.count("error:") == 1, ended
            return ended.stderr

        ready = root / "ready"
        first = subprocess.Popen(["ip", "netns", "exec", namespaces[0], ESFERA, *words(), "--ready-file", str(ready)],
                                 stderr=subprocess.DEVNULL)
        try:
            while not ready.exists():
                assert first.poll() is None
                subprocess.run(["sleep", "0.05"], check=True)
            here, there = namespaces
            twice = in_namespace(there, *words(data="b"), "--datastore", f"x={root}", "--datastore", f"y={root}/")
            assert str(root) in twice and '"x"' in twice and '"y"' in twice, twice
            assert f"directory {root}/a is in use" in in_namespace(there, *words(runtime="b", bpf="b"))
            assert "--runtime" in in_namespace(there, *words(data="b", bpf="b"))
            assert "--bpf" in in_namespace(there, *words(data="b", runtime="b"))
            assert "the network of this machine" in in_namespace(here, *words(data="b", runtime="b", bpf="b"))
            assert first.poll() is None
        finally:
            first.terminate()
            first.wait()
            for name in "ab":
                runtime = f"/run/esfera-two-{os.getpid()}-{name}"
                subprocess.run(["umount", f"{runtime}.bpf"], capture_output=True)
                subprocess.run(["rm", "-rf", runtime, f"{runtime}.bpf"], check=True)


def test_a_second_lab_is_told_of_the_name_the_directory_and_the_port():
    name = f"two{os.getpid()}"
    with open_directory() as directory:
        data = str(directory / "data")
        first = ["lab", "--name", name, "--data", data, "--listen", "127.0.0.1:0", "--no-vm"]
        with running(directory / "first", *first) as (_, ready):
            center = Server(**ready["center"])
            center.connect()
            same_name = refused("lab", "--name", name, "--data", str(directory / "other"), "--listen", "127.0.0.1:0", "--no-vm")
            assert f"the name {name} of a lab" in same_name and "--name" in same_name, same_name
            same_data = refused("lab", "--name", f"{name}b", "--data", data, "--listen", "127.0.0.1:0", "--no-vm")
            assert f"directory {data} is in use" in same_data and "--data" in same_data, same_data
            same_port = refused("lab", "--name", f"{name}b", "--data", str(directory / "other"), "--listen",
                                f"127.0.0.1:{center.port}", "--no-vm")
            assert f"127.0.0.1:{center.port}" in same_port and "--listen" in same_port, same_port
            assert not [path for path in Path("/run/netns").iterdir() if path.name.startswith(f"esf-{name}b-")]
            for host in ready["hosts"]:
                assert (Path("/run/netns") / host["namespace"]).exists()
                Server(**host).connect()


@pytest.mark.parametrize("name", ["lab-h1", "../x", "", "a" * 40])
def test_a_name_that_could_reach_another_labs_namespaces_is_a_usage_error(name, tmp_path):
    ended = subprocess.run([ESFERA, "lab", "--name", name, "--data", str(tmp_path / "data")], capture_output=True, text=True,
                           timeout=60)
    assert ended.returncode == 2 and "letters and digits" in ended.stderr, ended


def test_a_lab_whose_host_cannot_start_ends_and_says_which():
    name = f"bad{os.getpid()}"
    with open_directory() as directory:
        data = directory / "data"
        (data / "host1").mkdir(parents=True)
        (data / "host1/host.db").write_text("this is not a database of ours " * 300)
        ended = subprocess.run([ESFERA, "lab", "--name", name, "--data", str(data), "--listen", "127.0.0.1:0", "--no-vm"],
                               capture_output=True, text=True, timeout=120)
        assert ended.returncode == 1 and "error: host1 ended by itself" in ended.stderr, ended.stderr
        assert "[host1] error: cannot start the host" in ended.stdout, ended.stdout
        assert not [path for path in Path("/run/netns").iterdir() if path.name.startswith(f"esf-{name}-")]
        assert not [path for path in Path("/run/esfera-lab").iterdir() if path.name.startswith(name)]
