//! A fingerprint of a batch's operations, stored beside its id to detect an id that is reused for other operations.
//! 64-bit FNV-1a over a length-prefixed form: it guards against mistakes, not against an attacker.

use crate::Op;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

struct Fnv(u64);

impl Fnv {
    fn raw(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }

    fn number(&mut self, n: u64) {
        self.raw(&n.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    fn optional(&mut self, n: Option<u64>) {
        self.number(u64::from(n.is_some()));
        self.number(n.unwrap_or(0));
    }
}

/// Fingerprint of `ops`; the same on every computer and in every version of the program.
pub(crate) fn digest(ops: &[Op]) -> u64 {
    let mut fnv = Fnv(OFFSET);
    for op in ops {
        match op {
            Op::Put { collection, key, value } => {
                fnv.raw(&[1]);
                fnv.bytes(collection.as_bytes());
                fnv.bytes(key.as_bytes());
                fnv.bytes(value);
            }
            Op::Delete { collection, key } => {
                fnv.raw(&[2]);
                fnv.bytes(collection.as_bytes());
                fnv.bytes(key.as_bytes());
            }
            Op::Clear { collection } => {
                fnv.raw(&[3]);
                fnv.bytes(collection.as_bytes());
            }
            Op::Append { log, time_ms, value } => {
                fnv.raw(&[4]);
                fnv.bytes(log.as_bytes());
                fnv.number(time_ms.cast_unsigned());
                fnv.bytes(value);
            }
            Op::Trim { log, keep, before_ms } => {
                fnv.raw(&[5]);
                fnv.bytes(log.as_bytes());
                fnv.optional(*keep);
                fnv.optional(before_ms.map(i64::cast_unsigned));
            }
            Op::Reserve { counter, n } => {
                fnv.raw(&[6]);
                fnv.bytes(counter.as_bytes());
                fnv.number(*n);
            }
        }
    }
    fnv.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_never_changes_because_it_is_stored() {
        let ops = [
            Op::Put { collection: "vm".into(), key: "1".into(), value: b"a".to_vec() },
            Op::Reserve { counter: "id".into(), n: 3 },
        ];
        assert_eq!(digest(&[]), OFFSET);
        assert_eq!(digest(&ops), DIGEST_OF_EXAMPLE);
        assert_ne!(digest(&ops[..1]), digest(&ops));
    }

    const DIGEST_OF_EXAMPLE: u64 = 0x97d6_d4f1_bf76_e2e7;
}
