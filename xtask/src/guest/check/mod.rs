//! Checks the behaviour of the guest image that tests rely on: it boots from every kind of controller that it has
//! drivers for, by BIOS and UEFI, lets an operator log in, gets addresses, answers through its agent,
//! notices new devices, keeps its data and powers off when told to.

mod machine;
mod network;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use self::machine::{Machine, PATIENCE};
use self::network::{Network, TAPS};
use crate::{paths, process};

const READY: &str = "esfera guest ready";
const OVMF: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"];

/// Ways to attach the disk, whether the kernel has a driver for it, and the arguments.
const CONTROLLERS: [(&str, bool, &[&str]); 5] = [
    ("virtio-blk", true, &["-device", "virtio-blk-pci,drive=disk,bootindex=1"]),
    ("virtio-scsi", true, &["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=disk,bootindex=1"]),
    ("pvscsi", true, &["-device", "pvscsi", "-device", "scsi-hd,drive=disk,bootindex=1"]),
    ("nvme", true, &["-device", "nvme,serial=esfera,drive=disk,bootindex=1"]),
    ("ahci", false, &["-device", "ide-hd,drive=disk,bootindex=1"]),
];

/// Runs every check; prints how long each boot took.
pub fn run(image: &Path) -> Result<()> {
    let size = image.metadata().with_context(|| format!("cannot look at {}", image.display()))?.len();
    eprintln!("image: {:.1} MB", size as f64 / 1e6);
    let directory = paths::cache()?.join(format!("guest-check-{}", std::process::id()));
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let result = run_in(image, &directory);
    fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    result
}

fn run_in(image: &Path, directory: &Path) -> Result<()> {
    let network = Network::make(directory)?;
    let check = Check { image, directory, network };
    for (name, has_driver, arguments) in CONTROLLERS {
        check.boots_from(name, has_driver, arguments).with_context(|| format!("boot from {name}"))?;
    }
    check.boots_by_uefi().context("boot by UEFI")?;
    check.lives().context("life of a guest")?;
    eprintln!("the guest image passes");
    Ok(())
}

struct Check<'a> {
    image: &'a Path,
    directory: &'a Path,
    network: Network,
}

