//! Physical network cards as the API shows them.

use vim::{ty, vim};

use crate::fabric::Nic;
use crate::words::nic_key;

pub(super) fn shown(nic: &Nic) -> ty!(PhysicalNic) {
    let link = nic.link.map(|(speed, full)| vim!(PhysicalNicLinkInfo { speedMb: speed, duplex: full }));
    vim!(PhysicalNic {
        key: nic_key(&nic.name),
        device: &nic.name,
        pci: &nic.pci,
        driver: nic.driver.as_deref(),
        linkSpeed: link,
        spec: PhysicalNicSpec {},
        wakeOnLanSupported: nic.wake_on_lan,
        mac: &nic.mac,
    })
}
