//! A CDP frame from a stranger on an uplink's segment.

use vswitch::discovery::cdp;
use vswitch::frame::Sum;
use vswitch::limits::DISCOVERY_TEXT;

/// Offsets of length and checksum, and of the bytes that the checksum covers.
const LENGTH: usize = 12;
const BODY: usize = 22;
const CHECKSUM: usize = 24;

pub(crate) fn run(frame: &[u8]) {
    read(frame);
    // A stranger can compute length and checksum, so the target corrects them.
    let mut frame = frame.to_vec();
    if let Ok(length) = u16::try_from(frame.len().saturating_sub(LENGTH + 2))
        && frame.len() >= CHECKSUM + 2
    {
        frame[LENGTH..LENGTH + 2].copy_from_slice(&length.to_be_bytes());
        frame[CHECKSUM..CHECKSUM + 2].fill(0);
        let sum = Sum::default().with(&frame[BODY..]).checksum().to_be_bytes();
        frame[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum);
        read(&frame);
    }
}

fn read(frame: &[u8]) {
    let Some(info) = cdp::parse(frame) else { return };
    let texts = [
        info.device_id,
        info.port_id,
        info.software_version,
        info.platform,
        info.system_name,
        info.system_oid,
        info.location,
    ];
    for text in texts.into_iter().flatten() {
        assert!(text.len() <= DISCOVERY_TEXT && !text.contains('\0'));
    }
}
