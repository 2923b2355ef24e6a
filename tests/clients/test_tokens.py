"""SAML tokens: asked for as pyVmomi's own module for single sign-on does, and used to log in."""
import base64
import hashlib

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from lxml import etree
from pyVim import sso
from pyVmomi import vim

from saml import bearer, with_token

NAMES = {"saml2": "urn:oasis:names:tc:SAML:2.0:assertion", "ds": "http://www.w3.org/2000/09/xmldsig#"}


def test_a_user_logs_in_with_a_token_in_place_of_the_password(sim):
    token = bearer(sim, sim.user, sim.password)
    manager = with_token(sim, token).RetrieveContent().sessionManager
    session = manager.LoginByToken()
    assert session.userName.lower() == "vsphere.local\\administrator"
    assert manager.currentSession.key == session.key
    manager.Logout()
    # The token opens sessions until it ends.
    with_token(sim, token).RetrieveContent().sessionManager.LoginByToken()


def test_a_wrong_password_gets_no_token(sim):
    with pytest.raises(sso.SoapException) as refused:
        bearer(sim, sim.user, "wrong")
    assert "Invalid credentials" in str(refused.value)


def test_a_token_that_was_changed_or_left_out_is_refused(sim):
    token = bearer(sim, sim.user, sim.password)
    sim.connect().content.accountManager.CreateUser(
        vim.host.LocalAccountManager.AccountSpecification(id="mallory", password="Blue-whale-7x"))
    own = bearer(sim, "mallory@vsphere.local", "Blue-whale-7x")
    assert "mallory@VSPHERE.LOCAL" in own
    signature = etree.fromstring(token).find("ds:Signature", NAMES)
    swapped = etree.fromstring(own)
    swapped.replace(swapped.find("ds:Signature", NAMES), signature)
    forged = [own.replace("mallory@VSPHERE.LOCAL", "Administrator@VSPHERE.LOCAL"),
              etree.tostring(swapped).decode(), token.replace("2.0", "2.1"), "<a/>", ""]
    for text in forged:
        with pytest.raises(vim.fault.InvalidLogin):
            with_token(sim, text).RetrieveContent().sessionManager.LoginByToken()
    session = with_token(sim, own).RetrieveContent().sessionManager.LoginByToken()
    assert session.userName == "VSPHERE.LOCAL\\mallory"


def test_the_signature_is_one_that_others_can_check(sim):
    """By lxml's canonical form and a library for signatures that share nothing with ours."""
    token = etree.fromstring(bearer(sim, sim.user, sim.password, renewable=True))
    signature = token.find("ds:Signature", NAMES)
    info = etree.tostring(signature.find("ds:SignedInfo", NAMES), method="c14n", exclusive=True)
    value = base64.b64decode(signature.findtext("ds:SignatureValue", namespaces=NAMES))
    certificate = base64.b64decode(signature.findtext(".//ds:X509Certificate", namespaces=NAMES))
    digest = signature.findtext(".//ds:DigestValue", namespaces=NAMES)
    token.remove(signature)
    canonical = etree.tostring(token, method="c14n", exclusive=True)
    assert base64.b64encode(hashlib.sha256(canonical).digest()).decode() == digest
    r, s = int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big")
    key = x509.load_der_x509_certificate(certificate).public_key()
    key.verify(utils.encode_dss_signature(r, s), info, ec.ECDSA(hashes.SHA256()))


def test_the_lookup_service_says_where_tokens_are_issued(sim):
    body = ('<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
            '<List xmlns="urn:lookup"><_this type="LookupServiceRegistration">ServiceRegistration</_this>'
            '<filterCriteria><serviceType><product>com.vmware.cis</product><type>cs.identity</type></serviceType>'
            '</filterCriteria></List></soapenv:Body></soapenv:Envelope>')
    base = f"https://{sim.address}:{sim.port}"
    answer = requests.post(f"{base}/lookupservice/sdk", data=body, verify=False, timeout=60)
    assert answer.status_code == 200
    url = etree.fromstring(answer.content).findtext(".//{urn:lookup}url")
    assert url == f"{base}/sts/STSService/vsphere.local"
