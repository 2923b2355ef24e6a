//! The processor's `CPUID` leaves, in which clients look for features.
//!
//! libvirt, for one, does not connect before it has found long mode in leaf 0x8000_0001.

/// A leaf of `CPUID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    pub level: u32,
    /// eax, ebx, ecx, edx.
    pub registers: [u32; 4],
}

/// The leaves that ESXi shows: maker, features, the highest extended leaf, extended features, address sizes.
const SHOWN: [u32; 5] = [0, 1, 0x8000_0000, 0x8000_0001, 0x8000_0008];
/// Leaf 1, edx: floating point, time stamps, 8-byte exchange, local interrupts, conditional moves, SSE2.
const COMMON: u32 = 1 | 1 << 4 | 1 << 8 | 1 << 9 | 1 << 15 | 1 << 24 | 1 << 25 | 1 << 26;
/// Leaf 0x8000_0001, edx.
const LONG_MODE: u32 = 1 << 29;

/// The leaves of the processor that this process runs on; none on an architecture without the instruction.
pub fn detect() -> Vec<Leaf> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::__cpuid;

        let (basic, extended) = (__cpuid(0).eax, __cpuid(0x8000_0000).eax);
        let known = |level: &u32| *level <= if *level < 0x8000_0000 { basic } else { extended };
        let leaf = |level| {
            let found = __cpuid(level);
            Leaf { level, registers: [found.eax, found.ebx, found.ecx, found.edx] }
        };
        SHOWN.into_iter().filter(known).map(leaf).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

/// The leaves of a simulated processor: 64 bits, and the features that every such processor has.
pub fn simulated() -> Vec<Leaf> {
    let registers = |level| match level {
        0 => [1, 0, 0, 0],
        1 => [0, 0, 0, COMMON],
        0x8000_0000 => [0x8000_0008, 0, 0, 0],
        0x8000_0001 => [0, 0, 0, LONG_MODE],
        _ => [0x3028, 0, 0, 0],
    };
    SHOWN.into_iter().map(|level| Leaf { level, registers: registers(level) }).collect()
}

/// A register as the API writes it: 32 binary digits in groups of four, the highest first.
pub fn digits(register: u32) -> String {
    let group = |nibble: u32| format!("{:04b}", register >> (4 * nibble) & 0xf);
    (0..8).rev().map(group).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_written_as_groups_of_four_digits_with_the_highest_first() {
        assert_eq!(digits(0x8000_0001), "1000:0000:0000:0000:0000:0000:0000:0001");
        assert_eq!(digits(LONG_MODE).as_bytes()[2], b'1');
    }

    #[test]
    fn a_simulated_processor_has_64_bits() {
        let leaf = simulated().into_iter().find(|leaf| leaf.level == 0x8000_0001);
        assert_eq!(leaf.map(|leaf| leaf.registers[3]), Some(LONG_MODE));
    }
}
