//! The hardware of the host: processors, memory, firmware, as Linux describes them in `/proc` and `/sys`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use vim::DateTime;

use super::cpuid::{self, Leaf};
use super::disks::{self, Disk};

/// The hardware of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Hardware {
    pub vendor: String,
    pub model: String,
    pub bios_vendor: String,
    pub bios_version: String,
    pub cpu: Cpu,
    pub memory_bytes: u64,
    pub numa: Vec<Numa>,
    /// Network interfaces with a device behind them.
    pub nics: u32,
    /// As they were when the daemon started.
    pub disks: Vec<Disk>,
    pub booted: DateTime,
}

/// Processors.
#[derive(Debug, Clone, PartialEq)]
pub struct Cpu {
    /// `GenuineIntel` and the like.
    pub vendor: String,
    pub model: String,
    pub mhz: u32,
    pub packages: u16,
    pub cores: u16,
    pub threads: u16,
    pub features: Vec<Leaf>,
}

/// A NUMA node: memory, and the processors near it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numa {
    pub cpus: Vec<i16>,
    pub memory_bytes: u64,
}

impl Hardware {
    /// The hardware that this process runs on.
    pub fn detect() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let dmi =
            |name: &str| Some(read(&format!("/sys/class/dmi/id/{name}"))).filter(|text| !text.is_empty());
        let memory_bytes = memory_total(&read("/proc/meminfo"));
        let cpu = Cpu::parse(&cpuinfo);
        Self {
            vendor: dmi("sys_vendor").unwrap_or_else(|| "Unknown".into()),
            model: dmi("product_name").unwrap_or_else(|| "Linux machine".into()),
            bios_vendor: dmi("bios_vendor").unwrap_or_else(|| "Unknown".into()),
            bios_version: dmi("bios_version").unwrap_or_else(|| "Unknown".into()),
            numa: numa(cpu.threads, memory_bytes),
            cpu,
            memory_bytes,
            nics: physical_nics(),
            disks: disks::detect(),
            booted: booted(&read("/proc/stat")),
        }
    }

    /// Hardware that does not exist, and says so.
    pub fn simulated(threads: u16, memory_bytes: u64, now: DateTime) -> Self {
        let cpu = Cpu {
            vendor: "Esfera".into(),
            model: "Simulated processor".into(),
            mhz: 2000,
            packages: 1,
            cores: threads,
            threads,
            features: cpuid::simulated(),
        };
        Self {
            vendor: "Esfera".into(),
            model: "Simulated host".into(),
            bios_vendor: "Esfera".into(),
            bios_version: "simulated".into(),
            numa: vec![Numa { cpus: processor_numbers(threads), memory_bytes }],
            cpu,
            memory_bytes,
            nics: 2,
            disks: disks::simulated(),
            booted: now,
        }
    }

    /// Frequency of all cores together, MHz.
    pub fn total_mhz(&self) -> i32 {
        i32::try_from(u64::from(self.cpu.mhz) * u64::from(self.cpu.cores)).unwrap_or(i32::MAX)
    }
}

fn processor_numbers(threads: u16) -> Vec<i16> {
    (0..threads).filter_map(|n| i16::try_from(n).ok()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

impl Cpu {
    /// Reads the content of `/proc/cpuinfo`.
    fn parse(text: &str) -> Self {
        let field = |wanted: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == wanted).then(|| value.trim().to_owned())
            })
        };
        let (mut packages, mut cores, mut threads) = (BTreeSet::new(), BTreeSet::new(), 0u16);
        for block in text.split("\n\n").filter(|block| block.contains("processor")) {
            let value = |wanted: &str| {
                block.lines().find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    (key.trim() == wanted).then(|| value.trim().to_owned())
                })
            };
            threads = threads.saturating_add(1);
            let package = value("physical id").unwrap_or_default();
            let core = value("core id").unwrap_or_else(|| threads.to_string());
            cores.insert((package.clone(), core));
            packages.insert(package);
        }
        let mhz = field("cpu MHz").and_then(|text| text.parse::<f64>().ok()).unwrap_or(1000.0);
        Self {
            vendor: field("vendor_id").unwrap_or_else(|| "unknown".into()),
            model: field("model name").unwrap_or_else(|| "unknown".into()),
            // The clamp keeps it positive and in range.
            mhz: mhz.clamp(1.0, 1e6) as u32,
            packages: u16::try_from(packages.len()).unwrap_or(1).max(1),
            cores: u16::try_from(cores.len()).unwrap_or(1).max(1),
            threads: threads.max(1),
            features: cpuid::detect(),
        }
    }
}

