//! The limits of datastores and their files, in one place. Reaching one is a typed error, never a truncation.

/// Longest name of a datastore, in characters (vSphere's limit).
pub const MAX_DATASTORE_NAME: usize = 80;
/// Longest component of a path, in bytes (Linux `NAME_MAX`).
pub const MAX_COMPONENT_BYTES: usize = 255;
/// Longest path within a datastore, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;
/// Deepest path within a datastore, in components; also the limit of a copy, delete or search.
pub const MAX_DEPTH: usize = 32;
/// Most entries that one listing or search returns.
pub const MAX_LISTED: usize = 100_000;
/// Most patterns of a search, and the longest one in bytes.
pub const MAX_PATTERNS: usize = 64;
/// Longest pattern of a search, in bytes.
pub const MAX_PATTERN_BYTES: usize = 512;
/// Largest `.vmx` or `.vmsd` file, in bytes.
pub const MAX_DICTIONARY_BYTES: usize = 1 << 20;
/// Most lines of a `.vmx` or `.vmsd` file.
pub const MAX_DICTIONARY_LINES: usize = 20_000;
/// Longest key of a `.vmx` or `.vmsd` file, in bytes.
pub const MAX_DICTIONARY_KEY: usize = 256;
/// Longest value of a `.vmx` or `.vmsd` file, in bytes.
pub const MAX_DICTIONARY_VALUE: usize = 64 << 10;
/// Most snapshots in a `.vmsd` file.
pub const MAX_SNAPSHOTS: u32 = 4096;
/// Most disks of one snapshot.
pub const MAX_SNAPSHOT_DISKS: u32 = 256;
/// Bytes copied between two reports of progress.
pub const COPY_STEP_BYTES: usize = 8 << 20;
/// Bytes that all files of a memory datastore may really hold (zeros are free).
pub const MEMORY_BYTES: u64 = 1 << 30;
