//! Helpers shared by the tests with real QEMU processes.
#![allow(dead_code, clippy::unwrap_used)]

use qemu::spec::{Attachment, Disk, ImageFormat, Nic, NicBackend, NicModel};
use qemu::{MachineSpec, image};
use std::path::{Path, PathBuf};

/// Size of the disks made here.
pub const DISK_BYTES: u64 = 16 << 20;

/// A directory that is removed with the test.
pub struct Room(tempfile::TempDir);

impl Room {
    pub fn new() -> Room {
        Room(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// For VMs that run as another user.
    pub fn let_others_in(&self) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(self.0.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    }

    /// A file that passes for a disc.
    pub fn iso(&self, name: &str) -> PathBuf {
        std::fs::write(self.path(name), vec![0; 64 << 10]).unwrap();
        self.path(name)
    }
}

/// Kills the VMs that a failed test left behind, found by the directory of their logs.
impl Drop for Room {
    fn drop(&mut self) {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let log = std::fs::read_link(entry.path().join("fd/2")).unwrap_or_default();
            if log.starts_with(self.0.path())
                && let Some(pid) = rustix::process::Pid::from_raw(pid)
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// A UUID that ends in a number.
pub fn uuid(n: u32) -> String {
    format!("0e5fe7a0-0000-4000-8000-{n:012}")
}

/// A VM with nothing to boot, small enough to have many.
pub fn empty_machine(name: &str) -> MachineSpec {
    MachineSpec::new(name, uuid(1), 64)
}

/// An empty qcow2 disk of that id.
pub async fn disk(room: &Room, id: &str, attach: Attachment) -> Disk {
    let path = room.path(&format!("{id}.qcow2"));
    image::create(&path, ImageFormat::Qcow2, DISK_BYTES, image::Preallocation::Off).await.unwrap();
    let format = ImageFormat::Qcow2;
    Disk { id: id.into(), path, format, attach, read_only: false, boot_index: None, serial: None }
}

pub fn nic(id: &str, model: NicModel, backend: NicBackend) -> Nic {
    let mac = "00:50:56:00:00:01".into();
    Nic { id: id.into(), model, mac, backend, link_up: true, boot_index: None, port: None }
}

/// Lets QEMU itself write or read a pattern, as its guest would. Returns the printed text.
pub async fn qemu_io(vm: &qemu::Machine, disk: &str, command: &str) -> String {
    let virtio = vm.spec().disks.iter().any(|d| d.id == disk && d.attach == Attachment::VirtioBlk);
    let device = if virtio { format!("/machine/peripheral/{disk}/virtio-backend") } else { disk.to_owned() };
    let line = format!("qemu-io -d {device} \"{command}\"");
    let arguments = serde_json::json!({ "command-line": line });
    let printed_before = std::fs::read_to_string(vm.runtime_dir().log()).unwrap();
    let answer = vm.monitor().raw("human-monitor-command", arguments, qemu::limits::QMP_CALL).await.unwrap();
    assert_eq!(answer, "", "the command itself was refused");
    let printed = std::fs::read_to_string(vm.runtime_dir().log()).unwrap();
    printed[printed_before.len()..].to_owned()
}

/// Fills the first MiB of a disk with a byte.
pub async fn fill(vm: &qemu::Machine, disk: &str, byte: u8) {
    let printed = qemu_io(vm, disk, &format!("write -P {byte} 0 1M")).await;
    assert!(!printed.contains("failed"), "{printed}");
}

/// Whether the first MiB of a disk is filled with a byte.
pub async fn is_filled(vm: &qemu::Machine, disk: &str, byte: u8) -> bool {
    let printed = qemu_io(vm, disk, &format!("read -P {byte} 0 1M")).await;
    !printed.contains("failed")
}

/// Whether the first MiB of an image that no VM has open is filled with a byte.
pub fn image_is_filled(path: &std::path::Path, byte: u8) -> bool {
    let read = format!("read -P {byte} 0 1M");
    let output = std::process::Command::new("qemu-io").args(["-r", "-c", &read]).arg(path).output().unwrap();
    assert!(output.status.success() || !output.stdout.is_empty(), "{output:?}");
    !String::from_utf8_lossy(&output.stdout).contains("verification failed")
}

/// Whether the process of a VM has a file open.
pub fn has_open(vm: &qemu::Machine, file: &Path) -> bool {
    let mut descriptors = std::fs::read_dir(format!("/proc/{}/fd", vm.pid())).unwrap().flatten();
    descriptors.any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == file))
}

/// Makes a tap that lives as long as its descriptor, with the header that QEMU expects.
pub fn open_tap(name: &str) -> std::os::fd::OwnedFd {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    let tap = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").unwrap();
    let mut request = [0u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&i16::try_from(flags).unwrap().to_ne_bytes());
    // SAFETY: `struct ifreq` is 40 bytes: the name, then a union that begins with the flags.
    let made = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&tap), TUNSETIFF, request.as_ptr()) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    tap.into()
}

/// A file system of a few MiB that is removed with the test.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn mount(at: &Path, mib: u32) -> SmallDisk {
        std::fs::create_dir(at).unwrap();
        let size = format!("size={mib}m");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .status()
            .unwrap();
        assert!(mounted.success());
        SmallDisk(at.to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|s| s.success()));
    }
}
