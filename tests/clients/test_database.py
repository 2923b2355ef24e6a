"""The center over PostgreSQL: a server of the test's own, which crashes and hangs while clients work."""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from pyVmomi import vim, vmodl

from conftest import ESFERA, Daemon, Server


def eventually(reached, what, limit_s=120):
    end = time.monotonic() + limit_s
    while not reached():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """A server in a directory of its own, as the user that Debian's package makes, since PostgreSQL refuses root."""

    def __init__(self):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        assert found, "PostgreSQL is not installed: run `cargo xtask setup`"
        self.programs = found[-1].parent
        self.directory = Path(tempfile.mkdtemp(prefix="esfera-pg-"))
        self.data = self.directory / "data"
        self.port = free_port()
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        self.run("initdb", "-D", str(self.data), "--no-sync", "--auth=trust", "-U", "esfera", "--locale=C")
        with open(self.data / "postgresql.conf", "a") as settings:
            settings.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nfsync = off\n"
                           f"unix_socket_directories = '{self.directory}'\nshared_buffers = 16MB\n")
        self.start()
        subprocess.run([self.programs / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "esfera", "center"],
                       check=True)

    @property
    def name(self):
        return f"postgres://esfera@127.0.0.1:{self.port}/center"

    def run(self, program, *words, check=True):
        words = [str(self.programs / program), *words]
        if os.getuid() == 0:
            words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *words]
        subprocess.run(words, check=check, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def start(self):
        self.run("pg_ctl", "-D", str(self.data), "-l", str(self.directory / "log"), "-w", "-t", "120", "start")

    def crash(self):
        self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    def signal(self, number):
        parent = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for process in [parent, *map(int, children)]:
            os.kill(process, number)

    def remove(self):
        self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop", check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture
def postgres():
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def start_center(tmp_path):
    """Starts a center with this state and these words; all of them end with the test."""
    running = []

    def start(state, *words):
        directory = tmp_path / f"run-{len(running)}"
        directory.mkdir()
        daemon = Daemon(directory, "center", "--data", str(tmp_path / state), "--listen", "127.0.0.1:0", *words)
        running.append(daemon)
        return daemon, Server(**daemon.wait_ready(300))

    yield start
    for daemon in running:
        daemon.stop()


def datacenters(si):
    return sorted(child.name for child in si.content.rootFolder.childEntity)


def command(*words):
    ended = subprocess.run([ESFERA, *words], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    return ended.returncode, ended.stdout + ended.stderr


def test_a_database_that_crashes_and_hangs_is_survived_and_the_center_stays_up(postgres, start_center):
    daemon, server = start_center("state", "--database", postgres.name)
    si = server.connect()
    folder = si.content.rootFolder
    folder.CreateDatacenter("before")
    postgres.crash()
    # Reads go on, and a change is refused with the reason once its patience ends.
    assert datacenters(si) == ["before"]
    with pytest.raises(vmodl.fault.SystemError) as refused:
        folder.CreateDatacenter("refused")
    assert "away" in refused.value.msg, refused.value.msg
    postgres.start()

    def created():
        try:
            folder.CreateDatacenter("after")
            return True
        except vmodl.fault.SystemError:
            return False
        except vim.fault.DuplicateName:
            return True

    eventually(created, "the database is back")
    # A change that comes while the server hangs waits, and is done when it goes on.
    postgres.signal(signal.SIGSTOP)
    change = threading.Thread(target=lambda: server.connect().content.rootFolder.CreateDatacenter("last"))
    change.start()
    change.join(1)
    assert change.is_alive(), "nothing is done while the server hangs"
    postgres.signal(signal.SIGCONT)
    change.join(120)
    assert not change.is_alive()
    assert daemon.process.poll() is None, "the center stays up"
    daemon.process.kill()
    daemon.process.wait()
    _, again = start_center("state", "--database", postgres.name)
    assert datacenters(again.connect()) == ["after", "before", "last"]


def test_a_center_moves_from_sqlite_to_postgresql(postgres, start_center, tmp_path):
    export, state = str(tmp_path / "center.gz"), str(tmp_path / "state")
    daemon, server = start_center("state")
    server.connect().content.rootFolder.CreateDatacenter("moved")
    in_use = command("center", "db", "check", "--data", state)
    assert in_use[0] == 1 and "in use" in in_use[1], in_use
    early = command("center", "db", "export", str(tmp_path / "early.gz"), "--data", state)
    assert early[0] == 0 and "records" in early[1], early
    daemon.stop()
    assert command("center", "db", "export", export, "--data", state)[0] == 0
    assert os.stat(export).st_mode & 0o077 == 0, "an export is its owner's"
    filled = command("center", "db", "import", export, "--database", postgres.name)
    assert filled[0] == 0, filled
    twice = command("center", "db", "import", export, "--database", postgres.name)
    assert twice[0] == 1 and "empty" in twice[1], twice
    sound = command("center", "db", "check", "--database", postgres.name)
    assert sound[0] == 0 and "sound: format 1" in sound[1], sound

    _, moved = start_center("state", "--database", postgres.name)
    assert datacenters(Server(moved.url, server.user, server.password).connect()) == ["moved"]
    held = command("center", "db", "check", "--database", postgres.name)
    assert held[0] == 1 and "esfera center (process" in held[1], held


def test_a_second_center_is_told_who_has_the_database_and_no_password_is_told(postgres, start_center, tmp_path):
    daemon, _ = start_center("state", "--database", postgres.name)
    named = postgres.name.replace("esfera@", "esfera:geheim@")
    code, told = command("center", "--data", str(tmp_path / "other"), "--listen", "127.0.0.1:0", "--database", named)
    assert code == 1 and f"process {daemon.process.pid}" in told, told
    assert "geheim" not in told, told
    code, told = command("center", "--data", str(tmp_path / "other"), "--listen", "127.0.0.1:0", "--database",
                         "postgres://u:geheim@127.0.0.1:1/center?sslmode=prefer")
    assert code == 1 and "sslmode" in told and "geheim" not in told, told
