//! The key that signs tokens: ECDSA on P-256. It lies in the center's store, so a center that is restored knows the tokens that it issued.

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};
use time::{Duration, OffsetDateTime};

use crate::TokensError;

const KEYS: Collection<StoredKey> = Collection::new("token-keys");
const CURRENT: &str = "current";
/// The certificate says nothing that is checked: the key itself is known.
const LIFETIME: Duration = Duration::days(3650);

#[derive(Serialize, Deserialize)]
struct StoredKey {
    /// PKCS #8, DER.
    key: Vec<u8>,
    /// X.509, DER.
    certificate: Vec<u8>,
}

pub(crate) struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
    pub(crate) certificate: Vec<u8>,
}

impl Signer {
    /// Reads the key of the store, or makes it.
    ///
    /// # Errors
    /// [`TokensError`].
    pub(crate) async fn open(store: &Store) -> Result<Self, TokensError> {
        let stored = match KEYS.get(store, CURRENT)? {
            Some(stored) => stored,
            None => {
                let made = make()?;
                let mut batch = Batch::new();
                KEYS.put(&mut batch, CURRENT, &made)?;
                store.commit(batch).await?;
                made
            }
        };
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &stored.key, &random)
            .map_err(|error| TokensError::Key(error.to_string()))?;
        Ok(Self { key, random, certificate: stored.certificate })
    }

    /// The signature as XML signatures have it: r and s, 32 bytes each.
    pub(crate) fn sign(&self, text: &str) -> Result<Vec<u8>, TokensError> {
        let signature = self.key.sign(&self.random, text.as_bytes());
        Ok(signature.map_err(|error| TokensError::Key(error.to_string()))?.as_ref().to_vec())
    }

    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        key.verify(text.as_bytes(), signature).is_ok()
    }
}

fn make() -> Result<StoredKey, TokensError> {
    let wrong = |error: rcgen::Error| TokensError::Key(error.to_string());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(wrong)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Esfera Security Token Service");
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - Duration::days(1), now + LIFETIME);
    let certificate = params.self_signed(&key).map_err(wrong)?;
    Ok(StoredKey { key: key.serialize_der(), certificate: certificate.der().to_vec() })
}
