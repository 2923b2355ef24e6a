//! Virtual devices as plain types. Keys are vSphere's: they name a device for its whole life.

use datastore::FilePath;
use uuid::Uuid;

/// A file on a datastore, by the datastore's identity, which a rename does not change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileRef {
    /// Identity of the datastore.
    pub datastore: Uuid,
    /// Path within it.
    pub path: FilePath,
}

impl FileRef {
    /// A file in the same directory.
    ///
    /// # Errors
    /// If `name` is no file name.
    pub fn sibling(&self, name: &str) -> Result<Self, datastore::PathError> {
        Ok(Self { datastore: self.datastore, path: self.path.sibling(name)? })
    }

    /// The directory that it is in.
    pub fn directory(&self) -> Self {
        Self { datastore: self.datastore, path: self.path.parent().unwrap_or_default() }
    }
}

/// Keys of the devices that every machine has, and where the keys of others begin.
pub mod key {
    pub const PCI: i32 = 100;
    pub const IDE: i32 = 200;
    pub const PS2: i32 = 300;
    pub const SIO: i32 = 400;
    pub const VIDEO: i32 = 500;
    pub const KEYBOARD: i32 = 600;
    pub const POINTER: i32 = 700;
    pub const SCSI: i32 = 1000;
    pub const DISK_SCSI: i32 = 2000;
    pub const DISK_IDE: i32 = 3000;
    pub const NIC: i32 = 4000;
    pub const SERIAL: i32 = 9000;
    pub const VMCI: i32 = 12000;
    pub const XHCI: i32 = 14000;
    pub const SATA: i32 = 15000;
    pub const DISK_SATA: i32 = 16000;
    pub const NVME: i32 = 31000;
    pub const DISK_NVME: i32 = 32000;
}

/// A virtual device.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its key, unique in the machine.
    pub key: i32,
    /// Key of the controller that it is attached to.
    pub controller: Option<i32>,
    /// Place on that controller.
    pub unit: Option<i32>,
    /// For what can be unplugged while it stays configured.
    pub connect: Option<Connect>,
    /// What it is.
    pub kind: Kind,
}

/// Whether a device is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect {
    /// At power-on.
    pub at_start: bool,
    /// Now.
    pub now: bool,
    /// Whether the guest may change it.
    pub guest_control: bool,
}

impl Default for Connect {
    fn default() -> Self {
        Self { at_start: true, now: false, guest_control: true }
    }
}

/// What a device is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// PCI bus.
    Pci,
    /// IDE channel 0 or 1.
    Ide { bus: i32 },
    /// Keyboard and mouse controller.
    Ps2,
    /// Super I/O.
    Sio,
    /// SCSI controller.
    Scsi { bus: i32, model: ScsiModel },
    /// AHCI controller.
    Sata { bus: i32 },
    /// NVMe controller.
    Nvme { bus: i32 },
    /// USB 3 controller.
    Xhci { bus: i32 },
    /// Keyboard.
    Keyboard,
    /// Mouse.
    Pointer,
    /// Display adapter.
    Video(Video),
    /// VM communication interface; the guest sees none.
    Vmci,
    /// Hard disk.
    Disk(Disk),
    /// CD-ROM drive.
    Cdrom(Cdrom),
    /// Network adapter.
    Nic(Nic),
    /// Serial port.
    Serial(Serial),
}

/// Models of SCSI controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScsiModel {
    BusLogic,
    LsiLogic,
    LsiLogicSas,
    ParaVirtual,
}

/// Display adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Video {
    /// Video memory, KiB.
    pub memory_kib: i64,
    /// Displays.
    pub displays: i32,
    /// Memory chosen by the host.
    pub auto: bool,
}

impl Default for Video {
    fn default() -> Self {
        Self { memory_kib: 16 * 1024, displays: 1, auto: false }
    }
}

/// A hard disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    /// Its image; the newest one of a chain.
    pub file: FileRef,
    /// The images below, nearest first.
    pub parents: Vec<FileRef>,
    /// Size that the guest sees.
    pub capacity_bytes: u64,
    /// Whether snapshots leave it alone (`independent_persistent`).
    pub independent: bool,
    /// Takes room as it is written.
    pub thin: bool,
    /// Zeroed when made.
    pub eager_zero: bool,
    /// Identity that the guest may see.
    pub uuid: Uuid,
}

/// A CD-ROM drive.
#[derive(Debug, Clone, PartialEq)]
pub struct Cdrom {
    /// What is in it.
    pub medium: Medium,
}

/// What is in a CD-ROM drive.
#[derive(Debug, Clone, PartialEq)]
pub enum Medium {
    /// An image on a datastore.
    Iso(FileRef),
    /// A drive of the client's machine, which is never connected here.
    Client { device: String, atapi: bool },
    /// A drive of the host, which is never connected here.
    HostDrive { device: String },
}

/// A network adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct Nic {
    pub model: NicModel,
    /// Lower case, with colons.
    pub mac: String,
    pub address: AddressType,
    /// Name of the network.
    pub network: String,
    pub wake_on_lan: bool,
}

/// Who chose a MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressType {
    Manual,
    Generated,
    Assigned,
}

impl AddressType {
    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Generated => "generated",
            Self::Assigned => "assigned",
        }
    }
}

/// Models of network adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicModel {
    E1000,
    E1000e,
    Vmxnet3,
}

/// A serial port.
#[derive(Debug, Clone, PartialEq)]
pub struct Serial {
    pub backing: SerialBacking,
    pub yield_on_poll: bool,
}

/// Where a serial port leads. Its console is a unix socket in the runtime directory in every case.
#[derive(Debug, Clone, PartialEq)]
pub enum SerialBacking {
    /// A named pipe of the host; kept as a name, the console is the socket.
    Pipe { name: String, endpoint: String, no_rx_loss: bool },
    /// The output is appended to a file.
    File(FileRef),
}

impl Device {
    /// Bus number of a controller.
    pub fn bus(&self) -> Option<i32> {
        match self.kind {
            Kind::Ide { bus }
            | Kind::Scsi { bus, .. }
            | Kind::Sata { bus }
            | Kind::Nvme { bus }
            | Kind::Xhci { bus } => Some(bus),
            Kind::Pci | Kind::Ps2 | Kind::Sio => Some(0),
            _ => None,
        }
    }

    pub fn disk(&self) -> Option<&Disk> {
        match &self.kind {
            Kind::Disk(disk) => Some(disk),
            _ => None,
        }
    }

    pub fn disk_mut(&mut self) -> Option<&mut Disk> {
        match &mut self.kind {
            Kind::Disk(disk) => Some(disk),
            _ => None,
        }
    }

    pub fn nic(&self) -> Option<&Nic> {
        match &self.kind {
            Kind::Nic(nic) => Some(nic),
            _ => None,
        }
    }

    pub fn cdrom(&self) -> Option<&Cdrom> {
        match &self.kind {
            Kind::Cdrom(cdrom) => Some(cdrom),
            _ => None,
        }
    }
}
