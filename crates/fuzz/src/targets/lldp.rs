//! An LLDP frame from a stranger on an uplink's segment.

use vswitch::discovery::lldp;
use vswitch::limits::{DISCOVERY_TEXT, DISCOVERY_TLVS};

pub(crate) fn run(frame: &[u8]) {
    let Some(info) = lldp::parse(frame) else { return };
    assert!(info.parameters.len() <= DISCOVERY_TLVS);
    // An invalid byte becomes a space, so a text is never longer than its bytes.
    let texts = info.parameters.iter().map(|(_, text)| text).chain([&info.chassis_id, &info.port_id]);
    for text in texts {
        assert!(text.len() <= DISCOVERY_TEXT && !text.contains('\0'));
    }
}