fn memory_total(meminfo: &str) -> u64 {
    meminfo_kib(meminfo, "MemTotal:").saturating_mul(1024)
}

fn meminfo_kib(meminfo: &str, key: &str) -> u64 {
    let line = meminfo.lines().find(|line| line.starts_with(key));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// Memory in use, bytes.
pub(crate) fn memory_used() -> u64 {
    let text = read("/proc/meminfo");
    let free = meminfo_kib(&text, "MemAvailable:");
    meminfo_kib(&text, "MemTotal:").saturating_sub(free).saturating_mul(1024)
}

/// Busy and total processor time since boot, in clock ticks.
pub(crate) fn processor_ticks() -> (u64, u64) {
    let text = read("/proc/stat");
    let Some(line) = text.lines().next() else { return (0, 0) };
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let all: u64 = ticks.iter().take(8).sum();
    let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
    (all.saturating_sub(idle), all)
}

fn booted(stat: &str) -> DateTime {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<i64>().ok());
    seconds.map_or_else(DateTime::now, |seconds| DateTime::from_micros(seconds.saturating_mul(1_000_000)))
}

fn physical_nics() -> u32 {
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return 0 };
    let physical = entries.flatten().filter(|entry| entry.path().join("device").exists());
    u32::try_from(physical.count()).unwrap_or(0)
}

fn numa(threads: u16, memory_bytes: u64) -> Vec<Numa> {
    let mut nodes = Vec::new();
    for number in 0..64 {
        let directory = format!("/sys/devices/system/node/node{number}");
        if !Path::new(&directory).exists() {
            break;
        }
        let memory = read(&format!("{directory}/meminfo"));
        let total = memory.lines().find(|line| line.contains("MemTotal:"));
        let kib = total.and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok()).unwrap_or(0);
        nodes.push(Numa {
            cpus: parse_list(&read(&format!("{directory}/cpulist"))),
            memory_bytes: kib.saturating_mul(1024),
        });
    }
    if nodes.is_empty() {
        nodes.push(Numa { cpus: processor_numbers(threads), memory_bytes });
    }
    nodes
}

/// Reads `0-3,8`.
fn parse_list(text: &str) -> Vec<i16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<i16>().ok()?..=last.trim().parse::<i16>().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_cores_and_packages_are_told_apart() {
        let block = |n: u32, package: u32, core: u32| {
            format!(
                "processor\t: {n}\nvendor_id\t: GenuineIntel\nmodel name\t: Test\ncpu MHz\t\t: 2500.125\nphysical id\t: {package}\ncore id\t\t: {core}\n"
            )
        };
        let text = [block(0, 0, 0), block(1, 0, 0), block(2, 1, 0), block(3, 1, 1)].join("\n");
        let cpu = Cpu::parse(&text);
        assert_eq!((cpu.packages, cpu.cores, cpu.threads, cpu.mhz), (2, 3, 4, 2500));
    }

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse_list("0-2,8"), [0, 1, 2, 8]);
        assert_eq!(parse_list(""), Vec::<i16>::new());
    }

    #[test]
    fn this_machine_has_processors_and_memory() {
        let found = Hardware::detect();
        assert!(found.cpu.threads >= 1 && found.memory_bytes > 1 << 20 && !found.numa.is_empty());
    }
}
