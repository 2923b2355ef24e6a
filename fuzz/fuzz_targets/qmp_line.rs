//! One line from a QEMU process.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let _ = qemu::qmp::parse_line(line);
});
