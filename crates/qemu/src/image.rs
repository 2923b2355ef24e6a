//! Disk images that no VM has open, through `qemu-img`. Paths are absolute, so QEMU never mistakes one for a
//! protocol. An untrusted image may name any file as its backing: check [`Info::backing`] before trusting one.

use crate::cmdline::text;
use crate::spec::ImageFormat;
use crate::{Error, Result, child, limits};
use serde::Deserialize;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PROGRAM: &str = "/usr/bin/qemu-img";

/// How much of its datastore space a new image takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preallocation {
    /// Nothing: thin.
    #[default]
    Off,
    /// The tables of qcow2.
    Metadata,
    /// All blocks, unwritten: lazily zeroed thick.
    Falloc,
    /// All blocks, written with zeros: eagerly zeroed thick.
    Full,
}

impl Preallocation {
    fn name(self) -> &'static str {
        match self {
            Preallocation::Off => "off",
            Preallocation::Metadata => "metadata",
            Preallocation::Falloc => "falloc",
            Preallocation::Full => "full",
        }
    }
}

/// An image's own description of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Info {
    /// QEMU's name of the format.
    pub format: String,
    /// Size that a guest sees, bytes.
    pub virtual_size: u64,
    /// Space that it takes on the datastore, bytes.
    #[serde(rename = "actual-size", default)]
    pub actual_size: u64,
    /// Backing file as the image names it.
    #[serde(rename = "backing-filename", default)]
    pub backing: Option<String>,
    /// Backing file with its directory resolved.
    #[serde(rename = "full-backing-filename", default)]
    pub backing_path: Option<PathBuf>,
    /// Format of the backing file.
    #[serde(rename = "backing-filename-format", default)]
    pub backing_format: Option<String>,
}

/// Findings of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckReport {
    /// Clusters with wrong contents or references.
    #[serde(default)]
    pub corruptions: u64,
    /// Clusters that are allocated but unused; harmless.
    #[serde(default)]
    pub leaks: u64,
    /// Errors of the check itself.
    #[serde(default)]
    pub check_errors: u64,
}

/// Creates an empty image that only its owner may open. An existing file is not overwritten.
pub async fn create(
    path: &Path,
    format: ImageFormat,
    bytes: u64,
    preallocation: Preallocation,
) -> Result<()> {
    let mut options = format!("preallocation={}", preallocation.name());
    if format == ImageFormat::Raw && preallocation == Preallocation::Metadata {
        options = "preallocation=off".into();
    }
    let fresh = Fresh::claim(path)?;
    let arguments = ["-q", "-f", format.driver(), "-o", &options, &absolute(path)?, &bytes.to_string()];
    let within = if preallocation == Preallocation::Full { limits::IMAGE_COPY } else { limits::IMAGE_QUICK };
    run("create", path, &arguments, within).await?;
    fresh.keep()
}

/// Creates an empty qcow2 layer over `backing`, which is not opened: a VM may be using it. `bytes` is the size
/// that the guest sees. A backing file of the same directory is named without it, so that both can move together.
pub async fn create_overlay(
    path: &Path,
    backing: &Path,
    backing_format: ImageFormat,
    bytes: u64,
) -> Result<()> {
    let fresh = Fresh::claim(path)?;
    let name = backing_name(path, backing)?;
    let arguments = [
        "-q",
        "-f",
        "qcow2",
        "-u",
        "-b",
        &name,
        "-F",
        backing_format.driver(),
        &absolute(path)?,
        &bytes.to_string(),
    ];
    run("create", path, &arguments, limits::IMAGE_QUICK).await?;
    fresh.keep()
}

/// Reads an image's header; also while a VM has it open.
pub async fn info(path: &Path) -> Result<Info> {
    let arguments = ["--output=json", "-U", &absolute(path)?];
    let output = run("info", path, &arguments, limits::IMAGE_QUICK).await?;
    json("info", path, &output)
}

/// An image and every image below it, the newest first.
pub async fn chain(path: &Path) -> Result<Vec<(PathBuf, Info)>> {
    /// Deeper than any sane chain; the limit also ends a circle.
    const DEEPEST: usize = 256;
    let mut chain = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        if chain.len() == DEEPEST {
            return Err(failure("info", &path, "the chain of backing files has no end"));
        }
        let info = info(&path).await?;
        next = info.backing_path.clone();
        chain.push((path, info));
    }
    Ok(chain)
}

