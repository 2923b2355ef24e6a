//! Names of taps.

use crate::limits::MAX_INTERFACE;

/// Key of a VM's first network adapter.
pub const NIC_KEY: i32 = 4000;

/// The name of the tap of a VM's adapter: `prefix`, the VM's id, `n`, the adapter's number.
pub(crate) fn tap_name(prefix: &str, vm: &str, key: i32) -> String {
    let mut name = format!("{prefix}{vm}n{}", key - NIC_KEY);
    name.truncate(MAX_INTERFACE);
    name
}

/// Whether [`tap_name`] makes such names.
pub(super) fn is_tap(prefix: &str, name: &str) -> bool {
    let Some((vm, nic)) = name.strip_prefix(prefix).and_then(|rest| rest.split_once('n')) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(vm) && digits(nic)
}

/// Whether [`tap_name`] makes this name for an adapter of this VM.
pub(crate) fn is_tap_of(prefix: &str, vm: &str, name: &str) -> bool {
    let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(vm)?.strip_prefix('n'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_taps_fit_an_interface_and_are_recognised() {
        assert_eq!(tap_name("vmt", "12", 4001), "vmt12n1");
        assert!(tap_name("vmt", "123456789012", 4000).len() <= MAX_INTERFACE);
        assert!(is_tap("vmt", "vmt12n1"));
        for foreign in ["vmtn", "vmt1n", "eth0", "vmt-n1", "vmtap0n1x"] {
            assert!(!is_tap("vmt", foreign), "{foreign}");
        }
        assert!(is_tap_of("vmt", "12", "vmt12n1"));
        for foreign in ["vmt1n1", "vmt123n1", "vmt12n", "vmt12nx", "eth0"] {
            assert!(!is_tap_of("vmt", "12", foreign), "{foreign}");
        }
    }
}
