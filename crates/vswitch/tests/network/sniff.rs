//! What passes an interface of a namespace, with its tags, as tcpdump writes it.

use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use super::{Network, PATIENCE};

/// In the last frame of a capture.
const MARK: &[u8] = b"<end of the capture>";

/// A capture that goes on.
pub struct Sniffer<'a> {
    net: &'a Network,
    namespace: String,
    interface: String,
    tcpdump: Child,
    file: PathBuf,
}

impl<'a> Sniffer<'a> {
    /// Begins, and returns once it listens. What comes in only.
    pub fn start(net: &'a Network, namespace: &str, interface: &str) -> Self {
        let file = net.room().join(format!("{namespace}-{interface}.pcap"));
        let _ = std::fs::remove_file(&file);
        let command = format!(
            "tcpdump --immediate-mode -Z root -Q in -s 200 -B 16384 -U -i {interface} -w {}",
            file.display()
        );
        let tcpdump = net.spawn(namespace, &command);
        let late = Instant::now() + PATIENCE;
        while std::fs::metadata(&file).map_or(0, |file| file.len()) < 24 {
            assert!(Instant::now() < late, "tcpdump does not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { net, namespace: namespace.into(), interface: interface.into(), tcpdump, file }
    }

    /// Ends it. The frames, each cut to 200 bytes, without that by which it was ended.
    pub fn end(mut self) -> Vec<Vec<u8>> {
        // What came before a mark is in the file once the mark is.
        self.net.send_to_end(&self.namespace, &self.interface, MARK);
        let late = Instant::now() + PATIENCE;
        while count(&self.so_far(), MARK) == 0 {
            assert!(Instant::now() < late, "tcpdump does not see a mark");
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = rustix::process::Pid::from_child(&self.tcpdump);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.tcpdump.wait().unwrap();
        let mut frames = self.so_far();
        frames.retain(|frame| count(std::slice::from_ref(frame), MARK) == 0);
        frames
    }

    fn so_far(&self) -> Vec<Vec<u8>> {
        frames(&std::fs::read(&self.file).unwrap())
    }
}

/// The frames of a file, of which the last may not be whole yet.
fn frames(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    file = &file[24..];
    while file.len() >= 16 {
        let taken = u32::from_ne_bytes(file[8..12].try_into().unwrap()) as usize;
        let Some(frame) = file.get(16..16 + taken) else { break };
        frames.push(frame.to_vec());
        file = &file[16 + taken..];
    }
    frames
}

/// How many frames have these bytes in them.
pub fn count(frames: &[Vec<u8>], bytes: &[u8]) -> usize {
    frames.iter().filter(|frame| frame.windows(bytes.len()).any(|window| window == bytes)).count()
}
