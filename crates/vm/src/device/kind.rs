//! The table of all kinds of device, and what each kind says of itself.

use vim::{Fault, Object, ty, vim};

use super::draft::{Change, Draft};
use super::keys::Keys;
use super::parts::Parts;
use super::{
    Bus, Cdrom, Connect, Device, Devices, Disk, Ide, Keyboard, Nic, Nvme, Pci, Pointer, Ps2, Sata, Scsi,
    Serial, Sio, Sound, Unusable, Video, Vmci, Xhci,
};
use crate::file::FileRef;
use crate::names::Names;
use crate::storage::Storage;
use crate::text::{ReadError, Source, Wanted};

/// A `.vmx` that is being read.
pub(crate) struct Reading<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) storage: &'a dyn Storage,
    /// The `.vmx`.
    pub(crate) home: &'a FileRef,
    /// The devices that were found. Kinds are read in the order of the table.
    pub(crate) devices: Devices,
}

impl Reading<'_> {
    pub(crate) fn insert(&mut self, device: Device) {
        self.devices.insert(device.key, device);
    }

    /// Whether the device with these keys is connected.
    pub(super) fn connect(&mut self, prefix: &str) -> Result<Connect, ReadError> {
        let at_start = self.source.flag(&format!("{prefix}.startConnected"))?.unwrap_or(true);
        Ok(Connect { at_start, ..Connect::default() })
    }
}

/// A `.vmx` that is being written.
pub(crate) struct Writing<'a> {
    pub(crate) devices: &'a Devices,
    /// The `.vmx`.
    pub(crate) home: &'a FileRef,
    pub(crate) wanted: Wanted,
}

/// A device that is being shown.
pub(crate) struct Shown<'a> {
    pub(crate) devices: &'a Devices,
    pub(crate) device: &'a Device,
    pub(crate) names: &'a Names<'a>,
}

impl Shown<'_> {
    pub(super) fn info(&self) -> ty!(Description) {
        let (label, summary) = self.device.kind.label(self);
        vim!(Description { label: label, summary: summary })
    }

    /// Number of the device among those of its kind, from 1.
    pub(super) fn nth(&self, is: fn(&Kind) -> bool) -> usize {
        let like = self.devices.values().filter(|other| is(&other.kind));
        like.take_while(|other| other.key <= self.device.key).count()
    }

    /// Keys of the devices on this controller.
    pub(super) fn attached(&self) -> Vec<i32> {
        super::attached_to(self.devices, self.device.key).map(|device| device.key).collect()
    }

    pub(super) fn connectable(&self) -> Option<ty!(VirtualDeviceConnectInfo)> {
        self.device.connect.map(|connect| {
            vim!(VirtualDeviceConnectInfo {
                startConnected: connect.at_start,
                allowGuestControl: connect.guest_control,
                connected: connect.now,
                status: if connect.now { "ok" } else { "untried" },
                migrateConnect: "unset",
            })
        })
    }
}

/// A `VirtualDevice` with the fields that all devices have.
macro_rules! shown {
    ($at:expr, $ty:ident { $($more:tt)* }) => {
        vim::vim!($ty {
            key: $at.device.key,
            deviceInfo: $at.info(),
            controllerKey: $at.device.controller,
            unitNumber: $at.device.unit,
            $($more)*
        })
        .into()
    };
}
pub(super) use shown;

/// The part of [`DeviceKind`] of a device that every VM has and that has no settings.
macro_rules! fixed {
    ($ty:literal, $device:expr) => {
        const BUILT_IN: bool = true;

        fn built_in() -> Vec<Device> {
            vec![$device]
        }

        fn is(asked: &Object) -> bool {
            asked.type_name() == $ty
        }

        fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
            draft.stands_for(change, $device.key).map(drop)
        }

        fn edit(_draft: &mut Draft<'_>, _change: &Change<'_>, _device: Device) -> Result<(), Fault> {
            Ok(())
        }
    };
}
pub(super) use fixed;

/// `VirtualDeviceOption` of a type that can be attached to a controller. `hot` means while the VM runs.
pub(super) fn option(ty: &'static str, controller: Option<&'static str>, hot: bool) -> Object {
    vim!(VirtualDeviceOption {
        type: ty,
        controllerType: controller,
        deprecated: false,
        plugAndPlay: hot,
        hotRemoveSupported: hot,
    })
    .into()
}

/// The row of a kind of device.
pub(crate) trait DeviceKind: Sized {
    /// The keys of a `.vmx` that stand for fields of these devices: all that `read` takes.
    const KEYS: &'static [Keys] = &[];

    /// Every VM has the devices of this kind; nobody can add or remove one.
    const BUILT_IN: bool = false;

    /// The devices of this kind that every VM has.
    fn built_in() -> Vec<Device> {
        Vec::new()
    }

    /// Whether a `VirtualDevice` of a specification is of this kind.
    fn is(asked: &Object) -> bool;

    /// Adds the device that a specification asks for.
    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault>;

    /// Changes `device`, which is of this kind, as a specification asks.
    fn edit(draft: &mut Draft<'_>, change: &Change<'_>, device: Device) -> Result<(), Fault>;

    /// Prepares the removal of `device`, which the caller then takes out of the configuration.
    fn remove(draft: &mut Draft<'_>, _change: &Change<'_>, _device: &Device) -> Result<(), Fault> {
        draft.need_off("The devices on a bus that is not hot-pluggable")
    }

