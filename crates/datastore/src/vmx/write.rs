//! From the meaning to the text. A dictionary that existed keeps its order and comments: keys that are still wanted
//! change in their place, keys that are not go, new ones come at the end.

use std::collections::HashSet;

use super::config::{VmxConfig, check_extra_key};
use super::device::{Backing, Bus, OtherKeys, SerialBacking};
use super::uuids::format_uuid;
use super::{AddressType, Firmware};
use crate::dictionary::{Dictionary, DictionaryError};

/// Version of the configuration format itself, unchanged for twenty years.
const CONFIG_VERSION: &str = "8";
#[derive(Default)]
struct Wanted(Vec<(String, String)>);

impl Wanted {
    fn put(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.push((key.into(), value.into()));
    }

    fn flag(&mut self, key: impl Into<String>, value: bool) {
        self.put(key, if value { "TRUE" } else { "FALSE" });
    }

    fn others(&mut self, prefix: &str, others: &OtherKeys) {
        for (key, value) in others {
            self.put(format!("{prefix}.{key}"), value.clone());
        }
    }

    fn backing(&mut self, prefix: &str, backing: &Backing) {
        match backing {
            Backing::Image(file) | Backing::Host(file) => {
                self.put(format!("{prefix}.fileName"), file.clone())
            }
            Backing::Client => {
                self.put(format!("{prefix}.fileName"), "");
                self.flag(format!("{prefix}.clientDevice"), true);
            }
        }
    }
}

impl VmxConfig {
    /// The configuration as a new dictionary.
    ///
    /// # Errors
    /// As [`VmxConfig::write_into`].
    pub fn to_dictionary(&self) -> Result<Dictionary, DictionaryError> {
        let mut file = Dictionary::new();
        self.write_into(&mut file)?;
        Ok(file)
    }

    /// Changes a dictionary so that it says this.
    ///
    /// # Errors
    /// [`DictionaryError`] for a text that the format cannot hold or an extra key that is a field's; the dictionary
    /// is then as it was.
    pub fn write_into(&self, file: &mut Dictionary) -> Result<(), DictionaryError> {
        for (key, value) in &self.extra {
            check_extra_key(key, value)?;
        }
        let wanted = self.wanted();
        // Written first, and as it is, whatever the file had.
        let mut names = HashSet::from([".encoding".to_owned()]);
        for (key, value) in &wanted.0 {
            if !names.insert(key.to_ascii_lowercase()) {
                return Err(DictionaryError::Value {
                    key: key.clone(),
                    value: value.chars().take(80).collect(),
                    expected: "a key that is not there already",
                });
            }
        }
        let mut changed = file.clone();
        changed.retain(|key, _| names.contains(&key.to_ascii_lowercase()));
        for (key, value) in wanted.0 {
            changed.set(&key, value)?;
        }
        *file = changed;
        Ok(())
    }

    fn wanted(&self) -> Wanted {
        let mut w = Wanted::default();
        w.put("config.version", CONFIG_VERSION);
        w.put("virtualHW.version", self.hardware_version.to_string());
        w.put("displayName", self.name.clone());
        w.put("guestOS", self.guest_os.clone());
        if !self.annotation.is_empty() {
            w.put("annotation", self.annotation.clone());
        }
        if self.firmware != Firmware::Bios {
            w.put("firmware", self.firmware.as_str());
        }
        if self.secure_boot {
            w.flag("uefi.secureBoot.enabled", true);
        }
        if let Some(nvram) = &self.nvram {
            w.put("nvram", nvram.clone());
        }
        w.put("memsize", self.memory_mib.to_string());
        if self.memory_hot_add {
            w.flag("mem.hotadd", true);
        }
        w.put("numvcpus", self.cpus.to_string());
        if let Some(cores) = self.cores_per_socket {
            w.put("cpuid.coresPerSocket", cores.to_string());
        }
        if self.cpu_hot_add {
            w.flag("vcpu.hotadd", true);
        }
        for (key, uuid) in [("uuid.bios", self.bios_uuid), ("vc.uuid", self.instance_uuid)] {
            if let Some(uuid) = uuid {
                w.put(key, format_uuid(uuid));
            }
        }
        if !self.boot_order.is_empty() {
            w.put("bios.bootOrder", self.boot_order.join(","));
        }
        if let Some(file) = &self.suspend_file {
            w.put("checkpoint.vmState", file.clone());
        }
        self.drives(&mut w);
        self.nics(&mut w);
        self.ports(&mut w);
        for (key, value) in &self.extra {
            w.put(key.clone(), value.clone());
        }
        w
    }

