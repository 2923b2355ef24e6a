//! The fabric of a real host: the virtual switch, taps, and the network cards that the kernel shows.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use parking_lot::RwLock;
use tokio::process::Command;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use vswitch::capture::{Captured, Filter};
use vswitch::declare::{Declaration, Dns};
use vswitch::discovery::{OtherEnd, System};
use vswitch::layout::{Counters, Mirrored};
use vswitch::observed::ObservedRange;
use vswitch::vmkernel::{self, Takeover};
use vswitch::{Engine, FlowCounters, Learned, Options, State, Timing, link};

use super::readings::{self, Card, StackTable};
use super::resolv_conf;
use super::tap::is_tap;
use super::{Fabric, FabricError, Nic};

/// The directory of the namespace's interfaces.
const INTERFACES: &str = "/sys/class/net";
/// Settings of the namespace's interfaces.
const ADDRESS_RESOLUTION: &str = "/proc/sys/net/ipv4/conf";
/// The Linux system's resolver file.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The kernel's speed of a link without one, such as a virtual link.
const NO_SPEED: i32 = 0;
/// Longest time that the control half may take to end.
const END: Duration = Duration::from_secs(5);
/// The product that the switch announces to neighbours.
const PRODUCT: &str = "Esfera";

/// The virtual switch in the kernel.
pub struct Switched {
    engine: Engine,
    seen: Mutex<watch::Receiver<State>>,
    /// Begins the names of this host's taps, and so tells them from those of another host in the namespace.
    prefix: String,
    /// The file in which the system's resolver finds its name servers.
    resolv_conf: PathBuf,
    /// Virtual interfaces that count as physical network cards.
    named: RwLock<Vec<String>>,
}

impl Switched {
    /// Starts the switch in the network namespace that the daemon is in; `pins` is where its maps outlive the daemon, `host` the
    /// name under which neighbours are told of it. `resolv_conf` is the resolver's file, written once a client has said what
    /// is to be in it.
    ///
    /// # Errors
    /// If the kernel cannot run it, in words that say what it needs.
    pub async fn start(
        pins: PathBuf,
        prefix: &str,
        host: &str,
        resolv_conf: PathBuf,
    ) -> Result<Self, FabricError> {
        // Each host of a system has its own directory, so the directory's name tells them apart.
        let own = pins.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let system = System {
            name: host.into(),
            description: format!("{PRODUCT} {}", env!("CARGO_PKG_VERSION")),
            platform: std::env::consts::ARCH.into(),
        };
        let timing = Timing::default();
        let options = Options { pins, namespace: None, prefix: own, system, without_tcx: false, timing };
        let engine = Engine::start(options).await.map_err(FabricError::from)?;
        let seen = Mutex::new(engine.state());
        Ok(Self { engine, seen, prefix: prefix.into(), resolv_conf, named: RwLock::default() })
    }

    /// Ends the switch's control half in order: it reports the remaining flows to collectors, while the data plane goes on. A control
    /// half that does not end in time is abandoned.
    pub async fn end(&self) {
        if timeout(END, self.engine.end()).await.is_err() {
            tracing::warn!("the control half of the virtual switch did not end in time");
        }
    }

    fn is_card(&self, name: &str) -> bool {
        Path::new(INTERFACES).join(name).join("device").exists()
            || self.named.read().iter().any(|named| named == name)
    }

    /// Lets each card answer ARP for its own addresses only. By default the kernel lets a card that is not an uplink, on the same
    /// segment, answer for VMkernel adapters too; neighbours then keep an entry that is wrong as soon as the card becomes an uplink.
    fn keep_cards_apart(&self) {
        for card in interfaces().iter().filter(|name| self.is_card(name)) {
            if let Err(error) = fs::write(format!("{ADDRESS_RESOLUTION}/{card}/arp_ignore"), "1") {
                tracing::warn!(card, %error, "the card may answer ARP for addresses of VMkernel adapters");
            }
        }
    }

    fn nic(&self, name: &str) -> Option<Nic> {
        if !self.is_card(name) {
            return None;
        }
        let at = Path::new(INTERFACES).join(name);
        let read = |file: &str| fs::read_to_string(at.join(file)).ok().map(|text| text.trim().to_owned());
        let driver = fs::read_link(at.join("device/driver")).ok();
        let driver = driver.and_then(|driver| Some(driver.file_name()?.to_string_lossy().into_owned()));
        let running = self.engine.state().borrow().links.get(name).is_some_and(|link| link.running);
        let speed = read("speed").and_then(|text| text.parse().ok()).filter(|speed| *speed > NO_SPEED);
        let full = read("duplex").is_none_or(|duplex| duplex != "half");
        Some(Nic {
            name: name.into(),
            interface: name.into(),
            mac: read("address")?,
            permanent_mac: link::permanent_mac(name).map(|mac| mac.to_string()),
            pci: fs::canonicalize(at.join("device")).ok().map_or_else(String::new, |at| bus_address(&at)),
            driver,
            link: running.then(|| (speed.unwrap_or(NO_SPEED), full)),
            wake_on_lan: false,
        })
    }
}

