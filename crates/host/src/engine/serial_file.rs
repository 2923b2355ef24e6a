//! Checks files for the output of serial ports. The guest chooses the content, and the file becomes its VM's: so no file will
//! do that a VM, or a host, reads as something else.

use std::ops::Range;

use datastore::{Error, FileKind, FilePath, disk_image};

use crate::datastores::Mounted;

/// Bytes of an image that QEMU locks while it has it open (`block/file-posix.c`).
const IMAGE_LOCKS: Range<u64> = 100..300;
/// Endings that the browser does not know as kinds.
const REFUSED_ENDINGS: [&str; 3] = [".lck", ".vmxf", ".vswp"];

/// Refuses a file of another kind; one that does not exist, or is nothing special, is fine. Blocking.
///
/// # Errors
/// The reason, as a sentence about the file.
pub(crate) fn check(on: &Mounted, path: &FilePath) -> Result<(), String> {
    let name = on.show(path);
    let kind = FileKind::of_name(path.name());
    let lower = path.name().to_ascii_lowercase();
    if !matches!(kind, FileKind::Log | FileKind::Other)
        || REFUSED_ENDINGS.iter().any(|end| lower.ends_with(end))
    {
        return Err(format!("{name} would be a file of another kind; name one like serial.txt"));
    }
    match on.store.entry(path) {
        Err(Error::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error.to_string()),
        Ok(entry) if entry.is_folder() => return Err(format!("{name} is a directory")),
        Ok(_) => {}
    }
    match disk_image::facts(&on.store, path) {
        Ok(facts) if facts.format == disk_image::Format::Raw => {}
        Ok(_) | Err(Error::Escapes(_)) => return Err(format!("{name} is a disk")),
        Err(error) => return Err(error.to_string()),
    }
    match on.store.open(path).and_then(|reader| reader.is_locked(IMAGE_LOCKS)) {
        Ok(false) => Ok(()),
        Ok(true) => Err(format!("{name} is in use")),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datastore::Datastore;

    use super::*;

    #[test]
    fn the_output_of_a_guest_goes_into_no_file_that_is_something_else() {
        let store = Arc::new(Datastore::memory(uuid::Uuid::new_v4(), 1 << 30));
        let on = Mounted { name: "ds".into(), store: store.clone() };
        let path = |name: &str| FilePath::parse(name).unwrap();
        store.make_directory(&path("d"), false).unwrap();
        store.write(&path("d/old.txt"), b"what was said before").unwrap();
        let header = [b"QFI\xfb".as_slice(), &[0, 0, 0, 3], &[0; 120]].concat();
        store.write(&path("d/hidden.txt"), &header).unwrap();
        for name in ["d/new.txt", "d/serial.log", "d/noending", "d/old.txt"] {
            assert_eq!(check(&on, &path(name)), Ok(()), "{name}");
        }
        for name in [
            "d",
            "d/a.vmx",
            "d/a.VMX",
            "d/a.vmtx",
            "d/a.vmsd",
            "d/a.vmsn",
            "d/a.vmss",
            "d/a.nvram",
            "d/a.vmdk",
            "d/a.qcow2",
            "d/a.iso",
            "d/a.vmx.lck",
            "d/hidden.txt",
        ] {
            assert!(check(&on, &path(name)).is_err(), "{name}");
        }
    }
}