impl Check<'_> {
    fn overlay(&self) -> Result<PathBuf> {
        let overlay = self.directory.join("disk.qcow2");
        let create = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"];
        process::quiet(Command::new("qemu-img").args(create).args([self.image, &overlay]))?;
        Ok(overlay)
    }

    fn start(&self, overlay: &Path, arguments: &[&str]) -> Result<Machine> {
        let drive = format!("if=none,id=disk,format=qcow2,file={}", overlay.display());
        let all: Vec<&str> = ["-drive", &drive].into_iter().chain(arguments.iter().copied()).collect();
        Machine::start(&self.network.namespace, self.directory, &all)
    }

    fn boots_from(&self, name: &str, has_driver: bool, arguments: &[&str]) -> Result<()> {
        let overlay = self.overlay()?;
        let started = Instant::now();
        let mut machine = self.start(&overlay, arguments)?;
        machine.expect(READY)?;
        let ready = started.elapsed();
        machine.log_in()?;
        eprintln!(
            "{name}: ready after {}, logged in after {}",
            process::seconds(ready),
            process::seconds(started.elapsed())
        );
        let mounted = machine.run("grep -c ' /data ext4 ' /proc/mounts; true")? == "1";
        ensure!(mounted == has_driver, "/data is {}mounted", if mounted { "" } else { "not " });
        Ok(())
    }

    fn boots_by_uefi(&self) -> Result<()> {
        let [code, variables] = OVMF;
        let own = self.directory.join("variables.fd");
        fs::copy(variables, &own).with_context(|| format!("cannot copy {variables}"))?;
        let overlay = self.overlay()?;
        let started = Instant::now();
        let mut machine = self.start(
            &overlay,
            &[
                "-drive",
                &format!("if=pflash,format=raw,readonly=on,file={code}"),
                "-drive",
                &format!("if=pflash,format=raw,file={}", own.display()),
                "-device",
                "virtio-blk-pci,drive=disk,bootindex=1",
            ],
        )?;
        machine.expect(READY)?;
        eprintln!("UEFI: ready after {}", process::seconds(started.elapsed()));
        machine.log_in()?;
        machine.run("test -d /sys/firmware/efi && grep -q ' /data ext4 ' /proc/mounts").map(drop)
    }

    /// One guest from boot over hot-plug and reboot to the power button.
    fn lives(&self) -> Result<()> {
        let overlay = self.overlay()?;
        let nic = |tap: usize| format!("tap,id=net{tap},ifname={},script=no,downscript=no", TAPS[tap]);
        let mut machine = self.start(
            &overlay,
            &[
                "-device",
                "virtio-blk-pci,drive=disk,bootindex=1",
                "-device",
                "pcie-root-port,id=port1,chassis=1",
                "-device",
                "pcie-root-port,id=port2,chassis=2",
                "-netdev",
                &nic(0),
                "-device",
                "virtio-net-pci,netdev=net0",
                "-fw_cfg",
                "name=opt/esfera/hostname,string=checked",
            ],
        )?;
        machine.expect(READY)?;
        machine.log_in()?;
        ensure!(machine.run("hostname")? == "checked", "the host name is not that of fw_cfg");
        self.has_address(&mut machine, "eth0", "10.77.0.")?;
        self.answers_by_agent(&mut machine)?;
        self.notices_devices(&mut machine, &nic(1))?;

        machine.run("echo kept > /data/mark && sync")?;
        machine.run("reboot")?;
        machine.expect(READY).context("after a reboot")?;
        machine.log_in()?;
        ensure!(machine.run("cat /data/mark")? == "kept", "/data was not kept");

        machine.qmp("system_powerdown", json!({}))?;
        machine.wait_for_end().context("after the power button")?;
        drop(machine);

        let mut machine = self.start(&overlay, &["-device", "virtio-blk-pci,drive=disk,bootindex=1"])?;
        machine.expect(READY)?;
        machine.log_in()?;
        let clean = machine.run("dmesg | grep -c 'EXT4-fs.*recovery'; true")? == "0";
        ensure!(clean, "the power button left /data in need of recovery");
        self.agent_is_there(&mut machine)?;
        machine.run("(sleep 1; exec shutdown -h now) & true")?;
        machine.wait_for_end().context("after shutdown")?;
        Ok(())
    }

    fn has_address(&self, machine: &mut Machine, adapter: &str, prefix: &str) -> Result<()> {
        let command = format!("ip -4 -o addr show {adapter} | awk '{{print $4}}'");
        let address = machine.run_until(&command, |address| address.starts_with(prefix))?;
        self.network.ping(address.split('/').next().unwrap_or(&address))
    }

    fn agent_is_there(&self, machine: &mut Machine) -> Result<()> {
        // A byte of 0xff clears the agent's parser; a marker tells old answers from new.
        let answer = machine.agent.call("guest-sync", json!({ "id": 4711 }))?;
        ensure!(answer == 4711, "the agent answers {answer}");
        Ok(())
    }

    fn answers_by_agent(&self, machine: &mut Machine) -> Result<()> {
        self.agent_is_there(machine)?;
        let name = machine.agent.call("guest-get-host-name", json!({}))?;
        ensure!(name["host-name"] == "checked", "the agent's host name is {name}");
        let adapters = machine.agent.call("guest-network-get-interfaces", json!({}))?.to_string();
        ensure!(adapters.contains("10.77.0."), "the agent reports no address: {adapters}");
        let frozen = machine.agent.call("guest-fsfreeze-freeze", json!({}))?;
        let thawed = machine.agent.call("guest-fsfreeze-thaw", json!({}))?;
        ensure!(frozen == 1 && thawed == 1, "{frozen} file systems were frozen and {thawed} thawed, of one");
        let arguments = json!({ "path": "/bin/uname", "arg": ["-n"], "capture-output": true });
        let process = machine.agent.call("guest-exec", arguments)?["pid"].clone();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = machine.agent.call("guest-exec-status", json!({ "pid": process }))?;
            if state["exited"] == true {
                ensure!(state["exitcode"] == 0 && state["out-data"] == "Y2hlY2tlZAo=", "guest-exec: {state}");
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("guest-exec did not end: {state}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn notices_devices(&self, machine: &mut Machine, nic: &str) -> Result<()> {
        let blank = self.directory.join("blank.raw");
        fs::write(&blank, vec![0; 8 << 20]).with_context(|| format!("cannot write {}", blank.display()))?;
        machine.qmp(
            "blockdev-add",
            json!({ "driver": "file", "node-name": "blank", "filename": blank.to_string_lossy() }),
        )?;
        let disk = json!({ "driver": "virtio-blk-pci", "id": "hot", "drive": "blank", "bus": "port1" });
        machine.qmp("device_add", disk)?;
        machine.run_until("cat /sys/block/vdb/size 2>/dev/null || true", |sectors| sectors == "16384")?;
        let backend: Vec<(&str, &str)> = nic.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let field = |name: &str| backend.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let netdev = json!({
            "type": "tap", "id": field("id"), "ifname": field("ifname"), "script": "no", "downscript": "no"
        });
        machine.qmp("netdev_add", netdev)?;
        machine.qmp(
            "device_add",
            json!({ "driver": "vmxnet3", "id": "nic1", "netdev": field("id"), "bus": "port2" }),
        )?;
        self.has_address(machine, "eth1", "10.77.1.").context("an adapter added to the running guest")
    }
}
