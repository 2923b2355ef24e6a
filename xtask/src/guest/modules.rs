//! Chooses kernel modules: those in the list and their dependencies, with the tables that
//! modprobe needs for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::archive::Archive;
use super::packages::Debian;
use crate::process;

/// Puts the chosen modules and their tables into the archive.
pub fn add(archive: &mut Archive, debian: &Debian, list: &Path, work: &Path) -> Result<()> {
    let list = fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let version = debian.kernel_version()?;
    let all = debian.modules()?;
    index(debian.root(), &version)?;
    let table = fs::read_to_string(all.join("modules.dep")).context("depmod wrote no modules.dep")?;
    let builtin =
        fs::read_to_string(all.join("modules.builtin")).context("the kernel has no modules.builtin")?;

    let staging = work.join("modules");
    let chosen = staging.join("lib/modules").join(&version);
    for path in choose(&list, &table, &builtin)? {
        let to = chosen.join(&path);
        let directory = to.parent().context("a module lies in a directory")?;
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let contents = fs::read(all.join(&path)).with_context(|| format!("cannot read the module {path}"))?;
        fs::write(&to, &contents).with_context(|| format!("cannot write {}", to.display()))?;
        archive.file(&format!("lib/modules/{version}/{path}"), 0o644, contents);
    }
    for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        fs::copy(all.join(name), chosen.join(name)).with_context(|| format!("the kernel has no {name}"))?;
    }
    index(&staging, &version)?;
    for name in ["modules.dep", "modules.alias"] {
        let contents = fs::read(chosen.join(name)).with_context(|| format!("depmod wrote no {name}"))?;
        archive.file(&format!("lib/modules/{version}/{name}"), 0o644, contents);
    }
    Ok(())
}

fn index(root: &Path, version: &str) -> Result<()> {
    process::quiet(
        Command::new("depmod").env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").arg("-b").arg(root).arg(version),
    )
}

/// The files of the named modules and of their dependencies; built-in ones have none.
fn choose(list: &str, table: &str, builtin: &str) -> Result<BTreeSet<String>> {
    let files: BTreeMap<String, (&str, &str)> = table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| (module_name(path), (path, needs)))
        .collect();
    let builtin: BTreeSet<String> = builtin.lines().map(module_name).collect();
    let mut chosen = BTreeSet::new();
    for name in list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = name.replace('-', "_");
        match files.get(&name) {
            Some((path, needs)) => {
                chosen.insert((*path).to_owned());
                chosen.extend(needs.split_whitespace().map(str::to_owned));
            }
            None if builtin.contains(&name) => {}
            None => anyhow::bail!("the kernel has no module {name}: remove it from guest/modules"),
        }
    }
    Ok(chosen)
}

/// `kernel/drivers/net/virtio-net.ko.xz` is `virtio_net`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn a_module_brings_what_it_needs_and_a_built_in_one_nothing() {
        let table = "kernel/a/virtio-net.ko: kernel/b/virtio.ko kernel/b/ring.ko\nkernel/b/virtio.ko:\nkernel/c/x.ko:\n";
        let chosen = choose("# drivers\nvirtio_net\next4\n", table, "kernel/fs/ext4/ext4.ko\n")
            .expect("all are known");
        assert_eq!(
            chosen.into_iter().collect::<Vec<_>>(),
            ["kernel/a/virtio-net.ko", "kernel/b/ring.ko", "kernel/b/virtio.ko"]
        );
    }

    #[test]
    fn a_module_that_the_kernel_lacks_is_an_error() {
        assert!(choose("e1000\n", "kernel/c/x.ko:\n", "").is_err());
    }
}
