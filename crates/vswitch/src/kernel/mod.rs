//! The kernel's side: pinned maps and links, which go on without the daemon. It knows tables, not switches.

mod attach;
mod flows;
mod learned;
mod maps;
mod marks;
mod pins;
mod ring;

pub use attach::Program;
pub(crate) use flows::Flows;
pub use marks::LentMtu;
pub(crate) use ring::Ring;

use std::path::{Path, PathBuf};
use std::time::Instant;

use aya::{Ebpf, EbpfLoader};

use crate::{Error, Result};

/// The data plane, compiled by `build.rs`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/switch.o"));

/// The maps and programs of one host. Dropping it leaves all of it in the kernel.
pub struct Kernel {
    ebpf: Ebpf,
    /// Where links are pinned.
    links: PathBuf,
    /// Programs are attached by tcx, not as filters.
    tcx: bool,
}

impl Kernel {
    /// Opens the maps that are pinned below `pins`, makes missing ones, and loads the programs, which [`Self::attach`]
    /// puts to work. `pins` is a directory on a BPF file system, or where one can be mounted.
    ///
    /// # Errors
    /// `Pins` if `pins` is not on a BPF file system, `Kernel` if the kernel refuses the programs.
    pub fn open(pins: &Path, without_tcx: bool) -> Result<Self> {
        let (maps, links) = pins::prepare(pins)?;
        let refused = |error: &dyn std::error::Error| Error::Kernel { reason: in_words(error) };
        let mut ebpf = EbpfLoader::new()
            .default_map_pin_directory(&maps)
            .load(OBJECT)
            .map_err(|error| refused(&error))?;
        for name in Program::ALL {
            let began = Instant::now();
            let program = attach::program(&mut ebpf, name)?;
            program.load().map_err(|error| refused(&error))?;
            let looked_at = program.info().ok().and_then(|info| info.verified_instruction_count());
            tracing::debug!(program = ?name, took = ?began.elapsed(), looked_at, "the kernel has verified");
        }
        pins::forget_other_layouts(pins, &maps);
        Ok(Self { ebpf, links, tcx: attach::has_tcx() && !without_tcx })
    }
}

/// An error with its causes, leaving out causes that its text already contains.
pub(crate) fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod listen_tests;
#[cfg(test)]
mod sight_tests;
#[cfg(test)]
mod tests;
