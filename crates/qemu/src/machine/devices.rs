//! Disks, NICs and memory of a running VM: added, removed, resized. A removal asks the guest and waits for it, within a
//! bound. Before an id is used again, the remains of a device whose guest answered too late are swept away.

use super::Machine;
use crate::cmdline::{block, device};
use crate::qmp;
use crate::qmp::command::{self, BlockNode};
use crate::spec::{Attachment, Disk, Nic, NicBackend, check_id, check_mac, port_count};
use crate::{Error, Result, limits, tap};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Duration, Instant, timeout_at};

/// A disk or drive in its present state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    /// Device id.
    pub id: String,
    /// Top node of its block graph; empty without a medium.
    pub node_name: String,
    /// File of that node; empty without a medium.
    pub file: String,
    /// Size that the guest sees, bytes; 0 without a medium.
    pub virtual_bytes: u64,
    /// Whether the tray is open, for drives that have one.
    pub tray_open: Option<bool>,
    /// Whether the guest has locked the tray.
    pub locked: bool,
    /// Whether the last write ran out of space.
    pub no_space: bool,
}

impl Machine {
    /// Every disk and CD-ROM drive with its medium.
    pub async fn drives(&self) -> Result<Vec<Drive>> {
        let devices = self.monitor().run(&command::QueryBlock {}).await?;
        Ok(devices
            .into_iter()
            .filter_map(|found| {
                let id = super::events::peripheral_id(found.qdev.as_deref()?);
                let medium = found.inserted.as_ref();
                Some(Drive {
                    id,
                    node_name: medium.map(|m| m.node_name.clone()).unwrap_or_default(),
                    file: medium.and_then(BlockNode::path).unwrap_or_default(),
                    virtual_bytes: medium
                        .and_then(|m| m.image.as_ref())
                        .map_or(0, |image| image.virtual_size),
                    tray_open: found.tray_open,
                    locked: found.locked,
                    no_space: found.io_status.as_deref() == Some("nospace"),
                })
            })
            .collect())
    }

    pub(super) async fn drive(&self, id: &str) -> Result<Drive> {
        let found = self.drives().await?.into_iter().find(|drive| drive.id == id);
        found.ok_or_else(|| Error::NoSuchDevice(id.to_owned()))
    }

    /// Adds a disk. Its controller must have been there at power-on; a virtio disk takes a free root port.
    pub async fn add_disk(&self, disk: &Disk) -> Result<()> {
        check_id(&disk.id)?;
        let _one = self.inner.changing.lock().await;
        let client = self.monitor();
        let port = match disk.attach {
            Attachment::VirtioBlk => Some(self.free_port(&client, &disk.id, None).await?),
            _ => None,
        };
        if self.drive(&disk.id).await.is_err() {
            sweep(&client, &disk.id).await?;
        }
        let node = fresh_node(&disk.id);
        let options = device::disk(self.spec(), disk, &node, port)?;
        client.run(&command::BlockdevAdd { options: block::disk(&node, disk)? }).await?;
        let added = client.run(&command::DeviceAdd { options }).await;
        if added.is_err() {
            close_node(&client, &node).await;
        }
        added.map(drop)
    }

    /// Removes a disk: the guest releases it, then its files are closed.
    pub async fn remove_disk(&self, id: &str) -> Result<()> {
        let _one = self.inner.changing.lock().await;
        let client = self.monitor();
        if let Err(e) = unplug(&client, id).await {
            // The guest may have released it after an earlier call had given up.
            return match e {
                Error::NoSuchDevice(_) if sweep(&client, id).await? > 0 => Ok(()),
                e => Err(e),
            };
        }
        sweep(&client, id).await.map(drop)
    }

    /// Grows a disk. The guest sees the new size at once where its driver supports that.
    pub async fn resize_disk(&self, id: &str, bytes: u64) -> Result<()> {
        let _one = self.inner.changing.lock().await;
        let node_name = self.drive(id).await?.node_name;
        self.monitor().run(&command::BlockResize { node_name, size: bytes }).await.map(drop)
    }

