//! Fetches Debian packages with apt and unpacks them into a directory: making the guest does not change
//! the system's own kernel, busybox and boot loaders.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::files_below;
use crate::process;

/// Its first dependency is the kernel of the day.
const KERNEL: &str = "linux-image-cloud-amd64";
const PACKAGES: [&str; 5] =
    ["busybox-static", "qemu-guest-agent", "syslinux", "syslinux-common", "systemd-boot-efi"];
/// The agent's libraries are found through its dependencies.
const AGENT: &str = "qemu-guest-agent";

/// The packages' files.
pub struct Debian {
    root: PathBuf,
}

impl Debian {
    /// The first of the paths that exists: releases differ in whether `/bin` is `/usr/bin`.
    pub fn file(&self, candidates: &[&str]) -> Result<PathBuf> {
        let found = candidates.iter().map(|path| self.root.join(path)).find(|path| path.exists());
        found.with_context(|| format!("the Debian packages have none of {}", candidates.join(", ")))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that holds the kernel's modules, named like the kernel.
    pub fn modules(&self) -> Result<PathBuf> {
        let base = self.file(&["lib/modules", "usr/lib/modules"])?;
        let mut entries = fs::read_dir(&base).with_context(|| format!("cannot list {}", base.display()))?;
        let first = entries.next().context("the kernel package has no modules")?;
        Ok(first.with_context(|| format!("cannot list {}", base.display()))?.path())
    }

    pub fn kernel_version(&self) -> Result<String> {
        let modules = self.modules()?;
        let name = modules.file_name().context("the modules' directory has no name")?;
        Ok(name.to_string_lossy().into_owned())
    }

    /// A program of the packages and all shared libraries that it loads, as pairs of the path in the guest
    /// and the file here, asked of its own dynamic linker.
    pub fn program_with_libraries(&self, program: &str) -> Result<Vec<(String, PathBuf)>> {
        let linker = self.file(&["lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"])?;
        let linker = linker.canonicalize().unwrap_or(linker);
        let library_path = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"]
            .map(|directory| self.root.join(directory).to_string_lossy().into_owned())
            .join(":");
        let path = self.root.join(program);
        let listing = process::read(
            Command::new(&linker)
                .args(["--inhibit-cache", "--library-path", &library_path, "--list"])
                .arg(&path),
        )?;
        let mut files = vec![(program.to_owned(), path), ("lib64/ld-linux-x86-64.so.2".to_owned(), linker)];
        for line in listing.lines() {
            let Some((name, file)) = line.trim().split_once(" => ") else { continue };
            let file = file.split(" (").next().unwrap_or(file);
            if name.starts_with('/') || name.starts_with("ld-linux") {
                continue;
            }
            let file = fs::canonicalize(file)
                .with_context(|| format!("{program} needs {name}, which is missing"))?;
            files.push((format!("lib/x86_64-linux-gnu/{name}"), file));
        }
        Ok(files)
    }
}

/// Downloads and unpacks everything into a directory below `work`.
pub fn unpack(work: &Path) -> Result<Debian> {
    let (archives, root) = (work.join("archives"), work.join("debian"));
    fs::create_dir_all(&archives).with_context(|| format!("cannot make {}", archives.display()))?;
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    if download(&archives).is_err() {
        // The lists name versions that the mirror has replaced, or there are none yet.
        process::quiet(Command::new("apt-get").args(["-q", "update"]))
            .context("packages cannot be downloaded with apt's present lists, and those cannot be updated")?;
        download(&archives)?;
    }
    for archive in files_below(&archives)? {
        process::quiet(Command::new("dpkg").arg("-x").args([&archive, &root]))?;
    }
    Ok(Debian { root })
}

fn download(archives: &Path) -> Result<()> {
    let mut names: BTreeSet<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
    let kernel = dependencies(KERNEL)?.into_iter().find(|name| name.starts_with("linux-image-"));
    names.insert(kernel.with_context(|| format!("{KERNEL} depends on no kernel"))?);
    let mut waiting = vec![AGENT.to_owned()];
    while let Some(name) = waiting.pop() {
        for library in dependencies(&name)?.into_iter().filter(|name| name.starts_with("lib")) {
            if names.insert(library.clone()) {
                waiting.push(library);
            }
        }
    }
    process::quiet(
        Command::new("apt-get")
            .current_dir(archives)
            .args(["-q", "-o", "APT::Sandbox::User=root", "download"])
            .args(&names),
    )
}

/// The real packages that a package depends on; of alternatives the first.
fn dependencies(package: &str) -> Result<Vec<String>> {
    let text = process::read(Command::new("apt-cache").env("LC_ALL", "C").args([
        "depends",
        "--important",
        package,
    ]))?;
    let names: Vec<String> = dependency_names(&text);
    if names.is_empty() && !text.contains(package) {
        bail!("apt knows no package {package}");
    }
    Ok(names)
}

fn dependency_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut alternative = false;
    for line in text.lines() {
        let line = line.trim();
        let (further, line) = match line.strip_prefix('|') {
            Some(line) => (true, line),
            None => (false, line),
        };
        let kind = line.strip_prefix("Depends: ").or_else(|| line.strip_prefix("PreDepends: "));
        let Some(name) = kind else { continue };
        if !alternative && !name.starts_with('<') {
            names.push(name.split(':').next().unwrap_or(name).to_owned());
        }
        alternative = further;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::dependency_names;

    #[test]
    fn of_alternatives_the_first_is_taken_and_virtual_packages_are_left_out() {
        let text = "libc6\n  PreDepends: libgcc-s1\n |Depends: first\n  Depends: second\n  Depends: <virtual>\n    real\n  \
                    Depends: third:any\n  Suggests: fourth\n";
        assert_eq!(dependency_names(text), ["libgcc-s1", "first", "third"]);
    }
}
