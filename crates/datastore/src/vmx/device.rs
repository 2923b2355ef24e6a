//! The devices of a `.vmx` file: where they are attached and what is behind them.

use std::fmt;
use std::str::FromStr;

/// Keys of a device that have no field here, without the device's prefix, with their values and in their order.
pub type OtherKeys = Vec<(String, String)>;

/// Kind of a disk controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bus {
    /// `ideN`
    Ide,
    /// `scsiN`
    Scsi,
    /// `sataN`
    Sata,
    /// `nvmeN`
    Nvme,
}

impl Bus {
    /// All of them.
    pub const ALL: [Bus; 4] = [Bus::Ide, Bus::Scsi, Bus::Sata, Bus::Nvme];

    /// What keys begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Bus::Ide => "ide",
            Bus::Scsi => "scsi",
            Bus::Sata => "sata",
            Bus::Nvme => "nvme",
        }
    }

    /// How many controllers of this kind a machine can have.
    pub fn controllers(self) -> u8 {
        if self == Bus::Ide { 2 } else { 4 }
    }

    /// How many devices one controller can have.
    pub fn units(self) -> u8 {
        match self {
            Bus::Ide => 2,
            Bus::Scsi | Bus::Nvme => 64,
            Bus::Sata => 30,
        }
    }
}

/// Place of a disk or CD-ROM drive: `scsi0:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Kind of the controller.
    pub bus: Bus,
    /// Number of the controller.
    pub controller: u8,
    /// Place at the controller.
    pub unit: u8,
}

impl Slot {
    /// A place, if it exists.
    pub fn new(bus: Bus, controller: u8, unit: u8) -> Option<Self> {
        (controller < bus.controllers() && unit < bus.units()).then_some(Self { bus, controller, unit })
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:{}", self.bus.prefix(), self.controller, self.unit)
    }
}

impl FromStr for Slot {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bus = Bus::ALL.into_iter().find(|bus| text.starts_with(bus.prefix())).ok_or(())?;
        let (controller, unit) = text[bus.prefix().len()..].split_once(':').ok_or(())?;
        let number = |text: &str| text.parse::<u8>().ok().filter(|n| n.to_string() == text).ok_or(());
        Slot::new(bus, number(controller)?, number(unit)?).ok_or(())
    }
}

/// Implements the text of an enum that stands for fixed words; reading ignores case.
macro_rules! words {
    ($type:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The one with this word, whatever its case.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str().eq_ignore_ascii_case(word))
            }
        }
    };
}
pub(super) use words;

/// Model of a SCSI controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScsiModel {
    /// BusLogic parallel.
    BusLogic,
    /// LSI Logic parallel.
    LsiLogic,
    /// LSI Logic SAS.
    LsiSas1068,
    /// VMware paravirtual.
    ParaVirtual,
}
words!(ScsiModel {
    BusLogic => "buslogic",
    LsiLogic => "lsilogic",
    LsiSas1068 => "lsisas1068",
    ParaVirtual => "pvscsi",
});

/// A disk controller. IDE controllers always exist and are listed only if the file names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its kind.
    pub bus: Bus,
    /// Its number.
    pub number: u8,
    /// `virtualDev`, for SCSI.
    pub model: Option<ScsiModel>,
    /// Keys without a field.
    pub other: OtherKeys,
}

/// How a disk's writes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DiskMode {
    /// Written at once, part of snapshots.
    #[default]
    Persistent,
    /// Forgotten at power-off, part of snapshots.
    Nonpersistent,
    /// Written at once, not part of snapshots.
    IndependentPersistent,
    /// Forgotten at power-off, not part of snapshots.
    IndependentNonpersistent,
    /// Kept or forgotten at power-off as the user says (old products).
    Undoable,
    /// Written at power-off if the user says so (old products).
    Append,
}
words!(DiskMode {
    Persistent => "persistent",
    Nonpersistent => "nonpersistent",
    IndependentPersistent => "independent-persistent",
    IndependentNonpersistent => "independent-nonpersistent",
    Undoable => "undoable",
    Append => "append",
});

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where it is attached.
    pub slot: Slot,
    /// Its file: a name in the machine's directory, or a path under `/vmfs/volumes`.
    pub file_name: String,
    /// How its writes are kept.
    pub mode: DiskMode,
    /// Keys without a field.
    pub other: OtherKeys,
}

/// What is behind a CD-ROM or floppy drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// An image file.
    Image(String),
    /// A drive of the host.
    Host(String),
    /// The drive of whoever opens the console; empty until then.
    Client,
}

/// A CD-ROM drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cdrom {
    /// Where it is attached.
    pub slot: Slot,
    /// What is in it.
    pub backing: Backing,
    /// Whether it is connected at power-on.
    pub start_connected: bool,
    /// Keys without a field.
    pub other: OtherKeys,
}

/// A floppy drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floppy {
    /// 0 or 1.
    pub number: u8,
    /// What is in it.
    pub backing: Backing,
    /// Whether it is connected at power-on.
    pub start_connected: bool,
    /// Keys without a field.
    pub other: OtherKeys,
}

/// What is behind a serial port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SerialBacking {
    /// A file that takes the output.
    File(String),
    /// A named pipe.
    Pipe(String),
    /// A serial port of the host.
    Device(String),
    /// A network connection.
    Network {
        /// `telnet://:2001` and the like.
        uri: String,
        /// Whether the machine waits for connections, or makes one.
        server: bool,
    },
    /// Printing through the host (old products).
    ThinPrint,
}

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial {
    /// From 0.
    pub number: u8,
    /// What it is connected to.
    pub backing: SerialBacking,
    /// Whether it is connected at power-on.
    pub start_connected: bool,
    /// `yieldOnMsrRead`: gives up its time slice when polled.
    pub yield_on_poll: bool,
    /// Keys without a field.
    pub other: OtherKeys,
}

/// Model of a network adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NicModel {
    /// AMD PCnet32.
    Vlance,
    /// First VMware paravirtual adapter; with `features = "15"` the second.
    Vmxnet,
    /// Third VMware paravirtual adapter.
    Vmxnet3,
    /// Intel 82545.
    E1000,
    /// Intel 82574.
    E1000e,
}
words!(NicModel {
    Vlance => "vlance",
    Vmxnet => "vmxnet",
    Vmxnet3 => "vmxnet3",
    E1000 => "e1000",
    E1000e => "e1000e",
});

/// Who chose a MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AddressType {
    /// The host.
    #[default]
    Generated,
    /// The user.
    Static,
    /// The center.
    Vpx,
}
words!(AddressType {
    Generated => "generated",
    Static => "static",
    Vpx => "vpx",
});

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

/// A port of a distributed switch, as the center gave it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DvsPort {
    /// UUID of the switch, in VMware's spelling.
    pub switch_id: String,
    /// Port.
    pub port_id: String,
    /// Port group.
    pub portgroup_id: String,
    /// Number of the connection.
    pub connection_id: String,
}

/// A network adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// From 0.
    pub number: u8,
    /// `virtualDev`; `None` leaves the choice to the product.
    pub model: Option<NicModel>,
    /// `networkName`: port group of a standard switch.
    pub network: Option<String>,
    /// Port of a distributed switch.
    pub dvs: Option<DvsPort>,
    /// Who chose the address.
    pub address_type: AddressType,
    /// The address; `None` until one is generated.
    pub mac: Option<MacAddress>,
    /// `connectionType` (`bridged`, `nat`, `custom`…), of desktop products.
    pub connection_type: Option<String>,
    /// Whether it is connected at power-on.
    pub start_connected: bool,
    /// Keys without a field.
    pub other: OtherKeys,
}
