//! A value of any type as JSON, as the hosts' link and the store carry it.

use vim::{Kind, Release, json, schema};

pub(crate) fn run(body: &[u8]) {
    let newest = Release((schema().releases.len() - 1) as u8);
    let write = |value: &vim::Value| {
        let mut out = Vec::new();
        json::write_value(&mut out, Kind::Any, false, value, newest);
        out
    };
    if let Ok(value) = json::read_value(Kind::Any, false, body) {
        let written = write(&value);
        let again = json::read_value(Kind::Any, false, &written).expect("our own value");
        assert_eq!(written, write(&again));
    }
    let _ = json::read_fault(body);
}
