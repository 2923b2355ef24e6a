"""Looks inside a running guest through its serial console, as a person at the terminal would."""
import json
import re
import socket
import time
from pathlib import Path

PASSWORD = "esfera"
CONTROL = re.compile("\x1b\\[[0-9;]*[A-Za-z]")
PROMPT = re.compile(r"^\S*:\S* # |^\S+:\S+# ")


def console_of(runtime, vm_name):
    """The serial socket of a running VM, found by the launch records below the hosts' runtime directory."""
    for record in Path(runtime).glob("**/launch.json"):
        spec = json.loads(record.read_text())["spec"]
        if spec["name"] == vm_name:
            return record.parent / "serial.sock"
    raise AssertionError(f"no running VM {vm_name} below {runtime}")


class Guest:
    """A login on the serial console. `run` returns a command's output, and insists that it succeeded."""

    def __init__(self, path, timeout_s=90):
        self.timeout_s = timeout_s
        end = time.monotonic() + timeout_s
        while True:
            self.buffer = ""
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(1)
            try:
                self._connect(path)
                return self._login()
            except ConnectionError:
                # The console is there again at once if only the connection was lost, and not if the VM has ended.
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.sendall(b"exit\n")
        self.socket.close()

    def _connect(self, path):
        end = time.monotonic() + self.timeout_s
        while True:
            try:
                return self.socket.connect(str(path))
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def _read_until(self, pattern, timeout_s=None, nudge=None):
        end = time.monotonic() + (timeout_s or self.timeout_s)
        last_nudge = time.monotonic()
        while True:
            match = re.search(pattern, self.buffer)
            if match:
                before, self.buffer = self.buffer[:match.start()], self.buffer[match.end():]
                return before, match
            if time.monotonic() > end:
                raise AssertionError(f"the console never showed {pattern!r}; it showed:\n{self.buffer[-2000:]}")
            if nudge and time.monotonic() - last_nudge > 2:
                self.socket.sendall(nudge)
                last_nudge = time.monotonic()
            try:
                data = self.socket.recv(65536)
                if not data:
                    raise AssertionError("the console was closed")
                self.buffer += data.decode(errors="replace")
            except TimeoutError:
                pass

    def _login(self):
        self.socket.sendall(b"\n")
        _, match = self._read_until(r"login: |# $", nudge=b"\n")
        if match.group() == "login: ":
            self.socket.sendall(b"root\n")
            self._read_until("assword: ")
            self.socket.sendall(PASSWORD.encode() + b"\n")
            self._read_until(r"# ")
        self.run("PS1=; stty -echo 2>/dev/null || true")

    def run(self, command, timeout_s=60):
        mark = f"done-{time.monotonic_ns()}"
        # The quotes keep an echoed command from looking like its own result.
        self.socket.sendall(f"{command}; echo \"{mark}\"'='$?\n".encode())
        before, match = self._read_until(mark + r"=(\d+)\r?\n", timeout_s)
        lines = before.replace("\r", "").split("\n")
        text = CONTROL.sub("", "\n".join(line for line in lines if mark not in line))
        text = PROMPT.sub("", text.strip()).strip()
        assert match.group(1) == "0", f"{command!r} failed in the guest with {match.group(1)}: {text}"
        return text
