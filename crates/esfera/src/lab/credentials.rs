//! The lab's passwords: made at the first start, kept in files that only root reads.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::Rng;
use rand::distr::Alphanumeric;

const LENGTH: usize = 16;

/// The passwords, and the files that the daemons read them from.
#[derive(Clone)]
pub struct Credentials {
    pub center: String,
    pub center_file: PathBuf,
    pub host: String,
    pub host_file: PathBuf,
}

impl Credentials {
    pub fn load_or_make(data: &Path) -> Result<Self> {
        let (center_file, host_file) = (data.join("center-password"), data.join("host-password"));
        Ok(Self { center: password(&center_file)?, center_file, host: password(&host_file)?, host_file })
    }
}

fn password(file: &Path) -> Result<String> {
    match fs::read_to_string(file) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
    let password: String = rand::rng().sample_iter(Alphanumeric).take(LENGTH).map(char::from).collect();
    let mut made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot make {}", file.display()))?;
    writeln!(made, "{password}")?;
    Ok(password)
}