/// Grows or, with `shrink`, cuts an image.
pub async fn resize(path: &Path, format: ImageFormat, bytes: u64, shrink: bool) -> Result<()> {
    let (path_text, bytes) = (absolute(path)?, bytes.to_string());
    let mut arguments = vec!["-q", "-f", format.driver()];
    if shrink {
        arguments.push("--shrink");
    }
    arguments.extend([path_text.as_str(), bytes.as_str()]);
    run("resize", path, &arguments, limits::IMAGE_QUICK).await.map(drop)
}

/// Format of an image that is only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFormat {
    /// One that VMs run on.
    Image(ImageFormat),
    /// VMware's. QEMU opens whatever its descriptor names: check that first.
    Vmdk,
}

impl SourceFormat {
    fn driver(self) -> &'static str {
        match self {
            SourceFormat::Image(format) => format.driver(),
            SourceFormat::Vmdk => "vmdk",
        }
    }
}

impl From<ImageFormat> for SourceFormat {
    fn from(format: ImageFormat) -> Self {
        SourceFormat::Image(format)
    }
}

/// Copies an image, with everything below it, into one new file. `progress` receives per cent.
pub async fn convert(
    source: (&Path, SourceFormat),
    target: (&Path, ImageFormat),
    preallocation: Preallocation,
    mut progress: impl FnMut(f32),
) -> Result<()> {
    let fresh = Fresh::claim(target.0)?;
    let mut options = format!("preallocation={}", preallocation.name());
    if target.1 == ImageFormat::Raw && preallocation == Preallocation::Metadata {
        options = "preallocation=off".into();
    }
    let arguments = [
        "-p",
        "-f",
        source.1.driver(),
        "-O",
        target.1.driver(),
        "-o",
        &options,
        &absolute(source.0)?,
        &absolute(target.0)?,
    ];
    let report = |piece: &[u8]| {
        if let Some(percent) = last_percentage(piece) {
            progress(percent);
        }
    };
    run_reporting("convert", target.0, &arguments, limits::IMAGE_COPY, report).await?;
    fresh.keep()
}

/// Looks for damage. With `repair` it also repairs leaks and whatever else it can.
pub async fn check(path: &Path, format: ImageFormat, repair: bool) -> Result<CheckReport> {
    let path_text = absolute(path)?;
    let mut arguments = vec!["check", "--output=json", "-f", format.driver()];
    if repair {
        arguments.extend(["-r", "all"]);
    }
    arguments.push(&path_text);
    let arguments: Vec<String> = arguments.into_iter().map(ToOwned::to_owned).collect();
    let output = child::run(Path::new(PROGRAM), &arguments, limits::IMAGE_COPY, |_| {}).await?;
    match output.status.code() {
        // Exit codes for clean, corrupt and leaking: each comes with a report.
        Some(0 | 2 | 3) => json("check", path, &output.stdout),
        // qemu-img cannot check this format, so nothing can be found.
        Some(63) => Ok(CheckReport::default()),
        _ => Err(failure("check", path, &output.stderr)),
    }
}

/// Moves an image onto another backing file, or onto none. Unless `header_only`, the differing blocks are copied first,
/// so that the contents stay the same.
pub async fn rebase(path: &Path, backing: Option<(&Path, ImageFormat)>, header_only: bool) -> Result<()> {
    let (path_text, name) = (
        absolute(path)?,
        match backing {
            Some((backing, _)) => backing_name(path, backing)?,
            None => String::new(),
        },
    );
    let mut arguments = vec!["-q", "-f", "qcow2", "-b", &name];
    if let Some((_, format)) = backing {
        arguments.extend(["-F", format.driver()]);
    }
    if header_only {
        arguments.push("-u");
    }
    arguments.push(&path_text);
    run("rebase", path, &arguments, limits::IMAGE_COPY).await.map(drop)
}

/// Writes an image's contents down into `base`, or into the file directly below it. The image keeps its contents;
/// every layer in between becomes worthless.
pub async fn commit(path: &Path, base: Option<&Path>) -> Result<()> {
    let (path_text, base) = (absolute(path)?, base.map(absolute).transpose()?);
    let mut arguments = vec!["-q", "-f", "qcow2", "-d"];
    if let Some(base) = &base {
        arguments.extend(["-b", base]);
    }
    arguments.push(&path_text);
    run("commit", path, &arguments, limits::IMAGE_COPY).await.map(drop)
}

