//! Thumbprints of certificates, as vSphere writes them: `AA:BB:…`.

use sha1::{Digest, Sha1};
use sha2::Sha256;

/// The SHA-1 digest of a certificate (DER), as `sslThumbprint` of AddHost_Task has it.
pub fn thumbprint_sha1(certificate: &[u8]) -> String {
    written(&Sha1::digest(certificate))
}

/// The SHA-256 digest of a certificate (DER).
pub fn thumbprint_sha256(certificate: &[u8]) -> String {
    written(&Sha256::digest(certificate))
}

/// Whether `text` is a thumbprint of the certificate: SHA-1 or SHA-256, with or without colons, in any case.
pub fn same_thumbprint(certificate: &[u8], text: &str) -> bool {
    let Some(text) = plain(text) else { return false };
    let known = if text.len() == 40 { thumbprint_sha1(certificate) } else { thumbprint_sha256(certificate) };
    plain(&known).as_deref() == Some(&text)
}

/// The digits only, if it looks like a thumbprint.
pub(super) fn plain(text: &str) -> Option<String> {
    let digits: String = text.trim().chars().filter(|c| *c != ':').map(|c| c.to_ascii_uppercase()).collect();
    let fits = matches!(digits.len(), 40 | 64) && digits.chars().all(|c| c.is_ascii_hexdigit());
    fits.then_some(digits)
}

fn written(digest: &[u8]) -> String {
    let mut out = String::with_capacity(digest.len() * 3);
    for byte in digest {
        if !out.is_empty() {
            out.push(':');
        }
        out.push_str(&format!("{byte:02X}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_digests_are_known_in_any_spelling() {
        // The digests of the empty message are published with the algorithms.
        let sha1 = "DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09";
        assert_eq!(thumbprint_sha1(b""), sha1);
        assert!(thumbprint_sha256(b"").starts_with("E3:B0:C4:42:98:FC:1C:14:"));
        assert!(same_thumbprint(b"", &sha1.to_lowercase()));
        assert!(same_thumbprint(b"", &sha1.replace(':', "")));
        assert!(same_thumbprint(b"", &thumbprint_sha256(b"")));
        assert!(!same_thumbprint(b"x", sha1));
        assert!(!same_thumbprint(b"", "DA:39"));
        assert!(!same_thumbprint(b"", ""));
    }
}
