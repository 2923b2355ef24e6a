//! No circles between the folders of a crate: of the modules that lie beside each other, a folder may not use a
//! neighbour that uses it in turn, directly or through others. The rule holds at every level of a crate; `mod.rs` and
//! `lib.rs` stand outside of the level that they open. Tests (`#[cfg(test)]`) may look wherever they like.
//!
//! `modules` reads a crate, `names` finds the paths that its code mentions, `resolve` follows each to the module that
//! defines the name, and `graph` finds the circles.

mod graph;
mod modules;
mod names;
mod resolve;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::paths;
use graph::Circle;

/// Crates that may still have circles, and between how many modules.
const TOLERATED: &[(&str, usize)] = &[];

pub fn check() -> Result<()> {
    let mut problems = Vec::new();
    let mut crates = 0;
    for (name, root) in roots()? {
        crates += 1;
        let circles = of_crate(&root)?;
        let tangled: usize = circles.iter().map(|circle| circle.nodes.len()).sum();
        let tolerated = TOLERATED.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count);
        if tangled == 0 && tolerated == 0 {
            continue;
        }
        let text: Vec<String> = circles.iter().map(ToString::to_string).collect();
        let report = format!("{name}: {tangled} modules use each other in circles\n{}", text.join("\n"));
        if tangled > tolerated {
            problems.push(report);
        } else {
            eprintln!("tolerated for now ({tolerated}): {report}");
        }
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    eprintln!("{crates} crates have no new circles between their folders");
    Ok(())
}

/// Each crate's name and the file that its module tree begins with.
fn roots() -> Result<Vec<(String, PathBuf)>> {
    let repository = paths::repository();
    let mut directories = vec![repository.join("xtask")];
    let crates = repository.join("crates");
    for entry in fs::read_dir(&crates).with_context(|| format!("cannot list {}", crates.display()))? {
        directories.push(entry.with_context(|| format!("cannot list {}", crates.display()))?.path());
    }
    directories.sort();
    let mut roots = Vec::new();
    for directory in directories {
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files = ["lib.rs", "main.rs"].map(|file| directory.join("src").join(file));
        roots.extend(files.into_iter().filter(|file| file.is_file()).map(|file| (name.clone(), file)));
    }
    Ok(roots)
}

fn of_crate(root: &Path) -> Result<Vec<Circle>> {
    let tree = modules::read(root, &|path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    })?;
    Ok(graph::circles(&tree, &resolve::references(&tree)))
}
