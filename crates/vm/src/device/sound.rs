//! The HD audio card. A host has no speakers: QEMU discards the sound, at the pace at which a card would play it.

use vim::{Fault, Object, field, vim};

use super::backing::{flag, text};
use super::draft::{Change, Draft, connect, same_kind};
use super::faults::{backing, invalid};
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Reading, Shown, Writing, option, shown};
use super::parts::Parts;
use super::{Connect, Device, key};

/// Place on the PCI bus.
const UNIT: i32 = 18;
const PREFIX: &str = "sound";
const MODEL: &str = "sound.virtualDev";
const HD_AUDIO: &str = "hdaudio";
const AT_START: &str = "sound.startConnected";

/// HD audio card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sound;

impl Sound {
    fn device(self, connect: Connect) -> Device {
        let mut device = Device::new(key::SOUND, Some((key::PCI, UNIT)), self);
        device.connect = Some(connect);
        device
    }
}

impl DeviceKind for Sound {
    const KEYS: &'static [Keys] =
        &[Keys { prefix: Prefix::Word(PREFIX), names: &["present", "virtualDev", "startConnected"] }];

    fn is(asked: &Object) -> bool {
        asked.type_name() == "VirtualHdAudioCard"
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        draft.need_off("Sound cards")?;
        refuse_speakers(change)?;
        if draft.devices.contains_key(&key::SOUND) {
            return Err(invalid(change.index, "device", "A VM has at most one sound card"));
        }
        draft.insert(change, Self.device(connect(change.device, Connect::default(), false)))
    }

    fn edit(draft: &mut Draft<'_>, change: &Change<'_>, mut device: Device) -> Result<(), Fault> {
        same_kind(change, &device, Self::is)?;
        refuse_speakers(change)?;
        let before = device.connect.unwrap_or_default();
        let after = connect(change.device, before, draft.around.running);
        if after.now != before.now {
            draft.need_off("The connection of a sound card")?;
        }
        device.connect = Some(after);
        draft.devices.insert(device.key, device);
        Ok(())
    }

    fn label(&self, _at: &Shown<'_>) -> (String, String) {
        ("Sound card".into(), "HD audio".into())
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(
            at,
            VirtualHdAudioCard {
                backing: vim!(VirtualSoundCardDeviceBackingInfo { deviceName: "", useAutoDetect: true }),
                connectable: at.connectable(),
            }
        )
    }

    fn options() -> Vec<Object> {
        vec![option("VirtualHdAudioCard", Some("VirtualPCIController"), false)]
    }

    /// Leaves the keys of other cards to the file.
    fn read(from: &mut Reading<'_>) {
        let is_ours = from.source.peek(MODEL).is_some_and(|model| model.eq_ignore_ascii_case(HD_AUDIO));
        if is_ours && !from.source.devices(|prefix| (prefix == PREFIX).then_some(())).is_empty() {
            from.source.take(MODEL);
            let connect = from.connect(PREFIX).unwrap_or_default();
            from.insert(Self.device(connect));
        }
    }

    fn write(&self, device: &Device, to: &mut Writing<'_>) {
        to.wanted.flag(format!("{PREFIX}.present"), true);
        to.wanted.put(MODEL, HD_AUDIO);
        to.wanted.flag(AT_START, device.connect.is_none_or(|connect| connect.at_start));
    }

    fn build(&self, device: &Device, parts: &mut Parts<'_>) -> qemu::Result<()> {
        let connected = device.connect.is_none_or(|connect| connect.now);
        parts.spec.sound = Some(qemu::spec::Sound { connected });
        Ok(())
    }
}

/// Refuses a backing that names a sound device of the host.
fn refuse_speakers(change: &Change<'_>) -> Result<(), Fault> {
    let Some(found) = change.device.get(field!(VirtualDevice.backing)) else { return Ok(()) };
    if found.type_name() != "VirtualSoundCardDeviceBackingInfo" {
        let message = format!("A sound card cannot have the backing {}", found.type_name());
        return Err(backing(change.index, "", &message));
    }
    let name = text(found, "deviceName");
    if flag(found, "useAutoDetect") != Some(true) && !name.is_empty() {
        let message = format!("This host has no sound device {name}; set useAutoDetect, or name none");
        return Err(backing(change.index, ".deviceName", &message));
    }
    Ok(())
}
