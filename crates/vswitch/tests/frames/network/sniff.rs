//! Captures of the frames that arrive at an interface of a namespace, with their tags, by tcpdump.

use std::path::{Path, PathBuf};
use std::process::Child;

use super::Network;
use super::wait::until_blocking;

/// In the last frame of a capture.
pub const MARK: &[u8] = b"<end of the capture>";

/// A running capture.
pub struct Sniffer<'a> {
    net: &'a Network,
    namespace: String,
    interface: String,
    tcpdump: Child,
    file: PathBuf,
}

impl<'a> Sniffer<'a> {
    /// Begins, and returns once it listens. Only arriving frames.
    pub fn start(net: &'a Network, namespace: &str, interface: &str) -> Self {
        let file = net.room().join(format!("{namespace}-{interface}.pcap"));
        let _ = std::fs::remove_file(&file);
        let command = format!(
            "tcpdump --immediate-mode -Z root -Q in -s 200 -B 16384 -U -i {interface} -w {}",
            file.display()
        );
        let tcpdump = net.spawn(namespace, &command);
        listens(&file);
        Self { net, namespace: namespace.into(), interface: interface.into(), tcpdump, file }
    }

    /// Ends it. Returns the frames, each cut to 200 bytes, without the mark.
    pub fn end(mut self) -> Vec<Vec<u8>> {
        // Frames before a mark are in the file once the mark is.
        self.net.send_to_end(&self.namespace, &self.interface, MARK);
        let is_seen = || (count(&self.so_far(), MARK) > 0).then_some(());
        until_blocking(|| "tcpdump has not captured the mark".into(), is_seen);
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

/// Waits until tcpdump listens: it then writes the header of its file.
pub fn listens(file: &Path) {
    until_blocking(
        || format!("tcpdump does not begin {}", file.display()),
        || (std::fs::metadata(file).map_or(0, |file| file.len()) >= 24).then_some(()),
    );
}

/// The frames of a file, of which the last may be incomplete.
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

/// How many frames contain these bytes.
pub fn count(frames: &[Vec<u8>], bytes: &[u8]) -> usize {
    frames.iter().filter(|frame| frame.windows(bytes.len()).any(|window| window == bytes)).count()
}
