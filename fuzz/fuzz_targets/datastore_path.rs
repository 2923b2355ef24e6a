//! `[datastore] directory/file` in a client's spelling: an accepted path never leads out of the datastore.
#![no_main]

use datastore::{DatastorePath, FilePath};
use libfuzzer_sys::fuzz_target;

fn check(path: &FilePath) {
    assert!(!path.as_str().starts_with('/'));
    assert!(path.components().all(|part| !matches!(part, "" | "." | "..") && !part.contains(['/', '\0'])));
}

fuzz_target!(|text: &str| {
    if let Ok(path) = FilePath::parse(text) {
        check(&path);
    }
    let Ok(path) = DatastorePath::parse(text) else { return };
    check(path.path());
    let again = DatastorePath::parse(&path.to_string()).expect("our own spelling");
    assert_eq!(again.to_string(), path.to_string());
});
