//! The display adapter, which every VM has.

use vim::{Fault, Object, field};

use super::draft::{Change, Draft};
use super::faults::invalid;
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Reading, Shown, Writing, shown};
use super::parts::Parts;
use super::{Device, Kind, key};

const MEMORY: &str = "svga.vramSize";
const AUTO: &str = "svga.autodetect";
const DISPLAYS: &str = "svga.numDisplays";

/// Display adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Video {
    /// Video memory, KiB.
    pub memory_kib: i64,
    /// Displays.
    pub displays: i32,
    /// The host chooses the memory.
    pub auto: bool,
}

impl Default for Video {
    fn default() -> Self {
        Self { memory_kib: 16 * 1024, displays: 1, auto: false }
    }
}

impl Video {
    fn device(self) -> Device {
        Device::new(key::VIDEO, Some((key::PCI, 0)), self)
    }
}

impl DeviceKind for Video {
    const KEYS: &'static [Keys] =
        &[Keys { prefix: Prefix::Word("svga"), names: &["vramSize", "autodetect", "numDisplays"] }];
    const BUILT_IN: bool = true;

    fn built_in() -> Vec<Device> {
        vec![Self::default().device()]
    }

    fn is(asked: &Object) -> bool {
        asked.type_name() == "VirtualMachineVideoCard"
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        let device = draft.stands_for(change, key::VIDEO)?;
        Self::edit(draft, change, device)
    }

    fn edit(draft: &mut Draft<'_>, change: &Change<'_>, device: Device) -> Result<(), Fault> {
        let Kind::Video(before) = device.kind else { return Ok(()) };
        let wanted = change.device;
        let video = Self {
            memory_kib: wanted
                .get(field!(VirtualMachineVideoCard.videoRamSizeInKB))
                .filter(|kib| *kib > 0)
                .unwrap_or(before.memory_kib),
            displays: wanted
                .get(field!(VirtualMachineVideoCard.numDisplays))
                .filter(|count| *count > 0)
                .unwrap_or(before.displays),
            auto: wanted.get(field!(VirtualMachineVideoCard.useAutoDetect)).unwrap_or(before.auto),
        };
        if video.memory_kib > 256 * 1024 {
            let message = "A display adapter has at most 256 MB of memory";
            return Err(invalid(change.index, "device.videoRamSizeInKB", message));
        }
        if video.displays != 1 {
            return Err(invalid(change.index, "device.numDisplays", "A VM has one display"));
        }
        draft.devices.insert(device.key, video.device());
        if video != before { draft.need_off("The display adapter") } else { Ok(()) }
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        ("Video card".into(), "Video card".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(
            at,
            VirtualMachineVideoCard {
                videoRamSizeInKB: self.memory_kib,
                numDisplays: self.displays,
                useAutoDetect: self.auto,
                enable3DSupport: false,
                use3dRenderer: "automatic",
            }
        )
    }

    fn read(from: &mut Reading<'_>) {
        let default = Self::default();
        let bytes: Option<i64> = from.source.parsed(MEMORY);
        let video = Self {
            memory_kib: bytes.map_or(default.memory_kib, |bytes| bytes / 1024),
            displays: from.source.parsed(DISPLAYS).unwrap_or(default.displays),
            auto: from.source.is_true(AUTO).unwrap_or(default.auto),
        };
        from.insert(video.device());
    }

    fn write(&self, _device: &Device, to: &mut Writing<'_>) {
        to.wanted.put(MEMORY, (self.memory_kib * 1024).to_string());
        to.wanted.flag_unless(AUTO, self.auto, false);
        if self.displays != 1 {
            to.wanted.put(DISPLAYS, self.displays.to_string());
        }
    }

    fn build(&self, _device: &Device, parts: &mut Parts<'_>) -> qemu::Result<()> {
        let mib = u32::try_from(self.memory_kib / 1024).unwrap_or(16).clamp(16, 256);
        parts.spec.video = qemu::spec::Video::Vga { memory_mib: mib.next_power_of_two() };
        Ok(())
    }
}
