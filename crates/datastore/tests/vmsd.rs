//! `.vmsd`: snapshot lists in the form of products, damaged ones, and agreement between reading and writing.
#![allow(clippy::unwrap_used)]

use datastore::DictionaryError;
use datastore::vmsd::{SnapshotDisk, SnapshotList, SnapshotRecord, parse};
use proptest::prelude::*;

const TWO: &str = r#".encoding = "UTF-8"
snapshot.lastUID = "5"
snapshot.current = "5"
snapshot0.uid = "3"
snapshot0.filename = "web01-Snapshot3.vmsn"
snapshot0.displayName = "before |22upgrade|22"
snapshot0.description = "line 1|0Aline 2"
snapshot0.createTimeHigh = "395436"
snapshot0.createTimeLow = "-1431655766"
snapshot0.numDisks = "2"
snapshot0.disk0.fileName = "web01.vmdk"
snapshot0.disk0.node = "scsi0:0"
snapshot0.disk1.fileName = "data.vmdk"
snapshot0.disk1.node = "scsi0:1"
snapshot1.uid = "5"
snapshot1.filename = "web01-Snapshot5.vmsn"
snapshot1.parent = "3"
snapshot1.displayName = "after"
snapshot1.description = ""
snapshot1.type = "1"
snapshot1.createTimeHigh = "395436"
snapshot1.createTimeLow = "2863311531"
snapshot1.numDisks = "1"
snapshot1.disk0.fileName = "web01-000001.vmdk"
snapshot1.disk0.node = "scsi0:0"
snapshot.numSnapshots = "2"
"#;

#[test]
fn a_list_of_two_is_understood() {
    let list = parse(TWO.as_bytes()).unwrap();
    assert_eq!((list.current, list.last_uid), (Some(5), 5));
    let first = list.get(3).unwrap();
    assert_eq!(
        (first.display_name.as_str(), first.description.as_str()),
        ("before \"upgrade\"", "line 1\nline 2")
    );
    assert_eq!(first.create_time_us, (395_436 << 32) + 0xaaaa_aaaa);
    assert_eq!(list.get(5).unwrap().create_time_us, first.create_time_us + 1);
    assert_eq!(first.disks[1], SnapshotDisk { node: "scsi0:1".into(), file_name: "data.vmdk".into() });
    assert_eq!(list.children(None).map(|s| s.uid).collect::<Vec<_>>(), [3]);
    assert_eq!(list.children(Some(3)).map(|s| s.uid).collect::<Vec<_>>(), [5]);
    assert_eq!(parse(list.to_text().unwrap().as_bytes()).unwrap(), list);
}

#[test]
fn an_empty_file_lists_nothing() {
    for text in ["", ".encoding = \"UTF-8\"\n", "snapshot.numSnapshots = \"0\"\nsnapshot.current = \"0\"\n"] {
        assert_eq!(parse(text.as_bytes()).unwrap(), SnapshotList::default());
    }
    assert_eq!(parse(b"snapshot.lastUID = \"9\"").unwrap().last_uid, 9);
}

#[test]
fn lists_that_make_no_sense_are_refused() {
    let change = |from: &str, to: &str| parse(TWO.replace(from, to).as_bytes());
    for (from, to) in [
        ("snapshot.current = \"5\"", "snapshot.current = \"4\""),
        ("snapshot1.uid = \"5\"", "snapshot1.uid = \"3\""),
        ("snapshot1.uid = \"5\"", "snapshot1.uid = \"x\""),
        ("snapshot1.uid = \"5\"\n", ""),
        ("parent = \"3\"", "parent = \"7\""),
        ("parent = \"3\"", "parent = \"5\""),
        ("snapshot0.uid = \"3\"", "snapshot0.uid = \"3\"\nsnapshot0.parent = \"5\""),
        ("createTimeLow = \"2863311531\"", "createTimeLow = \"99999999999\""),
        ("numSnapshots = \"2\"", "numSnapshots = \"3\""),
    ] {
        assert!(matches!(change(from, to), Err(DictionaryError::Value { .. })), "{from} → {to}");
    }
    for (from, to) in [
        ("numSnapshots = \"2\"", "numSnapshots = \"4000000000\""),
        ("snapshot0.numDisks = \"2\"", "snapshot0.numDisks = \"4000000000\""),
    ] {
        assert!(matches!(change(from, to), Err(DictionaryError::TooLarge { .. })), "{to}");
    }
}

fn snapshot() -> impl Strategy<Value = (String, String, i64, u32, Vec<(String, String)>, prop::sample::Index)>
{
    let disks = prop::collection::vec(("scsi[0-3]:[0-9]", "[a-z]{1,5}-00000[1-9]\\.vmdk"), 0..3);
    ("[^\0]{0,9}", "[^\0]{0,9}", any::<i64>(), 0u32..3, disks, any::<prop::sample::Index>())
}

proptest! {
    #[test]
    fn any_list_is_read_as_it_was_written(
        snapshots in prop::collection::vec(snapshot(), 0..8), current in any::<prop::sample::Index>()
    ) {
        let mut list = SnapshotList::default();
        for (n, (display_name, description, create_time_us, kind, disks, parent)) in snapshots.into_iter().enumerate() {
            let uid = u32::try_from(n).unwrap() + 1;
            let parent = u32::try_from(parent.index(n + 1)).unwrap();
            list.snapshots.push(SnapshotRecord {
                uid,
                parent: (parent > 0).then_some(parent),
                file_name: format!("vm-Snapshot{uid}.vmsn"),
                display_name,
                description,
                create_time_us,
                kind,
                disks: disks.into_iter().map(|(node, file_name)| SnapshotDisk { node, file_name }).collect(),
            });
            list.last_uid = uid;
        }
        let current = u32::try_from(current.index(list.snapshots.len() + 1)).unwrap();
        list.current = (current > 0).then_some(current);
        prop_assert_eq!(parse(list.to_text().unwrap().as_bytes()).unwrap(), list);
    }

    #[test]
    fn any_bytes_are_parsed_without_panic(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "(snapshot(|0|1)\\.(uid|parent|current|numSnapshots|numDisks|createTimeLow|x) = \"-?[0-9]{0,11}\"\n){0,12}"
                .prop_map(String::into_bytes),
        ]
    ) {
        if let Ok(list) = parse(&bytes) {
            prop_assert_eq!(parse(list.to_text().unwrap().as_bytes()).unwrap(), list);
        }
    }
}
