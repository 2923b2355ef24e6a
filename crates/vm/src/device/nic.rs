//! Network adapters.

use std::fmt;
use std::str::FromStr;

use qemu::spec as machine;
use vim::{Fault, Object, data_id, field};

use super::draft::{Change, Draft, Step, connect, same_kind};
use super::faults::{backing, device_fault, invalid, unsupported};
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Kind, Reading, Shown, Writing, option, shown};
use super::parts::Parts;
use super::{Connect, Device, Devices, Looks, key, nic_id};
use crate::faults::invalid_config;
use crate::ids;
use crate::limits::MAX_NICS;
use crate::text::{ReadError, numbered};

/// Shares of a network adapter at the level `normal`.
const SHARES: i32 = 50;
/// Place of the first adapter on the PCI bus.
const FIRST_UNIT: i32 = 7;
/// First word of the keys of an adapter.
const WORD: &str = "ethernet";
/// Most adapters that a `.vmx` can have.
const MAX_NUMBERS: u8 = 10;
const WAKE: &str = "wakeOnPcktRcv";
/// The kind of connection on desktop products.
const CONNECTION_TYPE: &str = "connectionType";
/// The port of a distributed switch, which is not a host's own.
const PORT: [&str; 4] = ["dvs.switchId", "dvs.portId", "dvs.portgroupId", "dvs.connectionId"];

/// A network adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct Nic {
    pub model: NicModel,
    /// Lower case, with colons; empty until an address is generated.
    pub mac: String,
    pub address: AddressType,
    /// Name of the network.
    pub network: String,
    pub wake_on_lan: bool,
    /// Keys that are only kept, by their names, with their values.
    pub kept: Vec<(&'static str, String)>,
}

/// Models of network adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicModel {
    E1000,
    E1000e,
    Vmxnet3,
}

/// Types of network adapter that can be added, the recommended one first.
pub const NIC_TYPES: [&str; 3] = ["VirtualVmxnet3", "VirtualE1000e", "VirtualE1000"];

impl NicModel {
    const ALL: [Self; 3] = [Self::E1000, Self::E1000e, Self::Vmxnet3];

    /// As `.vmx` writes it.
    fn word(self) -> &'static str {
        match self {
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
            Self::Vmxnet3 => "vmxnet3",
        }
    }

    /// The model; the word itself if it is one that is not supported.
    fn from_word(word: &str) -> Option<Result<Self, &'static str>> {
        let unsupported = ["vlance", "vmxnet"];
        let known = Self::ALL.into_iter().find(|model| model.word().eq_ignore_ascii_case(word));
        let unknown = unsupported.into_iter().find(|other| other.eq_ignore_ascii_case(word));
        known.map(Ok).or_else(|| unknown.map(Err))
    }

    /// The model that a specification asks for.
    fn asked(change: &Change<'_>, draft: &Draft<'_>) -> Result<Self, Fault> {
        let device = change.device;
        if device.is_a(data_id!(VirtualE1000)) {
            Ok(Self::E1000)
        } else if device.is_a(data_id!(VirtualE1000e)) {
            Ok(Self::E1000e)
        } else if device.is_a(data_id!(VirtualVmxnet3)) {
            Ok(Self::Vmxnet3)
        } else {
            Err(unsupported(change.index, device.type_name(), draft.hardware_version))
        }
    }
}

/// The origin of a MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressType {
    /// The user.
    Manual,
    /// The host.
    Generated,
    /// The center.
    Assigned,
}

impl AddressType {
    const ALL: [Self; 3] = [Self::Generated, Self::Manual, Self::Assigned];

    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Generated => "generated",
            Self::Assigned => "assigned",
        }
    }

    /// As `.vmx` writes it.
    fn word(self) -> &'static str {
        match self {
            Self::Manual => "static",
            Self::Generated => "generated",
            Self::Assigned => "vpx",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.word().eq_ignore_ascii_case(word))
    }

    /// The key of `.vmx` that has an address of this type.
    fn address_key(self) -> &'static str {
        if self == Self::Manual { "address" } else { "generatedAddress" }
    }
}

