//! The fabric of a real host: the virtual switch, taps, and the network cards that the kernel shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;
use tokio::process::Command;
use tokio::sync::{Mutex, watch};
use vswitch::capture::{Captures, Filter};
use vswitch::declare::Declaration;
use vswitch::discovery::{OtherEnd, System};
use vswitch::kernel::layout::Counters;
use vswitch::{Engine, Options, State, Timing};

use super::fabric::{Fabric, FabricError, Nic};

/// Where the kernel shows the interfaces of the namespace.
const INTERFACES: &str = "/sys/class/net";
/// Settings of the namespace's interfaces.
const ADDRESS_RESOLUTION: &str = "/proc/sys/net/ipv4/conf";
/// What the kernel says of the speed of a link that has none, a virtual one for instance.
const NO_SPEED: i32 = 0;
/// What neighbours are told that the host runs.
const PRODUCT: &str = "Esfera";

/// The virtual switch in the kernel.
pub struct Switched {
    engine: Engine,
    seen: Mutex<watch::Receiver<State>>,
    /// Tells the taps of this host from those of another in the same namespace.
    prefix: String,
    /// Interfaces that count as physical network cards although nothing is plugged in behind them.
    named: Vec<String>,
}

impl Switched {
    /// Starts the switch in the network namespace that the daemon is in; `pins` is where its maps outlive the daemon, `host` the
    /// name under which neighbours are told of it.
    ///
    /// # Errors
    /// If the kernel cannot run it, in words that say what it needs.
    pub async fn start(
        pins: PathBuf,
        prefix: &str,
        named: Vec<String>,
        host: &str,
    ) -> Result<Self, FabricError> {
        // The directory is this host's own, so its name tells it from others of the machine.
        let own = pins.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let system = System {
            name: host.into(),
            description: format!("{PRODUCT} {}", env!("CARGO_PKG_VERSION")),
            platform: std::env::consts::ARCH.into(),
        };
        let timing = Timing::default();
        let options = Options { pins, namespace: None, prefix: own, system, without_tcx: false, timing };
        let engine = Engine::start(options).await.map_err(in_words)?;
        let seen = Mutex::new(engine.state());
        Ok(Self { engine, seen, prefix: prefix.into(), named })
    }

    fn is_card(&self, name: &str) -> bool {
        Path::new(INTERFACES).join(name).join("device").exists()
            || self.named.iter().any(|named| named == name)
    }

    /// Lets each card answer for its own addresses only. The kernel lets one that no switch has, on the same segment, answer
    /// for the adapters too; what neighbours have learned so is wrong as soon as the card becomes an uplink.
    fn keep_cards_apart(&self) {
        for card in interfaces().iter().filter(|name| self.is_card(name)) {
            if let Err(error) = fs::write(format!("{ADDRESS_RESOLUTION}/{card}/arp_ignore"), "1") {
                tracing::warn!(card, %error, "it may answer for addresses of VMkernel adapters");
            }
        }
    }

    fn nic(&self, name: &str) -> Option<Nic> {
        if !self.is_card(name) {
            return None;
        }
        let at = Path::new(INTERFACES).join(name);
        let read = |file: &str| fs::read_to_string(at.join(file)).ok().map(|text| text.trim().to_owned());
        let last_of = |link: &str| {
            let target = fs::read_link(at.join(link)).ok()?;
            Some(target.file_name()?.to_string_lossy().into_owned())
        };
        let running = self.engine.state().borrow().links.get(name).is_some_and(|link| link.running);
        let speed = read("speed").and_then(|text| text.parse().ok()).filter(|speed| *speed > NO_SPEED);
        let full = read("duplex").is_none_or(|duplex| duplex != "half");
        Some(Nic {
            name: name.into(),
            mac: read("address")?,
            pci: last_of("device").unwrap_or_default(),
            driver: last_of("device/driver"),
            link: running.then(|| (speed.unwrap_or(NO_SPEED), full)),
            wake_on_lan: false,
        })
    }
}

fn in_words(error: vswitch::Error) -> FabricError {
    use vswitch::Error as E;
    match &error {
        E::Attach { interface: about, .. }
        | E::Link { interface: about, .. }
        | E::Adapter { device: about, .. } => FabricError::about(about, error.to_string()),
        _ => FabricError::new(error.to_string()),
    }
}

fn interfaces() -> Vec<String> {
    let entries = fs::read_dir(INTERFACES).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[async_trait]
impl Fabric for Switched {
    fn nics(&self) -> Vec<Nic> {
        interfaces().iter().filter_map(|name| self.nic(name)).collect()
    }

    async fn declare(&self, declaration: Declaration) -> Result<(), FabricError> {
        self.keep_cards_apart();
        self.engine.declare(declaration).await.map_err(in_words)
    }

    async fn make_tap(&self, name: &str, owner: Option<u32>) -> Result<bool, FabricError> {
        self.remove_tap(name).await?;
        let owner = owner.map(|uid| uid.to_string());
        let mut make = vec!["tuntap", "add", "dev", name, "mode", "tap", "vnet_hdr"];
        if let Some(owner) = &owner {
            make.extend(["user", owner]);
        }
        ip(&make).await.map(|()| true)
    }

    async fn remove_tap(&self, name: &str) -> Result<(), FabricError> {
        let exists = || Path::new(INTERFACES).join(name).exists();
        if !exists() {
            return Ok(());
        }
        match ip(&["link", "delete", "dev", name]).await {
            Err(error) if exists() => Err(error),
            _ => Ok(()),
        }
    }

    fn taps(&self) -> Vec<String> {
        interfaces().into_iter().filter(|name| super::ports::is_tap(&self.prefix, name)).collect()
    }

    fn seen(&self) -> State {
        self.engine.state().borrow().clone()
    }

    fn other_end(&self, nic: &str) -> OtherEnd {
        self.engine.other_end(nic)
    }

    async fn counters(&self, interface: &str) -> Option<Counters> {
        let counted = self.engine.counters(interface).await;
        counted.unwrap_or_else(|error| {
            tracing::warn!(interface, %error, "the counters of a port cannot be read");
            None
        })
    }

    async fn capture(&self, filter: Filter) -> Result<Captures, FabricError> {
        self.engine.capture(filter).await.map_err(in_words)
    }

    async fn changed(&self) {
        if self.seen.lock().await.changed().await.is_err() {
            // The engine has ended, and said so.
            std::future::pending::<()>().await;
        }
        self.keep_cards_apart();
    }
}

/// Runs `ip` of iproute2.
async fn ip(arguments: &[&str]) -> Result<(), FabricError> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| FabricError::new(format!("cannot run ip: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(FabricError::new(format!("ip {}: {}", arguments.join(" "), words.trim())))
}
