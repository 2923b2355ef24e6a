//! A frame that claims to be a beacon, from a stranger on an uplink's segment.

use vswitch::beacon::{Beacon, Key};

/// Offsets of the host and of the end of the checked bytes.
const HOST: std::ops::Range<usize> = 30..46;

pub(crate) fn run(frame: &[u8]) {
    let key = Key([9; 32]);
    let Some(host) = frame.get(HOST).and_then(|host| <[u8; 16]>::try_from(host).ok()) else {
        assert!(Beacon::parse(frame, &[0; 16], &key).is_err());
        return;
    };
    // The maker of the frame does not know the key.
    assert!(Beacon::parse(frame, &host, &key).is_err());
    let sequence = u64::from_be_bytes([
        frame[22], frame[23], frame[24], frame[25], frame[26], frame[27], frame[28], frame[29],
    ]);
    let switch = u32::from_be_bytes([frame[18], frame[19], frame[20], frame[21]]);
    let beacon = Beacon { host, switch, uplink: frame[15], sequence };
    let mut genuine = beacon.build(&key, 0);
    assert_eq!(Beacon::parse(&genuine, &host, &key), Ok(beacon));
    // One changed byte outside the destination.
    let at = 6 + usize::from(frame[0]) % (genuine.len() - 6);
    genuine[at] ^= frame[1].max(1);
    assert!(Beacon::parse(&genuine, &host, &key).is_err());
}
