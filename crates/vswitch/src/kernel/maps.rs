//! Reading and writing the maps.

use std::collections::BTreeMap;
use std::time::Duration;

use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};

use super::{Kernel, in_words};
use crate::layout::{
    Bucket, Counters, Group, Listening, MemberKey, Mirrored, Port, StationKey, Storm, Target, Team, WAY_FROM,
    WAY_TO,
};
use crate::plan::{Actual, Extras, Key, Step, Store};
use crate::{Error, Result};

/// The error of a map that the object lacks, or that was taken out of it.
pub(super) fn missing(map: &'static str) -> impl Fn() -> Error {
    move || Error::Map { map, reason: "the virtual switch has lost it".into() }
}

/// The error of an access to a map.
pub(super) fn failed(map: &'static str) -> impl Fn(MapError) -> Error {
    move |error| Error::Map { map, reason: in_words(&error) }
}

impl Kernel {
    pub(super) fn map(&self, name: &'static str) -> Result<&Map> {
        self.ebpf.map(name).ok_or_else(missing(name))
    }

    pub(super) fn hash<K: Pod, V: Pod>(&self, name: &'static str) -> Result<HashMap<&MapData, K, V>> {
        self.map(name)?.try_into().map_err(failed(name))
    }

    fn hash_mut<K: Pod, V: Pod>(&mut self, name: &'static str) -> Result<HashMap<&mut MapData, K, V>> {
        let map = self.ebpf.map_mut(name);
        map.ok_or_else(missing(name))?.try_into().map_err(failed(name))
    }

    pub(super) fn put<K: Pod, V: Pod>(&mut self, name: &'static str, key: K, value: V) -> Result<()> {
        self.hash_mut(name)?.insert(key, value, 0).map_err(failed(name))
    }

    fn forget<K: Pod, V: Pod>(&mut self, name: &'static str, key: &K) -> Result<()> {
        match self.hash_mut::<K, V>(name)?.remove(key) {
            Err(MapError::KeyNotFound) | Ok(()) => Ok(()),
            Err(MapError::SyscallError(error)) if error.io_error.kind() == std::io::ErrorKind::NotFound => {
                Ok(())
            }
            Err(error) => Err(failed(name)(error)),
        }
    }

    pub(super) fn array_mut<V: Pod>(&mut self, name: &'static str) -> Result<Array<&mut MapData, V>> {
        let map = self.ebpf.map_mut(name);
        map.ok_or_else(missing(name))?.try_into().map_err(failed(name))
    }

    /// The content of the maps.
    ///
    /// # Errors
    /// `Map`.
    pub fn read(&self) -> Result<Actual> {
        Ok(Actual {
            ports: self.all("ports")?,
            stations: self.all("stations")?,
            groups: self.all("groups")?,
            members: self.all("members")?,
            teams: self.all("teams")?,
            extras: Extras::read(self)?,
        })
    }