/// A MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().ok_or(())?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| ())?;
        }
        if parts.next().is_some() { Err(()) } else { Ok(Self(bytes)) }
    }
}

impl Nic {
    fn device(self, number: i32, connect: Connect) -> Device {
        let mut device = Device::new(key::NIC + number, Some((key::PCI, FIRST_UNIT + number)), self);
        device.connect = Some(connect);
        device
    }

    /// The adapter as QEMU has it, at power-on and when it is added to a running VM alike. A `boot_index` is of use only
    /// at power-on.
    pub(crate) fn adapter(
        &self,
        device: &Device,
        tap: Option<String>,
        boot_index: Option<u32>,
    ) -> machine::Nic {
        machine::Nic {
            id: nic_id(device.key),
            model: match self.model {
                NicModel::E1000 => machine::NicModel::E1000,
                NicModel::E1000e => machine::NicModel::E1000e,
                NicModel::Vmxnet3 => machine::NicModel::Vmxnet3,
            },
            mac: self.mac.clone(),
            backend: match tap {
                Some(ifname) => machine::NicBackend::Tap { ifname },
                None => machine::NicBackend::Unplugged,
            },
            link_up: device.connect.is_none_or(|connect| connect.now),
            boot_index,
            port: u8::try_from(device.key - key::NIC).ok(),
        }
    }
}

