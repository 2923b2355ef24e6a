//! A real slapd with users and groups, which ends with the test.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use directory::{Endpoint, Schema, Source};
use tempfile::TempDir;

pub const PASSWORD: &str = "Secret-1";

const ENTRIES: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: cn=reader,dc=example,dc=org
objectClass: person
cn: reader
sn: reader
userPassword: Secret-1

dn: uid=Alice,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: Alice
cn: Alice Example
sn: Example
mail: alice@example.org
userPassword: Secret-1

dn: cn=Bob (x)\\2C *,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: bob
cn: Bob (x), *
sn: Example
userPassword: Secret-1

dn: uid=twin,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
cn: Twin
sn: One
userPassword: Secret-1

dn: cn=Twin Two,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
cn: Twin Two
sn: Two
userPassword: Secret-1

dn: cn=operators,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: operators
description: They operate
member: uid=Alice,ou=people,dc=example,dc=org
member: cn=Bob (x)\\2C *,ou=people,dc=example,dc=org

dn: cn=staff,ou=groups,dc=example,dc=org
objectClass: groupOfUniqueNames
cn: staff
uniqueMember: cn=operators,ou=groups,dc=example,dc=org

dn: cn=everybody,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: everybody
member: cn=staff,ou=groups,dc=example,dc=org
member: cn=everybody,ou=groups,dc=example,dc=org

dn: cn=unix,ou=groups,dc=example,dc=org
objectClass: posixGroup
cn: unix
gidNumber: 1000
memberUid: Alice
";

pub struct Slapd {
    process: Child,
    pub plain: u16,
    pub tls: u16,
    /// The certificate of the server's authority.
    pub authority: String,
    _files: TempDir,
}

impl Slapd {
    pub fn start() -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let at = |name: &str| files.path().join(name).display().to_string();
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        fs::write(at("cert.pem"), cert.pem()).expect("written");
        fs::write(at("key.pem"), signing_key.serialize_pem()).expect("written");
        fs::create_dir(at("db")).expect("made");
        let conf = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/nis.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n\
             pidfile {}\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             TLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
             database mdb\nsuffix dc=example,dc=org\nrootdn cn=admin,dc=example,dc=org\nrootpw {PASSWORD}\ndirectory {}\n\
             access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by * none\n",
            at("pid"),
            at("cert.pem"),
            at("key.pem"),
            at("db")
        );
        fs::write(at("slapd.conf"), conf).expect("written");
        fs::write(at("entries.ldif"), ENTRIES).expect("written");
        let added = Command::new("/usr/sbin/slapadd")
            .args(["-f", &at("slapd.conf"), "-l", &at("entries.ldif")])
            .output();
        let added = added.expect("slapadd starts");
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let (plain, tls) = (free_port(), free_port());
        let process = Command::new("/usr/sbin/slapd")
            .args(["-d", "0", "-f", &at("slapd.conf"), "-h"])
            .arg(format!("ldap://127.0.0.1:{plain}/ ldaps://127.0.0.1:{tls}/"))
            .stderr(Stdio::null())
            .spawn()
            .expect("slapd starts");
        let slapd = Self { process, plain, tls, authority: cert.pem(), _files: files };
        for port in [plain, tls] {
            wait_for(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        }
        slapd
    }

    pub fn source(&self, endpoint: &str) -> Source {
        Source { authorities: self.authority.clone(), ..source(endpoint) }
    }

    pub fn tls_source(&self) -> Source {
        self.source(&format!("ldaps://localhost:{}", self.tls))
    }

    /// Ends the server at once.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn source(endpoint: &str) -> Source {
    Source {
        domain: "example.org".into(),
        alias: Some("EXAMPLE".into()),
        schema: Schema::OpenLdap,
        endpoints: vec![Endpoint::parse(endpoint).expect("an endpoint")],
        authorities: String::new(),
        account: "cn=reader,dc=example,dc=org".into(),
        password: PASSWORD.into(),
        users: "ou=people,dc=example,dc=org".into(),
        groups: "ou=groups,dc=example,dc=org".into(),
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a port").port()
}

fn wait_for(is_so: impl Fn() -> bool) {
    for _ in 0..1_200 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("slapd does not answer within a minute");
}
