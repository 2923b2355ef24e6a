//! The header of a disk image that a client uploaded: the reader never fails other than with an error, and no chain of
//! backing files leaves the directory or goes on for ever.

use datastore::{Datastore, FilePath, disk_image};

pub(crate) fn run(image: &[u8]) {
    let store = Datastore::memory(uuid::Uuid::nil(), 1 << 30);
    let path = |name: &str| FilePath::parse(name).expect("a path");
    store.make_directory(&path("vm"), false).expect("an empty datastore");
    // The same image under the names that the seeds use, so that chains can form.
    let names = ["vm/disk.vmdk", "vm/base.vmdk", "vm/a.qcow2"].map(path);
    for name in &names {
        store.write(name, image).expect("room for a small file");
    }
    for name in &names {
        if let Ok(facts) = disk_image::facts(&store, name) {
            let raw = facts.format == disk_image::Format::Raw;
            assert!(!raw || facts.capacity_bytes == image.len() as u64);
            for extent in &facts.extents {
                assert!(extent.path.as_str().starts_with("vm/"), "{} is elsewhere", extent.path);
            }
        }
        let _ = disk_image::fit_to_copy(&store, name);
        for parent in disk_image::parents(&store, name).unwrap_or_default() {
            assert!(parent.as_str().starts_with("vm/"), "{parent} is outside of the directory");
        }
    }
}
