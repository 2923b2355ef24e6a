//! The seam between virtual machines and whatever connects them. A [`PortPlug`] gives each network adapter a tap when
//! its machine is switched on; a plain tap, on a Linux bridge or not, is all that there is until the virtual switch.

use std::collections::BTreeSet;
use std::process::Stdio;

use async_trait::async_trait;
use tokio::process::Command;

/// Which adapter wants to be connected, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// Id of the virtual machine's object.
    pub vm: String,
    /// Key of the adapter.
    pub key: i32,
    /// Its MAC address.
    pub mac: String,
    /// Name of the network.
    pub network: String,
}

/// A tap device that is ready to be opened, made with `vnet_hdr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    /// Interface name.
    pub name: String,
}

/// Why a port could not be made or removed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the network port {port}: {reason}")]
pub struct PortError {
    /// Interface name.
    pub port: String,
    /// In words.
    pub reason: String,
}

/// Connects network adapters.
#[async_trait]
pub trait PortPlug: Send + Sync {
    /// Makes the port, or gives the one that is there already; `owner` may open the tap.
    async fn plug(&self, port: &PortSpec, owner: Option<u32>) -> Result<Option<Tap>, PortError>;

    /// Moves the port of a running adapter to the network that `port` names now.
    async fn move_port(&self, port: &PortSpec) -> Result<(), PortError>;

    /// Removes a port; one that is not there is no error.
    async fn unplug(&self, vm: &str, key: i32) -> Result<(), PortError>;

    /// Removes the ports that a host that died has left, all but those of `wanted` adapters.
    async fn reconcile(&self, wanted: &BTreeSet<(String, i32)>) -> Result<(), PortError>;
}

/// Connects nothing: adapters have no carrier.
#[derive(Debug, Default)]
pub struct NoPlug;

#[async_trait]
impl PortPlug for NoPlug {
    async fn plug(&self, _port: &PortSpec, _owner: Option<u32>) -> Result<Option<Tap>, PortError> {
        Ok(None)
    }

    async fn move_port(&self, _port: &PortSpec) -> Result<(), PortError> {
        Ok(())
    }

    async fn unplug(&self, _vm: &str, _key: i32) -> Result<(), PortError> {
        Ok(())
    }

    async fn reconcile(&self, _wanted: &BTreeSet<(String, i32)>) -> Result<(), PortError> {
        Ok(())
    }
}

/// A tap of its own for each adapter, in the network namespace that the daemon runs in.
#[derive(Debug)]
pub struct TapPlug {
    /// Tells the taps of this host from those of another in the same namespace.
    prefix: String,
    /// A Linux bridge that exists.
    bridge: Option<String>,
}

/// Longest name of a network interface (`IFNAMSIZ` less its terminator).
const MAX_INTERFACE: usize = 15;

impl TapPlug {
    /// Taps are called by `prefix` (up to four letters), the machine and the adapter.
    pub fn new(prefix: &str, bridge: Option<String>) -> Self {
        Self { prefix: prefix.chars().take(4).collect(), bridge }
    }

    fn name(&self, vm: &str, key: i32) -> String {
        let mut name = format!("{}{vm}n{}", self.prefix, key - crate::vm::device::key::NIC);
        name.truncate(MAX_INTERFACE);
        name
    }
}

#[async_trait]
impl PortPlug for TapPlug {
    async fn plug(&self, port: &PortSpec, owner: Option<u32>) -> Result<Option<Tap>, PortError> {
        let name = self.name(&port.vm, port.key);
        if exists(&name) {
            remove(&name).await?;
        }
        let owner = owner.map(|uid| uid.to_string());
        let mut make = vec!["tuntap", "add", "dev", &name, "mode", "tap", "vnet_hdr"];
        if let Some(owner) = &owner {
            make.extend(["user", owner]);
        }
        ip(&name, &make).await?;
        let connect = async {
            if let Some(bridge) = &self.bridge {
                ip(&name, &["link", "set", "dev", &name, "master", bridge]).await?;
            }
            ip(&name, &["link", "set", "dev", &name, "up"]).await
        };
        if let Err(error) = connect.await {
            remove(&name).await?;
            return Err(error);
        }
        Ok(Some(Tap { name }))
    }

    /// All networks are the one bridge.
    async fn move_port(&self, _port: &PortSpec) -> Result<(), PortError> {
        Ok(())
    }

    async fn unplug(&self, vm: &str, key: i32) -> Result<(), PortError> {
        let name = self.name(vm, key);
        if exists(&name) { remove(&name).await } else { Ok(()) }
    }

    async fn reconcile(&self, wanted: &BTreeSet<(String, i32)>) -> Result<(), PortError> {
        let wanted: BTreeSet<String> = wanted.iter().map(|(vm, key)| self.name(vm, *key)).collect();
        let error = |e: std::io::Error| PortError { port: self.prefix.clone(), reason: e.to_string() };
        for entry in std::fs::read_dir("/sys/class/net").map_err(error)? {
            let name = entry.map_err(error)?.file_name().to_string_lossy().into_owned();
            if self.is_ours(&name) && !wanted.contains(&name) {
                tracing::info!(port = name, "removing a tap that no machine uses");
                remove(&name).await?;
            }
        }
        Ok(())
    }
}

impl TapPlug {
    /// Whether the name is `prefix`, digits, `n`, digits.
    fn is_ours(&self, name: &str) -> bool {
        let Some((vm, nic)) = name.strip_prefix(&self.prefix).and_then(|rest| rest.split_once('n')) else {
            return false;
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits(vm) && digits(nic)
    }
}

fn exists(name: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(name).exists()
}

async fn remove(name: &str) -> Result<(), PortError> {
    match ip(name, &["link", "delete", "dev", name]).await {
        Err(error) if exists(name) => Err(error),
        _ => Ok(()),
    }
}

/// Runs `ip` of iproute2.
async fn ip(port: &str, arguments: &[&str]) -> Result<(), PortError> {
    let error = |reason: String| PortError { port: port.to_owned(), reason };
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|e| error(format!("cannot run ip: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(error(format!("ip {}: {}", arguments.join(" "), words.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_taps_fit_an_interface_and_are_recognised() {
        let plug = TapPlug::new("vmt", None);
        assert_eq!(plug.name("12", 4001), "vmt12n1");
        assert!(plug.name("123456789012", 4000).len() <= MAX_INTERFACE);
        assert!(plug.is_ours("vmt12n1"));
        for foreign in ["vmtn", "vmt1n", "eth0", "vmt-n1", "vmtap0n1x"] {
            assert!(!plug.is_ours(foreign), "{foreign}");
        }
    }
}