    fn drives(&self, w: &mut Wanted) {
        for controller in &self.controllers {
            let prefix = format!("{}{}", controller.bus.prefix(), controller.number);
            w.flag(format!("{prefix}.present"), true);
            if let Some(model) = controller.model {
                w.put(format!("{prefix}.virtualDev"), model.as_str());
            }
            w.others(&prefix, &controller.other);
        }
        for disk in &self.disks {
            let prefix = disk.slot.to_string();
            w.flag(format!("{prefix}.present"), true);
            let device = match disk.slot.bus {
                Bus::Scsi => "scsi-hardDisk",
                Bus::Ide => "ata-hardDisk",
                Bus::Sata | Bus::Nvme => "disk",
            };
            w.put(format!("{prefix}.deviceType"), device);
            w.put(format!("{prefix}.fileName"), disk.file_name.clone());
            w.put(format!("{prefix}.mode"), disk.mode.as_str());
            w.others(&prefix, &disk.other);
        }
        for cdrom in &self.cdroms {
            let prefix = cdrom.slot.to_string();
            w.flag(format!("{prefix}.present"), true);
            let device = match cdrom.backing {
                Backing::Image(_) => "cdrom-image",
                Backing::Host(_) => "atapi-cdrom",
                Backing::Client => "cdrom-raw",
            };
            w.put(format!("{prefix}.deviceType"), device);
            w.backing(&prefix, &cdrom.backing);
            w.flag(format!("{prefix}.startConnected"), cdrom.start_connected);
            w.others(&prefix, &cdrom.other);
        }
    }

    fn nics(&self, w: &mut Wanted) {
        for nic in &self.nics {
            let prefix = format!("ethernet{}", nic.number);
            let key = |name: &str| format!("{prefix}.{name}");
            w.flag(key("present"), true);
            if let Some(model) = nic.model {
                w.put(key("virtualDev"), model.as_str());
            }
            for (name, value) in [("networkName", &nic.network), ("connectionType", &nic.connection_type)] {
                if let Some(value) = value {
                    w.put(key(name), value.clone());
                }
            }
            if let Some(port) = &nic.dvs {
                w.put(key("dvs.switchId"), port.switch_id.clone());
                w.put(key("dvs.portId"), port.port_id.clone());
                w.put(key("dvs.portgroupId"), port.portgroup_id.clone());
                w.put(key("dvs.connectionId"), port.connection_id.clone());
            }
            w.put(key("addressType"), nic.address_type.as_str());
            if let Some(mac) = nic.mac {
                let name =
                    if nic.address_type == AddressType::Static { "address" } else { "generatedAddress" };
                w.put(key(name), mac.to_string());
            }
            w.flag(key("startConnected"), nic.start_connected);
            w.others(&prefix, &nic.other);
        }
    }

    fn ports(&self, w: &mut Wanted) {
        for port in &self.serials {
            let prefix = format!("serial{}", port.number);
            let key = |name: &str| format!("{prefix}.{name}");
            let (kind, file) = match &port.backing {
                SerialBacking::File(file) => ("file", file.as_str()),
                SerialBacking::Pipe(file) => ("pipe", file.as_str()),
                SerialBacking::Device(device) => ("device", device.as_str()),
                SerialBacking::Network { uri, .. } => ("network", uri.as_str()),
                SerialBacking::ThinPrint => ("thinprint", ""),
            };
            w.flag(key("present"), true);
            w.put(key("fileType"), kind);
            w.put(key("fileName"), file);
            if let SerialBacking::Network { server, .. } = port.backing {
                w.put(key("network.endPoint"), if server { "server" } else { "client" });
            }
            w.flag(key("startConnected"), port.start_connected);
            if port.yield_on_poll {
                w.flag(key("yieldOnMsrRead"), true);
            }
            w.others(&prefix, &port.other);
        }
        for drive in &self.floppies {
            let prefix = format!("floppy{}", drive.number);
            w.flag(format!("{prefix}.present"), true);
            let kind = if matches!(drive.backing, Backing::Image(_)) { "file" } else { "device" };
            w.put(format!("{prefix}.fileType"), kind);
            w.backing(&prefix, &drive.backing);
            w.flag(format!("{prefix}.startConnected"), drive.start_connected);
            w.others(&prefix, &drive.other);
        }
    }
}
