//! A `.vmsd` file: a VM's list of snapshots.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(list) = datastore::vmsd::parse(text) else { return };
    if let Ok(written) = list.to_text() {
        datastore::vmsd::parse(written.as_bytes()).expect("our own file");
    }
});
