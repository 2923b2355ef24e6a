//! A pure function from a spec to QEMU's arguments. Devices, block nodes and network backends are JSON, so no name in
//! them can be mistaken for an option; commas in other arguments are doubled.

pub mod block;
pub mod device;
#[cfg(test)]
mod tests;

use crate::spec::{Accel, Attachment, Firmware, MachineSpec, Video, port_count};
use crate::{Error, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// Machine type: pinned, so that saved state and device addresses survive an upgrade of QEMU.
const MACHINE_TYPE: &str = "pc-q35-10.0";

/// Channels that the starter prepared for the process: descriptors by their number in the process, and paths.
#[derive(Debug, Clone, Default)]
pub struct Channels {
    /// Listening socket of the monitor.
    pub qmp: RawFd,
    /// Listening socket of the agent channel; needed if the spec has one.
    pub agent: Option<RawFd>,
    /// Listening socket of the serial port; needed if the spec has one.
    pub serial: Option<RawFd>,
    /// Path for the VNC socket; needed if the spec has one.
    pub vnc: Option<PathBuf>,
    /// Open taps by NIC id.
    pub taps: BTreeMap<String, RawFd>,
    /// The process waits for saved state instead of starting afresh.
    pub incoming: bool,
}

/// Addresses on the root bus of what is built in: always the same, so that a guest finds its devices again.
mod slot {
    pub(super) const VIDEO: u8 = 0x1;
    pub(super) const USB: u8 = 0x2;
    pub(super) const VIRTIO_SERIAL: u8 = 0x3;
    pub(super) const BALLOON: u8 = 0x4;
    pub(super) const RNG: u8 = 0x5;
    pub(super) const SATA: u8 = 0x6;
    pub(super) const SCSI: u8 = 0xa;
    pub(super) const IDE: u8 = 0xf;
    pub(super) const ROOT_PORTS: u8 = 0x10;
    pub(super) const SOUND: u8 = 0x1d;
}

/// QEMU's arguments for a spec, without the program name.
pub fn argv(spec: &MachineSpec, channels: &Channels) -> Result<Vec<String>> {
    spec.validate()?;
    let mut args = Args::default();
    args.plain("-name", format!("guest={},debug-threads=on", escape(&spec.name)));
    args.plain("-uuid", &spec.uuid);
    for flag in ["-nodefaults", "-no-user-config", "-S"] {
        args.0.push(flag.into());
    }
    args.plain("-display", "none");
    args.plain("-msg", "timestamp=on");
    args.plain("-rtc", "base=utc");
    args.plain("-boot", "strict=on");
    args.plain("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    args.processor_and_memory(spec);
    args.firmware(spec)?;
    args.monitor(channels);
    args.built_in(spec, channels)?;
    let ports = assign_ports(spec)?;
    args.root_ports(port_count(spec)?);
    args.drives(spec, &ports)?;
    for nic in &spec.nics {
        let port = ports[nic.id.as_str()];
        let tap = channels.taps.get(&nic.id).map(ToString::to_string);
        args.json("-netdev", &device::netdev(nic, port, tap.as_deref())?);
        args.json("-device", &device::nic(nic, port));
    }
    if channels.incoming {
        args.plain("-incoming", "defer");
    }
    Ok(args.0)
}

/// Root port of each device that sits on one: those that ask for a port first, the others fill the gaps.
fn assign_ports(spec: &MachineSpec) -> Result<BTreeMap<&str, u8>> {
    let mut taken = BTreeSet::new();
    let mut ports = BTreeMap::new();
    for nic in &spec.nics {
        if let Some(port) = nic.port {
            if !taken.insert(port) {
                return Err(Error::Spec(format!("{}: root port {port} is taken twice", nic.id)));
            }
            ports.insert(nic.id.as_str(), port);
        }
    }
    let disks = spec.disks.iter().filter(|d| d.attach == Attachment::VirtioBlk).map(|d| d.id.as_str());
    for id in disks.chain(spec.nics.iter().filter(|n| n.port.is_none()).map(|n| n.id.as_str())) {
        let free = (0..=u8::MAX).find(|p| !taken.contains(p)).ok_or_else(|| Error::Spec("no port".into()))?;
        taken.insert(free);
        ports.insert(id, free);
    }
    Ok(ports)
}

#[derive(Default)]
struct Args(Vec<String>);

impl Args {
    fn plain(&mut self, option: &str, value: impl AsRef<str>) {
        self.0.push(option.into());
        self.0.push(value.as_ref().into());
    }

    fn json(&mut self, option: &str, value: &Value) {
        self.plain(option, value.to_string());
    }

    fn processor_and_memory(&mut self, spec: &MachineSpec) {
        let cpu = &spec.cpu;
        let most = cpu.max_count.unwrap_or(cpu.count);
        // A thread of emulation that comes later aborts QEMU if the others have taken all of the cache for translated
        // code (`tcg_region_initial_alloc`), which a guest that has booted mostly has.
        let threads = if most > cpu.count { "thread=single," } else { "" };
        self.plain(
            "-accel",
            match spec.accel {
                Accel::Kvm => "kvm".to_owned(),
                Accel::Tcg => format!("tcg,{threads}tb-size={}", translation_cache_mib(spec.memory_mib)),
            },
        );
        let model = cpu.model.as_deref().unwrap_or(match spec.accel {
            Accel::Kvm => "host",
            Accel::Tcg => "max",
        });
        self.plain("-cpu", model);
        let ceiling = if most > cpu.count { format!(",maxcpus={most}") } else { String::new() };
        self.plain(
            "-smp",
            format!(
                "cpus={}{ceiling},sockets={},cores={},threads=1",
                cpu.count,
                most / cpu.cores_per_socket,
                cpu.cores_per_socket
            ),
        );
        self.plain(
            "-m",
            match spec.max_memory_mib.filter(|max| *max > spec.memory_mib) {
                Some(max) => {
                    format!("size={}M,slots={},maxmem={max}M", spec.memory_mib, device::MEMORY_SLOTS)
                }
                None => format!("size={}M", spec.memory_mib),
            },
        );
    }

    fn firmware(&mut self, spec: &MachineSpec) -> Result<()> {
        let mut machine = format!("{MACHINE_TYPE},dump-guest-core=off,vmport=off,hpet=off");
        if let Firmware::Efi { code, vars, secure_boot } = &spec.firmware {
            self.json("-blockdev", &block::firmware("fw-code", code, true)?);
            self.json("-blockdev", &block::firmware("fw-vars", vars, false)?);
            machine.push_str(",pflash0=fw-code,pflash1=fw-vars");
            if *secure_boot {
                machine.push_str(",smm=on");
                self.plain("-global", "driver=cfi.pflash01,property=secure,value=on");
            }
        }
        self.plain("-machine", machine);
        if let Some(boot) = &spec.direct_boot {
            self.plain("-kernel", text(&boot.kernel)?);
            if let Some(initrd) = &boot.initrd {
                self.plain("-initrd", text(initrd)?);
            }
            self.plain("-append", &boot.cmdline);
        }
        Ok(())
    }

    fn monitor(&mut self, channels: &Channels) {
        self.plain("-chardev", format!("socket,id=qmp,fd={},server=on,wait=off", channels.qmp));
        self.plain("-mon", "chardev=qmp,mode=control");
    }

    fn built_in(&mut self, spec: &MachineSpec, channels: &Channels) -> Result<()> {
        let prepared = |fd: Option<RawFd>, what: &str| {
            fd.ok_or_else(|| Error::Spec(format!("no socket was prepared for the {what}")))
        };
        match spec.video {
            Video::None => {}
            Video::Vga { memory_mib } => {
                self.json("-device", &device::on_root("VGA", slot::VIDEO, json!({"vgamem_mb": memory_mib})));
            }
            Video::Vmware => self.json("-device", &device::on_root("vmware-svga", slot::VIDEO, json!({}))),
            Video::Virtio => self.json("-device", &device::on_root("virtio-vga", slot::VIDEO, json!({}))),
        }
        if let Some(sound) = spec.sound {
            self.json("-device", &device::on_root("ich9-intel-hda", slot::SOUND, json!({"id": "sound"})));
            if sound.connected {
                self.json("-audiodev", &json!({"driver": "none", "id": "speaker"}));
                self.json(
                    "-device",
                    &json!({"driver": "hda-output", "bus": "sound.0", "audiodev": "speaker"}),
                );
            }
        }
        if spec.tablet {
            self.json("-device", &device::on_root("qemu-xhci", slot::USB, json!({"id": "usb"})));
            self.json("-device", &json!({"driver": "usb-tablet", "bus": "usb.0"}));
        }
        if spec.guest_agent {
            let fd = prepared(channels.agent, "guest agent")?;
            self.json(
                "-device",
                &device::on_root("virtio-serial-pci", slot::VIRTIO_SERIAL, json!({"id": "vserial"})),
            );
            self.plain("-chardev", format!("socket,id=agent,fd={fd},server=on,wait=off"));
            self.json(
                "-device",
                &json!({"driver": "virtserialport", "bus": "vserial.0", "chardev": "agent",
                        "name": "org.qemu.guest_agent.0"}),
            );
        }
        if let Some(serial) = &spec.serial {
            let fd = prepared(channels.serial, "serial port")?;
            let log = match &serial.log {
                Some(path) => format!(",logfile={},logappend=on", escape(&text(path)?)),
                None => String::new(),
            };
            self.plain("-chardev", format!("socket,id=serial0,fd={fd},server=on,wait=off{log}"));
            self.json("-device", &json!({"driver": "isa-serial", "chardev": "serial0"}));
        }
        if spec.balloon {
            let options = json!({"id": "balloon0", "deflate-on-oom": true});
            self.json("-device", &device::on_root("virtio-balloon-pci", slot::BALLOON, options));
        }
        if spec.rng {
            self.json(
                "-object",
                &json!({"qom-type": "rng-random", "id": "rng0", "filename": "/dev/urandom"}),
            );
            self.json("-device", &device::on_root("virtio-rng-pci", slot::RNG, json!({"rng": "rng0"})));
        }
        if spec.vnc {
            let path = channels.vnc.as_deref().ok_or_else(|| Error::Spec("no path for VNC".into()))?;
            self.plain("-vnc", format!("unix:{}", escape(&text(path)?)));
        }
        Ok(())
    }

    fn root_ports(&mut self, count: u8) {
        for n in 0..count {
            let (slot, function) = (slot::ROOT_PORTS + n / 8, n % 8);
            self.json(
                "-device",
                &json!({"driver": "pcie-root-port", "id": device::port_id(n), "bus": "pcie.0",
                        "addr": format!("{slot:#x}.{function:#x}"), "chassis": u16::from(n) + 1,
                        "multifunction": function == 0}),
            );
        }
    }

    fn drives(&mut self, spec: &MachineSpec, ports: &BTreeMap<&str, u8>) -> Result<()> {
        for controller in &spec.controllers {
            self.json("-device", &device::controller(*controller, slot::SATA, slot::SCSI));
        }
        let mut attachments = spec.disks.iter().map(|d| d.attach).chain(spec.cdroms.iter().map(|c| c.attach));
        if attachments.any(|a| matches!(a, Attachment::Ide { .. })) {
            self.json("-device", &device::on_root("piix4-ide", slot::IDE, json!({"id": device::IDE})));
        }
        for disk in &spec.disks {
            self.json("-blockdev", &block::disk(&disk.id, disk)?);
            let port = ports.get(disk.id.as_str()).copied();
            self.json("-device", &device::disk(spec, disk, &disk.id, port)?);
        }
        for cdrom in &spec.cdroms {
            if let Some(iso) = &cdrom.iso {
                self.json("-blockdev", &block::iso(&cdrom.id, iso)?);
            }
            self.json("-device", &device::cdrom(spec, cdrom)?);
        }
        Ok(())
    }
}

/// Cache for translated code under emulation, MiB: QEMU's default is 1 GiB each, too much for ten small VMs.
fn translation_cache_mib(memory_mib: u64) -> u64 {
    match memory_mib {
        0..=512 => 32,
        513..=2048 => 64,
        _ => 256,
    }
}

/// Doubles commas, QEMU's escape in `key=value` options.
fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

/// A path as text; QMP and JSON cannot carry any other.
pub(crate) fn text(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(path) if !path.is_empty() => Ok(path.to_owned()),
        _ => Err(Error::Spec(format!("the path {} is empty or not UTF-8", path.display()))),
    }
}
