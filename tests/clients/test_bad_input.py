"""Untrusted input: each request gets the right typed fault, and the daemon continues."""
import gzip
import json
import socket
import ssl

import pytest
import requests

requests.packages.urllib3.disable_warnings()

ENVELOPE = ('<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>')
RETRIEVE = '<RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this>{}</RetrieveServiceContent>'


@pytest.fixture
def post(sim):
    http = requests.Session()
    http.trust_env, http.verify = False, False
    http.post(f"{sim.url}/sdk", data=ENVELOPE.format(
        '<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>'
        f'<userName>{sim.user}</userName><password>{sim.password}</password></Login>')).raise_for_status()

    def send(body, **headers):
        return http.post(f"{sim.url}/sdk", data=body, headers={"Content-Type": "text/xml", **headers}, timeout=60)

    yield send
    alive = send(ENVELOPE.format(RETRIEVE.format("")))
    assert alive.status_code == 200, "the daemon does not go on"


@pytest.mark.parametrize("body, fault", [
    ("", "InvalidRequest"),
    ("not xml at all", "InvalidRequest"),
    ("<a><b></a>", "InvalidRequest"),
    (ENVELOPE.format(""), "InvalidRequest"),
    (ENVELOPE.format('<Nonsense xmlns="urn:vim25"><_this type="Folder">group-d1</_this></Nonsense>'), ""),
    (ENVELOPE.format('<PowerOnVM_Task xmlns="urn:vim25"><_this type="VirtualMachine">vm-999999</_this></PowerOnVM_Task>'),
     "ManagedObjectNotFound"),
    (ENVELOPE.format('<PowerOnVM_Task xmlns="urn:vim25"><_this type="Folder">group-d1</_this></PowerOnVM_Task>'), ""),
    (ENVELOPE.format('<CreateFolder xmlns="urn:vim25"><_this type="Folder">group-d1</_this><nme>x</nme></CreateFolder>'),
     ""),
    (ENVELOPE.format("<a>" * 100_000 + "</a>" * 100_000), "InvalidRequest"),
    ('<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + ENVELOPE.format("<x>&b;</x>"),
     "InvalidRequest"),
    (b"\xff\xfe\x00", "InvalidRequest"),
])
def test_a_malformed_request_gets_a_typed_fault(post, body, fault):
    answer = post(body)
    assert answer.status_code in (400, 500), answer.text[:300]
    assert "<faultcode>" in answer.text and f'xsi:type="{fault}' in answer.text


def test_a_huge_body_is_refused(post):
    try:
        assert post(b" " * (64 << 20)).status_code in (413, 500)
    except requests.ConnectionError:
        pass  # closed while the body was still being sent


def test_a_gzip_bomb_is_refused(post):
    bomb = gzip.compress(b" " * (512 << 20))
    assert post(bomb, **{"Content-Encoding": "gzip"}).status_code in (400, 413, 415, 500)


def test_a_list_of_a_million_is_bounded(post):
    refs = '<obj type="VirtualMachine">vm-1</obj>' * 300_000
    answer = post(ENVELOPE.format('<CreateListView xmlns="urn:vim25"><_this type="ViewManager">ViewManager</_this>'
                                  f"{refs}</CreateListView>"))
    assert answer.status_code in (200, 413, 500)


def test_deep_json_and_wrong_kinds_get_faults(sim):
    def call(path, body):
        return requests.post(f"{sim.url}/sdk/vim25/8.0.3.0/{path}", data=body, verify=False,
                             headers={"Content-Type": "application/json", "vmware-api-session-id": key})

    login = requests.post(f"{sim.url}/sdk/vim25/8.0.3.0/SessionManager/SessionManager/Login", verify=False,
                          json={"userName": sim.user, "password": sim.password})
    key = login.headers["vmware-api-session-id"]
    assert call("Folder/group-d1/CreateFolder", "[" * 10_000).status_code in (400, 500)
    assert call("Folder/group-d1/CreateFolder", json.dumps({"name": 7})).status_code in (400, 500)
    assert call("Folder/group-d1/CreateFolder", json.dumps({"nme": "x"})).status_code in (400, 500)
    assert call("Folder/group-d1/Nonsense", "{}").status_code == 404
    assert call("Nonsense/group-d1/CreateFolder", "{}").status_code == 404


@pytest.mark.parametrize("value", ["bytes=5-1", "bytes=abc", "bytes=999999999999-", "bytes=0-0,2-3", "bytes=-0"])
def test_a_bad_range_is_answered(sim, value):
    url = f"{sim.url}/folder/file"
    where = {"dcPath": "DC0", "dsName": "LocalDS_0"}
    login = (sim.user, sim.password)
    requests.put(url, params=where, data=b"0123456789", auth=login, verify=False).raise_for_status()
    answer = requests.get(url, params=where, headers={"Range": value}, auth=login, verify=False)
    assert answer.status_code in (200, 206, 400, 416)
    if answer.status_code == 200:
        assert answer.content == b"0123456789"


@pytest.mark.parametrize("path", ["../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "..%2f..%2fetc/passwd", "a/../../x"])
def test_a_url_that_leads_out_of_the_datastore_is_refused(sim, path):
    host = sim.url.split("//")[1]
    request = requests.Request("GET", sim.url, auth=(sim.user, sim.password)).prepare()
    request.url = f"{sim.url}/folder/{path}?dcPath=DC0&dsName=LocalDS_0"
    answer = requests.Session().send(request, verify=False)
    assert answer.status_code in (400, 403, 404), host
    assert b"root:" not in answer.content


def test_a_client_that_sends_nothing_holds_nobody_up(sim):
    context = ssl._create_unverified_context()
    idle = [context.wrap_socket(socket.create_connection((sim.address, sim.port))) for _ in range(50)]
    for connection in idle[:25]:
        connection.sendall(b"POST /sdk HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n<a")
    assert requests.get(f"{sim.url}/sdk/vimServiceVersions.xml", verify=False, timeout=20).status_code == 200
    for connection in idle:
        connection.close()
