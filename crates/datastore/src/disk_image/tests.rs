//! Headers and descriptors as files have them, and as nobody should make them.

use super::*;
use qcow2::{BACKING_FORMAT, EXTERNAL_DATA, MAGIC};

fn qcow2(bytes: u64, backing: &str) -> Vec<u8> {
    layer(bytes, backing, "qcow2", 0)
}

fn layer(bytes: u64, backing: &str, format: &str, features: u64) -> Vec<u8> {
    let mut image = MAGIC.to_vec();
    image.extend(3u32.to_be_bytes());
    image.extend((if backing.is_empty() { 0 } else { 128u64 }).to_be_bytes());
    image.extend(u32::try_from(backing.len()).unwrap().to_be_bytes());
    image.extend(16u32.to_be_bytes());
    image.extend(bytes.to_be_bytes());
    image.resize(72, 0);
    image.extend(features.to_be_bytes());
    image.resize(100, 0);
    image.extend(104u32.to_be_bytes());
    if !format.is_empty() {
        image.extend(BACKING_FORMAT.to_be_bytes());
        image.extend(u32::try_from(format.len()).unwrap().to_be_bytes());
        image.extend(format.as_bytes());
    }
    image.resize(128, 0);
    image.extend(backing.as_bytes());
    image
}

#[test]
fn a_chain_is_followed_and_one_that_leads_out_or_round_is_refused() {
    let store = Datastore::memory(uuid::Uuid::new_v4(), 1 << 30);
    let path = |name: &str| FilePath::parse(name).unwrap();
    store.make_directory(&path("vm"), false).unwrap();
    for (name, content) in [
        ("vm/base.vmdk", qcow2(1 << 30, "")),
        ("vm/one.vmdk", qcow2(1 << 30, "base.vmdk")),
        ("vm/two.vmdk", qcow2(2 << 30, "./one.vmdk")),
        ("vm/out.vmdk", qcow2(1, "../../etc/passwd")),
        ("vm/nbd.vmdk", qcow2(1, "nbd://host/disk")),
        ("vm/round.vmdk", qcow2(1, "round.vmdk")),
        ("vm/text.vmdk", layer(1, "base.vmdk", "vmdk", 0)),
        ("vm/guess.vmdk", layer(1, "base.vmdk", "", 0)),
        ("vm/data.vmdk", layer(1, "", "", EXTERNAL_DATA)),
        ("vm/raw.vmdk", vec![0; 4096]),
    ] {
        store.write(&path(name), &content).unwrap();
    }
    let two = facts(&store, &path("vm/two.vmdk")).unwrap();
    assert_eq!((two.format, two.capacity_bytes), (Format::Qcow2, 2 << 30));
    assert_eq!(parents(&store, &path("vm/two.vmdk")).unwrap(), [path("vm/one.vmdk"), path("vm/base.vmdk")]);
    let raw = Facts::new(Format::Raw, 4096);
    assert_eq!(facts(&store, &path("vm/raw.vmdk")).unwrap(), raw);
    assert!(matches!(parents(&store, &path("vm/out.vmdk")), Err(Error::Escapes(_))));
    assert!(matches!(parents(&store, &path("vm/text.vmdk")), Err(Error::Escapes(_))));
    assert!(matches!(parents(&store, &path("vm/guess.vmdk")), Err(Error::Escapes(_))));
    assert!(matches!(facts(&store, &path("vm/data.vmdk")), Err(Error::Escapes(_))));
    assert!(matches!(parents(&store, &path("vm/nbd.vmdk")), Err(Error::Escapes(_))));
    assert!(matches!(parents(&store, &path("vm/round.vmdk")), Err(Error::TooMany { .. })));
}