    /// Adds a NIC and returns the root port that it took. `tap` goes with [`crate::spec::NicBackend::TapDescriptor`].
    pub async fn add_nic(&self, nic: &Nic, tap: Option<OwnedFd>) -> Result<u8> {
        check_id(&nic.id)?;
        check_mac(&nic.mac)?;
        let _one = self.inner.changing.lock().await;
        let client = self.monitor();
        let port = self.free_port(&client, &nic.id, nic.port).await?;
        let netdev = device::netdev_id(&nic.id);
        if peripherals(&client).await?.contains(&nic.id) {
            return Err(Error::DeviceExists(nic.id.clone()));
        }
        // Left over if the guest released an earlier one too late.
        if let Err(e) = client.run(&command::NetdevDel { id: netdev.clone() }).await {
            tracing::trace!(nic = %nic.id, error = %e, "no backend was left over");
        }
        let tap = match &nic.backend {
            NicBackend::Tap { ifname } => Some(tap::open(ifname)?),
            _ => tap,
        };
        let passed = match tap {
            Some(tap) => {
                client.send_descriptor(&netdev, tap).await?;
                Some(netdev.as_str())
            }
            None => None,
        };
        client.run(&command::NetdevAdd { options: device::netdev(nic, port, passed)? }).await?;
        let plugged = async {
            client.run(&command::DeviceAdd { options: device::nic(nic, port) }).await?;
            if !nic.link_up {
                client.run(&command::SetLink { name: nic.id.clone(), up: false }).await?;
            }
            Ok(port)
        };
        let plugged = plugged.await;
        if plugged.is_err()
            && let Err(e) = client.run(&command::NetdevDel { id: netdev }).await
        {
            tracing::debug!(nic = %nic.id, error = %e, "the backend stays");
        }
        plugged
    }

    /// Removes a NIC: the guest releases it, then its backend is closed.
    pub async fn remove_nic(&self, id: &str) -> Result<()> {
        let _one = self.inner.changing.lock().await;
        let client = self.monitor();
        let backend = command::NetdevDel { id: device::netdev_id(id) };
        match unplug(&client, id).await {
            Ok(()) => client.run(&backend).await.map(drop),
            // The guest may have released it after an earlier call had given up.
            Err(e @ Error::NoSuchDevice(_)) => client.run(&backend).await.map(drop).map_err(|_| e),
            Err(e) => Err(e),
        }
    }

    /// Plugs or unplugs the cable of a NIC.
    pub async fn set_link(&self, nic: &str, up: bool) -> Result<()> {
        let changed = self.monitor().run(&command::SetLink { name: nic.to_owned(), up }).await;
        changed.map(drop).map_err(|e| missing(e, nic))
    }

    /// Asks the balloon to leave the guest this much memory, in bytes. The guest gets there gradually.
    pub async fn set_balloon(&self, bytes: u64) -> Result<()> {
        self.monitor().run(&command::Balloon { value: bytes }).await.map(drop)
    }

    /// Memory that the balloon leaves the guest now, bytes.
    pub async fn balloon(&self) -> Result<u64> {
        Ok(self.monitor().run(&command::QueryBalloon {}).await?.actual)
    }

    /// Adds memory while the VM runs, up to its `max_memory_mib`. A multiple of 128 MiB suits every guest.
    pub async fn add_memory(&self, mib: u64) -> Result<()> {
        let _one = self.inner.changing.lock().await;
        let client = self.monitor();
        let taken = peripherals(&client).await?;
        let slot = (0..device::MEMORY_SLOTS)
            .find(|n| !taken.contains(&format!("dimm{n}")))
            .ok_or_else(|| Error::NoFreePort { device: "memory".into() })?;
        let (id, memory) = (format!("dimm{slot}"), format!("memory{slot}"));
        let bytes = mib
            .checked_mul(1 << 20)
            .ok_or_else(|| Error::Spec(format!("{mib} MiB of memory is out of range")))?;
        let backend = json!({"qom-type": "memory-backend-ram", "id": memory, "size": bytes});
        client.run(&command::ObjectAdd { options: backend }).await?;
        let module = json!({"driver": "pc-dimm", "id": id, "memdev": memory});
        let added = client.run(&command::DeviceAdd { options: module }).await;
        if added.is_err()
            && let Err(e) = client.run(&command::ObjectDel { id: memory }).await
        {
            tracing::debug!(error = %e, "the memory backend stays");
        }
        added.map(drop)
    }

    /// Adds processors while the VM runs, up to its `max_count`; the lowest places first.
    pub async fn add_processors(&self, count: u32) -> Result<()> {
        let _one = self.inner.changing.lock().await;
        let client = self.monitor();
        let mut free = client.run(&command::QueryHotpluggableCpus {}).await?;
        free.retain(|place| place.qom_path.is_none());
        let number = |place: &command::CpuPlace, key: &str| place.props.get(key).and_then(Value::as_u64);
        free.sort_by_key(|place| (number(place, "socket-id"), number(place, "core-id")));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if free.len() < count {
            return Err(Error::NoFreeProcessor { asked: count, free: free.len() });
        }
        for place in free.into_iter().take(count) {
            let id = place.props.values().map(|at| format!("-{at}")).collect::<String>();
            let mut options = place.props;
            options.insert("driver".into(), place.driver.into());
            options.insert("id".into(), format!("cpu{id}").into());
            client.run(&command::DeviceAdd { options: options.into() }).await?;
        }
        Ok(())
    }

