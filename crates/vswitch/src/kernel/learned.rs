//! Learned MACs. The programs write them; the control plane reads them and removes old ones.

use std::os::fd::AsFd;
use std::time::Duration;

use aya::maps::{Array, HashMap, Map, MapData};
use aya::programs::{TestRun, TestRunOptions};

use super::attach::{Program, program};
use super::maps::failed;
use super::{Kernel, in_words};
use crate::layout::{Learned, StationKey};
use crate::limits::{LEARNED, LEARNED_BATCH, LEARNED_LOOK};
use crate::{Error, Result};

/// The size of `struct __sk_buff`, and the place of its mark.
const CONTEXT: usize = 192;
const MARK: std::ops::Range<usize> = 8..12;
/// An Ethernet header, without which the kernel runs no program. Keys follow.
const HEADER: [u8; 14] = [0; 14];

/// The keys of learned MACs, for another thread: reading a full map takes about a second.
pub(crate) struct LearnedKeys(HashMap<MapData, StationKey, Learned>);

impl LearnedKeys {
    /// Passes all keys to `take` in portions of up to [`LEARNED_BATCH`], until it returns false. An entry that is
    /// removed meanwhile may make others come twice, but not without end.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn read(&self, mut take: impl FnMut(Vec<StationKey>) -> bool) -> Result<()> {
        let mut portion = Vec::with_capacity(LEARNED_BATCH);
        for key in self.0.keys().take(2 * LEARNED) {
            // The key from which reading continues must not be among those that may be removed now, or reading would
            // begin again.
            if portion.len() == LEARNED_BATCH && !take(std::mem::take(&mut portion)) {
                return Ok(());
            }
            portion.push(key.map_err(failed("learned"))?);
        }
        if !portion.is_empty() {
            take(portion);
        }
        Ok(())
    }
}

impl Kernel {
    /// Removes those of these MACs, at most [`LEARNED_BATCH`], that have not been seen for `age` or that their ports
    /// may no longer have. One call to the kernel.
    ///
    /// # Errors
    /// `Program`.
    pub fn forget_learned(&mut self, age: Duration, keys: &[StationKey]) -> Result<()> {
        let mut data = HEADER.to_vec();
        for StationKey { network, vlan, mac } in keys {
            data.extend(network.to_ne_bytes().iter().chain(&vlan.to_ne_bytes()).chain(mac));
        }
        let mut context = [0; CONTEXT];
        let age_ms = u32::try_from(age.as_millis()).unwrap_or(u32::MAX);
        context[MARK].copy_from_slice(&age_ms.to_ne_bytes());
        let options =
            TestRunOptions { data_in: Some(&data), ctx_in: Some(&context), ..TestRunOptions::default() };
        let run = program(&mut self.ebpf, Program::ForgetLearned)?.test_run(options);
        let failed =
            |error| Error::Program { program: Program::ForgetLearned.name(), reason: in_words(&error) };
        run.map(|_| ()).map_err(failed)
    }

    /// The keys of learned MACs.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn learned_keys(&self) -> Result<LearnedKeys> {
        let failed = |reason: String| Error::Map { map: "learned", reason };
        let Map::HashMap(map) = self.map("learned")? else { return Err(failed("is not a hash map".into())) };
        let fd = map.fd().as_fd().try_clone_to_owned().map_err(|error| failed(error.to_string()))?;
        let map = MapData::from_fd(fd).map_err(|error| failed(in_words(&error)))?;
        Ok(LearnedKeys(Map::HashMap(map).try_into().map_err(|error| failed(in_words(&error)))?))
    }

    /// How many MACs the port with this number has learned.
    ///
    /// # Errors
    /// `Map`.
    pub fn learned_by(&self, number: u32) -> Result<u64> {
        let map: Array<_, u64> = self.map("learned_by")?.try_into().map_err(failed("learned_by"))?;
        map.get(&number, 0).map_err(failed("learned_by"))
    }

    /// Up to [`LEARNED_LOOK`] learned MACs, in no order. An entry that is removed meanwhile may make others come twice.
    ///
    /// # Errors
    /// `Map`.
    pub fn learned(&self) -> Result<Vec<(StationKey, Learned)>> {
        let map = self.hash::<StationKey, Learned>("learned")?;
        map.iter().take(LEARNED_LOOK).map(|entry| entry.map_err(failed("learned"))).collect()
    }
}
