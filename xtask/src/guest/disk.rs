//! The guest's disk: an MBR partition table with a FAT partition, which BIOS (syslinux) and UEFI
//! (systemd-boot) both boot from, and an ext4 partition for data. Everything is written into a plain file
//! by programs that need no mount, and turned into qcow2 at the end.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::packages::Debian;
use crate::process;

const SECTOR_BYTES: u64 = 512;
const MIB: u64 = 1 << 20;
const BOOT_START: u64 = MIB;
const BOOT_BYTES: u64 = 47 * MIB;
const DATA_START: u64 = BOOT_START + BOOT_BYTES;
const DISK_BYTES: u64 = 256 * MIB;
const DATA_BYTES: u64 = DISK_BYTES - DATA_START;

/// Partition types: an EFI system partition, which must be FAT; a Linux file system.
const TYPE_EFI: u8 = 0xef;
const TYPE_LINUX: u8 = 0x83;
/// Boot code in the first sector ends where the disk's signature and the partition table begin.
const BOOT_CODE_BYTES: usize = 440;
const PARTITION_TABLE_AT: usize = 446;

/// The content of the disk.
pub struct Parts<'a> {
    pub kernel: &'a Path,
    pub initrd: &'a Path,
    pub debian: &'a Debian,
    /// The directory `guest/`.
    pub sources: &'a Path,
}

/// Writes the image, replacing an older one only when it is complete.
pub fn write(parts: &Parts<'_>, work: &Path, image: &Path) -> Result<()> {
    let disk = work.join("disk");
    let boot_code =
        fs::read(parts.debian.file(&["usr/lib/SYSLINUX/mbr.bin", "usr/lib/syslinux/mbr/mbr.bin"])?)?;
    let mut file = File::create(&disk).with_context(|| format!("cannot write {}", disk.display()))?;
    file.set_len(DISK_BYTES).context("cannot extend the disk")?;
    file.seek(SeekFrom::Start(0)).context("cannot rewind the disk")?;
    file.write_all(&first_sector(&boot_code)).context("cannot write the partition table")?;
    drop(file);
    write_boot(parts, &disk, work)?;
    write_data(&disk, &parts.sources.join("data"))?;
    let made = image.with_extension("new");
    process::quiet(Command::new("qemu-img").args(["convert", "-O", "qcow2"]).args([&disk, &made]))?;
    fs::rename(&made, image).with_context(|| format!("cannot replace {}", image.display()))
}

fn first_sector(boot_code: &[u8]) -> [u8; SECTOR_BYTES as usize] {
    let mut sector = [0; SECTOR_BYTES as usize];
    let length = boot_code.len().min(BOOT_CODE_BYTES);
    sector[..length].copy_from_slice(&boot_code[..length]);
    let partitions = [(0x80, TYPE_EFI, BOOT_START, BOOT_BYTES), (0, TYPE_LINUX, DATA_START, DATA_BYTES)];
    for (number, (active, kind, start, bytes)) in partitions.into_iter().enumerate() {
        let sectors = |bytes: u64| u32::try_from(bytes / SECTOR_BYTES).expect("the disk is far below 2 TiB");
        let entry = &mut sector[PARTITION_TABLE_AT + 16 * number..][..16];
        // Cylinders, heads and sectors say "beyond": only the linear addresses count.
        entry[..8].copy_from_slice(&[active, 0xfe, 0xff, 0xff, kind, 0xfe, 0xff, 0xff]);
        entry[8..12].copy_from_slice(&sectors(start).to_le_bytes());
        entry[12..].copy_from_slice(&sectors(bytes).to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

fn write_boot(parts: &Parts<'_>, disk: &Path, work: &Path) -> Result<()> {
    let partition = format!("{}@@{BOOT_START}", disk.display());
    let mtools = |program: &str| {
        let mut command = Command::new(program);
        command.env("MTOOLS_SKIP_CHECK", "1").args(["-i", &partition]);
        command
    };
    process::quiet(
        mtools("mformat")
            .args(["-v", "ESFERA", "-h", "64", "-s", "32", "-H", &(BOOT_START / SECTOR_BYTES).to_string()])
            .args(["-T", &(BOOT_BYTES / SECTOR_BYTES).to_string(), "::"]),
    )?;
    process::quiet(mtools("mmd").args(["::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries"]))?;
    let boot = parts.sources.join("boot");
    let command_line =
        fs::read_to_string(boot.join("command-line")).context("cannot read guest/boot/command-line")?;
    let filled_in = |name: &str| -> Result<_> {
        let text =
            fs::read_to_string(boot.join(name)).with_context(|| format!("cannot read guest/boot/{name}"))?;
        let path = work.join(name);
        fs::write(&path, text.replace("@COMMAND_LINE@", command_line.trim()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    let files = [
        (parts.kernel.to_owned(), "vmlinuz"),
        (parts.initrd.to_owned(), "initrd"),
        (filled_in("syslinux.cfg")?, "syslinux.cfg"),
        (filled_in("loader.conf")?, "loader/loader.conf"),
        (filled_in("guest.conf")?, "loader/entries/guest.conf"),
        (parts.debian.file(&["usr/lib/systemd/boot/efi/systemd-bootx64.efi"])?, "EFI/BOOT/BOOTX64.EFI"),
    ];
    for (file, name) in files {
        process::quiet(mtools("mcopy").arg(file).arg(format!("::/{name}")))?;
    }
    let syslinux = parts.debian.file(&["usr/bin/syslinux"])?;
    process::quiet(Command::new(syslinux).args(["--offset", &BOOT_START.to_string(), "--install"]).arg(disk))
}

fn write_data(disk: &Path, contents: &Path) -> Result<()> {
    process::quiet(
        Command::new("mke2fs")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args([
                "-q",
                "-F",
                "-t",
                "ext4",
                "-L",
                "data",
                "-m",
                "0",
                "-E",
                &format!("offset={DATA_START}"),
                "-d",
            ])
            .arg(contents)
            .arg(disk)
            .arg(format!("{}k", DATA_BYTES / 1024)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_follow_each_other_and_end_with_the_disk() {
        let sector = first_sector(&[0x90; 600]);
        let number = |at: usize| u32::from_le_bytes(sector[at..at + 4].try_into().expect("four bytes"));
        let (boot, data) = (PARTITION_TABLE_AT + 8, PARTITION_TABLE_AT + 24);
        assert_eq!(number(boot) + number(boot + 4), number(data));
        assert_eq!(u64::from(number(data) + number(data + 4)) * SECTOR_BYTES, DISK_BYTES);
        assert_eq!(&sector[PARTITION_TABLE_AT..PARTITION_TABLE_AT + 1], &[0x80]);
        assert_eq!(&sector[510..], &[0x55, 0xaa]);
    }
}
