//! The identities of simulated objects: the same seed and the same names give the same ones.

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// The number that identities are derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The 256 bits of a thing of this kind and these names.
    pub fn bits(self, kind: &str, names: &[&str]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0.to_be_bytes());
        for part in [kind].iter().chain(names) {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }

    pub fn uuid(self, kind: &str, names: &[&str]) -> Uuid {
        let [bytes @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.bits(kind, names);
        Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A number from 0 to less than 1.
    pub fn fraction(self, kind: &str, names: &[&str]) -> f64 {
        let [a, b, c, d, ..] = self.bits(kind, names);
        f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }

    /// The address of the network adapter with this number, in the range of generated ones: unlike for the first four million.
    pub fn mac(self, number: u32) -> String {
        let [a, b, c, d, ..] = self.bits("mac", &[]);
        let [_, x, y, z] = u32::from_be_bytes([a, b, c, d]).wrapping_add(number).to_be_bytes();
        format!("00:50:56:{:02x}:{y:02x}:{z:02x}", x & 0x3f | 0x80)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_and_names_give_the_same_identity_and_others_another() {
        assert_eq!(Seed(1).uuid("vm", &["a", "b"]), Seed(1).uuid("vm", &["a", "b"]));
        let different = [
            Seed(1).uuid("vm", &["a", "b"]),
            Seed(2).uuid("vm", &["a", "b"]),
            Seed(1).uuid("host", &["a", "b"]),
            Seed(1).uuid("vm", &["ab", ""]),
        ];
        assert_eq!(different.iter().collect::<HashSet<_>>().len(), 4);
        assert_eq!(different[0].get_version_num(), 4);
    }

    #[test]
    fn adapters_have_different_addresses_in_the_range_of_generated_ones() {
        let all: HashSet<String> = (0..10_000).map(|number| Seed(7).mac(number)).collect();
        assert_eq!(all.len(), 10_000);
        assert!(
            all.iter().all(|mac| mac.starts_with("00:50:56:") && mac[9..11] >= *"80" && mac[9..11] <= *"bf")
        );
    }
}
