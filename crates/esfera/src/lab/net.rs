//! The lab's network: one namespace for the center and the "physical" segment, one for each host.
//!
//! ```text
//!   esf-NAME-net                    esf-NAME-h1                       esf-NAME-h2
//!   br-lab 10.77.0.1/24 ──veth──── uplink0: vmnic0 of vSwitch0      …
//!                       ──veth──── uplink1: vmnic1, for whoever …    …
//!   dnsmasq (DHCP), center          esfera host, vmk0 10.77.0.11/24   esfera host
//! ```
//!
//! Nothing is added to the namespace that the lab is started in.

use std::fs::{self, OpenOptions};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A host's first network card, `vmnic0`, whose address the host's first VMkernel adapter takes over.
pub const UPLINK: &str = "uplink0";
/// A host's second network card, `vmnic1`, which is free for use as an uplink.
pub const SPARE_NIC: &str = "uplink1";
const SEGMENT_BRIDGE: &str = "br-lab";
/// Fixed, since a bridge otherwise changes its MAC whenever a port is added, which its neighbours notice late.
const SEGMENT_MAC: &str = "02:00:0a:4d:00:01";
const SEGMENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const DHCP_RANGE: &str = "10.77.0.100,10.77.0.250,255.255.255.0,12h";

/// How long a process may take to die of SIGKILL.
const END_TIMEOUT: Duration = Duration::from_secs(20);
const END_POLL: Duration = Duration::from_millis(10);

/// The namespaces of one lab. Removed by [`LabNet::remove`].
#[derive(Clone)]
pub struct LabNet {
    name: String,
    hosts: usize,
}

impl LabNet {
    /// The network of the lab with this name and number of hosts, which need not exist.
    pub fn named(name: &str, hosts: usize) -> Self {
        Self { name: name.into(), hosts }
    }

    /// Makes the namespaces.
    pub fn create(&self) -> Result<()> {
        let segment = self.segment();
        add_namespace(&segment)?;
        ip_in(&segment, &["link", "add", SEGMENT_BRIDGE, "address", SEGMENT_MAC, "type", "bridge"])?;
        ip_in(&segment, &["link", "set", SEGMENT_BRIDGE, "type", "bridge", "forward_delay", "0"])?;
        ip_in(&segment, &["addr", "add", &format!("{SEGMENT_ADDRESS}/24"), "dev", SEGMENT_BRIDGE])?;
        ip_in(&segment, &["link", "set", SEGMENT_BRIDGE, "up"])?;
        (1..=self.hosts).try_for_each(|number| self.add_host(number))
    }

    fn add_host(&self, number: usize) -> Result<()> {
        let (segment, host) = (self.segment(), self.host(number));
        add_namespace(&host)?;
        for (card, port) in [(UPLINK, format!("h{number}")), (SPARE_NIC, format!("h{number}-1"))] {
            ip_in(&segment, &["link", "add", &port, "type", "veth", "peer", "name", card, "netns", &host])?;
            ip_in(&segment, &["link", "set", &port, "master", SEGMENT_BRIDGE, "up"])?;
        }
        ip_in(&host, &["addr", "add", &format!("{}/24", host_address(number)), "dev", UPLINK])?;
        ip_in(&host, &["link", "set", UPLINK, "up"])?;
        ip_in(&host, &["link", "set", SPARE_NIC, "addrgenmode", "none", "up"])
    }

    /// The namespace of the segment and the center.
    pub fn segment(&self) -> String {
        format!("esf-{}-net", self.name)
    }

    /// The namespace of host `number`, counted from 1.
    pub fn host(&self, number: usize) -> String {
        format!("esf-{}-h{number}", self.name)
    }

    /// The DHCP server of the segment, to be run in its namespace.
    pub fn dhcp_server(&self, state: &Path) -> Result<Command> {
        let leases = state.join("dhcp.leases");
        // The server would make it readable by everybody.
        OpenOptions::new().append(true).create(true).open(&leases)?;
        let mut command = in_namespace(&self.segment(), "dnsmasq");
        command.args(["--keep-in-foreground", "--port=0", "--bind-interfaces", "--no-resolv", "--no-hosts"]);
        command.args([
            "--conf-file=/dev/null",
            "--pid-file=",
            "--log-facility=-",
            "--quiet-dhcp",
            "--user=root",
        ]);
        command.arg(format!("--interface={SEGMENT_BRIDGE}"));
        command.arg(format!("--dhcp-range={DHCP_RANGE}"));
        command.arg(format!("--dhcp-leasefile={}", leases.display()));
        Ok(command)
    }

    /// Ends every process in the namespaces (the lab's own, VMs among them) and removes them.
    pub fn remove(&self) -> Result<()> {
        let mut names = vec![self.segment()];
        for number in 1..=self.hosts {
            names.extend(namespaces_of(&self.host(number)));
        }
        for name in names.iter().filter(|name| namespace_file(name).exists()) {
            end_all_in(name)?;
            run(Command::new("ip").args(["netns", "delete", name]))?;
        }
        Ok(())
    }
}

/// The management address of host `number`, counted from 1.
pub fn host_address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(10 + number).unwrap_or(u8::MAX))
}

/// A command that will run in a namespace.
pub fn in_namespace(name: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", name]).arg(program).stdin(Stdio::null());
    command
}

/// A command that runs in a namespace like a host daemon on its own computer. `ip netns exec` would give it a private copy of all
/// mounts, so namespaces that it makes below `/run/netns` would be invisible to others and end with it. Here only `/sys` is private,
/// which has to show the interfaces of the namespace, and the host name, which a host may change.
pub fn as_host(name: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    const SYS: &str = "mount --make-rprivate /sys && mount -t sysfs sysfs /sys && exec \"$@\"";
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace_file(name).display()));
    command.args(["unshare", "--uts", "--mount", "--propagation", "unchanged", "sh", "-c", SYS, "sh"]);
    command.arg(program).stdin(Stdio::null());
    command
}

fn namespace_file(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// A host's namespace, and those of its TCP/IP stacks.
fn namespaces_of(host: &str) -> Vec<String> {
    let stacks = format!("{host}-");
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name == host || name.starts_with(&stacks)).collect()
}

fn add_namespace(name: &str) -> Result<()> {
    run(Command::new("ip").args(["netns", "add", name]))?;
    ip_in(name, &["link", "set", "lo", "up"])
}

fn ip_in(namespace: &str, args: &[&str]) -> Result<()> {
    run(Command::new("ip").args(["-n", namespace]).args(args))
}

/// Kills every process in a namespace and waits until none is left: they hold locks and addresses until then.
fn end_all_in(namespace: &str) -> Result<()> {
    let deadline = Instant::now() + END_TIMEOUT;
    loop {
        let left = processes_in(namespace)?;
        let Some(one) = left.first() else { return Ok(()) };
        if Instant::now() > deadline {
            bail!("process {} in the network namespace {namespace} does not end", one.as_raw_nonzero());
        }
        for pid in left {
            // It may have ended by itself meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        std::thread::sleep(END_POLL);
    }
}

fn processes_in(namespace: &str) -> Result<Vec<rustix::process::Pid>> {
    let output = Command::new("ip").args(["netns", "pids", namespace]).output().context("cannot run ip")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| rustix::process::Pid::from_raw(line.trim().parse().ok()?)).collect())
}

fn run(command: &mut Command) -> Result<()> {
    let output =
        command.output().with_context(|| format!("cannot run {command:?}; is iproute2 installed?"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
