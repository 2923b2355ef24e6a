//! Tables whose entries are independent of each other: what ports have beside the plain switch. They are listed once, at
//! the end of this file; reading, comparing and writing them is the same for all.

use std::collections::BTreeMap;

use aya::Pod;

use super::difference::{changed, gone};
use super::shaping::place;
use crate::Result;
use crate::kernel::layout::{
    Capture, Copies, Learner, MemberKey, Mirror, PointKey, Shaper, SourceKey, StationKey, Trunk, Watch,
    WayKey,
};

/// What entries of a table are found by.
pub trait Key: Pod + Ord {
    /// Its place, where the table is an array. All zeroes are no entry there.
    fn place(&self) -> Option<u32> {
        None
    }

    /// The key of a place.
    fn at(_place: u32) -> Option<Self> {
        None
    }
}

impl Key for u32 {}
impl Key for StationKey {}
impl Key for MemberKey {}
impl Key for SourceKey {}
impl Key for PointKey {}

impl Key for WayKey {
    fn place(&self) -> Option<u32> {
        Some(place(*self))
    }

    fn at(place: u32) -> Option<Self> {
        Some(Self { number: place / 2, way: place % 2 })
    }
}

/// Where such tables are kept, by the names of the maps.
pub trait Store {
    /// Everything that a map holds.
    ///
    /// # Errors
    /// `Map`.
    fn all<K: Key, V: Pod + Default + PartialEq>(&self, map: &'static str) -> Result<BTreeMap<K, V>>;

    /// Writes an entry, or removes it.
    ///
    /// # Errors
    /// `Map`.
    fn set<K: Key, V: Pod + Default>(&mut self, map: &'static str, key: &K, value: Option<&V>) -> Result<()>;
}

macro_rules! tables {
    ($($(#[$doc:meta])* $variant:ident $map:ident: $key:ty => $value:ty;)+) => {
        /// The content of these tables.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Extras {
            $($(#[$doc])* pub $map: BTreeMap<$key, $value>,)+
        }

        /// A change of one entry; no value removes it.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Extra {
            $($variant($key, Option<Box<$value>>),)+
        }

        impl Extras {
            /// What is to be written, first to last, and what is to be removed, last to first.
            pub(super) fn difference(&self, wanted: &Self) -> (Vec<Extra>, Vec<Extra>) {
                let (mut written, mut removed) = (Vec::new(), Vec::new());
                $(
                    changed(&self.$map, &wanted.$map, |key, value| {
                        written.push(Extra::$variant(key, Some(Box::new(value))));
                    });
                    gone(&self.$map, &wanted.$map, |key| removed.push(Extra::$variant(key, None)));
                )+
                removed.reverse();
                (written, removed)
            }

            /// Carries a change out, as the kernel does.
            pub(super) fn apply(&mut self, change: &Extra) {
                match change {
                    $(
                        Extra::$variant(key, Some(value)) => _ = self.$map.insert(*key, **value),
                        Extra::$variant(key, None) => _ = self.$map.remove(key),
                    )+
                }
            }

            /// What a store holds.
            ///
            /// # Errors
            /// `Map`.
            pub fn read(store: &impl Store) -> Result<Self> {
                Ok(Self { $($map: store.all(stringify!($map))?,)+ })
            }
        }

        impl Extra {
            /// Carries the change out.
            ///
            /// # Errors
            /// `Map`.
            pub fn write(&self, store: &mut impl Store) -> Result<()> {
                match self {
                    $(Self::$variant(key, value) => store.set(stringify!($map), key, value.as_deref()),)+
                }
            }
        }
    };
}

// What others point to comes first.
tables! {
    /// Traffic shaping.
    Shaper shapers: WayKey => Shaper;
    /// Destinations of mirrors.
    Mirror mirrors: u32 => Mirror;
    /// What is mirrored.
    Source sources: SourceKey => Copies;
    /// VLANs of ports that take some only, by number.
    Trunk trunks: u32 => Trunk;
    /// How flows are watched, by number.
    Watch watches: u32 => Watch;
    /// Ports that learn MACs, by number.
    Learner learners: u32 => Learner;
    /// What is looked at.
    Capture captures: PointKey => Capture;
}
