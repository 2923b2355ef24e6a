//! Network adapters of a specification.

use datastore::vmx::MacAddress;
use vim::{Fault, data_id, field};

use super::Step;
use super::device_faults::{backing, device_fault, invalid, unsupported};
use super::devices::{Change, Draft, connect};
use crate::device::{AddressType, Connect, Device, Kind, Nic, NicModel, key};
use crate::limits::MAX_NICS;
use crate::place;

fn model(change: &Change<'_>, draft: &Draft<'_>) -> Result<NicModel, Fault> {
    let device = change.device;
    if device.is_a(data_id!(VirtualE1000)) {
        Ok(NicModel::E1000)
    } else if device.is_a(data_id!(VirtualE1000e)) {
        Ok(NicModel::E1000e)
    } else if device.is_a(data_id!(VirtualVmxnet3)) {
        Ok(NicModel::Vmxnet3)
    } else {
        Err(unsupported(change.index, device.type_name(), draft.config.hardware_version))
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
            let message = format!("This host has no network {}", me.map_or(name, |me| me.id()));
            Err(backing(change.index, ".deviceName", &message))
        }
    }
}

/// The address that is asked for; none to choose one.
fn address(
    change: &Change<'_>,
    draft: &Draft<'_>,
    own: &str,
) -> Result<Option<(AddressType, String)>, Fault> {
    let ty = change.device.get(field!(VirtualEthernetCard.addressType)).unwrap_or_default();
    let text = change.device.get(field!(VirtualEthernetCard.macAddress)).unwrap_or_default();
    let ty = match ty.to_ascii_lowercase().as_str() {
        "manual" => AddressType::Manual,
        "assigned" => AddressType::Assigned,
        "generated" => AddressType::Generated,
        "" if text.is_empty() => AddressType::Generated,
        "" => AddressType::Manual,
        other => {
            let message = format!("There is no address type {other}");
            return Err(invalid(change.index, "device.addressType", &message));
        }
    };
    if text.is_empty() {
        if ty == AddressType::Manual {
            return Err(invalid(
                change.index,
                "device.macAddress",
                "Give the address, or have one generated",
            ));
        }
        return Ok(None);
    }
    let mac: MacAddress = text
        .parse()
        .map_err(|()| invalid(change.index, "device.macAddress", &format!("\"{text}\" is no MAC address")))?;
    if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
        let message = format!("{text} is no address of a single adapter");
        return Err(invalid(change.index, "device.macAddress", &message));
    }
    let mac = mac.to_string();
    let taken = draft.config.nics().any(|(_, nic)| nic.mac == mac) && mac != own;
    if ty == AddressType::Manual && (taken || (mac != own && (draft.around.mac_taken)(&mac))) {
        let message = format!("Another adapter has the address {mac}");
        return Err(invalid(change.index, "device.macAddress", &message));
    }
    Ok(Some((ty, mac)))
}

pub(super) fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    let used = draft.config.nics().count();
    let most = i32::try_from(MAX_NICS).unwrap_or(i32::MAX);
    let number = (0..most).find(|number| !draft.config.devices.contains_key(&(key::NIC + number)));
    let Some(number) = number.filter(|_| used < MAX_NICS) else {
        let message = format!("A machine has at most {MAX_NICS} network adapters");
        return Err(device_fault(data_id!(TooManyDevices), change.index, "device", &message));
    };
    let (address, mac) = match address(change, draft, "")? {
        Some(found) => found,
        None => (AddressType::Generated, (draft.around.new_mac)()),
    };
    let nic = Nic {
        model: model(change, draft)?,
        mac,
        address,
        network: network(change, draft)?
            .ok_or_else(|| backing(change.index, "", "Say which network the adapter is on"))?,
        wake_on_lan: change.device.get(field!(VirtualEthernetCard.wakeOnLanEnabled)).unwrap_or(true),
    };
    let running = draft.around.running;
    let before = Connect { now: running, ..Connect::default() };
    let device = Device {
        key: key::NIC + number,
        controller: Some(key::PCI),
        unit: Some(place::nic_unit(number)),
        connect: Some(connect(change.device, before, running)),
        kind: Kind::Nic(nic),
    };
    draft.insert(change, device)?;
    if running {
        draft.steps.push(Step::Plug(key::NIC + number));
    }
    Ok(())
}

pub(super) fn edit(draft: &mut Draft<'_>, change: &Change<'_>, existing: Device) -> Result<(), Fault> {
    let mut device = existing.clone();
    let Kind::Nic(nic) = &mut device.kind else { return Ok(()) };
    let before = nic.clone();
    if model(change, draft)? != before.model {
        let message = "The model of an adapter cannot be changed; remove it and add another one";
        return Err(invalid(change.index, "device", message));
    }
    if let Some(network) = network(change, draft)? {
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
    device.connect = Some(connect(change.device, existing.connect.unwrap_or_default(), draft.around.running));
    if draft.around.running {
        if moved {
            draft.steps.push(Step::Reconnect(device.key));
        }
        let up = device.connect.is_some_and(|connect| connect.now);
        if existing.connect.is_some_and(|connect| connect.now) != up {
            draft.steps.push(Step::SetLink { key: device.key, up });
        }
    }
    draft.config.devices.insert(device.key, device);
    Ok(())
}
