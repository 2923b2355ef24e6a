//! Each target with its examples and with variants of them. The variants are the same at every run, so a failure
//! repeats; the fuzzer looks for new ones.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Variants of the examples of one target.
const VARIANTS: u64 = 500;
/// Bytes that mean something to one of the parsers.
const TELLING: &[u8] = b"\0\n\r \"'<>&/\\{}[]:;,=%|\x7f\xff";

fn examples(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let Ok(entries) = fs::read_dir(directory) else { return vec![Vec::new()] };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// An example with up to eight changes: a byte replaced, added or left out, a piece repeated or cut off, the end of
/// another example.
fn variant(examples: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = examples.choose(rng).unwrap().clone();
    for _ in 0..rng.random_range(1..=8) {
        let at = rng.random_range(0..=bytes.len());
        let byte = if rng.random() { *TELLING.choose(rng).unwrap() } else { rng.random() };
        match rng.random_range(0..6) {
            0 => bytes.insert(at, byte),
            1 => bytes.truncate(at),
            2 => {
                let end = rng.random_range(at..=bytes.len().min(at + 64));
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => {
                let other = examples.choose(rng).unwrap();
                let from = rng.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            4 if at < bytes.len() => {
                bytes.remove(at);
            }
            _ if at < bytes.len() => bytes[at] = byte,
            _ => bytes.push(byte),
        }
    }
    bytes
}

fn holds(name: &str) {
    let target = fuzz::target(name).unwrap();
    let examples = examples(name);
    for example in &examples {
        (target.run)(example);
    }
    for seed in 0..VARIANTS {
        let input = variant(&examples, &mut StdRng::seed_from_u64(seed));
        let result = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(result.is_ok(), "variant {seed} of {name} breaks a rule: {}", input.escape_ascii());
    }
}

macro_rules! each {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })+

        #[test]
        fn no_target_is_left_out() {
            let tested = [$(stringify!($name)),+];
            assert!(fuzz::ALL.iter().map(|target| target.name).eq(tested));
        }
    };
}

fuzz::with_targets!(each);
