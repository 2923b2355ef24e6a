//! The specification of a QEMU process in plain types. [`crate::cmdline`] turns it into a command line, and the launch
//! record keeps it, so that a daemon that adopts the process knows how it was started.

use crate::{Error, Result, limits};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::PathBuf;

/// A QEMU process to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// Display name; any text without control characters.
    pub name: String,
    /// SMBIOS UUID in its usual text form.
    pub uuid: String,
    /// Memory at power-on, MiB.
    pub memory_mib: u64,
    /// Ceiling for memory added while running, MiB; `None` or the same as `memory_mib` for no hot-add.
    pub max_memory_mib: Option<u64>,
    /// Processors.
    pub cpu: Cpu,
    /// KVM or emulation; see [`crate::accel`].
    pub accel: Accel,
    /// BIOS or EFI.
    pub firmware: Firmware,
    /// Start a kernel directly instead of booting from a device.
    pub direct_boot: Option<DirectBoot>,
    /// SCSI, SATA and NVMe controllers. An IDE controller is there when a drive needs it.
    pub controllers: Vec<Controller>,
    /// Disks.
    pub disks: Vec<Disk>,
    /// CD-ROM drives.
    pub cdroms: Vec<Cdrom>,
    /// Network adapters.
    pub nics: Vec<Nic>,
    /// A serial port on a unix socket.
    pub serial: Option<SerialPort>,
    /// The channel of the guest agent.
    pub guest_agent: bool,
    /// A VNC server on a unix socket.
    pub vnc: bool,
    /// A USB tablet, so that the pointer of the remote console follows.
    pub tablet: bool,
    /// A memory balloon.
    pub balloon: bool,
    /// A source of random numbers.
    pub rng: bool,
    /// The display adapter.
    pub video: Video,
    /// The sound card.
    #[serde(default)]
    pub sound: Option<Sound>,
    /// Root ports kept free for disks and NICs added while running.
    pub spare_ports: u8,
    /// User and cgroup of the process.
    pub confinement: Confinement,
}

impl MachineSpec {
    /// A process with nothing attached: one processor, BIOS, no display, confined to nothing.
    #[must_use]
    pub fn new(name: impl Into<String>, uuid: impl Into<String>, memory_mib: u64) -> Self {
        MachineSpec {
            name: name.into(),
            uuid: uuid.into(),
            memory_mib,
            max_memory_mib: None,
            cpu: Cpu::default(),
            accel: Accel::Tcg,
            firmware: Firmware::Bios,
            direct_boot: None,
            controllers: Vec::new(),
            disks: Vec::new(),
            cdroms: Vec::new(),
            nics: Vec::new(),
            serial: None,
            guest_agent: false,
            vnc: false,
            tablet: false,
            balloon: false,
            rng: false,
            video: Video::None,
            sound: None,
            spare_ports: 4,
            confinement: Confinement::default(),
        }
    }

    /// Refuses what no QEMU could be started with: bad ids, duplicate ids or places, missing controllers.
    pub fn validate(&self) -> Result<()> {
        let fail = |reason: String| Err(Error::Spec(reason));
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return fail("the name is empty or has control characters".into());
        }
        if !is_uuid(&self.uuid) {
            return fail(format!("{:?} is not a UUID", self.uuid));
        }
        if self.memory_mib == 0 || self.max_memory_mib.is_some_and(|max| max < self.memory_mib) {
            return fail("memory is zero, or above its own ceiling".into());
        }
        self.cpu.validate()?;
        let mut ids = HashSet::new();
        let devices = self.disks.iter().map(|d| &d.id).chain(self.cdroms.iter().map(|c| &c.id));
        for id in devices.chain(self.nics.iter().map(|n| &n.id)) {
            check_id(id)?;
            if !ids.insert(id) {
                return fail(format!("two devices are called {id}"));
            }
        }
        let mut controllers = HashSet::new();
        for controller in &self.controllers {
            if controller.index > 3 || !controllers.insert((controller.kind.family(), controller.index)) {
                return fail(format!("controller {controller:?} is out of range or there twice"));
            }
        }
        let mut places = HashSet::new();
        let drives = self.disks.iter().map(|d| (&d.id, d.attach));
        for (id, attach) in drives.chain(self.cdroms.iter().map(|c| (&c.id, c.attach))) {
            self.check_attachment(id, attach)?;
            if attach != Attachment::VirtioBlk && !places.insert(attach) {
                return fail(format!("{id} takes a place that is already taken: {attach:?}"));
            }
        }
        if self.cdroms.iter().any(|c| matches!(c.attach, Attachment::VirtioBlk | Attachment::Nvme { .. })) {
            return fail("a CD-ROM needs IDE, SATA or SCSI".into());
        }
        for nic in &self.nics {
            check_mac(&nic.mac)?;
        }
        Ok(())
    }

    fn check_attachment(&self, id: &str, attach: Attachment) -> Result<()> {
        let has =
            |family, index| self.controllers.iter().any(|c| c.kind.family() == family && c.index == index);
        let ok = match attach {
            Attachment::Ide { port } => port < 4,
            Attachment::Sata { controller, port } => port < 6 && has(Family::Sata, controller),
            Attachment::Scsi { controller, target } => target < 64 && has(Family::Scsi, controller),
            Attachment::Nvme { controller, namespace } => {
                (1..=256).contains(&namespace) && has(Family::Nvme, controller)
            }
            Attachment::VirtioBlk => true,
        };
        if ok { Ok(()) } else { Err(Error::Spec(format!("{id}: no such place as {attach:?}"))) }
    }

    pub(crate) fn scsi_model(&self, index: u8) -> Option<ScsiModel> {
        self.controllers.iter().find_map(|c| match c.kind {
            ControllerKind::Scsi(model) if c.index == index => Some(model),
            _ => None,
        })
    }
}

