//! A frame that reaches the guard of a VMkernel adapter's address; anybody on its segment can send one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vswitch::vmkernel::Arp;

fuzz_target!(|frame: &[u8]| {
    if let Some(packet) = Arp::read(frame) {
        assert_eq!(Arp::read(&frame[..42]), Some(packet));
    }
});
