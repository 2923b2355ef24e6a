"""The automation API: REST below both of its roots, JSON-RPC by the official SDK, sessions shared with the vSphere API."""
import contextlib
import ssl
from http.client import HTTPSConnection

import pytest
import requests
import urllib3
from com.vmware.vapi.std.errors_client import Unauthenticated, Unsupported
from pyVmomi import vim
from vmware.vapi.vsphere.client import create_vsphere_client

KEY = "vmware-api-session-id"


@pytest.fixture
def rest(sim):
    """Asks the simulated center; the answer's status and JSON."""
    urllib3.disable_warnings()

    def ask(method, path, key=None, **more):
        headers = more.pop("headers", {}) | ({KEY: key} if key else {})
        answer = requests.request(method, sim.url.rstrip("/") + path, headers=headers, verify=False, timeout=60, **more)
        return answer.status_code, answer.json() if answer.content else None

    return ask


def sdk(sim, user=None, password=None):
    session = requests.Session()
    session.verify = False
    session.trust_env = False
    return create_vsphere_client(f"{sim.address}:{sim.port}", user or sim.user, password or sim.password, session=session)


def test_a_session_begins_is_shown_and_ends(sim, rest):
    status, key = rest("POST", "/api/session", auth=(sim.user, sim.password))
    assert status == 201 and isinstance(key, str)
    status, info = rest("GET", "/api/session", key)
    assert status == 200 and info["user"].lower().endswith("administrator")
    assert set(info) == {"user", "created_time", "last_accessed_time"}
    assert rest("DELETE", "/api/session", key) == (204, None)
    status, error = rest("GET", "/api/session", key)
    assert status == 401 and error["error_type"] == "UNAUTHENTICATED" and error["messages"][0]["default_message"]


def test_the_older_root_wraps_what_it_answers(sim, rest):
    status, answer = rest("POST", "/rest/com/vmware/cis/session", auth=(sim.user, sim.password))
    assert status == 200 and set(answer) == {"value"}
    key = answer["value"]
    status, info = rest("POST", "/rest/com/vmware/cis/session?~action=get", key)
    assert status == 200 and "user" in info["value"]
    assert rest("DELETE", "/rest/com/vmware/cis/session", key) == (200, None)
    status, error = rest("GET", "/rest/com/vmware/cis/session", key)
    assert status == 401 and error["type"] == "com.vmware.vapi.std.errors.unauthenticated"


def test_a_wrong_password_and_no_password_are_refused(sim, rest):
    for more in ({"auth": (sim.user, "wrong")}, {}):
        status, error = rest("POST", "/api/session", **more)
        assert status == 401 and error["error_type"] == "UNAUTHENTICATED", more
    with pytest.raises(Unauthenticated):
        sdk(sim, password="wrong")


def test_the_official_sdk_logs_in_and_out(sim):
    client = sdk(sim)
    info = client.session_svc.get()
    assert info.user and info.created_time <= info.last_accessed_time
    client.session_svc.delete()
    with pytest.raises(Unauthenticated):
        client.session_svc.get()


def test_datacenters_are_listed_by_filters_and_shown(sim, rest):
    _, key = rest("POST", "/api/session", auth=(sim.user, sim.password))
    datacenter = sim.connect().content.rootFolder.childEntity[0]
    known = [{"datacenter": datacenter._GetMoId(), "name": "DC0"}]
    assert rest("GET", "/api/vcenter/datacenter", key) == (200, known)
    assert rest("GET", "/api/vcenter/datacenter?names=DC0&names=DC1", key) == (200, known)
    assert rest("GET", "/api/vcenter/datacenter?names=DC1", key) == (200, [])
    assert rest("GET", "/rest/vcenter/datacenter?filter.names.1=DC0", key) == (200, {"value": known})
    status, info = rest("GET", f"/api/vcenter/datacenter/{datacenter._GetMoId()}", key)
    assert status == 200 and info["name"] == "DC0" and info["vm_folder"] == datacenter.vmFolder._GetMoId()
    status, error = rest("GET", "/api/vcenter/datacenter/datacenter-999", key)
    assert status == 404 and error["error_type"] == "NOT_FOUND"
    # A client that is collected ends its session, so it is kept.
    client = sdk(sim)
    listed = client.vcenter.Datacenter.list()
    assert [(one.datacenter, one.name) for one in listed] == [(datacenter._GetMoId(), "DC0")]


