//! A `.vmx` file that a user put on a datastore.
#![no_main]

use datastore::vmx::{self, VmxConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(file) = vmx::parse(text) else { return };
    if let Ok(written) = file.to_text() {
        let again = vmx::parse(written.as_bytes()).expect("our own file");
        assert_eq!(again.to_text().expect("it was written before"), written);
    }
    let Ok(config) = VmxConfig::read(&file) else { return };
    let Ok(written) = config.to_dictionary() else { return };
    let again = VmxConfig::read(&written).expect("our own configuration");
    assert_eq!(again, config);
});
