//! `.vmx` texts in the form of products, invalid texts, and agreement between reading and writing.
#![allow(clippy::unwrap_used)]

use datastore::vmx::{format_uuid, parse, parse_uuid};
use datastore::{Dictionary, DictionaryError};
use proptest::prelude::*;

/// As a host writes it for a Linux server.
const SERVER: &[u8] = include_bytes!("vmx/server.vmx");

/// As desktop products write it: other names, no quotes in places, carriage returns, a program line, and a name with a byte of
/// windows-1252.
const DESKTOP: &[u8] = include_bytes!("vmx/desktop.vmx");

#[test]
fn a_desktops_text_keeps_its_program_line_and_comments() {
    let file = parse(DESKTOP).unwrap();
    let text = file.to_text().unwrap();
    assert!(text.starts_with("#!/usr/bin/vmware\n.encoding = \"UTF-8\"\n# by hand\n\n"), "{text}");
    assert!(text.contains("DISPLAYNAME = \"Büro XP\"\n"));
    assert_eq!(parse(text.as_bytes()).unwrap(), file);
}

#[test]
fn a_text_is_written_back_as_it_was() {
    let server = std::str::from_utf8(SERVER).unwrap();
    assert_eq!(parse(SERVER).unwrap().to_text().unwrap(), server.replace("|25", "%"));
}

#[test]
fn what_is_no_dictionary_is_refused_with_its_line() {
    let many = "\n".repeat(datastore::limits::MAX_DICTIONARY_LINES + 2);
    let big = format!("a = \"{}\"", "x".repeat(datastore::limits::MAX_DICTIONARY_BYTES));
    let value = format!("a = \"{}\"", "x".repeat(datastore::limits::MAX_DICTIONARY_VALUE + 1));
    for text in [many, big, value] {
        assert!(matches!(parse(text.as_bytes()), Err(DictionaryError::TooLarge { .. })));
    }
    for (text, line) in [
        (&b"a = \"1\"\nno equals"[..], 2),
        (b"a = \"open", 1),
        (b"a = \"x\" y", 1),
        (b"a = x\"y", 1),
        (b" = \"x\"", 1),
        (b"\n\na b = \"x\"", 3),
        (b"a = \"|00\"", 1),
        (b"\xff = \"x\"", 1),
    ] {
        match parse(text) {
            Err(DictionaryError::Syntax { line: found, .. }) => assert_eq!(found, line, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
    assert!(matches!(parse(b"a = \"1\"\nA = \"2\""), Err(DictionaryError::Duplicate { line: 2, .. })));
    assert!(matches!(parse(b"a = \"\xff\""), Err(DictionaryError::NotEncoded { line: 1, .. })));
    assert!(
        matches!(parse(b".encoding = \"GBK\"\na = \"\xff\""), Err(DictionaryError::Encoding(e)) if e == "GBK")
    );
    assert_eq!(parse(b".encoding = \"GBK\"\na = \"b\"").unwrap().get("A"), Some("b"));
}

#[test]
fn uuids_are_spelt_as_vmware_does() {
    let text = "56 4d 9b e5 8a 71 a1 c1-6a 0b 2e 3c 4d 5e 6f 70";
    let uuid = parse_uuid(text).unwrap();
    assert_eq!(uuid.to_string(), "564d9be5-8a71-a1c1-6a0b-2e3c4d5e6f70");
    assert_eq!(format_uuid(uuid), text);
    assert_eq!(parse_uuid("564d9be5-8a71-a1c1-6a0b-2e3c4d5e6f70"), Some(uuid));
    for bad in ["", "56 4d", "5g4d9be5-8a71-a1c1-6a0b-2e3c4d5e6f70", "564d9be5-8a71-a1c1-6a0b-2e3c4d5e6f7"] {
        assert_eq!(parse_uuid(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn any_entries_are_read_as_they_were_written(
        entries in prop::collection::btree_map("[a-zA-Z][a-zA-Z0-9._:-]{0,8}", "[^\0]{0,12}", 0..12)
    ) {
        let mut file = Dictionary::new();
        for (key, value) in &entries {
            file.set(key, value.as_str()).unwrap();
        }
        file.set(".encoding", "UTF-8").unwrap();
        let text = file.to_text().unwrap();
        prop_assert_eq!(parse(text.as_bytes()).unwrap(), file);
    }

    #[test]
    fn any_bytes_are_parsed_without_panic_and_written_so_that_they_can_be_read(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            prop::collection::vec(prop::sample::select(&b"a.=\"|# \n\r\t0F\xc3\xa4"[..]), 0..60),
        ]
    ) {
        if let Ok(file) = parse(&bytes) {
            let text = file.to_text().unwrap();
            let again = parse(text.as_bytes()).unwrap();
            prop_assert!(file.iter().all(|(key, value)| again.get(key) == Some(value)));
            prop_assert_eq!(again.to_text().unwrap(), text);
        }
    }
}
