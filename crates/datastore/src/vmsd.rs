//! `.vmsd`: the list of a virtual machine's snapshots, in the same text format as `.vmx`.
//!
//! Snapshots form a tree by `parent`; `snapshot.current` is the one that the VM's disks are based on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::dictionary::{Dictionary, DictionaryError};
use crate::limits::{MAX_SNAPSHOT_DISKS, MAX_SNAPSHOTS};

/// A disk in the state that a snapshot preserves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotDisk {
    /// Its attachment: `scsi0:0`.
    pub node: String,
    /// File that holds the snapshot's state, relative to the VM's directory.
    pub file_name: String,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// Number, unique in the list, from 1.
    pub uid: u32,
    /// The snapshot before it; `None` for a root.
    pub parent: Option<u32>,
    /// File of its configuration and memory (`vm-Snapshot1.vmsn`).
    pub file_name: String,
    /// Name.
    pub display_name: String,
    /// Description.
    pub description: String,
    /// Time of the snapshot, in microseconds since 1970.
    pub create_time_us: i64,
    /// `snapshotN.type`: 1 if it includes the guest's memory; 0 if not.
    pub kind: u32,
    /// Its disks.
    pub disks: Vec<SnapshotDisk>,
}

impl SnapshotRecord {
    /// Time of the snapshot.
    pub fn created(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(u64::try_from(self.create_time_us).unwrap_or(0))
    }
}

/// The snapshots of a virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotList {
    /// In the order of the file: parents before children.
    pub snapshots: Vec<SnapshotRecord>,
    /// The snapshot that the VM runs on.
    pub current: Option<u32>,
    /// Highest number ever given.
    pub last_uid: u32,
}

impl SnapshotList {
    /// The snapshot with this number.
    pub fn get(&self, uid: u32) -> Option<&SnapshotRecord> {
        self.snapshots.iter().find(|snapshot| snapshot.uid == uid)
    }

    /// Snapshots taken directly from this one (`None`: the roots).
    pub fn children(&self, uid: Option<u32>) -> impl Iterator<Item = &SnapshotRecord> {
        self.snapshots.iter().filter(move |snapshot| snapshot.parent == uid)
    }

    /// The text of the `.vmsd` file.
    ///
    /// # Errors
    /// [`DictionaryError`] if a name or description is too large for the format.
    pub fn to_text(&self) -> Result<String, DictionaryError> {
        let mut file = Dictionary::new();
        file.set(".encoding", "UTF-8")?;
        file.set("snapshot.lastUID", self.last_uid.to_string())?;
        if let Some(current) = self.current {
            file.set("snapshot.current", current.to_string())?;
        }
        for (n, snapshot) in self.snapshots.iter().enumerate() {
            let mut set = |key: &str, value: &str| file.set(&format!("snapshot{n}.{key}"), value);
            set("uid", &snapshot.uid.to_string())?;
            set("filename", &snapshot.file_name)?;
            if let Some(parent) = snapshot.parent {
                set("parent", &parent.to_string())?;
            }
            set("displayName", &snapshot.display_name)?;
            set("description", &snapshot.description)?;
            if snapshot.kind != 0 {
                set("type", &snapshot.kind.to_string())?;
            }
            let (high, low) = split_time(snapshot.create_time_us);
            set("createTimeHigh", &high.to_string())?;
            set("createTimeLow", &low.to_string())?;
            set("numDisks", &snapshot.disks.len().to_string())?;
            for (d, disk) in snapshot.disks.iter().enumerate() {
                set(&format!("disk{d}.fileName"), &disk.file_name)?;
                set(&format!("disk{d}.node"), &disk.node)?;
            }
        }
        file.set("snapshot.numSnapshots", self.snapshots.len().to_string())?;
        file.to_text()
    }
}

/// The two halves in VMware's form: each a signed 32-bit number.
fn split_time(us: i64) -> (i32, i32) {
    let high = i32::try_from(us >> 32).expect("the upper half of 64 bits has 32");
    let low = u32::try_from(us & 0xffff_ffff).expect("the lower half of 64 bits has 32");
    (high, low.cast_signed())
}

