//! From the text to its meaning. Keys that mean something here are taken; what is left is kept with the device it
//! belongs to, or as extra keys.

use std::collections::HashSet;

use uuid::Uuid;

use super::config::{DEFAULT_MEMORY_MIB, Firmware, MAX_CPUS, MAX_MEMORY_MIB, VmxConfig};
use super::device::{
    AddressType, Backing, Bus, Cdrom, Controller, Disk, DiskMode, DvsPort, Floppy, Nic, NicModel, OtherKeys,
    ScsiModel, Serial, SerialBacking, Slot,
};
use super::uuids::parse_uuid;
use crate::dictionary::{Dictionary, DictionaryError};

/// Most adapters, ports or drives of one kind that are looked for.
pub(super) const MAX_NICS: u8 = 10;
pub(super) const MAX_SERIALS: u8 = 32;
pub(super) const MAX_FLOPPIES: u8 = 2;

type Result<T> = std::result::Result<T, DictionaryError>;

struct Source<'a> {
    file: &'a Dictionary,
    /// Keys that were taken, in lower case.
    taken: HashSet<String>,
}

impl VmxConfig {
    /// What a `.vmx` file says. Devices that are not `present` are kept among the extra keys.
    ///
    /// # Errors
    /// [`DictionaryError::Value`] for a value that its key does not allow.
    pub fn read(file: &Dictionary) -> Result<Self> {
        let mut s = Source { file, taken: HashSet::new() };
        for written_always in [".encoding", "config.version"] {
            s.take(written_always);
        }
        let mut config = VmxConfig::new(s.take("displayName").unwrap_or_default());
        config.memory_mib = s.number("memsize", 1, MAX_MEMORY_MIB)?.unwrap_or(DEFAULT_MEMORY_MIB);
        config.cpus = s.number("numvcpus", 1, MAX_CPUS)?.unwrap_or(1);
        config.cores_per_socket = s.number("cpuid.coresPerSocket", 1, MAX_CPUS)?;
        config.cpu_hot_add = s.flag("vcpu.hotadd")?.unwrap_or(false);
        config.memory_hot_add = s.flag("mem.hotadd")?.unwrap_or(false);
        config.guest_os = s.take("guestOS").unwrap_or("other").to_owned();
        config.bios_uuid = s.uuid("uuid.bios")?;
        config.instance_uuid = s.uuid("vc.uuid")?;
        config.firmware = s.word("firmware", Firmware::from_word, "bios or efi")?.unwrap_or_default();
        config.secure_boot = s.flag("uefi.secureBoot.enabled")?.unwrap_or(false);
        config.annotation = s.take("annotation").unwrap_or_default().to_owned();
        config.hardware_version = s.number("virtualHW.version", 1, 1000)?.unwrap_or(4);
        config.nvram = s.text("nvram");
        config.suspend_file = s.text("checkpoint.vmState");
        let order = s.take("bios.bootOrder").unwrap_or_default().split(',').map(str::trim);
        config.boot_order = order.filter(|device| !device.is_empty()).map(str::to_owned).collect();
        s.drives(&mut config)?;
        for number in 0..MAX_NICS {
            config.nics.extend(s.nic(number)?);
        }
        for number in 0..MAX_SERIALS {
            config.serials.extend(s.serial(number)?);
        }
        for number in 0..MAX_FLOPPIES {
            config.floppies.extend(s.floppy(number)?);
        }
        s.give_others(&mut config);
        Ok(config)
    }
}

