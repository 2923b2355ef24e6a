//! Tables whose entries are independent of each other: features beyond plain forwarding. They are listed once, at the
//! end of this file; reading, comparing and writing is the same for all.

use std::collections::BTreeMap;

use aya::Pod;

use super::compare::{changed, gone};
use super::shaping::place;
use crate::Result;
use crate::layout::{
    Capture, Copies, Learner, MemberKey, Mirror, PointKey, Shaper, SourceKey, StationKey, Trunk, Watch,
    WayKey,
};

/// The key of a table.
pub trait Key: Pod + Ord {
    /// Its index, if the table is an array. An all-zero value there means no entry.
    fn place(&self) -> Option<u32> {
        None
    }

    /// The key of an index.
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

/// A store of such tables, by the names of the maps.
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

        /// A change of one entry; `None` removes it.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Extra {
            $($variant($key, Option<Box<$value>>),)+
        }

        impl Extras {
            /// Entries to write, first to last, and entries to remove, last to first.
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

            /// Applies a change, as the kernel does.
            pub(super) fn apply(&mut self, change: &Extra) {
                match change {
                    $(
                        Extra::$variant(key, Some(value)) => _ = self.$map.insert(*key, **value),
                        Extra::$variant(key, None) => _ = self.$map.remove(key),
                    )+
                }
            }

            /// Reads the content of a store.
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

// Referenced tables come first.
tables! {
    /// Traffic shaping.
    Shaper shapers: WayKey => Shaper;
    /// Destinations of mirrors.
    Mirror mirrors: u32 => Mirror;
    /// Sources of mirrors.
    Source sources: SourceKey => Copies;
    /// VLANs of ports that accept only some, by number.
    Trunk trunks: u32 => Trunk;
    /// How flows are counted, by number.
    Watch watches: u32 => Watch;
    /// Ports that learn MACs, by number.
    Learner learners: u32 => Learner;
    /// Points that captures look at.
    Capture captures: PointKey => Capture;
}