/// The name under which an overlay refers to its backing file.
pub(crate) fn backing_name(overlay: &Path, backing: &Path) -> Result<String> {
    absolute(overlay)?;
    let whole = absolute(backing)?;
    if overlay.parent() != backing.parent() {
        return Ok(whole);
    }
    let name = backing.file_name().map(Path::new).map(text).transpose()?.unwrap_or(whole);
    // QEMU would take "a:b" for a protocol.
    Ok(if name.contains(':') { format!("./{name}") } else { name })
}

fn absolute(path: &Path) -> Result<String> {
    if !path.is_absolute() {
        return Err(Error::NotAbsolute(path.to_owned()));
    }
    text(path)
}

/// A file under construction: claimed so that nothing is overwritten, and removed unless it is kept.
struct Fresh<'a>(Option<&'a Path>);

impl<'a> Fresh<'a> {
    fn claim(path: &'a Path) -> Result<Self> {
        absolute(path)?;
        let claimed = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        claimed.map_err(Error::io(format!("create {}", path.display())))?;
        Ok(Fresh(Some(path)))
    }

    /// Makes the file and its name durable, so that later work still finds it after a power failure.
    fn keep(mut self) -> Result<()> {
        let Some(path) = self.0 else { return Ok(()) };
        let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
        let synced = sync(path).and_then(|()| path.parent().map_or(Ok(()), sync));
        synced.map_err(Error::io(format!("write {}", path.display())))?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            drop(std::fs::remove_file(path));
        }
    }
}

async fn run(operation: &str, path: &Path, arguments: &[&str], within: Duration) -> Result<Vec<u8>> {
    run_reporting(operation, path, arguments, within, |_| {}).await
}

async fn run_reporting(
    operation: &str,
    path: &Path,
    arguments: &[&str],
    within: Duration,
    on_output: impl FnMut(&[u8]),
) -> Result<Vec<u8>> {
    let arguments: Vec<String> =
        std::iter::once(operation).chain(arguments.iter().copied()).map(ToOwned::to_owned).collect();
    let output = child::run(Path::new(PROGRAM), &arguments, within, on_output).await?;
    if output.status.success() { Ok(output.stdout) } else { Err(failure(operation, path, &output.stderr)) }
}

fn failure(operation: &str, path: &Path, reason: &str) -> Error {
    if reason.contains("No space left on device") {
        return Error::NoSpace { path: path.to_owned() };
    }
    let reason = reason.strip_prefix("qemu-img: ").unwrap_or(reason).to_owned();
    Error::Image { operation: operation.to_owned(), path: path.to_owned(), reason }
}

fn json<T: for<'a> Deserialize<'a>>(operation: &str, path: &Path, output: &[u8]) -> Result<T> {
    serde_json::from_slice(output).map_err(|e| failure(operation, path, &e.to_string()))
}

/// The last whole `(12.34/100%)` of a piece of `qemu-img`'s output.
fn last_percentage(piece: &[u8]) -> Option<f32> {
    let piece = String::from_utf8_lossy(piece);
    let (before, _) = piece.rsplit_once("/100%)")?;
    before.rsplit_once('(')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_what_qemu_img_prints() {
        assert_eq!(last_percentage(b"    (0.00/100%)\r    (12.50/100%)\r   (13."), Some(12.5));
        assert_eq!(last_percentage(b"rubbish"), None);
        assert_eq!(last_percentage(b"(x/100%)"), None);
    }

    #[test]
    fn a_backing_file_beside_its_overlay_is_named_without_directory() {
        let name = |overlay: &str, backing: &str| backing_name(Path::new(overlay), Path::new(backing));
        assert_eq!(name("/ds/vm/b.vmdk", "/ds/vm/a.vmdk").unwrap(), "a.vmdk");
        assert_eq!(name("/ds/vm/b.vmdk", "/ds/vm/nbd:a").unwrap(), "./nbd:a");
        assert_eq!(name("/ds/vm/b.vmdk", "/ds/other/a.vmdk").unwrap(), "/ds/other/a.vmdk");
        assert!(name("b", "/ds/a").is_err());
    }
}
