//! Passwords, which are stored as Argon2id hashes only.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use vim::{Fault, fault};

use super::AccountError;

/// Memory, passes and lanes of Argon2id: the minimum of OWASP's cheat sheet for password storage.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Longest password, in bytes.
const MAX_PASSWORD_BYTES: usize = 1024;
/// Passwords that are hashed at the same time: each takes [`MEMORY_KIB`].
const AT_ONCE: usize = 2;
/// Logins that may wait for their turn; further ones are refused.
const MAX_WAITING: usize = 200;

/// Hashes and verifies, a few at a time.
pub(super) struct Passwords {
    at_once: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { at_once: Arc::new(Semaphore::new(AT_ONCE)), waiting: Semaphore::new(MAX_WAITING) }
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Verified for accounts that do not exist, so that they take as long.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash("nobody").unwrap_or_default());

fn hash(password: &str) -> Result<String, AccountError> {
    let failed = || AccountError::Internal("hashing a password");
    let salt: [u8; 16] = rand::random();
    let salt = SaltString::encode_b64(&salt).map_err(|_| failed())?;
    let hash = argon2().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|_| failed())
}

fn verify(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

impl Passwords {
    /// The hash to store for a password.
    pub(super) async fn hash(&self, password: &str) -> Result<String, AccountError> {
        if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
            return Err(AccountError::BadPassword);
        }
        let password = password.to_owned();
        self.run(move || hash(&password)).await?
    }

    /// Whether the password has this hash. Without a hash it is false after the same time.
    pub(super) async fn verify(&self, hash: Option<String>, password: &str) -> Result<bool, Fault> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Ok(false);
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err(fault!(
                ResourceInUse { type: "login", name: "login" },
                "Too many logins are waiting; try again later"
            ));
        };
        let password = password.to_owned();
        let verified = self.run(move || match hash {
            Some(hash) => verify(&hash, &password),
            None => {
                verify(&NOBODY, &password);
                false
            }
        });
        verified.await.map_err(|error| error.to_fault())
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccountError> {
        let failed = || AccountError::Internal("hashing a password");
        let permit = self.at_once.clone().acquire_owned().await.map_err(|_| failed())?;
        let work = tokio::task::spawn_blocking(move || {
            // The caller may have been dropped: the place becomes free only when the work is done.
            let _permit = permit;
            work()
        });
        work.await.map_err(|_| failed())
    }
}