/// Processors of a guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Processors at power-on.
    pub count: u32,
    /// Cores that share a socket; divides `count`.
    pub cores_per_socket: u32,
    /// Ceiling for processors added while running, a multiple of `cores_per_socket`; `None` or the same as `count` for
    /// no hot-add.
    #[serde(default)]
    pub max_count: Option<u32>,
    /// QEMU CPU model; `None` for the host's own under KVM and the fullest one under emulation.
    pub model: Option<String>,
}

impl Default for Cpu {
    fn default() -> Self {
        Cpu { count: 1, cores_per_socket: 1, max_count: None, model: None }
    }
}

impl Cpu {
    fn validate(&self) -> Result<()> {
        let most = self.max_count.unwrap_or(self.count);
        let fits = self.cores_per_socket > 0
            && self.count > 0
            && most >= self.count
            && self.count.is_multiple_of(self.cores_per_socket)
            && most.is_multiple_of(self.cores_per_socket);
        if !fits || most > 255 {
            return Err(Error::Spec(format!(
                "{} processors with {} cores per socket",
                self.count, self.cores_per_socket
            )));
        }
        match &self.model {
            Some(m) if !m.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+,=".contains(c)) => {
                Err(Error::Spec(format!("CPU model {m:?}")))
            }
            _ => Ok(()),
        }
    }
}

/// Runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accel {
    /// The processor itself.
    Kvm,
    /// Emulation.
    Tcg,
}

/// BIOS or EFI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Efi {
        /// Its code, shared and read-only.
        code: PathBuf,
        /// The VM's own variables, writable.
        vars: PathBuf,
        /// Whether only signed software may start; needs a code image made for it.
        secure_boot: bool,
    },
}

/// A kernel to start without a boot loader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DirectBoot {
    /// Kernel image.
    pub kernel: PathBuf,
    /// Initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// Kernel command line.
    pub cmdline: String,
}

/// A disk controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// Number among its family, 0 to 3.
    pub index: u8,
    /// Its kind.
    pub kind: ControllerKind,
}

/// Kinds of disk controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControllerKind {
    /// AHCI, six ports.
    Sata,
    /// NVM Express.
    Nvme,
    /// One of the SCSI controllers.
    Scsi(ScsiModel),
}

/// Models of SCSI controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScsiModel {
    /// LSI 53C895A, parallel SCSI.
    LsiLogic,
    /// LSI SAS 1068.
    LsiLogicSas,
    /// VMware paravirtual SCSI.
    Pvscsi,
    /// virtio SCSI.
    Virtio,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    Sata,
    Nvme,
    Scsi,
}

impl ControllerKind {
    pub(crate) fn family(self) -> Family {
        match self {
            ControllerKind::Sata => Family::Sata,
            ControllerKind::Nvme => Family::Nvme,
            ControllerKind::Scsi(_) => Family::Scsi,
        }
    }
}

/// Where a drive is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Attachment {
    /// The IDE controller.
    Ide {
        /// 2 × channel + unit, 0 to 3.
        port: u8,
    },
    /// A port of a SATA controller.
    Sata {
        /// Controller index.
        controller: u8,
        /// Port, 0 to 5.
        port: u8,
    },
    /// A target of a SCSI controller.
    Scsi {
        /// Controller index.
        controller: u8,
        /// Target.
        target: u8,
    },
    /// A namespace of an NVMe controller.
    Nvme {
        /// Controller index.
        controller: u8,
        /// Namespace, from 1.
        namespace: u16,
    },
    /// A virtio disk with a root port of its own.
    VirtioBlk,
}

/// Format of a disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// QEMU's own: thin, with snapshots and dirty bitmaps.
    Qcow2,
    /// The bytes themselves.
    Raw,
}

