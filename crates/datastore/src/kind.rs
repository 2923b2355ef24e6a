//! The kind of a file, judged by its name like vSphere's datastore browser does, and the names of a virtual machine's
//! disks: `vm.vmdk`, then `vm-000001.vmdk` and so on for each snapshot.

use crate::FilePath;

/// Kind of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A directory.
    Folder,
    /// `.vmx`: configuration of a virtual machine.
    VmConfig,
    /// `.vmtx`: configuration of a template.
    TemplateConfig,
    /// `.vmdk`, `.qcow2`: a disk.
    Disk,
    /// `.iso`: an image of a CD or DVD.
    Iso,
    /// `.flp`, `.img`: an image of a floppy.
    Floppy,
    /// `.log`: a log.
    Log,
    /// `.nvram`: firmware variables.
    Nvram,
    /// `.vmsd`: list of snapshots.
    SnapshotList,
    /// `.vmsn`, `.vmss`, `.vmem`: state of a snapshot or suspended VM.
    Snapshot,
    /// Any other file.
    Other,
}

impl FileKind {
    /// The kind of a file with this name (no directory).
    pub fn of_name(name: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let is = |known: &str| extension.eq_ignore_ascii_case(known);
        match extension {
            _ if is("vmx") => Self::VmConfig,
            _ if is("vmtx") => Self::TemplateConfig,
            _ if is("vmdk") || is("qcow2") => Self::Disk,
            _ if is("iso") => Self::Iso,
            _ if is("flp") || is("img") => Self::Floppy,
            _ if is("log") => Self::Log,
            _ if is("nvram") => Self::Nvram,
            _ if is("vmsd") => Self::SnapshotList,
            _ if is("vmsn") || is("vmss") || is("vmem") => Self::Snapshot,
            _ => Self::Other,
        }
    }
}

/// Whether the name is a disk's.
pub fn is_disk(path: &FilePath) -> bool {
    FileKind::of_name(path.name()) == FileKind::Disk
}

/// Splits a disk's name into the part that all its deltas share and the number of the delta, 0 for the base:
/// `vm-000002.vmdk` → (`vm`, 2, `vmdk`).
pub fn split_disk_name(name: &str) -> Option<(&str, u32, &str)> {
    if FileKind::of_name(name) != FileKind::Disk {
        return None;
    }
    let (stem, extension) = name.rsplit_once('.')?;
    let delta = stem.rsplit_once('-').filter(|(base, number)| {
        !base.is_empty() && number.len() == 6 && number.bytes().all(|b| b.is_ascii_digit())
    });
    match delta {
        Some((base, number)) => Some((base, number.parse().ok()?, extension)),
        None => Some((stem, 0, extension)),
    }
}

/// Name of delta `number` (from 1) of a disk, given the name of its base or of any of its deltas; `None` if the name is
/// not a disk's or the number has more than six digits.
pub fn delta_name(disk: &str, number: u32) -> Option<String> {
    let (base, _, extension) = split_disk_name(disk)?;
    (1..1_000_000).contains(&number).then(|| format!("{base}-{number:06}.{extension}"))
}

/// First delta name of a disk that is not in `names`, the files of its directory.
pub fn next_delta_name<'a>(disk: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let (base, own, extension) = split_disk_name(disk)?;
    let highest = names
        .into_iter()
        .filter_map(split_disk_name)
        .filter(|(other, _, other_extension)| *other == base && *other_extension == extension)
        .map(|(_, number, _)| number)
        .fold(own, u32::max);
    delta_name(disk, highest + 1)
}

/// The members of `names` that belong to a disk: its base and its deltas, base first.
pub fn disk_chain_names<'a>(disk: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let Some((base, _, extension)) = split_disk_name(disk) else { return Vec::new() };
    let mut chain: Vec<(u32, &str)> = names
        .into_iter()
        .filter_map(|name| split_disk_name(name).map(|split| (name, split)))
        .filter(|(_, (other, _, other_extension))| *other == base && *other_extension == extension)
        .map(|(name, (_, number, _))| (number, name))
        .collect();
    chain.sort_unstable();
    chain.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_extension_whatever_its_case() {
        for (name, kind) in [
            ("a.vmx", FileKind::VmConfig),
            ("a.VMDK", FileKind::Disk),
            ("a.b.iso", FileKind::Iso),
            ("vmware-1.log", FileKind::Log),
            ("a.vmsd", FileKind::SnapshotList),
            ("a-Snapshot1.vmsn", FileKind::Snapshot),
            ("vmx", FileKind::Other),
            ("a.vmxf", FileKind::Other),
        ] {
            assert_eq!(FileKind::of_name(name), kind, "{name}");
        }
    }

    #[test]
    fn deltas_are_numbered_after_the_highest_that_exists() {
        assert_eq!(delta_name("vm.vmdk", 1).as_deref(), Some("vm-000001.vmdk"));
        assert_eq!(delta_name("vm-000007.vmdk", 8).as_deref(), Some("vm-000008.vmdk"));
        assert_eq!(delta_name("vm.iso", 1), None);
        assert_eq!(delta_name("vm.vmdk", 1_000_000), None);
        let names = ["vm.vmdk", "vm-000003.vmdk", "vm_1-000009.vmdk", "vm-12.vmdk", "vm.nvram"];
        assert_eq!(next_delta_name("vm.vmdk", names).as_deref(), Some("vm-000004.vmdk"));
        assert_eq!(next_delta_name("vm-000005.vmdk", names).as_deref(), Some("vm-000006.vmdk"));
        assert_eq!(disk_chain_names("vm-000003.vmdk", names), ["vm.vmdk", "vm-000003.vmdk"]);
        assert_eq!(split_disk_name("-000001.vmdk"), Some(("-000001", 0, "vmdk")));
    }
}
