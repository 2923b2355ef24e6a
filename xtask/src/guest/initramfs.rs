//! The guest's root: busybox with a link for each of its commands, the guest agent with its libraries,
//! drivers, and the files of `guest/root`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::archive::Archive;
use super::packages::Debian;
use super::{files_below, modules};
use crate::process;

const DIRECTORIES: [(&str, u32); 9] = [
    ("data", 0o755),
    ("dev", 0o755),
    ("mnt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
];

/// Makes the compressed initial RAM file system and returns its path.
pub fn build(debian: &Debian, sources: &Path, work: &Path) -> Result<PathBuf> {
    let mut archive = Archive::default();
    for (path, mode) in DIRECTORIES {
        archive.directory(path, mode);
    }
    // The kernel opens the console before anything can mount /dev.
    archive.character_device("dev/console", 0o600, (5, 1));
    archive.link("var/run", "/run");
    archive.link("etc/mtab", "/proc/mounts");
    archive.link("etc/resolv.conf", "/run/resolv.conf");
    add_sources(&mut archive, &sources.join("root"))?;
    add_agent(&mut archive, debian)?;
    add_busybox(&mut archive, debian)?;
    modules::add(&mut archive, debian, &sources.join("modules"), work)?;
    compress(&archive.bytes(), work)
}

fn add_sources(archive: &mut Archive, root: &Path) -> Result<()> {
    for path in files_below(root)? {
        let name = path.strip_prefix(root).context("a file below a directory has its prefix")?;
        let metadata = path.metadata().with_context(|| format!("cannot look at {}", path.display()))?;
        let mode = match (name.to_str(), metadata.permissions().mode() & 0o111) {
            (Some("etc/shadow"), _) => 0o600,
            (_, 0) => 0o644,
            _ => 0o755,
        };
        let contents = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        archive.file(&name.to_string_lossy(), mode, contents);
    }
    Ok(())
}

fn add_agent(archive: &mut Archive, debian: &Debian) -> Result<()> {
    for (name, file) in debian.program_with_libraries("usr/sbin/qemu-ga")? {
        let contents = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        archive.file(&name, 0o755, contents);
    }
    Ok(())
}

/// The guest's own files take precedence over commands of busybox.
fn add_busybox(archive: &mut Archive, debian: &Debian) -> Result<()> {
    let program = debian.file(&["bin/busybox", "usr/bin/busybox"])?;
    let contents = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    for path in process::read(Command::new(&program).arg("--list-full"))?.lines() {
        if !archive.contains(path) && path != "bin/busybox" {
            archive.link(path, "/bin/busybox");
        }
    }
    archive.file("bin/busybox", 0o755, contents);
    Ok(())
}

fn compress(bytes: &[u8], work: &Path) -> Result<PathBuf> {
    let (plain, compressed) = (work.join("initrd.cpio"), work.join("initrd"));
    fs::write(&plain, bytes).with_context(|| format!("cannot write {}", plain.display()))?;
    process::quiet(Command::new("zstd").args(["-q", "-19", "-o"]).args([&compressed, &plain]))?;
    Ok(compressed)
}
