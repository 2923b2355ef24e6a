"""The output of commands: text of others cannot control a terminal or forge a row, and an output that fails is an exit code."""
import json
import os
import subprocess

import pytest
import requests

from test_pyvmomi_lab import wait_for

requests.packages.urllib3.disable_warnings()

# A sequence that erases the screen, in both of its spellings, a line break, and a mark that turns the text around.
HOSTILE = "x\x1b[2J\x9b2J\u202ey\r\nforged   row"
SHOWN = "x\\u{1b}[2J\\u{9b}2J\\u{202e}y\\r\\nforged   row"


@pytest.fixture
def call(sim):
    """Calls methods by VI-JSON, which carries characters that XML forbids."""
    http = requests.Session()
    http.trust_env, http.verify = False, False
    root = f"{sim.url}/sdk/vim25/8.0.3.0"

    def call(object_type, object_id, method, **arguments):
        return http.post(f"{root}/{object_type}/{object_id}/{method}", json=arguments, timeout=60)

    login = call("SessionManager", "SessionManager", "Login", userName=sim.user, password=sim.password)
    assert login.status_code == 200, login.text
    http.headers["vmware-api-session-id"] = login.headers["vmware-api-session-id"]
    return call


def unsafe(text):
    return [c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e")]


def first_vm(esfera):
    return json.loads(esfera("vm", "ls", "--json").stdout)[0]


def test_a_login_with_control_characters_cannot_forge_an_event(esfera, sim, call):
    refused = requests.post(f"{sim.url}/sdk/vim25/8.0.3.0/SessionManager/SessionManager/Login", verify=False, timeout=60,
                            json={"userName": HOSTILE, "password": "wrong"})
    assert refused.status_code == 500 and "InvalidLogin" in refused.text, refused.text
    shown = esfera("events")
    assert shown.returncode == 0 and not unsafe(shown.stdout), shown.stdout
    rows = [row for row in shown.stdout.splitlines() if SHOWN in row]
    assert len(rows) == 1, shown.stdout
    assert not [row for row in shown.stdout.splitlines() if row.startswith("forged")]

    text = esfera("events", "--json").stdout
    assert not unsafe(text)
    assert [event for event in json.loads(text) if HOSTILE in event["message"]]


def test_what_a_vm_says_of_itself_stays_in_its_cell(esfera, call):
    vm = first_vm(esfera)
    call("VirtualMachine", vm["id"], "ReconfigVM_Task", spec={"_typeName": "VirtualMachineConfigSpec", "annotation": HOSTILE})
    wait_for(lambda: json.loads(esfera("vm", "info", vm["id"], "--json").stdout)[-1]["value"] == HOSTILE)
    made = esfera("vm", "snapshot", "create", vm["id"], "a\tb\u202e", "--description", HOSTILE)
    assert made.returncode == 0, made.stderr
    info = esfera("vm", "info", vm["id"])
    assert info.returncode == 0 and not unsafe(info.stdout), info.stdout
    assert [row for row in info.stdout.splitlines() if row.startswith("annotation")][0].endswith(SHOWN)
    listed = esfera("vm", "snapshot", "ls", vm["id"])
    assert listed.returncode == 0 and listed.stdout.splitlines()[1].startswith("a\\tb\\u{202e}  snapshot-"), listed


def test_an_error_that_quotes_others_is_one_message(esfera):
    missing = esfera("vm", "info", HOSTILE)
    assert missing.returncode == 3 and not unsafe(missing.stderr), missing.stderr
    assert len(missing.stderr.splitlines()) == 1, missing.stderr


@pytest.mark.parametrize("words", [("vm", "ls"), ("vm", "ls", "--json"), ("completions", "bash"), ("--help",)])
def test_a_full_output_is_an_exit_code(esfera, words):
    with open("/dev/full", "w") as full:
        failed = esfera(*words, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert failed.returncode == 1 and "panicked" not in failed.stderr, failed
    if words[0] != "--help":
        assert failed.stderr.count("cannot write the output: No space left on device") == 1, failed.stderr


@pytest.mark.parametrize("words", [("vm", "ls"), ("completions", "bash"), ("--help",)])
def test_a_closed_output_is_an_exit_code_without_a_message(esfera, words):
    reader, writer = os.pipe()
    os.close(reader)
    closed = esfera(*words, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (closed.returncode, closed.stderr) == (141, ""), closed


def test_a_command_outlives_a_full_standard_error(esfera):
    with open("/dev/full", "w") as full:
        assert esfera("vm", "info", "nothing", capture_output=False, stdout=subprocess.PIPE, stderr=full).returncode == 3
