//! `[datastore] directory/file` in a client's spelling: an accepted path never leads out of the datastore.

use datastore::{DatastorePath, FilePath};

fn check(path: &FilePath) {
    assert!(!path.as_str().starts_with('/'));
    assert!(path.components().all(|part| !matches!(part, "" | "." | "..") && !part.contains(['/', '\0'])));
}

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(path) = FilePath::parse(text) {
        check(&path);
    }
    let Ok(path) = DatastorePath::parse(text) else { return };
    check(path.path());
    let again = DatastorePath::parse(&path.to_string()).expect("our own spelling");
    assert_eq!(again.to_string(), path.to_string());
}
