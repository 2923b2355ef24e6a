//! What ports have learned. The programs write it; the control half has what is old forgotten, and reads.

use std::time::Duration;

use aya::maps::Array;
use aya::programs::{TestRun, TestRunOptions};

use super::attach::{Program, program};
use super::layout::{Learned, StationKey};
use super::maps::failed;
use super::{Kernel, in_words};
use crate::limits::LEARNED_LOOK;
use crate::{Error, Result};

/// `struct __sk_buff`, and where its mark is in it.
const CONTEXT: usize = 192;
const MARK: std::ops::Range<usize> = 8..12;
/// The shortest frame that a program is run over.
const FRAME: [u8; 14] = [0; 14];

impl Kernel {
    /// Forgets what has not been seen for this long, and what belongs to ports that may not have it any more. One call to the kernel,
    /// however much there is.
    ///
    /// # Errors
    /// `Kernel`.
    pub fn forget_learned(&mut self, age: Duration) -> Result<()> {
        let mut context = [0; CONTEXT];
        let age_ms = u32::try_from(age.as_millis()).unwrap_or(u32::MAX);
        context[MARK].copy_from_slice(&age_ms.to_ne_bytes());
        let options =
            TestRunOptions { data_in: Some(&FRAME), ctx_in: Some(&context), ..TestRunOptions::default() };
        let run = program(&mut self.ebpf, Program::ForgetLearned)?.test_run(options);
        let refused = |error| Error::Kernel { what: format!("forget learned MACs: {}", in_words(&error)) };
        run.map(|_| ()).map_err(refused)
    }

    /// How many MACs the port with this number has learned.
    ///
    /// # Errors
    /// `Map`.
    pub fn learned_by(&self, number: u32) -> Result<u64> {
        let map: Array<_, u64> = self.map("learned_by")?.try_into().map_err(failed("learned_by"))?;
        map.get(&number, 0).map_err(failed("learned_by"))
    }

    /// What was learned: up to [`LEARNED_LOOK`] entries, in no order. One that is removed meanwhile may make others come twice.
    ///
    /// # Errors
    /// `Map`.
    pub fn learned(&self) -> Result<Vec<(StationKey, Learned)>> {
        let map = self.hash::<StationKey, Learned>("learned")?;
        map.iter().take(LEARNED_LOOK).map(|entry| entry.map_err(failed("learned"))).collect()
    }
}