    /// Bus number of a controller.
    fn bus(&self) -> Option<i32> {
        None
    }

    /// Bus of a controller for drives, and how many units it has.
    fn units(&self) -> Option<(Bus, i32)> {
        None
    }

    /// Label and summary for people, as vSphere words them.
    fn label(&self, at: &Shown<'_>) -> (String, String);

    /// The `VirtualDevice`.
    fn show(&self, at: &Shown<'_>) -> Object;

    /// A `VirtualDeviceOption` for each type that can be added.
    fn options() -> Vec<Object> {
        Vec::new()
    }

    /// The part of the device's keys before the first dot: `ethernet0`.
    fn prefix(&self, _device: &Device, _devices: &Devices) -> Option<String> {
        None
    }

    /// Reads the devices of this kind from a `.vmx`. One that cannot be read is an [`Unusable`] device.
    fn read(_from: &mut Reading<'_>) {}

    /// Writes a device to a `.vmx`.
    fn write(&self, _device: &Device, _to: &mut Writing<'_>) {}

    /// Adds a device to the specification of a QEMU process.
    ///
    /// # Errors
    /// If QEMU has no such device, or a file of it cannot be given to the process.
    fn build(&self, _device: &Device, _parts: &mut Parts<'_>) -> qemu::Result<()> {
        Ok(())
    }
}

/// A row of the table.
pub(crate) struct Row {
    pub(crate) is_built_in: bool,
    pub(crate) built_in: fn() -> Vec<Device>,
    pub(crate) is: fn(&Object) -> bool,
    pub(crate) has: fn(&Kind) -> bool,
    pub(crate) add: fn(&mut Draft<'_>, &Change<'_>) -> Result<(), Fault>,
    pub(crate) edit: fn(&mut Draft<'_>, &Change<'_>, Device) -> Result<(), Fault>,
    pub(crate) remove: fn(&mut Draft<'_>, &Change<'_>, &Device) -> Result<(), Fault>,
    pub(crate) options: fn() -> Vec<Object>,
    pub(crate) keys: &'static [Keys],
    pub(crate) read: fn(&mut Reading<'_>),
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident),+ $(,)?) => {
        /// The kind of a device.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Kind {
            $($(#[$doc])* $kind($kind),)+
        }

        $(impl From<$kind> for Kind {
            fn from(kind: $kind) -> Self {
                Self::$kind(kind)
            }
        })+

        /// All kinds, in the order in which they are read and written.
        pub(crate) const TABLE: &[Row] = &[$(Row {
            is_built_in: <$kind as DeviceKind>::BUILT_IN,
            built_in: $kind::built_in,
            is: $kind::is,
            has: |kind| matches!(kind, Kind::$kind(_)),
            add: $kind::add,
            edit: $kind::edit,
            remove: $kind::remove,
            options: $kind::options,
            keys: <$kind as DeviceKind>::KEYS,
            read: $kind::read,
        }),+];

        impl Kind {
            /// Bus number of a controller.
            pub(crate) fn bus(&self) -> Option<i32> {
                match self { $(Self::$kind(kind) => kind.bus()),+ }
            }

            /// Bus of a controller for drives, and how many units it has.
            pub(crate) fn units(&self) -> Option<(Bus, i32)> {
                match self { $(Self::$kind(kind) => kind.units()),+ }
            }

            fn label(&self, at: &Shown<'_>) -> (String, String) {
                match self { $(Self::$kind(kind) => kind.label(at)),+ }
            }

            /// The `VirtualDevice`.
            pub(crate) fn show(&self, at: &Shown<'_>) -> Object {
                match self { $(Self::$kind(kind) => kind.show(at)),+ }
            }

            /// The part of the device's keys before the first dot.
            pub(crate) fn prefix(&self, device: &Device, devices: &Devices) -> Option<String> {
                match self { $(Self::$kind(kind) => kind.prefix(device, devices)),+ }
            }

            /// Writes the device to a `.vmx`.
            pub(crate) fn write(&self, device: &Device, to: &mut Writing<'_>) {
                match self { $(Self::$kind(kind) => kind.write(device, to)),+ }
            }

            /// Adds the device to the specification of a QEMU process.
            ///
            /// # Errors
            /// If QEMU has no such device, or a file of it cannot be given to the process.
            pub(crate) fn build(&self, device: &Device, parts: &mut Parts<'_>) -> qemu::Result<()> {
                match self { $(Self::$kind(kind) => kind.build(device, parts)),+ }
            }
        }
    };
}

// Controllers come before the drives that are attached to them.
kinds! {
    /// PCI bus.
    Pci,
    /// IDE channel.
    Ide,
    /// Controller of keyboard and mouse.
    Ps2,
    /// Super I/O, which has the serial ports.
    Sio,
    /// Display adapter.
    Video,
    /// Keyboard.
    Keyboard,
    /// Mouse.
    Pointer,
    /// VM communication interface.
    Vmci,
    /// SCSI controller.
    Scsi,
    /// AHCI controller.
    Sata,
    /// NVMe controller.
    Nvme,
    /// USB 3 controller.
    Xhci,
    /// Hard disk.
    Disk,
    /// CD-ROM drive.
    Cdrom,
    /// Network adapter.
    Nic,
    /// Serial port.
    Serial,
    /// HD audio card.
    Sound,
    /// A device that this host cannot give to a VM.
    Unusable,
}