proptest::proptest! {
    /// Offsets and lengths that lead nowhere, extensions without an end, names that are not text.
    #[test]
    fn any_header_gives_facts_or_an_error(
        words in proptest::collection::vec(proptest::num::u32::ANY, 0..64),
        version in 2u32..4,
    ) {
        let store = Datastore::memory(uuid::Uuid::nil(), 1 << 20);
        let path = FilePath::parse("disk.vmdk").unwrap();
        let body = words.iter().flat_map(|word| word.to_be_bytes());
        let image: Vec<u8> = MAGIC.into_iter().chain(version.to_be_bytes()).chain(body).collect();
        store.write(&path, &image).unwrap();
        if let Ok(facts) = facts(&store, &path) {
            proptest::prop_assert!(facts.format == Format::Qcow2 || facts.capacity_bytes == image.len() as u64);
        }
        drop(parents(&store, &path));
    }
}

/// A sparse extent with an embedded descriptor; a flag says that it is compressed.
fn sparse(sectors: u64, flags: u32, text: &str) -> Vec<u8> {
    let mut image = b"KDMV".to_vec();
    image.extend(1u32.to_le_bytes());
    image.extend(flags.to_le_bytes());
    image.extend(sectors.to_le_bytes());
    image.extend(128u64.to_le_bytes());
    image.extend(u64::from(!text.is_empty()).to_le_bytes());
    image.extend(20u64.to_le_bytes());
    image.resize(512, 0);
    image.extend(text.as_bytes());
    image.resize(128 << 10, 0);
    image
}

fn descriptor(extents: &str, more: &str) -> Vec<u8> {
    format!("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n{more}\n{extents}\n").into()
}

#[test]
fn a_vmdk_of_vmware_is_known_by_its_header_or_its_descriptor_and_has_the_size_that_they_say() {
    let store = Datastore::memory(uuid::Uuid::nil(), 1 << 30);
    let path = FilePath::parse("a.vmdk").unwrap();
    let uuid = "ddb.uuid = \"60 00 C2 9d 26 5f 7d 0a-5b 39 1d 36 d8 4a 3f 1c\"";
    for (content, kind, sectors, extents) in [
        (sparse(2048, 3, "createType=\"monolithicSparse\"\n"), Vmdk::Sparse, 2048, 0),
        (sparse(4096, 3 | 1 << 16 | 1 << 17, uuid), Vmdk::StreamOptimized, 4096, 0),
        (sparse(4096, 3, ""), Vmdk::Extent, 4096, 0),
        (sparse(4096, 3, "parentFileNameHint=\"/etc/passwd\""), Vmdk::Delta, 4096, 0),
        (sparse(0, 3, "RW 1 FLAT \"/etc/passwd\" 0"), Vmdk::Unknown, 0, 0),
        (descriptor("RW 8192 VMFS \"a-flat.vmdk\"", uuid), Vmdk::Flat, 8192, 1),
        (descriptor("RW 8192 FLAT \"a-flat.vmdk\" 0", ""), Vmdk::Flat, 8192, 1),
        (descriptor("RW 8192 FLAT \"a-flat.vmdk\" 64", ""), Vmdk::Split, 8192, 1),
        (descriptor("RW 8192 FLAT \"a-flat.vmdk\" x", ""), Vmdk::Split, 8192, 1),
        (descriptor("RW 8 SPARSE \"a-s001.vmdk\"\nRW 8 SPARSE \"a-s002.vmdk\"", ""), Vmdk::Split, 16, 2),
        (descriptor("RW 8 SPARSE \"a-s001.vmdk\"\nRW 8 VMFSSPARSE \"b\"", ""), Vmdk::Unknown, 16, 2),
        (descriptor("RW 8 VMFS \"a-flat.vmdk\"", "parentFileNameHint=\"../x\""), Vmdk::Delta, 8, 1),
        (descriptor("RW 8 VMFS \"a-flat.vmdk\"", "parentCID=12345678"), Vmdk::Delta, 8, 1),
        (descriptor("", ""), Vmdk::Unknown, 0, 0),
    ] {
        store.write(&path, &content).unwrap();
        let found = facts(&store, &path).unwrap();
        let shown = String::from_utf8_lossy(&content).replace('\0', "");
        assert_eq!(found.format, Format::Vmdk(kind), "{shown}");
        assert_eq!((found.capacity_bytes, found.extents.len()), (sectors * 512, extents), "{shown}");
        assert_eq!(found.uuid.is_some(), shown.contains("ddb.uuid"), "{shown}");
        assert!(matches!(fit_to_run(&store, &path), Err(Error::Unfit { .. })), "{shown}");
    }
    for name in ["/etc/passwd", "../b.vmdk", "nbd:a", "a.vmdk", "c/d"] {
        store.write(&path, &descriptor(&format!("RW 8 FLAT \"{name}\" 0"), "")).unwrap();
        assert_eq!(facts(&store, &path), Err(Error::Escapes(path.clone())), "{name}");
    }
}