/// Reads a `.vmsd` file.
///
/// # Errors
/// [`DictionaryError`]: syntax, limits, or an invalid number, parent or current snapshot.
pub fn parse(text: &[u8]) -> Result<SnapshotList, DictionaryError> {
    let file = Dictionary::parse(text)?;
    let count = number(&file, "snapshot.numSnapshots")?.unwrap_or(0);
    if count > MAX_SNAPSHOTS {
        return Err(DictionaryError::TooLarge { what: "snapshots", limit: MAX_SNAPSHOTS as usize });
    }
    let mut list = SnapshotList::default();
    for n in 0..count {
        let key = |name: &str| format!("snapshot{n}.{name}");
        let text = |name: &str| file.get(&key(name)).unwrap_or_default().to_owned();
        let uid = number(&file, &key("uid"))?.ok_or_else(|| missing(&key("uid")))?;
        if list.get(uid).is_some() {
            return Err(bad(&file, &key("uid"), "a number that no other snapshot has"));
        }
        let disks = number(&file, &key("numDisks"))?.unwrap_or(0);
        if disks > MAX_SNAPSHOT_DISKS {
            return Err(DictionaryError::TooLarge { what: "disks", limit: MAX_SNAPSHOT_DISKS as usize });
        }
        let disk = |d: u32| SnapshotDisk {
            node: text(&format!("disk{d}.node")),
            file_name: text(&format!("disk{d}.fileName")),
        };
        list.snapshots.push(SnapshotRecord {
            uid,
            parent: number(&file, &key("parent"))?.filter(|parent| *parent != 0),
            file_name: text("filename"),
            display_name: text("displayName"),
            description: text("description"),
            create_time_us: join_time(
                half(&file, &key("createTimeHigh"))?,
                half(&file, &key("createTimeLow"))?,
            ),
            kind: number(&file, &key("type"))?.unwrap_or(0),
            disks: (0..disks).map(disk).collect(),
        });
    }
    check_tree(&list)?;
    list.current = number(&file, "snapshot.current")?.filter(|current| *current != 0);
    if list.current.is_some_and(|current| list.get(current).is_none()) {
        return Err(bad(&file, "snapshot.current", "the number of a snapshot"));
    }
    let highest = list.snapshots.iter().map(|snapshot| snapshot.uid).max().unwrap_or(0);
    list.last_uid = number(&file, "snapshot.lastUID")?.unwrap_or(0).max(highest);
    Ok(list)
}

/// Every parent exists and no snapshot is its own ancestor.
fn check_tree(list: &SnapshotList) -> Result<(), DictionaryError> {
    let parents: std::collections::HashMap<u32, Option<u32>> =
        list.snapshots.iter().map(|snapshot| (snapshot.uid, snapshot.parent)).collect();
    let fault = |value: u32| DictionaryError::Value {
        key: "parent".into(),
        value: value.to_string(),
        expected: "the number of an earlier snapshot",
    };
    let mut safe = std::collections::HashSet::new();
    for snapshot in &list.snapshots {
        let mut way = Vec::new();
        let mut at = snapshot.uid;
        while safe.insert(at) {
            way.push(at);
            match parents.get(&at) {
                Some(Some(parent)) if way.contains(parent) || !parents.contains_key(parent) => {
                    return Err(fault(*parent));
                }
                Some(Some(parent)) => at = *parent,
                _ => break,
            }
        }
    }
    Ok(())
}

fn join_time(high: u32, low: u32) -> i64 {
    ((u64::from(high) << 32) | u64::from(low)).cast_signed()
}

fn missing(key: &str) -> DictionaryError {
    DictionaryError::Value { key: key.to_owned(), value: String::new(), expected: "a number" }
}

fn bad(file: &Dictionary, key: &str, expected: &'static str) -> DictionaryError {
    let value = file.get(key).unwrap_or_default().chars().take(80).collect();
    DictionaryError::Value { key: key.to_owned(), value, expected }
}

fn number(file: &Dictionary, key: &str) -> Result<Option<u32>, DictionaryError> {
    match file.get(key).map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| bad(file, key, "a number")),
    }
}

/// Half of a time: 32 bits, written signed or unsigned.
fn half(file: &Dictionary, key: &str) -> Result<u32, DictionaryError> {
    match file.get(key).map(str::trim) {
        None | Some("") => Ok(0),
        Some(text) => text
            .parse::<i32>()
            .map(i32::cast_unsigned)
            .or_else(|_| text.parse::<u32>())
            .map_err(|_| bad(file, key, "a 32-bit number")),
    }
}