impl DeviceKind for Nic {
    const KEYS: &'static [Keys] = &[
        Keys { prefix: Prefix::Numbered(WORD, MAX_NUMBERS), names: &PORT },
        Keys {
            prefix: Prefix::Numbered(WORD, MAX_NUMBERS),
            names: &[
                "present",
                "virtualDev",
                "networkName",
                CONNECTION_TYPE,
                "addressType",
                "address",
                "generatedAddress",
                "startConnected",
                WAKE,
            ],
        },
    ];

    fn is(asked: &Object) -> bool {
        asked.is_a(data_id!(VirtualEthernetCard))
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        let used = draft.devices.values().filter_map(Device::nic).count();
        let most = i32::try_from(MAX_NICS).unwrap_or(i32::MAX);
        let number = (0..most).find(|number| !draft.devices.contains_key(&(key::NIC + number)));
        let Some(number) = number.filter(|_| used < MAX_NICS) else {
            let message = format!("A VM has at most {MAX_NICS} network adapters");
            return Err(device_fault(data_id!(TooManyDevices), change.index, "device", &message));
        };
        let (address, mac) = match address(change, draft, "")? {
            Some(found) => found,
            None => (AddressType::Generated, (draft.around.new_mac)()),
        };
        let nic = Self {
            model: NicModel::asked(change, draft)?,
            mac,
            address,
            network: network(change, draft)?
                .ok_or_else(|| backing(change.index, "", "Name the network of the adapter"))?,
            wake_on_lan: change.device.get(field!(VirtualEthernetCard.wakeOnLanEnabled)).unwrap_or(true),
            kept: Vec::new(),
        };
        let running = draft.around.running;
        let before = Connect { now: running, ..Connect::default() };
        let device = nic.device(number, connect(change.device, before, running));
        let key = device.key;
        draft.insert(change, device)?;
        if running {
            draft.steps.push(Step::Plug(key));
        }
        Ok(())
    }

    fn edit(draft: &mut Draft<'_>, change: &Change<'_>, existing: Device) -> Result<(), Fault> {
        same_kind(change, &existing, Self::is)?;
        let mut device = existing.clone();
        let Kind::Nic(nic) = &mut device.kind else { return Ok(()) };
        let before = nic.clone();
        if NicModel::asked(change, draft)? != before.model {
            let message = "The model of an adapter cannot be changed; remove it and add another one";
            return Err(invalid(change.index, "device", message));
        }
        if let Some(network) = network(change, draft)? {
            if network != nic.network {
                nic.kept.retain(|(name, _)| !PORT.contains(name));
            }
            nic.network = network;
        }
        if let Some((ty, mac)) = address(change, draft, &before.mac)? {
            (nic.address, nic.mac) = (ty, mac);
        }
        if let Some(wake) = change.device.get(field!(VirtualEthernetCard.wakeOnLanEnabled)) {
            nic.wake_on_lan = wake;
        }
        if nic.mac != before.mac {
            draft.need_off("The address of an adapter")?;
        }
        let moved = nic.network != before.network;
        let running = draft.around.running;
        device.connect = Some(connect(change.device, existing.connect.unwrap_or_default(), running));
        if running {
            if moved {
                draft.steps.push(Step::Reconnect(device.key));
            }
            let up = device.connect.is_some_and(|connect| connect.now);
            if existing.connect.is_some_and(|connect| connect.now) != up {
                draft.steps.push(Step::SetLink { key: device.key, up });
            }
        }
        draft.devices.insert(device.key, device);
        Ok(())
    }

    fn remove(draft: &mut Draft<'_>, _change: &Change<'_>, device: &Device) -> Result<(), Fault> {
        if draft.around.running {
            draft.steps.push(Step::Unplug(device.key));
        }
        Ok(())
    }

    fn label(&self, at: &Shown<'_>) -> (String, String) {
        (format!("Network adapter {}", at.device.key - key::NIC + 1), self.network.clone())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        macro_rules! nic {
            ($ty:ident) => {
                shown!(
                    at,
                    $ty {
                        backing: VirtualEthernetCardNetworkBackingInfo {
                            deviceName: &self.network,
                            useAutoDetect: false,
                            network: ids::network(&self.network),
                            inPassthroughMode: false,
                        },
                        connectable: at.connectable(),
                        addressType: self.address.name(),
                        macAddress: &self.mac,
                        wakeOnLanEnabled: self.wake_on_lan,
                        resourceAllocation: VirtualEthernetCardResourceAllocation {
                            reservation: 0,
                            share: SharesInfo { shares: SHARES, level: "normal" },
                            limit: -1i64,
                        },
                    }
                )
            };
        }
        match self.model {
            NicModel::E1000 => nic!(VirtualE1000),
            NicModel::E1000e => nic!(VirtualE1000e),
            NicModel::Vmxnet3 => nic!(VirtualVmxnet3),
        }
    }

    fn options() -> Vec<Object> {
        NIC_TYPES.into_iter().map(|ty| option(ty, Some("VirtualPCIController"), true)).collect()
    }

    fn prefix(&self, device: &Device, _devices: &Devices) -> Option<String> {
        Some(format!("{WORD}{}", device.key - key::NIC))
    }

    fn read(from: &mut Reading<'_>) {
        for number in from.source.devices(|prefix| numbered(prefix, WORD, MAX_NUMBERS)) {
            match read_one(from, number) {
                Ok((nic, connect)) => from.insert(nic.device(number.into(), connect)),
                Err(error) => {
                    let (prefix, number) = (format!("{WORD}{number}"), i32::from(number));
                    let place = Some((key::PCI, FIRST_UNIT + number));
                    from.unusable(&prefix, key::NIC + number, place, Looks::Nic, &error);
                }
            }
        }
    }

    fn write(&self, device: &Device, to: &mut Writing<'_>) {
        let number = device.key - key::NIC;
        let key = |name: &str| format!("{WORD}{number}.{name}");
        to.wanted.flag(key("present"), true);
        to.wanted.put(key("virtualDev"), self.model.word());
        to.wanted.put(key("networkName"), self.network.clone());
        for (name, value) in &self.kept {
            to.wanted.put(key(name), value);
        }
        to.wanted.put(key("addressType"), self.address.word());
        if let Ok(mac) = self.mac.parse::<MacAddress>() {
            to.wanted.put(key(self.address.address_key()), mac.to_string());
        }
        to.wanted.flag(key("startConnected"), device.connect.is_none_or(|connect| connect.at_start));
        to.wanted.flag(key(WAKE), self.wake_on_lan);
    }

    fn build(&self, device: &Device, parts: &mut Parts<'_>) -> qemu::Result<()> {
        let adapter = self.adapter(device, (parts.tap)(device.key), parts.boot_index(device.key));
        parts.spec.nics.push(adapter);
        Ok(())
    }
}

