//! Debian packages. QEMU and its block modules must be one version of at least 10.0: with 7.2 a live
//! migration under TCG reports success while the guest's memory is corrupt. Where the release's own is
//! older, they come from backports.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::sources::{self, Backports, Source};
use crate::process;

/// The oldest usable QEMU, as a Debian version.
const QEMU_OLDEST: &str = "1:10.0";

/// Built from one source package and useless in a mixture of versions. The packages
/// `qemu-system-modules-*` are absent on purpose: they hold SPICE and OpenGL displays, and consoles
/// here are VNC.
const QEMU: [&str; 5] =
    ["qemu-system-x86", "qemu-system-common", "qemu-system-data", "qemu-block-extra", "qemu-utils"];

/// Headers of a library that comes with QEMU from the same suite: of the same version, or not installable.
const LIBBPF: &str = "libbpf-dev";

/// The suffix of a version from backports.
const BACKPORTED: &str = "~bpo";

/// Further packages for running and testing.
const PACKAGES: [&str; 29] = [
    // Firmware, network boot and TPM of VMs.
    "ovmf",
    "seabios",
    "ipxe-qemu",
    "swtpm",
    // The lab's and the tests' networks.
    "iproute2",
    "iputils-ping",
    "dnsmasq-base",
    "isc-dhcp-server",
    "tcpdump",
    // The virtual switch: its programs are C for eBPF; tests read its frames and speak with it.
    "clang",
    "linux-libc-dev",
    "tshark",
    "lldpd",
    "nfdump",
    "iperf3",
    // An identity source.
    "slapd",
    // Clients: libvirt's esx:// and vpx:// drivers are inside its client library, no daemon is needed.
    "libvirt-clients",
    "python3",
    "python3-venv",
    "curl",
    // The center's other database, which tests start.
    "postgresql",
    // The guest image: FAT and ext4 without mounting, module lists.
    "mtools",
    "e2fsprogs",
    "kmod",
    "zstd",
    // Compilers for the C and C++ in crates.
    "gcc",
    "g++",
    "libc6-dev",
    "make",
];

/// Servers that tests start themselves. Installing them must not start the system's own.
const SERVERS: [&str; 4] = ["isc-dhcp-server", "lldpd", "postgresql", "slapd"];

/// Directory of an administrator's settings of services.
const UNITS: &str = "/etc/systemd/system";

const BACKPORTS_FILE: &str = "/etc/apt/sources.list.d/esfera-backports.sources";

/// Installs the packages that are missing; needs root only then.
pub fn install_missing() -> Result<()> {
    if process::find("dpkg-query").is_none() || process::find("apt-get").is_none() {
        return on_another_distribution();
    }
    let installed = installed_versions()?;
    let qemu_is_fine = qemu_is_fine(&installed)?;
    let missing: Vec<&str> =
        [LIBBPF].into_iter().chain(PACKAGES).filter(|name| !installed.contains_key(*name)).collect();
    if qemu_is_fine && missing.is_empty() {
        return Ok(());
    }
    if !is_root()? {
        let wanted: Vec<&str> = if qemu_is_fine { Vec::new() } else { QEMU.to_vec() };
        bail!(
            "these packages are missing: {}; run `cargo xtask setup` as root, which installs them \
             (QEMU {QEMU_OLDEST} or newer, from backports if need be)",
            [wanted, missing].concat().join(" ")
        );
    }
    process::step("apt-get update", update)?;
    if !qemu_is_fine {
        install_qemu()?;
    }
    let (with_qemu, others): (Vec<&str>, Vec<&str>) = missing.iter().partition(|name| **name == LIBBPF);
    let is_backported =
        installed_versions()?.get(QEMU[0]).is_some_and(|version| version.contains(BACKPORTED));
    let suite = if is_backported { Some(backports_suite()?) } else { None };
    install(&with_qemu, suite.as_deref())?;
    SERVERS.into_iter().filter(|server| others.contains(server)).try_for_each(mask)?;
    install(&others, None)
}

/// Keeps a service from starting, as `systemctl mask` does, before its package is installed.
fn mask(service: &str) -> Result<()> {
    let at = Path::new(UNITS).join(format!("{service}.service"));
    if at.symlink_metadata().is_ok() || !Path::new(UNITS).exists() {
        return Ok(());
    }
    eprintln!("{service} is installed for tests; its service is masked ({})", at.display());
    symlink("/dev/null", &at).with_context(|| format!("cannot make {}", at.display()))
}

/// Installs packages, from the suite if one is named.
fn install(packages: &[&str], suite: Option<&str>) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let mut install = apt_get(&["install", "--no-install-recommends"]);
    if let Some(suite) = suite {
        install.args(["-t", suite]);
    }
    let from = suite.map_or_else(String::new, |suite| format!(" from {suite}"));
    process::step(&format!("install {}{from}", packages.join(" ")), || process::run(install.args(packages)))
}

fn on_another_distribution() -> Result<()> {
    let wanted = [
        "qemu-system-x86_64",
        "qemu-img",
        "swtpm",
        "ip",
        "ping",
        "dnsmasq",
        "virsh",
        "python3",
        "mformat",
        "clang",
    ];
    let missing: Vec<&str> = wanted.into_iter().filter(|program| process::find(program).is_none()).collect();
    if missing.is_empty() {
        eprintln!(
            "this is not Debian: the needed programs are installed, but their versions are not checked"
        );
        return Ok(());
    }
    bail!(
        "only Debian and its kin can be set up by this command; please install what has these programs: {} \
         (QEMU 10.0 or newer with its nfs, iscsi and rbd block modules, OVMF, SeaBIOS, the headers of libbpf)",
        missing.join(", ")
    );
}

