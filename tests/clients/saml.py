"""Asks the token service for SAML tokens, and logs in with them."""
import ssl

from pyVim import sso
from pyVmomi import SoapStubAdapter, vim


def unchecked():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def bearer(server, user, password, **wishes):
    url = f"https://{server.address}:{server.port}/sts/STSService/vsphere.local"
    service = sso.SsoAuthenticator(sts_url=url)
    return service.get_bearer_saml_assertion(user, password, ssl_context=unchecked(), **wishes)


def with_token(server, token):
    """A connection that presents a token."""
    stub = SoapStubAdapter(host=server.address, port=server.port, sslContext=unchecked(),
                           version="vim.version.version9", samlToken=token)
    return vim.ServiceInstance("ServiceInstance", stub)
