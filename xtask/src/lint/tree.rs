//! Rules for the tree itself: no paths of one computer, no package mirrors by name (setup derives them from the system's
//! own), no source file that does not fit in a head.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::files;
use crate::paths;

/// In two halves each, so that this file passes its own check.
const FORBIDDEN: [(&str, &str); 8] = [
    ("/wo", "rk/"),
    ("deb.debian", ".org"),
    ("security.debian", ".org"),
    ("archive.ubuntu", ".com"),
    ("pypi", ".org/"),
    ("files.pythonhosted", ".org"),
    ("registry.npmjs", ".org"),
    ("static.crates", ".io"),
];
/// Written by package managers, not by people.
const LOCK_FILES: [&str; 2] = ["Cargo.lock", "package-lock.json"];

const SOURCE_EXTENSIONS: [&str; 7] = ["rs", "c", "h", "ts", "py", "sh", "bpf"];
/// A longer file is an error.
const MOST_LINES: usize = 700;
/// A longer file is worth a look.
const MANY_LINES: usize = 300;

pub fn check() -> Result<()> {
    let mut problems = Vec::new();
    let mut lengths = Vec::new();
    for path in files::tracked()? {
        let Ok(contents) = fs::read(paths::repository().join(&path)) else { continue };
        if !path.file_name().is_some_and(|name| LOCK_FILES.iter().any(|lock| name == *lock)) {
            problems.extend(forbidden_in(&contents).map(|what| format!("{} names {what}", path.display())));
        }
        if path
            .extension()
            .and_then(OsStr::to_str)
            .is_some_and(|extension| SOURCE_EXTENSIONS.contains(&extension))
        {
            lengths.push((contents.iter().filter(|byte| **byte == b'\n').count(), path));
        }
    }
    lengths.sort();
    report(&lengths);
    let too_long = lengths.iter().filter(|(lines, _)| *lines > MOST_LINES);
    problems.extend(too_long.map(|(lines, path)| {
        format!("{} has {lines} lines, more than {MOST_LINES}: divide it", path.display())
    }));
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(())
}

fn forbidden_in(contents: &[u8]) -> impl Iterator<Item = String> {
    FORBIDDEN
        .iter()
        .map(|(first, second)| format!("{first}{second}"))
        .filter(|word| contents.windows(word.len()).any(|window| window == word.as_bytes()))
}

fn report(lengths: &[(usize, PathBuf)]) {
    let Some((median, _)) = lengths.get(lengths.len() / 2) else { return };
    let long: Vec<String> = lengths
        .iter()
        .rev()
        .take_while(|(lines, _)| *lines > MANY_LINES)
        .map(|(lines, path)| format!("  {lines} {}", path.display()))
        .collect();
    eprintln!("{} source files, median {median} lines; above {MANY_LINES}: {}", lengths.len(), long.len());
    for line in long {
        eprintln!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::forbidden_in;

    #[test]
    fn a_path_of_one_machine_and_a_mirror_are_found() {
        let text = ["see /wo", "rk/notes and http://deb.debian", ".org/debian"].concat();
        assert_eq!(forbidden_in(text.as_bytes()).count(), 2);
        assert_eq!(forbidden_in(b"the /workspace and crates.io").count(), 0);
    }
}
