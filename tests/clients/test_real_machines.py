"""The README's section "On real machines", word by word: a center and a host on two machines on which nothing was prepared."""
import os
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from conftest import ESFERA, open_directory

CENTER, HOST = "10.91.0.1", "10.91.0.2"
# A machine of its own for a daemon: /sys shows its network, and the default directories are empty ones of the test.
MACHINE = ("mount -t sysfs sysfs /sys && mkdir -p /var/lib/esfera /run/esfera && mount --bind {0}/lib /var/lib/esfera && "
           "mount --bind {0}/run /run/esfera && exec \"$@\"")


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Machine:
    """A network namespace with directories of its own."""

    def __init__(self, stack, name, root):
        self.namespace, self.root = f"esfera-{name}-{os.getpid()}", root / name
        for directory in ["lib", "run", "srv"]:
            (self.root / directory).mkdir(parents=True)
            (self.root / directory).chmod(0o755)
        self.root.chmod(0o755)
        ip("netns", "add", self.namespace)
        stack.callback(ip, "netns", "delete", self.namespace)
        ip("-n", self.namespace, "link", "set", "lo", "up")
        self.enter = ["nsenter", f"--net=/run/netns/{self.namespace}"]

    def daemon(self, stack, *words):
        log = open(self.root / "log", "wb")
        command = [*self.enter, "unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c",
                   MACHINE.format(self.root), "sh", ESFERA, *words]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def stop():
            process.terminate()
            process.wait(60)
            sys.stderr.write((self.root / "log").read_text()[-2000:])

        stack.callback(stop)
        end = time.monotonic() + 120
        while "serving the API" not in (self.root / "log").read_text():
            assert process.poll() is None and time.monotonic() < end, (self.root / "log").read_text()
            time.sleep(0.05)


@pytest.fixture
def machines():
    with open_directory() as root, ExitStack() as running:
        center, host = Machine(running, "c", root), Machine(running, "h", root)
        ip("-n", center.namespace, "link", "add", "c0", "type", "veth", "peer", "name", "enp3s0", "netns", host.namespace)
        for machine, card, address in [(center, "c0", CENTER), (host, "enp3s0", HOST)]:
            ip("-n", machine.namespace, "addr", "add", f"{address}/24", "dev", card)
            ip("-n", machine.namespace, "link", "set", card, "up")
        host.daemon(running, "host", "--datastore", f"local={host.root / 'srv'}", "--uplink", "enp3s0", "--nic", "enp3s0")
        center.daemon(running, "center")
        yield center, host


def test_a_fresh_center_and_a_fresh_host_run_a_vm(machines, tmp_path):
    center, host = machines
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path),
                   "ESFERA_PASSWORD": (center.root / "lib/center/initial-password").read_text().strip(),
                   "ESFERA_HOST_PASSWORD": (host.root / "lib/host/initial-password").read_text().strip()}

    def esfera(*words, expected=0):
        done = subprocess.run([*center.enter, ESFERA, *words], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == expected, done
        return done

    login = ["login", f"https://{CENTER}", "--user", "administrator@vsphere.local"]
    esfera(*login, "--thumbprint", esfera(*login, expected=5).stderr.split()[-1])
    too_early = esfera("host", "add", HOST, expected=3)
    assert "esfera datacenter add" in too_early.stderr, too_early.stderr
    esfera("datacenter", "add", "Lyon")
    esfera("host", "add", HOST, "--thumbprint", esfera("host", "add", HOST, expected=5).stderr.split()[-1])
    row = esfera("host", "ls").stdout.splitlines()[1].split()
    assert (row[0], row[2]) == (HOST, "connected")
    assert "vmnic0  vSwitch0  up" in esfera("net", "nic", "ls").stdout
    assert f"{HOST}/24" in esfera("net", "vmk", "ls").stdout
    esfera("vm", "create", "mine", "--memory", "128", "--disk", "1")
    esfera("vm", "power", "mine", "on")
    assert "poweredOn" in esfera("vm", "ls").stdout
    esfera("vm", "power", "mine", "off")
    esfera("vm", "destroy", "mine", "--yes")
    esfera("cluster", "create", "Production")
    esfera("folder", "create", "web", "--in", "/Lyon/vm")
