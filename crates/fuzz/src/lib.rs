//! The fuzz targets: every parser that reads the network or a stranger's file, and what must hold for whatever it gets.
//!
//! Two programs feed them: the fuzzer itself in `fuzz/` (`cargo xtask campaign fuzz`), and an ordinary test that gives
//! each target its examples and several hundred variants of them, always the same ones.
#![forbid(unsafe_code)]

mod targets;

pub use targets::{ALL, Target};

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    ALL.iter().copied().find(|target| target.name == name)
}