    async fn free_port(&self, client: &qmp::Client, device: &str, wanted: Option<u8>) -> Result<u8> {
        let count = port_count(self.spec())?;
        let candidates = match wanted {
            Some(port) => port..port.saturating_add(1).min(count),
            None => 0..count,
        };
        for port in candidates {
            let id = device::port_id(port);
            let path = format!("/machine/peripheral/{id}/{id}");
            let bus = client.run(&command::QomList { path }).await?;
            if !bus.iter().any(|p| p.name.starts_with("child[")) {
                return Ok(port);
            }
        }
        Err(Error::NoFreePort { device: device.to_owned() })
    }
}

async fn peripherals(client: &qmp::Client) -> Result<HashSet<String>> {
    let list = client.run(&command::QomList { path: "/machine/peripheral".into() }).await?;
    Ok(list.into_iter().map(|p| p.name).collect())
}

fn missing(error: Error, device: &str) -> Error {
    if error.is_class("DeviceNotFound") { Error::NoSuchDevice(device.to_owned()) } else { error }
}

/// Asks the guest to release a device and waits until it has gone.
async fn unplug(client: &qmp::Client, id: &str) -> Result<()> {
    let deadline = Instant::now() + limits::UNPLUG;
    let events = client.events();
    match client.run(&command::DeviceDel { id: id.to_owned() }).await {
        Ok(_) => {}
        // An earlier call asked, and the guest has not decided yet.
        Err(Error::Qmp { desc, .. }) if desc.contains("already in the process of unplug") => {}
        Err(e) => return Err(missing(e, id)),
    }
    wait_unplugged(client, id, events, deadline).await
}

async fn wait_unplugged(
    client: &qmp::Client,
    id: &str,
    mut events: broadcast::Receiver<Arc<qmp::Event>>,
    deadline: Instant,
) -> Result<()> {
    let is_ours = |data: &Value| {
        data.get("device").and_then(Value::as_str) == Some(id)
            || data.get("path").and_then(Value::as_str) == Some(&format!("/machine/peripheral/{id}"))
    };
    loop {
        // Check now and then as well, in case the event was lost.
        let look = (Instant::now() + Duration::from_secs(1)).min(deadline);
        match timeout_at(look, events.recv()).await {
            Ok(Ok(event)) if is_ours(&event.data) => match event.name.as_str() {
                "DEVICE_DELETED" => return Ok(()),
                "DEVICE_UNPLUG_GUEST_ERROR" => return Err(Error::UnplugRefused { device: id.to_owned() }),
                _ => {}
            },
            Ok(Ok(_)) => {}
            Ok(Err(RecvError::Closed)) => return Err(Error::Closed),
            Ok(Err(RecvError::Lagged(_))) | Err(_) => {
                if !peripherals(client).await?.contains(id) {
                    return Ok(());
                }
                if Instant::now() >= deadline {
                    return Err(Error::UnplugTimeout { device: id.to_owned() });
                }
            }
        }
    }
}

/// An unused name: the device id and a running number.
pub(super) fn fresh_node(id: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(now) & 0xff_ffff;
    format!("{id}-{number:06x}")
}

/// Closes an unused node; one in use stays.
pub(super) async fn close_node(client: &qmp::Client, node_name: &str) -> bool {
    let closed = client.run(&command::BlockdevDel { node_name: node_name.to_owned() }).await;
    if let Err(e) = &closed {
        tracing::debug!(node = node_name, error = %e, "the block node stays");
    }
    closed.is_ok()
}

/// Closes the unused nodes of a device that has gone or whose layers were merged. Returns how many. QEMU refuses to
/// close a node in use. A node below another can only be closed after it, hence the rounds.
pub(super) async fn sweep(client: &qmp::Client, id: &str) -> Result<usize> {
    let prefix = format!("{id}-");
    let mut closed = 0;
    loop {
        let nodes = client.run(&command::QueryNamedBlockNodes { flat: true }).await?;
        let mut progress = false;
        for node in nodes {
            let suffix = node.node_name.strip_prefix(&prefix).unwrap_or_default();
            let made_here = suffix.len() == 6 && suffix.chars().all(|c| c.is_ascii_hexdigit());
            if (node.node_name == id || made_here) && close_node(client, &node.node_name).await {
                progress = true;
                closed += 1;
            }
        }
        if !progress {
            return Ok(closed);
        }
    }
}
