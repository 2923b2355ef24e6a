//! One line from the agent inside a guest, which the guest's owner can forge.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let _ = qemu::agent::parse_line(line);
});
