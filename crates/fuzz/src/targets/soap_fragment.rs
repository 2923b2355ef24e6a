//! An argument that a client gives to the executer, or a host's answer: the reader refuses it, or its written form reads
//! back as the same.

use vim::soap::{Element, read_fragment, write_fragment};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = read_fragment(text) else { return };
    // Characters that XML cannot say are replaced when they are first written.
    let written: Vec<String> = read.iter().map(write_fragment).collect();
    for text in written {
        let again = read_fragment(&text).expect("our own fragment");
        let [only]: [Element; 1] = again.try_into().expect("one element");
        assert_eq!(write_fragment(&only), text);
    }
}
