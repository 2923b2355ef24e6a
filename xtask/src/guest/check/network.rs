//! A network namespace with one tap device and a DHCP server on it. Dropping it removes both.

use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context, Result};

use super::machine::end;
use crate::process;

pub const TAPS: [&str; 2] = ["tap0", "tap1"];

pub struct Network {
    pub namespace: String,
    servers: Vec<Child>,
}

impl Network {
    /// Serves addresses of 10.77.0.0/24 on the first tap, of 10.77.1.0/24 on the second.
    pub fn make(directory: &Path) -> Result<Self> {
        let namespace = format!("esf-guest-{}", std::process::id());
        process::quiet(Command::new("ip").args(["netns", "add", &namespace]))?;
        let mut network = Self { namespace, servers: Vec::new() };
        network.ip(&["link", "set", "lo", "up"])?;
        for (number, tap) in TAPS.iter().enumerate() {
            network.ip(&["tuntap", "add", tap, "mode", "tap"])?;
            network.ip(&["addr", "add", &format!("10.77.{number}.1/24"), "dev", tap])?;
            network.ip(&["link", "set", tap, "up"])?;
            let leases = directory.join(format!("{tap}.leases"));
            let log = directory.join(format!("{tap}.log"));
            let server = Command::new("ip")
                .args([
                    "netns",
                    "exec",
                    &network.namespace,
                    "dnsmasq",
                    "--keep-in-foreground",
                    "--conf-file=/dev/null",
                ])
                .args(["--port=0", "--bind-interfaces", "--quiet-dhcp", "--user=root", "--pid-file="])
                .arg(format!("--log-facility={}", log.display()))
                .arg(format!("--interface={tap}"))
                .arg(format!("--dhcp-range=10.77.{number}.10,10.77.{number}.99,1h"))
                .arg(format!("--dhcp-leasefile={}", leases.display()))
                .spawn()
                .context("cannot start dnsmasq")?;
            network.servers.push(server);
        }
        Ok(network)
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        process::quiet(Command::new("ip").args(["-n", &self.namespace]).args(arguments))
    }

    /// Whether an address answers a ping from the namespace.
    pub fn ping(&self, address: &str) -> Result<()> {
        process::quiet(Command::new("ip").args([
            "netns",
            "exec",
            &self.namespace,
            "ping",
            "-c",
            "1",
            "-W",
            "10",
            address,
        ]))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for server in &mut self.servers {
            end(server);
        }
        if let Err(error) = process::quiet(Command::new("ip").args(["netns", "del", &self.namespace])) {
            eprintln!("cannot remove the network namespace {}: {error:#}", self.namespace);
        }
    }
}
