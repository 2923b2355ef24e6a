//! What ports have learned. The programs write it; the control half has what is old forgotten, and reads.

use std::os::fd::AsFd;
use std::time::Duration;

use aya::maps::{Array, HashMap, Map, MapData};
use aya::programs::{TestRun, TestRunOptions};

use super::attach::{Program, program};
use super::layout::{Learned, StationKey};
use super::maps::failed;
use super::{Kernel, in_words};
use crate::limits::{LEARNED, LEARNED_BATCH, LEARNED_LOOK};
use crate::{Error, Result};

/// `struct __sk_buff`, and where its mark is in it.
const CONTEXT: usize = 192;
const MARK: std::ops::Range<usize> = 8..12;
/// An Ethernet header, without which no program is run. Keys follow.
const HEADER: [u8; 14] = [0; 14];

/// The keys of what was learned, for a thread of its own: reading all of a full map takes a second or so.
pub(crate) struct LearnedKeys(HashMap<MapData, StationKey, Learned>);

impl LearnedKeys {
    /// Gives all keys in portions of up to [`LEARNED_BATCH`], while they are taken. One that is removed meanwhile may make others come
    /// twice, but not without end.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn read(&self, mut take: impl FnMut(Vec<StationKey>) -> bool) -> Result<()> {
        let mut portion = Vec::with_capacity(LEARNED_BATCH);
        for key in self.0.keys().take(2 * LEARNED) {
            // The key from which reading goes on is never among those that may be forgotten now: all would come again.
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
    /// Of these, up to [`LEARNED_BATCH`], forgets what has not been seen for this long, and what belongs to ports that may not have it
    /// any more. One call to the kernel.
    ///
    /// # Errors
    /// `Kernel`.
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
        let refused = |error| Error::Kernel { what: format!("forget learned MACs: {}", in_words(&error)) };
        run.map(|_| ()).map_err(refused)
    }

    /// The keys of what was learned.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn learned_keys(&self) -> Result<LearnedKeys> {
        let failed = |reason: String| Error::Map { map: "learned", reason };
        let Map::HashMap(map) = self.map("learned")? else { return Err(failed("is no hash".into())) };
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

    /// What was learned: up to [`LEARNED_LOOK`] entries, in no order. One that is removed meanwhile may make others come twice.
    ///
    /// # Errors
    /// `Map`.
    pub fn learned(&self) -> Result<Vec<(StationKey, Learned)>> {
        let map = self.hash::<StationKey, Learned>("learned")?;
        map.iter().take(LEARNED_LOOK).map(|entry| entry.map_err(failed("learned"))).collect()
    }
}