    /// Changes one entry.
    ///
    /// # Errors
    /// `Map`, for instance if the map is full.
    pub fn apply(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Extra(change) => change.write(self),
            Step::Team(key, value) => self.put("teams", *key, **value),
            Step::Member(key, value) => self.put("members", *key, *value),
            Step::Group(key, value) => self.put("groups", *key, *value),
            Step::Station(key, value) => self.put("stations", *key, *value),
            Step::Port(key, value) => self.put("ports", *key, *value),
            Step::NoPort(key) => self.forget::<u32, Port>("ports", key),
            Step::NoStation(key) => self.forget::<StationKey, Target>("stations", key),
            Step::NoGroup(key) => self.forget::<StationKey, Group>("groups", key),
            Step::NoMember(key) => self.forget::<MemberKey, Target>("members", key),
            Step::NoTeam(key) => self.forget::<u32, Team>("teams", key),
        }
    }

    /// The counters of a port, by its number.
    ///
    /// # Errors
    /// `Map`.
    pub fn counters(&self, number: u32) -> Result<Counters> {
        let map: PerCpuArray<_, Counters> = self.map("counters")?.try_into().map_err(failed("counters"))?;
        let mut sum = Counters::default();
        map.get(&number, 0).map_err(failed("counters"))?.iter().for_each(|one| sum.add(one));
        Ok(sum)
    }

    /// The counters of a mirror.
    ///
    /// # Errors
    /// `Map`.
    pub fn mirrored(&self, mirror: u32) -> Result<Mirrored> {
        let map: Array<_, Mirrored> = self.map("mirrored_by")?.try_into().map_err(failed("mirrored_by"))?;
        map.get(&mirror, 0).map_err(failed("mirrored_by"))
    }

    /// Resets the counters of a new mirror.
    ///
    /// # Errors
    /// `Map`.
    pub fn clear_mirrored(&mut self, mirror: u32) -> Result<()> {
        self.array_mut("mirrored_by")?.set(mirror, Mirrored::default(), 0).map_err(failed("mirrored_by"))
    }

    /// Frames for which the ring had no room, by the bit of a capture.
    ///
    /// # Errors
    /// `Map`.
    pub fn captures_lost(&self, capture: u32) -> Result<u64> {
        let map: Array<_, u64> = self.map("captures_lost")?.try_into().map_err(failed("captures_lost"))?;
        map.get(&capture, 0).map_err(failed("captures_lost"))
    }

    /// The messages about groups that were lost.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn listening(&self) -> Result<Listening> {
        let map: Array<_, Listening> = self.map("listening")?.try_into().map_err(failed("listening"))?;
        map.get(&0, 0).map_err(failed("listening"))
    }

    /// When a port last exceeded its limit of messages, on the monotonic clock; zero if never.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn muted(&self, number: u32) -> Result<Duration> {
        let map: Array<_, u64> = self.map("muted")?.try_into().map_err(failed("muted"))?;
        map.get(&number, 0).map(Duration::from_nanos).map_err(failed("muted"))
    }

    /// Makes filters hold until a moment of the monotonic clock.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn hold_filters(&mut self, until: Duration) -> Result<()> {
        let until_ns = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        self.array_mut("filters_hold")?.set(0, until_ns, 0).map_err(failed("filters_hold"))
    }

    /// Marks the queue of a bucket as empty: its frames may have been lost. Frames that have passed still use up the
    /// rate.
    ///
    /// # Errors
    /// `Map`.
    pub fn empty_queue(&mut self, place: u32) -> Result<()> {
        let mut buckets: Array<_, Bucket> = self.array_mut("buckets")?;
        let bucket = buckets.get(&place, 0).map_err(failed("buckets"))?;
        if bucket.queued == 0 {
            return Ok(());
        }
        buckets.set(place, Bucket { queued: 0, ..bucket }, 0).map_err(failed("buckets"))
    }

    /// Resets the counters of a number that another port had.
    ///
    /// # Errors
    /// `Map`.
    pub fn clear_counters(&mut self, number: u32) -> Result<()> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| failed("counters")(MapError::IoError(error)))?;
        let zeroes = aya::maps::PerCpuValues::try_from(vec![Counters::default(); cpus]);
        let zeroes = zeroes.map_err(|error| failed("counters")(MapError::IoError(error)))?;
        let map = self.ebpf.map_mut("counters").ok_or_else(missing("counters"))?;
        let mut map: PerCpuArray<_, Counters> = map.try_into().map_err(failed("counters"))?;
        map.set(number, zeroes, 0).map_err(failed("counters"))?;
        self.array_mut("storms")?.set(number, Storm::default(), 0).map_err(failed("storms"))?;
        let mut buckets = self.array_mut("buckets")?;
        for way in [WAY_FROM, WAY_TO] {
            buckets.set(2 * number + way, Bucket::default(), 0).map_err(failed("buckets"))?;
        }
        Ok(())
    }
}

impl Store for Kernel {
    fn all<K: Key, V: Pod + Default + PartialEq>(&self, map: &'static str) -> Result<BTreeMap<K, V>> {
        if !matches!(self.map(map)?, Map::Array(_)) {
            return self.hash(map)?.iter().map(|entry| entry.map_err(failed(map))).collect();
        }
        let array: Array<_, V> = self.map(map)?.try_into().map_err(failed(map))?;
        let mut found = BTreeMap::new();
        for (place, value) in (0..).zip(array.iter()) {
            let value = value.map_err(failed(map))?;
            if let Some(key) = K::at(place).filter(|_| value != V::default()) {
                found.insert(key, value);
            }
        }
        Ok(found)
    }

    fn set<K: Key, V: Pod + Default>(&mut self, map: &'static str, key: &K, value: Option<&V>) -> Result<()> {
        match (key.place(), value) {
            (Some(place), value) => {
                let value = value.copied().unwrap_or_default();
                self.array_mut(map)?.set(place, value, 0).map_err(failed(map))
            }
            (None, Some(value)) => self.put(map, *key, *value),
            (None, None) => self.forget::<K, V>(map, key),
        }
    }
}