/// The network that an adapter's backing names.
fn network(change: &Change<'_>, draft: &Draft<'_>) -> Result<Option<String>, Fault> {
    let Some(found) = change.device.get(field!(VirtualDevice.backing)) else { return Ok(None) };
    if !found.is_a(data_id!(VirtualEthernetCardNetworkBackingInfo)) {
        let message = format!("An adapter cannot have the backing {} on this host", found.type_name());
        return Err(backing(change.index, "", &message));
    }
    let me = found.get(field!(VirtualEthernetCardNetworkBackingInfo.network));
    let name = found.get(field!(VirtualDeviceDeviceBackingInfo.deviceName)).unwrap_or_default();
    match (draft.around.network)(me.filter(|_| name.is_empty()), name) {
        Some(network) => Ok(Some(network)),
        None => {
            let asked = me.filter(|_| name.is_empty()).map_or(name, |me| me.id());
            let message = format!("This host has no network {asked:?}");
            Err(backing(change.index, ".deviceName", &message))
        }
    }
}

/// The address that a specification asks for; `None` if the host is to choose one. `own` is the adapter's address now.
fn address(
    change: &Change<'_>,
    draft: &Draft<'_>,
    own: &str,
) -> Result<Option<(AddressType, String)>, Fault> {
    let refuse = |message: &str| invalid(change.index, "device.macAddress", message);
    let ty = change.device.get(field!(VirtualEthernetCard.addressType)).unwrap_or_default();
    let text = change.device.get(field!(VirtualEthernetCard.macAddress)).unwrap_or_default();
    let ty = match ty.to_ascii_lowercase().as_str() {
        "manual" => AddressType::Manual,
        "assigned" => AddressType::Assigned,
        "generated" => AddressType::Generated,
        "" if text.is_empty() => AddressType::Generated,
        "" => AddressType::Manual,
        other => {
            let message = format!("The address type {other} is unknown; use manual, generated or assigned");
            return Err(invalid(change.index, "device.addressType", &message));
        }
    };
    if text.is_empty() {
        if ty == AddressType::Manual {
            return Err(refuse("Give the address, or have one generated"));
        }
        return Ok(None);
    }
    let mac: MacAddress = text.parse().map_err(|()| refuse(&format!("\"{text}\" is not a MAC address")))?;
    if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
        return Err(refuse(&format!("{text} is not the address of a single adapter")));
    }
    let mac = mac.to_string();
    let mut others = draft.devices.values().filter_map(Device::nic);
    // Another VM may have it, since the two may be on networks that never meet.
    let taken = mac != own && others.any(|nic| nic.mac == mac);
    if ty == AddressType::Manual && taken {
        return Err(refuse(&format!("Another adapter of the VM has the address {mac}")));
    }
    Ok(Some((ty, mac)))
}

fn read_one(from: &mut Reading<'_>, number: u8) -> Result<(Nic, Connect), ReadError> {
    let prefix = format!("{WORD}{number}");
    let key = |name: &str| format!("{prefix}.{name}");
    let address = from
        .source
        .word(&key("addressType"), AddressType::from_word, "generated, static or vpx")?
        .unwrap_or(AddressType::Generated);
    let mac = from.source.word(
        &key(address.address_key()),
        |text| text.parse::<MacAddress>().ok(),
        "a MAC address",
    )?;
    let mut kept = Vec::new();
    for name in [CONNECTION_TYPE].into_iter().chain(PORT) {
        kept.extend(from.source.take(&key(name)).map(|value| (name, value.to_owned())));
    }
    let model = from.source.word(&key("virtualDev"), NicModel::from_word, "a model of network adapters")?;
    let model = model.unwrap_or(Ok(NicModel::E1000)).map_err(|model| {
        invalid_config("config", &format!("{prefix}: the adapter {model} is not supported"))
    })?;
    let nic = Nic {
        model,
        mac: mac.map_or_else(String::new, |mac| mac.to_string()),
        address,
        network: from.source.text(&key("networkName")).unwrap_or_default().to_owned(),
        wake_on_lan: from.source.is_true(&key(WAKE)).unwrap_or(true),
        kept,
    };
    Ok((nic, from.connect(&prefix)?))
}
