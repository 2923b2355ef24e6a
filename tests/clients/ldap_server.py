"""A real OpenLDAP server with users and nested groups, for tests of identity sources."""
import os
import signal
import socket
import subprocess
import time

PASSWORD = "Secret-1"
BASE = "dc=example,dc=org"

ENTRIES = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,{BASE}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{BASE}
objectClass: organizationalUnit
ou: groups

dn: cn=reader,{BASE}
objectClass: person
cn: reader
sn: reader
userPassword: {PASSWORD}

dn: uid=Alice,ou=people,{BASE}
objectClass: inetOrgPerson
uid: Alice
cn: Alice Example
sn: Example
mail: alice@example.org
userPassword: {PASSWORD}

dn: uid=bob,ou=people,{BASE}
objectClass: inetOrgPerson
uid: bob
cn: Bob Example
sn: Example
userPassword: {PASSWORD}

dn: uid=administrator,ou=people,{BASE}
objectClass: inetOrgPerson
uid: administrator
cn: Not ours
sn: Example
userPassword: {PASSWORD}

dn: cn=operators,ou=groups,{BASE}
objectClass: groupOfNames
cn: operators
description: They operate
member: uid=Alice,ou=people,{BASE}

dn: cn=staff,ou=groups,{BASE}
objectClass: groupOfNames
cn: staff
member: cn=operators,ou=groups,{BASE}

"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Ldap:
    """A running server; `ca` is the file with its certificate."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = directory / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-addext", "basicConstraints=critical,CA:FALSE",
                        "-keyout", directory / "key.pem", "-out", self.ca], check=True, capture_output=True)
        (directory / "db").mkdir()
        schemas = "\n".join(f"include /etc/ldap/schema/{name}.schema" for name in ("core", "cosine", "nis", "inetorgperson"))
        self.conf = directory / "slapd.conf"
        self.conf.write_text(f"""{schemas}
pidfile {directory}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {self.ca}
TLSCertificateKeyFile {directory}/key.pem
database mdb
suffix {BASE}
rootdn cn=admin,{BASE}
rootpw {PASSWORD}
directory {directory}/db
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
""")
        (directory / "entries.ldif").write_text(ENTRIES)
        subprocess.run(["/usr/sbin/slapadd", "-f", self.conf, "-l", directory / "entries.ldif"], check=True, capture_output=True)
        self.plain, self.tls = free_port(), free_port()
        self.process = subprocess.Popen(["/usr/sbin/slapd", "-d", "0", "-f", self.conf, "-h",
                                         f"ldap://127.0.0.1:{self.plain}/ ldaps://127.0.0.1:{self.tls}/"], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        for port in (self.plain, self.tls):
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert time.monotonic() < end and self.process.poll() is None, "slapd does not answer"
                time.sleep(0.05)

    @property
    def url(self):
        return f"ldaps://localhost:{self.tls}"

    def modify(self, ldif):
        subprocess.run(["ldapmodify", "-x", "-H", f"ldap://127.0.0.1:{self.plain}", "-D", f"cn=admin,{BASE}", "-w", PASSWORD],
                       input=ldif, text=True, check=True, capture_output=True, env={**os.environ, "LDAPNOINIT": "1"})

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
