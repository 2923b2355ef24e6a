//! The firmware of a VM: SeaBIOS, or OVMF with variables of the VM's own.

use std::path::{Path, PathBuf};

use ::qemu::Error;
use ::qemu::spec::{Firmware, User};

use super::Shared;
use crate::engine::{Launch, Result};

/// Where distributions put OVMF: code, code for secure boot, empty variables, variables with vendors' keys.
const OVMF: [[&str; 4]; 2] = [
    [
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    ],
    [
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_CODE.secboot.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
        "/usr/share/OVMF/OVMF_VARS.ms.fd",
    ],
];

/// The firmware of a VM; its variables are made first if they are missing. Blocking.
///
/// # Errors
/// If OVMF is not installed, or the variables cannot be made.
pub(super) fn of(shared: &Shared, launch: &Launch, user: Option<User>) -> Result<Firmware> {
    let vm::config::Firmware::Efi { secure_boot } = launch.config.firmware else { return Ok(Firmware::Bios) };
    let found = OVMF.iter().find(|files| files.iter().all(|file| Path::new(file).exists()));
    let files = found.ok_or_else(|| Error::Unavailable {
        file: OVMF[0][0].into(),
        reason: "the EFI firmware OVMF is not installed; install the package ovmf".into(),
    })?;
    let (code, template) = if secure_boot { (files[1], files[3]) } else { (files[0], files[2]) };
    let vars = shared.path(&launch.nvram)?;
    if !vars.exists() {
        copy(template, &vars)?;
    }
    shared.give(&launch.nvram, user)?;
    Ok(Firmware::Efi { code: code.into(), vars, secure_boot })
}

/// Copies whole or not at all.
fn copy(from: &str, to: &PathBuf) -> Result<()> {
    let fresh = to.with_extension("nvram.new");
    let copied = std::fs::copy(from, &fresh).and_then(|_| std::fs::rename(&fresh, to));
    copied.map_err(|source| {
        drop(std::fs::remove_file(&fresh));
        if source.kind() == std::io::ErrorKind::StorageFull {
            return Error::NoSpace { path: to.clone() };
        }
        Error::Io { what: format!("make {}", to.display()), source }
    })
}