/// The bus address of a device: the last part of its path. The name of a virtio device only tells the order of discovery, so its PCI
/// device counts.
fn bus_address(device: &Path) -> String {
    let last = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    let own = last(device).unwrap_or_default();
    match own.starts_with("virtio") {
        true => device.parent().and_then(last).unwrap_or(own),
        false => own,
    }
}

/// Writes a small file so that nobody reads half of it. The file replaces a symbolic link to another service's file; a file that is
/// mounted in place is overwritten.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_added_extension("esfera");
    let readable = || fs::set_permissions(&new, fs::Permissions::from_mode(0o644));
    let renamed = fs::write(&new, text).and_then(|()| readable()).and_then(|()| fs::rename(&new, path));
    match renamed {
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
            fs::remove_file(&new)?;
            fs::write(path, text)
        }
        done => done,
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

    fn count_as_cards(&self, interfaces: Vec<String>) {
        *self.named.write() = interfaces;
    }

    /// Gives interfaces the names of their cards as alternative names, so that `ip link show vmnic0` and `tcpdump -i vmnic0` work.
    /// Failures are only logged: the name may be set already, or the kernel may lack alternative names.
    async fn call(&self, cards: Vec<(String, String)>) {
        for (interface, name) in cards.iter().filter(|(interface, name)| interface != name) {
            let add = ["link", "property", "add", "dev", interface, "altname", name];
            if let Err(error) = ip(&add).await {
                tracing::debug!(interface, name, %error, "no alternative name");
            }
        }
    }

    async fn takeover(&self, nic: &str) -> Result<Option<Takeover>, FabricError> {
        vmkernel::takeover(None, nic).await.map(Some).map_err(FabricError::from)
    }

    fn names(&self) -> Dns {
        let read = |path: &Path| Some(resolv_conf::read(&fs::read_to_string(path).ok()?));
        let own = read(&self.resolv_conf).or_else(|| read(Path::new(RESOLV_CONF))).unwrap_or_default();
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        match name.split_once('.') {
            Some((host_name, domain)) => Dns { host_name: host_name.into(), domain: domain.into(), ..own },
            None => Dns { host_name: name, ..own },
        }
    }

    async fn resolve(&self, names: &Dns) -> Result<(), FabricError> {
        let text = resolv_conf::write(names);
        if fs::read_to_string(&self.resolv_conf).ok().as_ref() != Some(&text) {
            write_whole(&self.resolv_conf, &text).map_err(|error| {
                FabricError::new(format!("cannot write {}: {error}", self.resolv_conf.display()))
            })?;
        }
        if rustix::system::uname().nodename().to_bytes() != names.host_name.as_bytes() {
            rustix::system::sethostname(names.host_name.as_bytes()).map_err(|error| {
                FabricError::new(format!("cannot set the host name to {}: {error}", names.host_name))
            })?;
        }
        Ok(())
    }

    async fn declare(&self, declaration: Declaration) -> Result<(), FabricError> {
        self.keep_cards_apart();
        self.engine.declare(declaration).await.map_err(FabricError::from)
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
        interfaces().into_iter().filter(|name| is_tap(&self.prefix, name)).collect()
    }

    fn seen(&self) -> State {
        self.engine.state().borrow().clone()
    }

    fn other_end(&self, nic: &str) -> OtherEnd {
        self.engine.other_end(nic)
    }

    fn observed(&self, nic: &str) -> Vec<ObservedRange> {
        self.engine.observed(nic)
    }

    fn card(&self, nic: &str) -> Card {
        readings::card(nic)
    }

    async fn stack_table(&self, table: StackTable, namespace: Option<&Path>) -> Result<String, FabricError> {
        readings::table(table, namespace).await
    }

    async fn counters(&self, interface: &str) -> Option<Counters> {
        let counted = self.engine.counters(interface).await;
        counted.unwrap_or_else(|error| {
            tracing::warn!(interface, %error, "cannot read the counters of a port");
            None
        })
    }

    async fn mirrored(&self) -> Result<BTreeMap<u32, Mirrored>, FabricError> {
        self.engine.mirrored().await.map_err(FabricError::from)
    }

    fn flow_counters(&self, switch: &str) -> Option<FlowCounters> {
        self.engine.flow_counters(switch)
    }

    async fn learned(&self, port: &str) -> Result<Option<Learned>, FabricError> {
        self.engine.learned(port).await.map_err(FabricError::from)
    }

    async fn capture(&self, filter: Filter) -> Result<BoxStream<'static, Captured>, FabricError> {
        Ok(self.engine.capture(filter).await.map_err(FabricError::from)?.boxed())
    }

    async fn changed(&self) {
        if self.seen.lock().await.changed().await.is_err() {
            // The engine has ended, and has logged it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_where_its_device_is_on_the_bus() {
        for (path, address) in [
            ("/sys/devices/pci0000:00/0000:00:1c.0/0000:03:00.0", "0000:03:00.0"),
            ("/sys/devices/pci0000:00/0000:00:03.0/virtio0", "0000:00:03.0"),
            ("/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0", "1-1:1.0"),
        ] {
            assert_eq!(bus_address(Path::new(path)), address);
        }
    }
}
