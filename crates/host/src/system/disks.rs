//! The host's disks and the controllers that they are attached to, as Linux describes them in `/sys`.

use std::fs;
use std::path::Path;

/// Most disks that are shown.
const MAX_DISKS: usize = 1024;
/// The unit of `/sys/block/*/size`, whatever the disk's blocks are.
const SECTOR: u64 = 512;

/// A disk of the host, in the order of the kernel's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// `sda`.
    pub name: String,
    /// The name that the disk itself has in the world, such as `naa.5000c500a1b2c3d4`; empty if it tells none.
    pub wwid: String,
    pub vendor: String,
    pub model: String,
    pub revision: String,
    pub serial: String,
    pub block_bytes: u32,
    pub blocks: u64,
    pub rotates: bool,
    /// Whether it is attached to this machine and to no network.
    pub local: bool,
    pub controller: Controller,
}

/// The controller of a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controller {
    /// `0000:00:1f.2`; empty for one that is not on the PCI bus.
    pub pci: String,
    pub driver: String,
}

/// The disks of this machine.
pub fn detect() -> Vec<Disk> {
    below(Path::new("/sys"))
}

/// The disk of a simulated host.
pub fn simulated() -> Vec<Disk> {
    vec![Disk {
        name: "sda".into(),
        wwid: "naa.600605b000000000".into(),
        vendor: "Esfera".into(),
        model: "Simulated disk".into(),
        revision: "1".into(),
        serial: "0".into(),
        block_bytes: 512,
        blocks: (10 << 40) / 512,
        rotates: false,
        local: true,
        controller: Controller { pci: "0000:03:00.0".into(), driver: "simulated".into() },
    }]
}

/// The disks that the kernel's description below this directory has.
fn below(sys: &Path) -> Vec<Disk> {
    let listed = fs::read_dir(sys.join("block")).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = listed.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    names.into_iter().filter_map(|name| disk(sys, name)).take(MAX_DISKS).collect()
}

/// Devices without a device behind them (loop, RAM, mapped ones) are not disks of the machine, nor are drives without a medium.
fn disk(sys: &Path, name: String) -> Option<Disk> {
    let here = sys.join("block").join(&name);
    let at = fs::canonicalize(here.join("device")).ok()?;
    let text = |path: &str| {
        let text = fs::read_to_string(here.join(path)).unwrap_or_default();
        let printable: String = text.trim().chars().filter(|letter| !letter.is_control()).take(128).collect();
        printable
    };
    let bytes = text("size").parse::<u64>().ok()?.checked_mul(SECTOR).filter(|bytes| *bytes > 0)?;
    let block_bytes = text("queue/logical_block_size").parse().ok().filter(|size| *size > 0).unwrap_or(512);
    let first =
        |paths: [&str; 2]| paths.map(text).into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    let path = at.to_string_lossy();
    Some(Disk {
        wwid: first(["device/wwid", "wwid"]),
        vendor: text("device/vendor"),
        model: text("device/model"),
        revision: first(["device/rev", "device/firmware_rev"]),
        serial: first(["device/serial", "serial"]),
        block_bytes,
        blocks: bytes / u64::from(block_bytes),
        rotates: text("queue/rotational") == "1",
        local: !["/session", "/rport-"].iter().any(|network| path.contains(network)),
        controller: controller(sys, &path),
        name,
    })
}

/// The last PCI device on the way to the disk, and its driver.
fn controller(sys: &Path, path: &str) -> Controller {
    let Some(pci) = path.split('/').rfind(|part| is_pci(part)) else { return Controller::default() };
    let driver = fs::read_link(sys.join("bus/pci/devices").join(pci).join("driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    Controller { pci: pci.to_owned(), driver: driver.unwrap_or_default() }
}

/// `0000:00:1f.2`.
fn is_pci(part: &str) -> bool {
    let pieces: Vec<&str> = part.split([':', '.']).collect();
    let hex = |text: &str, length: usize| text.len() == length && text.chars().all(|c| c.is_ascii_hexdigit());
    matches!(pieces.as_slice(), [domain, bus, slot, function]
        if hex(domain, 4) && hex(bus, 2) && hex(slot, 2) && hex(function, 1))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(at: &Path, file: &str, text: &str) {
        let file = at.join(file);
        fs::create_dir_all(file.parent().expect("a directory")).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn a_disk_is_read_with_its_controller_and_what_has_no_device_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let sys = directory.path();
        let device = sys.join("devices/pci0000:00/0000:00:01.0/0000:02:00.0/host0/target0:0:0/0:0:0:0");
        let block = device.join("block/sda");
        for (file, text) in
            [("size", "2048\n"), ("queue/logical_block_size", "4096\n"), ("queue/rotational", "1\n")]
        {
            write(&block, file, text);
        }
        for (file, text) in [("vendor", "ACME    \n"), ("model", "Disk\u{7}y\n"), ("wwid", "naa.5000c5\n")] {
            write(&device, file, text);
        }
        symlink(&device, block.join("device")).unwrap();
        fs::create_dir_all(sys.join("block")).unwrap();
        symlink(&block, sys.join("block/sda")).unwrap();
        write(&sys.join("block/loop0"), "size", "8\n");
        let pci = sys.join("bus/pci/devices/0000:02:00.0");
        fs::create_dir_all(&pci).unwrap();
        symlink("../../../../bus/pci/drivers/megaraid_sas", pci.join("driver")).unwrap();

        let [disk] = below(sys).try_into().expect("one disk");
        assert_eq!((disk.name.as_str(), disk.vendor.as_str(), disk.model.as_str()), ("sda", "ACME", "Disky"));
        assert_eq!((disk.blocks, disk.block_bytes, disk.rotates, disk.local), (256, 4096, true, true));
        assert_eq!(disk.wwid, "naa.5000c5");
        let controller = Controller { pci: "0000:02:00.0".into(), driver: "megaraid_sas".into() };
        assert_eq!(disk.controller, controller);
    }

    #[test]
    fn an_address_on_the_pci_bus_is_recognised() {
        for (part, is) in [
            ("0000:00:1f.2", true),
            ("10000:00:1f.2", false),
            ("0:0:0:0", false),
            ("pci0000:00", false),
            ("host0", false),
        ] {
            assert_eq!(is_pci(part), is, "{part}");
        }
    }
}
