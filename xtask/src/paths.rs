//! The paths of the repository and of the cache outside it, for files that can be made again.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The repository's root, known because this program was compiled inside it.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies one level below the repository's root")
}

/// `${XDG_CACHE_HOME:-~/.cache}/esfera`, created if it does not exist.
pub fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    let cache = base.join("esfera");
    fs::create_dir_all(&cache)
        .with_context(|| format!("cannot make the cache directory {}", cache.display()))?;
    Ok(cache)
}

/// Directory of the cargo tools that these commands install: they do not touch `~/.cargo/bin`.
pub fn tools() -> Result<PathBuf> {
    Ok(cache()?.join("tools"))
}

/// A short name for some inputs: the first 12 hex digits of their SHA-256.
pub fn fingerprint<'a>(inputs: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update((input.len() as u64).to_le_bytes());
        hash.update(input);
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