impl<'a> Source<'a> {
    fn take(&mut self, key: &str) -> Option<&'a str> {
        let value = self.file.get(key)?;
        self.taken.insert(key.to_ascii_lowercase());
        Some(value)
    }

    /// A text that is not empty.
    fn text(&mut self, key: &str) -> Option<String> {
        self.take(key).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    fn bad(&self, key: &str, expected: &'static str) -> DictionaryError {
        let value = self.file.get(key).unwrap_or_default().chars().take(80).collect();
        DictionaryError::Value { key: key.to_owned(), value, expected }
    }

    /// A value that `parse` understands; an empty one counts as missing.
    fn word<T>(
        &mut self,
        key: &str,
        parse: fn(&str) -> Option<T>,
        expected: &'static str,
    ) -> Result<Option<T>> {
        match self.take(key).map(str::trim) {
            None | Some("") => Ok(None),
            Some(value) => parse(value).map(Some).ok_or_else(|| self.bad(key, expected)),
        }
    }

    fn number(&mut self, key: &str, least: u32, most: u32) -> Result<Option<u32>> {
        let number = self.word(key, |text| text.parse::<u32>().ok(), "a number")?;
        match number {
            Some(n) if !(least..=most).contains(&n) => Err(self.bad(key, "a number in the product's limits")),
            number => Ok(number),
        }
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>> {
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        };
        self.word(key, parse, "TRUE or FALSE")
    }

    fn uuid(&mut self, key: &str) -> Result<Option<Uuid>> {
        self.word(key, parse_uuid, "16 bytes in hexadecimal")
    }

    /// Whether a device is there; if not, its keys stay untouched.
    fn present(&mut self, prefix: &str) -> Result<bool> {
        let key = format!("{prefix}.present");
        let present = self.flag(&key)? == Some(true);
        if !present {
            self.taken.remove(&key.to_ascii_lowercase());
        }
        Ok(present)
    }

    fn drives(&mut self, config: &mut VmxConfig) -> Result<()> {
        for bus in Bus::ALL {
            for number in 0..bus.controllers() {
                let prefix = format!("{}{number}", bus.prefix());
                if self.present(&prefix)? {
                    let model = match bus {
                        Bus::Scsi => self.word(
                            &format!("{prefix}.virtualDev"),
                            ScsiModel::from_word,
                            "lsilogic, lsisas1068, pvscsi or buslogic",
                        )?,
                        _ => None,
                    };
                    config.controllers.push(Controller { bus, number, model, other: OtherKeys::new() });
                }
                for unit in 0..bus.units() {
                    let slot = Slot { bus, controller: number, unit };
                    if self.present(&slot.to_string())? {
                        self.drive(slot, config)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn drive(&mut self, slot: Slot, config: &mut VmxConfig) -> Result<()> {
        let key = |name: &str| format!("{slot}.{name}");
        let device = self.take(&key("deviceType")).unwrap_or_default().to_ascii_lowercase();
        let other = OtherKeys::new();
        match device.as_str() {
            "cdrom-image" | "atapi-cdrom" | "cdrom-raw" | "scsi-cdrom" => {
                let backing = self.backing(&slot.to_string(), device == "cdrom-image")?;
                let start_connected = self.flag(&key("startConnected"))?.unwrap_or(true);
                config.cdroms.push(Cdrom { slot, backing, start_connected, other });
            }
            "" | "disk" | "scsi-harddisk" | "ata-harddisk" | "nvme-harddisk" => {
                let file_name = self.text(&key("fileName"));
                let file_name = file_name.ok_or_else(|| self.bad(&key("fileName"), "the name of a disk"))?;
                let mode = self.word(&key("mode"), DiskMode::from_word, "a disk mode")?.unwrap_or_default();
                config.disks.push(Disk { slot, file_name, mode, other });
            }
            _ => return Err(self.bad(&key("deviceType"), "a disk or CD-ROM drive")),
        }
        Ok(())
    }

    fn backing(&mut self, prefix: &str, image: bool) -> Result<Backing> {
        let client = self.flag(&format!("{prefix}.clientDevice"))? == Some(true);
        let file = self.take(&format!("{prefix}.fileName")).unwrap_or_default().to_owned();
        Ok(match (client, image) {
            (true, _) => Backing::Client,
            (false, true) => Backing::Image(file),
            (false, false) => Backing::Host(file),
        })
    }

    fn nic(&mut self, number: u8) -> Result<Option<Nic>> {
        let prefix = format!("ethernet{number}");
        let key = |name: &str| format!("{prefix}.{name}");
        if !self.present(&prefix)? {
            return Ok(None);
        }
        let address_type = self
            .word(&key("addressType"), AddressType::from_word, "generated, static or vpx")?
            .unwrap_or_default();
        let address = match address_type {
            AddressType::Static => key("address"),
            AddressType::Generated | AddressType::Vpx => key("generatedAddress"),
        };
        let mac = self.word(&address, |text| text.parse().ok(), "a MAC address")?;
        let dvs = self.text(&key("dvs.switchId")).map(|switch_id| DvsPort {
            switch_id,
            port_id: self.text(&key("dvs.portId")).unwrap_or_default(),
            portgroup_id: self.text(&key("dvs.portgroupId")).unwrap_or_default(),
            connection_id: self.text(&key("dvs.connectionId")).unwrap_or_default(),
        });
        Ok(Some(Nic {
            number,
            model: self.word(&key("virtualDev"), NicModel::from_word, "a model of network adapters")?,
            network: self.text(&key("networkName")),
            dvs,
            address_type,
            mac,
            connection_type: self.text(&key("connectionType")),
            start_connected: self.flag(&key("startConnected"))?.unwrap_or(true),
            other: OtherKeys::new(),
        }))
    }

    fn serial(&mut self, number: u8) -> Result<Option<Serial>> {
        let prefix = format!("serial{number}");
        let key = |name: &str| format!("{prefix}.{name}");
        if !self.present(&prefix)? {
            return Ok(None);
        }
        let kind = self.take(&key("fileType")).unwrap_or("device").to_ascii_lowercase();
        let file = self.take(&key("fileName")).unwrap_or_default().to_owned();
        let backing = match kind.as_str() {
            "file" => SerialBacking::File(file),
            "pipe" => SerialBacking::Pipe(file),
            "device" => SerialBacking::Device(file),
            "thinprint" => SerialBacking::ThinPrint,
            "network" => {
                let server =
                    self.take(&key("network.endPoint")).is_none_or(|e| e.eq_ignore_ascii_case("server"));
                SerialBacking::Network { uri: file, server }
            }
            _ => return Err(self.bad(&key("fileType"), "file, pipe, device, network or thinprint")),
        };
        let start_connected = self.flag(&key("startConnected"))?.unwrap_or(true);
        let yield_on_poll = self.flag(&key("yieldOnMsrRead"))?.unwrap_or(false);
        Ok(Some(Serial { number, backing, start_connected, yield_on_poll, other: OtherKeys::new() }))
    }

    fn floppy(&mut self, number: u8) -> Result<Option<Floppy>> {
        let prefix = format!("floppy{number}");
        if !self.present(&prefix)? {
            return Ok(None);
        }
        let image =
            self.take(&format!("{prefix}.fileType")).is_some_and(|kind| kind.eq_ignore_ascii_case("file"));
        let backing = self.backing(&prefix, image)?;
        let start_connected = self.flag(&format!("{prefix}.startConnected"))?.unwrap_or(true);
        Ok(Some(Floppy { number, backing, start_connected, other: OtherKeys::new() }))
    }

    /// Gives the keys that nobody took to their devices, and the rest to the machine.
    fn give_others(&self, config: &mut VmxConfig) {
        for (key, value) in self.file.iter() {
            if self.taken.contains(&key.to_ascii_lowercase()) {
                continue;
            }
            let owner = key.split_once('.').and_then(|(prefix, rest)| {
                config.other_keys_mut(&prefix.to_ascii_lowercase()).map(|other| (other, rest))
            });
            match owner {
                Some((other, rest)) => other.push((rest.to_owned(), value.to_owned())),
                None => config.extra.push((key.to_owned(), value.to_owned())),
            }
        }
    }
}
