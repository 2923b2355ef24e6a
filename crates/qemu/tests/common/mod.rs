//! What the tests with real QEMU processes share.
#![allow(dead_code)]

use qemu::MachineSpec;

/// A UUID that ends in a number.
pub fn uuid(n: u32) -> String {
    format!("0e5fe7a0-0000-4000-8000-{n:012}")
}

/// A machine with nothing to boot, small enough to have many.
pub fn empty_machine(name: &str) -> MachineSpec {
    MachineSpec::new(name, uuid(1), 64)
}
