//! The token: a SAML 2.0 assertion, and the one form in which it is written.
//!
//! The form is its own exclusive canonical form: no blanks, attributes in order, namespaces where they are first used. So the digest of the
//! signature is that of the text.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use vim::DateTime;

use crate::xml::{SAML, SIGNATURE, attribute, element};

/// The form of the subject: `user@domain`.
pub(crate) const UPN: &str = "http://schemas.xmlsoap.org/claims/UPN";
/// The client that presents the token is its subject.
pub(crate) const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
/// The user gave a password over TLS.
pub(crate) const BY_PASSWORD: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";
/// Says in the conditions that the token may be renewed.
pub(crate) const RENEWAL: &str = "http://www.rsa.com/names/2009/12/std-ext/SAML2.0";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const ECDSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

/// The statements of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assertion {
    /// `_` and a UUID.
    pub(crate) id: String,
    pub(crate) issuer: String,
    /// `user@domain`
    pub(crate) subject: String,
    pub(crate) issued: DateTime,
    pub(crate) ends: DateTime,
    /// The time at which the user proved his identity; a renewed token keeps it.
    pub(crate) authenticated: DateTime,
    pub(crate) renewable: bool,
}

impl Assertion {
    /// The token without a signature.
    pub(crate) fn unsigned(&self) -> String {
        self.write("")
    }

    /// The text that the signature signs.
    pub(crate) fn signed_info(&self) -> String {
        self.info(true)
    }

    /// The token with its signature (64 bytes, as XML signatures have them) and the certificate of the key.
    pub(crate) fn signed(&self, signature: &[u8], certificate: &[u8]) -> String {
        let mut out = String::new();
        out.push_str("<ds:Signature");
        attribute(&mut out, "xmlns:ds", SIGNATURE);
        out.push('>');
        out.push_str(&self.info(false));
        element(&mut out, "ds:SignatureValue", &BASE64.encode(signature));
        out.push_str("<ds:KeyInfo><ds:X509Data>");
        element(&mut out, "ds:X509Certificate", &BASE64.encode(certificate));
        out.push_str("</ds:X509Data></ds:KeyInfo></ds:Signature>");
        self.write(&out)
    }

    /// The element `SignedInfo`: by itself it declares its namespace, and within the signature that is done already.
    fn info(&self, alone: bool) -> String {
        let digest = BASE64.encode(Sha256::digest(self.unsigned().as_bytes()));
        let mut out = String::from("<ds:SignedInfo");
        if alone {
            attribute(&mut out, "xmlns:ds", SIGNATURE);
        }
        out.push('>');
        algorithm(&mut out, "ds:CanonicalizationMethod", EXCLUSIVE);
        algorithm(&mut out, "ds:SignatureMethod", ECDSA_SHA256);
        out.push_str("<ds:Reference");
        attribute(&mut out, "URI", &format!("#{}", self.id));
        out.push_str("><ds:Transforms>");
        algorithm(&mut out, "ds:Transform", ENVELOPED);
        algorithm(&mut out, "ds:Transform", EXCLUSIVE);
        out.push_str("</ds:Transforms>");
        algorithm(&mut out, "ds:DigestMethod", SHA256);
        element(&mut out, "ds:DigestValue", &digest);
        out.push_str("</ds:Reference></ds:SignedInfo>");
        out
    }

    fn write(&self, signature: &str) -> String {
        let (issued, ends) = (self.issued.to_string(), self.ends.to_string());
        let mut out = String::with_capacity(2_048);
        out.push_str("<saml2:Assertion");
        attribute(&mut out, "xmlns:saml2", SAML);
        attribute(&mut out, "ID", &self.id);
        attribute(&mut out, "IssueInstant", &issued);
        attribute(&mut out, "Version", "2.0");
        out.push('>');
        element(&mut out, "saml2:Issuer", &self.issuer);
        out.push_str(signature);
        out.push_str("<saml2:Subject><saml2:NameID");
        attribute(&mut out, "Format", UPN);
        out.push('>');
        crate::xml::escape(&mut out, &self.subject);
        out.push_str("</saml2:NameID><saml2:SubjectConfirmation");
        attribute(&mut out, "Method", BEARER);
        out.push_str("><saml2:SubjectConfirmationData");
        attribute(&mut out, "NotOnOrAfter", &ends);
        out.push_str("></saml2:SubjectConfirmationData></saml2:SubjectConfirmation></saml2:Subject>");
        out.push_str("<saml2:Conditions");
        attribute(&mut out, "NotBefore", &issued);
        attribute(&mut out, "NotOnOrAfter", &ends);
        out.push('>');
        if self.renewable {
            out.push_str("<rsa:RenewRestriction");
            attribute(&mut out, "xmlns:rsa", RENEWAL);
            attribute(&mut out, "Count", "10");
            out.push_str("></rsa:RenewRestriction>");
        }
        out.push_str("</saml2:Conditions><saml2:AuthnStatement");
        attribute(&mut out, "AuthnInstant", &self.authenticated.to_string());
        out.push_str("><saml2:AuthnContext>");
        element(&mut out, "saml2:AuthnContextClassRef", BY_PASSWORD);
        out.push_str("</saml2:AuthnContext></saml2:AuthnStatement></saml2:Assertion>");
        out
    }
}

/// Writes an element that names an algorithm.
fn algorithm(out: &mut String, name: &str, algorithm: &str) {
    let _ = write!(out, "<{name}");
    attribute(out, "Algorithm", algorithm);
    let _ = write!(out, "></{name}>");
}
