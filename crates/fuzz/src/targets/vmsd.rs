//! A `.vmsd` file: a VM's list of snapshots.

pub(crate) fn run(text: &[u8]) {
    let Ok(list) = datastore::vmsd::parse(text) else { return };
    if let Ok(written) = list.to_text() {
        datastore::vmsd::parse(written.as_bytes()).expect("our own file");
    }
}
