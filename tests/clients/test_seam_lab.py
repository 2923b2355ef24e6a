"""The seam between the center and hosts on the network: what one shows or gives, the other knows."""
import pytest
import requests
from pyVmomi import vim

from test_pyvmomi_properties import walk
from vsphere import all_of

requests.packages.urllib3.disable_warnings()


def session_of(server):
    """A connection, and the header with its session for plain HTTP requests."""
    si = server.connect()
    return si, {"Cookie": si._stub.cookie.split(";")[0]}


@pytest.mark.parametrize("where", ["center", "host"])
def test_everything_that_is_named_can_be_read(lab, where):
    kinds, missing = walk((lab.center if where == "center" else lab.hosts[0]).connect())
    assert {"vim.host.DateTimeSystem", "vim.host.DatastoreSystem", "vim.host.AutoStartManager"} <= set(kinds)
    assert not missing, "required and unset:\n" + "\n".join(missing)


@pytest.mark.parametrize("where", ["center", "host"])
def test_a_directory_is_listed_with_and_without_its_slash(lab, where):
    server = lab.center if where == "center" else lab.hosts[0]
    si, headers = session_of(server)
    place = {"dcPath": all_of(si, vim.Datacenter)[0].name, "dsName": "shared"}
    for path, inside in (("images", "guest.vmdk"), ("images/", "guest.vmdk"), ("", "images")):
        page = requests.get(f"{server.url}/folder/{path}", params=place, headers=headers, verify=False, timeout=60)
        assert page.status_code == 200 and inside in page.text, (path, page.status_code, page.text)
    missing = requests.get(f"{server.url}/folder/nowhere/", params=place, headers=headers, verify=False, timeout=60)
    assert missing.status_code == 404
    roots = requests.get(f"{server.url}/folder", params={"dcPath": place["dcPath"]}, headers=headers, verify=False, timeout=60)
    assert roots.status_code == 200 and "shared" in roots.text


def test_a_ticket_of_the_center_opens_a_file_of_a_host_once(lab):
    si = lab.center.connect()
    file = "/folder/ticket.txt?dcPath=ha-datacenter&dsName=shared"
    # The center knows the first host by another address than this test.
    name = min(host.name for host in all_of(si, vim.HostSystem))
    url = lab.hosts[0].url.rstrip("/") + file

    def ticket(method):
        spec = vim.SessionManager.HttpServiceRequestSpec(method=method, url=f"https://{name}{file}")
        given = si.content.sessionManager.AcquireGenericServiceTicket(spec)
        return {"Cookie": f"vmware_cgi_ticket={given.id}"}

    put = requests.put(url, data=b"by ticket", headers=ticket("httpPut"), verify=False, timeout=60)
    assert put.status_code in (200, 201), put.text
    one = ticket("httpGet")
    assert requests.get(url, headers=one, verify=False, timeout=60).content == b"by ticket"
    assert requests.get(url, headers=one, verify=False, timeout=60).status_code == 401
    assert requests.delete(url, headers=ticket("httpDelete"), verify=False, timeout=60).status_code == 204