impl ImageFormat {
    /// QEMU's name of the driver.
    #[must_use]
    pub fn driver(self) -> &'static str {
        match self {
            ImageFormat::Qcow2 => "qcow2",
            ImageFormat::Raw => "raw",
        }
    }
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// Device id: letters, digits, `-` and `_`, at most 24. Stays the same over snapshots.
    pub id: String,
    /// Image file; the newest one of a chain.
    pub path: PathBuf,
    /// Its format.
    pub format: ImageFormat,
    /// Where it is attached.
    pub attach: Attachment,
    /// Whether the guest may not write.
    pub read_only: bool,
    /// Place in the boot order, lowest first.
    pub boot_index: Option<u32>,
    /// Serial number that the guest sees.
    pub serial: Option<String>,
}

/// A CD-ROM drive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cdrom {
    /// Device id, as for disks.
    pub id: String,
    /// Where it is attached: IDE, SATA or SCSI.
    pub attach: Attachment,
    /// The disc in it.
    pub iso: Option<PathBuf>,
    /// Place in the boot order, lowest first.
    pub boot_index: Option<u32>,
}

/// A network adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nic {
    /// Device id, as for disks.
    pub id: String,
    /// Its model, as the guest sees it.
    pub model: NicModel,
    /// MAC address, six hexadecimal pairs with colons.
    pub mac: String,
    /// The other end of its cable.
    pub backend: NicBackend,
    /// Whether the cable is plugged in.
    pub link_up: bool,
    /// Place in the boot order, lowest first.
    pub boot_index: Option<u32>,
    /// Root port, so that the guest finds it at the same address again; `None` for the first free one.
    pub port: Option<u8>,
}

/// Models of network adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NicModel {
    /// Intel 82540EM.
    E1000,
    /// Intel 82574L.
    E1000e,
    /// VMware paravirtual.
    Vmxnet3,
    /// virtio.
    Virtio,
}

/// The other end of a network adapter's cable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NicBackend {
    /// A tap device that exists in the network namespace of the caller, who opens it for the process.
    Tap {
        /// Interface name.
        ifname: String,
    },
    /// An open tap, handed over as a descriptor under the id of the NIC.
    TapDescriptor,
    /// Nothing.
    Unplugged,
    /// User-mode NAT of QEMU itself, for development.
    User,
}

/// A serial port on a unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SerialPort {
    /// File that receives everything the guest writes, without a limit: for trusted guests and short times.
    pub log: Option<PathBuf>,
}

/// A sound card of Intel HD audio. Nobody hears it: QEMU discards the sound at the pace at which a card would play it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// Whether the card has an output.
    pub connected: bool,
}

/// The display adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Video {
    /// None.
    None,
    /// Standard VGA.
    Vga {
        /// Video memory, MiB; a power of two.
        memory_mib: u32,
    },
    /// VMware SVGA II.
    Vmware,
    /// virtio.
    Virtio,
}

/// User and cgroup of the process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// User and group to run as; `None` keeps those of the caller. The files of the VM must be theirs.
    pub user: Option<User>,
    /// Further groups of the process, if it has a user of its own.
    #[serde(default)]
    pub groups: Vec<u32>,
    /// Directory of a cgroup (version 2) to join, if it is there and writable.
    pub cgroup: Option<PathBuf>,
    /// `oom_score_adj` of the process.
    pub oom_score_adj: Option<i16>,
}

/// A user and its group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

pub(crate) fn check_id(id: &str) -> Result<()> {
    let ok = id.len() <= 24
        && id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    // Ids that the builder gives to its own devices.
    let numbered = ["rp", "ide", "sata", "scsi", "nvme", "dimm"].iter().any(|own| {
        id.strip_prefix(own).is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
    });
    let taken = numbered || ["usb", "vserial", "balloon0", "sound"].contains(&id);
    if ok && !taken { Ok(()) } else { Err(Error::Spec(format!("{id:?} cannot be a device id"))) }
}

pub(crate) fn check_mac(mac: &str) -> Result<()> {
    let pairs: Vec<&str> = mac.split(':').collect();
    let hex = |p: &&str| p.len() == 2 && p.chars().all(|c| c.is_ascii_hexdigit());
    if pairs.len() == 6 && pairs.iter().all(hex) {
        Ok(())
    } else {
        Err(Error::Spec(format!("{mac:?} is not a MAC address")))
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(i, c)| match i {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// Ports that the spec needs, spares included.
pub(crate) fn port_count(spec: &MachineSpec) -> Result<u8> {
    let virtio = spec.disks.iter().filter(|d| d.attach == Attachment::VirtioBlk).count();
    let fixed = spec.nics.iter().filter_map(|n| n.port).max().map_or(0, |highest| usize::from(highest) + 1);
    let wanted = fixed.max(virtio + spec.nics.len()) + usize::from(spec.spare_ports);
    u8::try_from(wanted).ok().filter(|count| *count <= limits::MAX_ROOT_PORTS).ok_or_else(|| {
        Error::Spec(format!("{wanted} root ports are out of range (0–{})", limits::MAX_ROOT_PORTS))
    })
}
