"""Helpers shared by the measures: daemons, a client of nearly no cost, the kernel's counters of a process, figures.

A measure writes its figures to standard output, one a line, for `cargo xtask bench` to set them in a table:
`figure`, what, value, unit, target (`<= 60`, or empty), the peer or limit beside it, its value; separated by tabs.
"""
import hashlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from statistics import median
from xml.sax.saxutils import escape

ESFERA = os.environ.get("ESFERA_BIN", str(Path(__file__).parents[2] / "target/release/esfera"))
START_TIMEOUT_S = 120
UPDATE_TIMEOUT_S = 60
CPUCLOCK_SCHED = 2

ENVELOPE = ('<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">'
            '<soapenv:Body>{}</soapenv:Body></soapenv:Envelope>')


def figure(what, value, unit, target="", peer="", peer_value=None):
    beside = "" if peer_value is None else f"{peer_value:.6g}"
    print("figure", what, f"{value:.6g}", unit, target, peer, beside, sep="\t", flush=True)


def note(text):
    print(text, file=sys.stderr, flush=True)


class Daemon:
    """A process of ours; `ready` is its ready file's content, written after `start_s` seconds."""

    def __init__(self, directory, *args, timeout_s=START_TIMEOUT_S):
        directory.mkdir(parents=True, exist_ok=True)
        ready_file, log = directory / "ready.json", directory / "log"
        ready_file.unlink(missing_ok=True)
        self.begun = time.monotonic()
        with open(log, "ab") as out:
            self.process = subprocess.Popen([ESFERA, *args, "--ready-file", str(ready_file)],
                                            stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        while not ready_file.exists():
            if self.process.poll() is not None or time.monotonic() - self.begun > timeout_s:
                status = self.process.poll()
                self.stop()
                raise SystemExit(f"{args[0]} is not ready (exit status {status}):\n{log.read_text()[-2000:]}")
            time.sleep(0.001)
        self.start_s = time.monotonic() - self.begun
        self.ready = json.loads(ready_file.read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def sim(directory, *args):
    return Daemon(directory, "sim", "--listen", "127.0.0.1:0", *args)


def cpu_s(pid):
    """User and system time of a process so far, of all its threads, including those that have ended."""
    return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)


def memory_mib(pid):
    """Resident and proportional memory of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.M))
    return int(kib["Rss"]) / 1024, int(kib["Pss"]) / 1024


def parameter(name, text):
    return f"<{name}>{escape(str(text))}</{name}>"


def reference(name, kind, value):
    return f'<{name} type="{kind}">{value}</{name}>'


class Client:
    """One connection that is kept, with SOAP from templates and answers as bytes."""

    def __init__(self, ready, login=True):
        self.url = urllib.parse.urlsplit(ready["url"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection(self.url.hostname, self.url.port, context=context, timeout=300)
        self.cookie = None
        content = self.call("ServiceInstance", "ServiceInstance", "RetrieveServiceContent")
        self.content = dict((name, (kind, value)) for name, kind, value in
                            re.findall(r'<(\w+) type="(\w+)">([^<]*)</', content))
        if login:
            who = parameter("userName", ready["user"]) + parameter("password", ready["password"])
            self.call(*self.content["sessionManager"], "Login", who)

    def server(self):
        """Address and port of the server, and the SHA-1 thumbprint of its certificate."""
        certificate = self.connection.sock.getpeercert(binary_form=True)
        return (self.url.hostname, self.url.port), hashlib.sha1(certificate).digest().hex(":").upper()

    def close(self):
        self.connection.close()

    def request(self, method, path, body=None, headers=None):
        """The answer's status, headers and body, unchanged."""
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        if self.cookie:
            headers["Cookie"] = self.cookie
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        if cookie := response.getheader("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return response.status, response.headers, response.read()

    def raw(self, this_type, this, method, parameters="", encoding="identity"):
        body = f'<{method} xmlns="urn:vim25">{reference("_this", this_type, this)}{parameters}</{method}>'
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"urn:vim25/8.0.3.0"',
                   "Accept-Encoding": encoding}
        status, _, answer = self.request("POST", "/sdk", ENVELOPE.format(body).encode(), headers)
        if status != 200:
            raise SystemExit(f"{method}: HTTP {status}: {answer[:2000].decode(errors='replace')}")
        return answer

    def call(self, this_type, this, method, parameters=""):
        return self.raw(this_type, this, method, parameters).decode()

    def made(self, this_type, this, method, parameters=""):
        """The value of the reference that a method returns."""
        answer = self.call(this_type, this, method, parameters)
        return re.search(r"<returnval[^>]*>([^<]*)</returnval>", answer).group(1)

    def retrieve(self, kind, value, path):
        """One property as XML."""
        spec = (f"<specSet><propSet><type>{kind}</type><pathSet>{path}</pathSet></propSet>"
                f"<objectSet>{reference('obj', kind, value)}</objectSet></specSet><options/>")
        return self.call(*self.content["propertyCollector"], "RetrievePropertiesEx", spec)

    def wait_until(self, kind, value, path, wanted, begin=None):
        """Waits with its own filter until a property has one of the given texts, and returns the text; `begin` is called when
        the filter is in place."""
        spec = (f"<spec><propSet><type>{kind}</type><pathSet>{path}</pathSet></propSet>"
                f"<objectSet>{reference('obj', kind, value)}</objectSet></spec><partialUpdates>false</partialUpdates>")
        collector = self.content["propertyCollector"]
        made = self.made(*collector, "CreateFilter", spec)
        version = ""
        try:
            while True:
                limit = f"<options><maxWaitSeconds>{UPDATE_TIMEOUT_S}</maxWaitSeconds></options>"
                answer = self.call(*collector, "WaitForUpdatesEx", parameter("version", version) + limit)
                if "<version>" not in answer:
                    raise SystemExit(f"{path} of {value}: nothing new for {UPDATE_TIMEOUT_S} s, but it is "
                                     + self.retrieve(kind, value, path))
                version = re.search(r"<version>([^<]*)</version>", answer).group(1)
                if begin:
                    begin, started = None, begin()
                    continue
                found = re.findall(r"<val[^>]*>([^<]*)</val>", answer)
                if found and found[-1] in wanted:
                    return found[-1]
        finally:
            self.call("PropertyFilter", made, "DestroyPropertyFilter")

    def task(self, this_type, this, method, parameters=""):
        """Runs a task to its end; its info as XML."""
        return self.finish(self.made(this_type, this, method, parameters), method)

    def finish(self, task, method="the task"):
        state = self.wait_until("Task", task, "info.state", ("success", "error"))
        info = self.retrieve("Task", task, "info")
        if state == "error":
            raise SystemExit(f"{method} failed: {re.sub('<[^>]*>', ' ', info)[:2000]}")
        return info


__all__ = ["Client", "Daemon", "cpu_s", "figure", "median", "memory_mib", "note", "parameter", "reference", "sim"]
