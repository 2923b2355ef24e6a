//! A quick hash for keys that no attacker chooses: references of our own making, which a walk looks up in large numbers.

use std::hash::{BuildHasherDefault, Hasher};

use vim::MoRef;

pub(crate) type RefMap<V> = std::collections::HashMap<MoRef, V, BuildHasherDefault<Quick>>;
pub(crate) type RefSet = std::collections::HashSet<MoRef, BuildHasherDefault<Quick>>;

/// Multiplies and rotates, eight bytes at a time.
#[derive(Default)]
pub(crate) struct Quick(u64);

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Quick {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(u64::from(byte));
    }

    fn write_u16(&mut self, word: u16) {
        self.add(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes its index from the low bits and a tag from the high ones.
        self.0 ^ (self.0 >> 29)
    }
}