def test_a_session_is_one_of_both_apis(sim, rest):
    _, key = rest("POST", "/api/session", auth=(sim.user, sim.password))
    si = sim.connect()
    sessions = si.content.sessionManager
    assert {session.userName for session in sessions.sessionList} and len(sessions.sessionList) == 2
    other = next(session.key for session in sessions.sessionList if session.key != sessions.currentSession.key)
    sessions.TerminateSession([other])
    assert rest("GET", "/api/session", key)[0] == 401
    soap = si._stub.cookie.split('"')[1]
    assert rest("GET", "/api/session", soap)[0] == 200
    assert rest("DELETE", "/api/session", soap)[0] == 204
    with pytest.raises(vim.fault.NotAuthenticated):
        si.content.rootFolder.name


def test_whatever_is_not_there_says_so(sim, rest):
    _, key = rest("POST", "/api/session", auth=(sim.user, sim.password))
    for method, path, more, status, kind in [
        ("GET", "/api/no/such/path", {}, 404, "OPERATION_NOT_FOUND"),
        ("PUT", "/api/session", {}, 404, "OPERATION_NOT_FOUND"),
        ("GET", "/api/vcenter/datacenter/%ff", {}, 400, "INVALID_REQUEST"),
        ("POST", "/api/session", {"data": b"{"}, 400, "INVALID_REQUEST"),
        ("POST", "/api/session", {"data": b"[" * 100_000}, 400, "INVALID_REQUEST"),
        ("POST", "/api/session", {"data": b"[" + b"1," * 400_000 + b"1]"}, 400, "INVALID_REQUEST"),
        ("POST", "/api/session", {"json": {"name": 1}}, 400, "INVALID_ARGUMENT"),
        ("GET", "/api/vcenter/datacenter?nams=DC0", {}, 400, "INVALID_ARGUMENT"),
        # The parameters of what is not supported are not read.
        ("POST", "/api/vcenter/guest/customization-specs", {"data": b"{"}, 400, "UNSUPPORTED"),
        ("GET", "/api/vcenter/guest/customization-specs", {}, 400, "UNSUPPORTED"),
    ]:
        found, error = rest(method, path, key, **more)
        assert (found, error["error_type"]) == (status, kind), (method, path, error)
        assert error["messages"][0]["default_message"]
    for path, status, kind in [
        ("/rest/vcenter/datacenter?filter.name.1=DC0", 400, "invalid_argument"),
        ("/rest/com/vmware/cis/session?~action=delete", 404, "operation_not_found"),
    ]:
        found, error = rest("GET", path, key)
        assert (found, error["type"]) == (status, f"com.vmware.vapi.std.errors.{kind}"), path
    assert rest("GET", "/api/session", key)[0] == 200
    # Nobody learns before login which operations are supported.
    assert rest("GET", "/api/vcenter/guest/customization-specs")[0] == 401
    # Nor does anybody send much before it.
    with contextlib.closing(HTTPSConnection(sim.address, sim.port, context=ssl._create_unverified_context(), timeout=60)) as raw:
        raw.putrequest("POST", "/api/session")
        raw.putheader("Content-Length", "70000")
        raw.endheaders()
        assert raw.getresponse().status == 413
    client = sdk(sim)
    with pytest.raises(Unsupported):
        client.vcenter.guest.CustomizationSpecs.list()


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[]", b'{"jsonrpc": "2.0"}', b'{"jsonrpc": "2.0", "method": "invoke"}'])
def test_json_rpc_refuses_what_is_not_an_invocation(rest, body):
    status, answer = rest("POST", "/api", data=body, headers={"Content-Type": "application/json"})
    assert status == 200 and answer["error"]["code"] < 0 and "result" not in answer


def test_json_rpc_reads_little_of_a_client_without_a_session(sim):
    def list_datacenters(padding):
        params = {"serviceId": "com.vmware.vcenter.datacenter", "operationId": "list",
                  "input": {"STRUCTURE": {"operation-input": {"padding": "a" * padding}}}}
        asked = {"jsonrpc": "2.0", "method": "invoke", "id": "1", "params": params}
        return requests.post(sim.url.rstrip("/") + "/api", json=asked, verify=False, timeout=60)

    small = list_datacenters(1_000).json()
    assert small["id"] == "1"
    assert set(small["result"]["error"]["ERROR"]) == {"com.vmware.vapi.std.errors.unauthenticated"}
    assert list_datacenters(70_000).status_code == 413