#[test]
fn a_disk_is_copied_only_if_all_its_extents_are_what_the_descriptor_says() {
    let store = Datastore::memory(uuid::Uuid::nil(), 1 << 30);
    let path = |name: &str| FilePath::parse(name).unwrap();
    store.write(&path("s.vmdk"), &descriptor("RW 8 SPARSE \"s-1\"", "")).unwrap();
    store.write(&path("f.vmdk"), &descriptor("RW 8 FLAT \"f-1\" 0", "")).unwrap();
    let copied = |name: &str| fit_to_copy(&store, &path(name)).map(|facts| facts.format);
    assert!(matches!(copied("s.vmdk"), Err(Error::NotFound(_))));
    store.write(&path("s-1"), &sparse(8, 3, "")).unwrap();
    assert_eq!(copied("s.vmdk"), Ok(Format::Vmdk(Vmdk::Split)));
    // QEMU reads an extent without a size as a descriptor, which may name any file.
    store.write(&path("s-1"), &sparse(0, 3, "RW 8 FLAT \"/etc/passwd\" 0")).unwrap();
    assert!(matches!(copied("s.vmdk"), Err(Error::Unfit { .. })));
    store.write(&path("f-1"), &sparse(0, 3, "RW 8 FLAT \"/etc/passwd\" 0")).unwrap();
    assert_eq!(copied("f.vmdk"), Ok(Format::Vmdk(Vmdk::Flat)));
}

#[test]
fn a_raw_disk_stays_raw_whatever_its_guest_writes_and_so_do_its_copies() {
    let directory = tempfile::tempdir().unwrap();
    let local = Datastore::mount(directory.path()).unwrap();
    for store in [local, Datastore::memory(uuid::Uuid::new_v4(), 1 << 30)] {
        let path = |name: &str| FilePath::parse(name).unwrap();
        store.write(&path("disk.vmdk"), &[0; 4096]).unwrap();
        keep_raw(&store, &path("disk.vmdk")).unwrap();
        let lure = qcow2(1 << 30, "other.vmdk");
        // In place, as a guest writes.
        match store.root_path() {
            Some(root) => std::fs::write(root.join("disk.vmdk"), &lure).unwrap(),
            None => {
                store.write(&path("disk.vmdk"), &lure).unwrap();
                keep_raw(&store, &path("disk.vmdk")).unwrap();
            }
        }
        store
            .copy(&path("disk.vmdk"), &store, &path("copy.vmdk"), false, &mut |_| {
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        store.rename(&path("disk.vmdk"), &path("moved.vmdk"), false).unwrap();
        for name in ["copy.vmdk", "moved.vmdk"] {
            assert_eq!(facts(&store, &path(name)), Ok(Facts::new(Format::Raw, lure.len() as u64)), "{name}");
            assert_eq!(parents(&store, &path(name)), Ok(Vec::new()), "{name}");
        }
        // A layer that declares it as qcow2 would have QEMU read the header.
        for (declared, refused) in [("raw", false), ("qcow2", true)] {
            store.write(&path("top.vmdk"), &layer(1 << 30, "moved.vmdk", declared, 0)).unwrap();
            assert_eq!(parents(&store, &path("top.vmdk")).is_err(), refused, "{declared}");
        }
    }
}
