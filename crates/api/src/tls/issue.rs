//! The certificate authority that each daemon makes for itself, and the certificates that it issues.
//!
//! Its directory holds `ca.pem` and `ca.key`, and for each identity `NAME.pem` (its chain, own certificate first) and `NAME.key`. Keys
//! are ECDSA P-256 in PKCS #8, readable by the owner only.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::TlsError;

/// How long the authority's own certificate is valid.
const CA_LIFETIME: Duration = Duration::days(3650);
/// How long an issued certificate is valid; some clients refuse a longer validity.
pub(super) const LIFETIME: Duration = Duration::days(397);
/// A certificate that expires sooner is replaced.
pub(super) const RENEW_BEFORE: Duration = Duration::days(30);
/// Certificates are valid from a little earlier on, since clocks differ.
const BACKDATED: Duration = Duration::days(1);
const SERIAL_BYTES: usize = 16;

/// A certificate chain with the private key of its first certificate.
#[derive(Debug)]
pub struct Identity {
    /// The own certificate first, the authority's last.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Identity {
    /// Reads a chain and a key in PEM.
    ///
    /// # Errors
    /// [`TlsError::File`], [`TlsError::Unusable`].
    pub fn read(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let certificates = CertificateDer::pem_slice_iter(&read(chain)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| unusable(chain, &e))?;
        if certificates.is_empty() {
            return Err(unusable(chain, &"it holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|e| unusable(key, &e))?;
        Ok(Self { chain: certificates, key })
    }

    /// The own certificate (DER).
    pub fn certificate(&self) -> &[u8] {
        self.chain.first().map_or(&[], |certificate| certificate.as_ref())
    }

    pub fn thumbprint_sha1(&self) -> String {
        super::thumbprint_sha1(self.certificate())
    }

    pub fn thumbprint_sha256(&self) -> String {
        super::thumbprint_sha256(self.certificate())
    }
}

/// An authority of our own, kept in a directory.
pub struct CertificateAuthority {
    directory: PathBuf,
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl CertificateAuthority {
    /// Opens the authority in this directory, and makes directory and authority if they do not exist. `name` appears as the issuer of its
    /// certificates.
    ///
    /// # Errors
    /// [`TlsError`]; existing files that cannot be used are left as they are.
    pub fn open(directory: &Path, name: &str) -> Result<Self, TlsError> {
        fs::create_dir_all(directory).map_err(|source| file(directory, source))?;
        let (pem_path, key_path) = (directory.join("ca.pem"), directory.join("ca.key"));
        if !pem_path.exists() {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let certificate = authority_params(name, OffsetDateTime::now_utc())?.self_signed(&key)?;
            // The certificate is written last: if it exists, so does the key.
            write_secret(&key_path, &key.serialize_pem())?;
            write(&pem_path, &certificate.pem(), PUBLIC)?;
        }
        let pem = read_text(&pem_path)?;
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| unusable(&pem_path, &e))?;
        let key = KeyPair::from_pem(&read_text(&key_path)?).map_err(|e| unusable(&key_path, &e))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|e| unusable(&pem_path, &e))?;
        Ok(Self { directory: directory.to_owned(), certificate, pem, issuer })
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's certificate for people to install as trusted.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The identity of a server kept under `stem`. It is made if it does not exist, and replaced if it expires soon or lacks one of the
    /// `names` (host names and addresses; `localhost` is always added).
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn identity(&self, stem: &str, names: &[String]) -> Result<Identity, TlsError> {
        self.identity_at(stem, &Holder::server(names), OffsetDateTime::now_utc())
    }

    /// The identity of a client kept under `stem`, which is known by this URI.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn client_identity(&self, stem: &str, uri: &str) -> Result<Identity, TlsError> {
        self.identity_at(stem, &Holder::client(uri), OffsetDateTime::now_utc())
    }

    pub(super) fn identity_at(
        &self,
        stem: &str,
        holder: &Holder,
        now: OffsetDateTime,
    ) -> Result<Identity, TlsError> {
        let (pem_path, key_path) =
            (self.directory.join(format!("{stem}.pem")), self.directory.join(format!("{stem}.key")));
        if pem_path.exists()
            && let Ok(kept) = Identity::read(&pem_path, &key_path)
            && kept.chain.last() == Some(&self.certificate)
            && holder.is_held_by(kept.certificate(), now)
        {
            return Ok(kept);
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = issued_params(holder, now)?.signed_by(&key, &self.issuer)?;
        write_secret(&key_path, &key.serialize_pem())?;
        write(&pem_path, &format!("{}{}", certificate.pem(), self.pem), PUBLIC)?;
        Identity::read(&pem_path, &key_path)
    }
}

/// The holder and the use of a certificate: a server's certificate does not log in as a client's.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    common_name: String,
    /// Host names and addresses, or a URI.
    names: BTreeSet<String>,
    purpose: ExtendedKeyUsagePurpose,
}

impl Holder {
    pub(super) fn server(names: &[String]) -> Self {
        let common_name = names.first().map_or("localhost", String::as_str).to_owned();
        let mut wanted: BTreeSet<String> = names.iter().map(|name| plain_name(name)).collect();
        wanted.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
        Self { common_name, names: wanted, purpose: ExtendedKeyUsagePurpose::ServerAuth }
    }

    pub(super) fn client(uri: &str) -> Self {
        let names = BTreeSet::from([uri.to_owned()]);
        Self { common_name: uri.to_owned(), names, purpose: ExtendedKeyUsagePurpose::ClientAuth }
    }

    fn alternatives(&self) -> Result<Vec<SanType>, TlsError> {
        if self.purpose == ExtendedKeyUsagePurpose::ClientAuth {
            return self.names.iter().map(|uri| Ok(SanType::URI(uri.as_str().try_into()?))).collect();
        }
        Ok(CertificateParams::new(self.names.iter().cloned().collect::<Vec<_>>())?.subject_alt_names)
    }

    /// Whether the certificate is valid for all the names and long enough.
    pub(super) fn is_held_by(&self, certificate: &[u8], now: OffsetDateTime) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
        let validity = certificate.validity();
        if validity.not_after.to_datetime() - now < RENEW_BEFORE || validity.not_before.to_datetime() > now {
            return false;
        }
        let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
        let held: BTreeSet<String> = names.value.general_names.iter().filter_map(alternative).collect();
        self.names.is_subset(&held)
    }
}

fn authority_params(name: &str, now: OffsetDateTime) -> Result<CertificateParams, TlsError> {
    let mut params = params(name, Vec::new(), now, CA_LIFETIME)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn issued_params(holder: &Holder, now: OffsetDateTime) -> Result<CertificateParams, TlsError> {
    let mut params = params(&holder.common_name, holder.alternatives()?, now, LIFETIME)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![holder.purpose.clone()];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(
    name: &str,
    alternatives: Vec<SanType>,
    now: OffsetDateTime,
    lifetime: Duration,
) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = alternatives;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::OrganizationName, "Esfera");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - BACKDATED;
    params.not_after = now + lifetime;
    let mut serial: [u8; SERIAL_BYTES] = rand::random();
    // Positive, and of full length.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// Whether a certificate (DER) is valid now.
pub(crate) fn holds_now(certificate: &[u8]) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, certificate)| certificate.validity().is_valid())
}

fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from).ok();
            let address = v4.or_else(|| <[u8; 16]>::try_from(*bytes).map(IpAddr::from).ok())?;
            Some(address.to_string())
        }
        _ => None,
    }
}

/// A name or address in the form that certificates have.
fn plain_name(name: &str) -> String {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.parse::<IpAddr>().map_or_else(|_| name.to_ascii_lowercase(), |address| address.to_string())
}

const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

fn write_secret(path: &Path, text: &str) -> Result<(), TlsError> {
    write(path, text, SECRET)
}

/// Replaces a file as a whole, with these permissions from the start.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let new = path.with_extension("new");
    let result = (|| {
        if new.exists() {
            fs::remove_file(&new)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    result.map_err(|source| file(path, source))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| file(path, source))
}

fn read_text(path: &Path) -> Result<String, TlsError> {
    fs::read_to_string(path).map_err(|source| file(path, source))
}

fn file(path: &Path, source: std::io::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), source }
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::Unusable { path: path.to_owned(), reason: reason.to_string() }
}
