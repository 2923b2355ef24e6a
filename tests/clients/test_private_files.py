"""Nobody but root reads what a lab, a host, a center or a simulator keeps; the users of VMs reach what they know by name, and see no list."""
import contextlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

from conftest import Daemon, Server, open_directory, run_lab, start_sim

# The bits of a mode for everybody, for the group, and for entering a directory.
OTHERS, GROUP, ENTER, GROUP_ENTER = 0o007, 0o070, 0o001, 0o010


def files_below(root):
    yield root
    for directory, names, files in os.walk(root):
        yield from (Path(directory) / name for name in names + files)


def open_to_others(root, closed=True):
    """The files below root that others can read, write or list; entering is allowed only in directories if the root is not closed."""
    found = []
    if closed and stat.S_IMODE(root.stat().st_mode) & (OTHERS | GROUP) == 0:
        # Nobody else gets below it. Files are private in themselves all the same.
        allowed_directory, allowed_file = 0, 0
    else:
        allowed_directory, allowed_file = ENTER | GROUP_ENTER, 0o040
    for path in files_below(root):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            continue
        allowed = allowed_directory if stat.S_ISDIR(mode) else allowed_file
        if stat.S_IMODE(mode) & (OTHERS | GROUP) & ~allowed:
            found.append(f"{stat.filemode(mode)} {path}")
    return found


@contextlib.contextmanager
def center(directory):
    daemon = Daemon(directory, "center", "--data", str(directory / "center"), "--listen", "127.0.0.1:0")
    try:
        yield Server(**daemon.wait_ready())
    finally:
        daemon.stop()


def test_the_state_of_a_center_is_private(tmp_path):
    tmp_path.chmod(0o755)
    for _ in range(2):  # made, and opened again
        with center(tmp_path):
            assert open_to_others(tmp_path / "center") == []
    denied = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", "cat", str(tmp_path / "center/center.db")],
                            capture_output=True)
    assert denied.returncode != 0 and b"Permission denied" in denied.stderr


def test_the_state_of_an_earlier_version_is_closed(tmp_path):
    with center(tmp_path):
        pass
    (tmp_path / "center").chmod(0o755)
    (tmp_path / "center/center.db").chmod(0o644)
    with center(tmp_path):
        assert stat.S_IMODE((tmp_path / "center").stat().st_mode) == 0o700


def test_a_simulator_leaves_nothing_open(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    daemon, _ = start_sim(tmp_path)
    try:
        assert open_to_others(tmp_path / "ready.json") == []
        kept = [path for path in tmp_path.iterdir() if path.is_dir()]
        assert [found for directory in kept for found in open_to_others(directory)] == []
    finally:
        daemon.stop()


def test_a_lab_keeps_its_state_private_and_its_vms_apart():
    with open_directory() as directory:
        for lab in run_lab_once(directory):
            data, runtime = directory / "data", Path(lab.ready["runtime"])
            for name in ["center", "host1", "host2", "run"]:
                assert open_to_others(data / name) == [], name
                assert stat.S_IMODE((data / name).stat().st_mode) == 0o700, name
            assert open_to_others(data, closed=False) == []
            assert open_to_others(runtime, closed=False) == []
            home = data / "datastores/shared/demo"
            assert stat.S_IMODE(home.stat().st_mode) == 0o710
            uid, gid, groups = vm_user(data)
            assert uid == gid == home.stat().st_gid, "a group of its own"
            as_vm = ["setpriv", "--reuid", str(uid), "--regid", str(gid), "--groups", ",".join(groups)]
            for listed in [home, runtime, data / "datastores/shared"]:
                assert subprocess.run([*as_vm, "ls", str(listed)], capture_output=True).returncode != 0, listed


def run_lab_once(directory):
    yield from run_lab(directory, "f")


def vm_user(data):
    """The user of the lab's VM, its group and its further groups: those that its QEMU process has."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if "qemu" in os.readlink(process / "exe") and str(data) in (process / "cmdline").read_text():
                lines = (line.split() for line in (process / "status").read_text().splitlines())
                status = {words[0]: words[1:] for words in lines if words}
                return int(status["Uid:"][0]), int(status["Gid:"][0]), status["Groups:"]
    pytest.fail("the lab's VM does not run")