/// Names and versions of all installed packages.
fn installed_versions() -> Result<BTreeMap<String, String>> {
    let format = "-f=${db:Status-Abbrev}\\t${Package}\\t${Version}\\n";
    let listing = process::read(Command::new("dpkg-query").args(["-W", format]))?;
    Ok(listing.lines().filter_map(installed_package).collect())
}

fn installed_package(line: &str) -> Option<(String, String)> {
    let mut columns = line.split('\t');
    let (state, name, version) = (columns.next()?, columns.next()?, columns.next()?);
    state.trim_end().ends_with('i').then(|| (name.to_owned(), version.to_owned()))
}

fn qemu_is_fine(installed: &BTreeMap<String, String>) -> Result<bool> {
    let versions: Vec<&String> = QEMU.iter().filter_map(|name| installed.get(*name)).collect();
    let one_version = versions.len() == QEMU.len() && versions.windows(2).all(|pair| pair[0] == pair[1]);
    Ok(one_version && is_at_least(versions[0], QEMU_OLDEST)?)
}

fn is_at_least(version: &str, oldest: &str) -> Result<bool> {
    let status = Command::new("dpkg").args(["--compare-versions", version, "ge", oldest]).status();
    Ok(status.context("cannot start dpkg")?.success())
}

fn install_qemu() -> Result<()> {
    let mut from: Option<String> = None;
    if !newest_qemu(None)?.is_some_and(|version| is_at_least(&version, QEMU_OLDEST).unwrap_or(false)) {
        let suite = backports_suite()?;
        add_backports()?;
        match newest_qemu(Some(&suite))? {
            Some(version) if is_at_least(&version, QEMU_OLDEST)? => from = Some(suite),
            found => bail!(
                "QEMU {QEMU_OLDEST} or newer is needed, and {suite} has {}: use a newer release of the distribution",
                found.as_deref().unwrap_or("none")
            ),
        }
    }
    install(&QEMU, from.as_deref())
}

fn backports_suite() -> Result<String> {
    Ok(format!("{}-backports", codename()?))
}

/// The version that apt would install, from the suite if one is named.
fn newest_qemu(suite: Option<&str>) -> Result<Option<String>> {
    let mut policy = Command::new("apt-cache");
    if let Some(suite) = suite {
        policy.args(["-t", suite]);
    }
    let text = process::read(policy.env("LC_ALL", "C").args(["policy", QEMU[0]]))?;
    let candidate = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
    Ok(candidate.filter(|version| *version != "(none)").map(str::to_owned))
}

fn add_backports() -> Result<()> {
    let codename = codename()?;
    match sources::backports(&configured_sources()?, &codename) {
        Backports::Present => Ok(()),
        Backports::Underivable => bail!(
            "QEMU is too old in {codename}, and no apt source serves {codename} itself, from which one for \
             {codename}-backports could be derived: add one by hand"
        ),
        Backports::Add(text) => {
            eprintln!(
                "adding {codename}-backports, from the mirror of {codename} itself, as {BACKPORTS_FILE}"
            );
            fs::write(BACKPORTS_FILE, text).with_context(|| format!("cannot write {BACKPORTS_FILE}"))?;
            process::step("apt-get update", update)
        }
    }
}

fn configured_sources() -> Result<Vec<Source>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(directory) = fs::read_dir("/etc/apt/sources.list.d") {
        for entry in directory {
            files.push(entry.context("cannot list /etc/apt/sources.list.d")?.path());
        }
    }
    files.sort();
    Ok(files.iter().flat_map(|path| sources_in(path)).collect())
}

fn sources_in(path: &Path) -> Vec<Source> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("list") => sources::parse_list(&text),
        Some("sources") => sources::parse_deb822(&text),
        _ => Vec::new(),
    }
}

fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let value = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = value.map(|value| value.trim_matches('"').to_owned()).filter(|value| !value.is_empty());
    codename.context("/etc/os-release has no VERSION_CODENAME, so the suite of backports is unknown")
}

/// Another program may hold the lists for a moment, and a mirror may hiccup.
fn update() -> Result<()> {
    const ATTEMPTS: u32 = 5;
    let mut attempt = 1;
    while let Err(error) = process::quiet(apt_get(&["update"]).arg("-q")) {
        if attempt == ATTEMPTS {
            return Err(error);
        }
        eprintln!("{error:#}; trying again");
        attempt += 1;
        std::thread::sleep(std::time::Duration::from_secs(5));
    }
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("PATH", path_for_packages());
    command.args(["-y", "-q", "-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Use-Pty=0"]).args(arguments);
    command
}

/// Maintainer scripts expect the system's own programs, not a user's Python.
fn path_for_packages() -> String {
    let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    env::var("PATH").map_or_else(|_| usual.to_owned(), |path| format!("{usual}:{path}"))
}

/// Whether the effective user is root, by `/proc/self/status`.
pub fn is_root() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let effective = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1));
    Ok(effective == Some("0"))
}
