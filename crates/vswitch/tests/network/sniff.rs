//! What passes an interface of a namespace, with its tags, as tcpdump writes it.

use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use super::Network;

/// A capture that goes on.
pub struct Sniffer {
    tcpdump: Child,
    file: PathBuf,
}

impl Sniffer {
    /// Begins, and returns once it listens. What comes in only.
    pub fn start(net: &Network, namespace: &str, interface: &str) -> Self {
        let file = net.room().join(format!("{namespace}-{interface}.pcap"));
        let _ = std::fs::remove_file(&file);
        let command = format!(
            "tcpdump --immediate-mode -Z root -Q in -s 200 -B 16384 -U -i {interface} -w {}",
            file.display()
        );
        let tcpdump = net.spawn(namespace, &command);
        let late = Instant::now() + Duration::from_secs(30);
        while std::fs::metadata(&file).map_or(0, |file| file.len()) < 24 {
            assert!(Instant::now() < late, "tcpdump does not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { tcpdump, file }
    }

    /// Ends it. The frames, each cut to 200 bytes.
    pub fn end(mut self) -> Vec<Vec<u8>> {
        // What is on its way to the file.
        std::thread::sleep(Duration::from_millis(100));
        let pid = rustix::process::Pid::from_child(&self.tcpdump);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.tcpdump.wait().unwrap();
        frames(&std::fs::read(&self.file).unwrap())
    }
}

fn frames(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    file = &file[24..];
    while file.len() >= 16 {
        let taken = u32::from_ne_bytes(file[8..12].try_into().unwrap()) as usize;
        frames.push(file[16..16 + taken].to_vec());
        file = &file[16 + taken..];
    }
    frames
}

/// How many frames have these bytes in them.
pub fn count(frames: &[Vec<u8>], bytes: &[u8]) -> usize {
    frames.iter().filter(|frame| frame.windows(bytes.len()).any(|window| window == bytes)).count()
}
