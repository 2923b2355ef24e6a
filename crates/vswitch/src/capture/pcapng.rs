//! A writer of pcapng files (draft-ietf-opsawg-pcapng): one section, an interface per port, packets with direction and
//! drop reason. Every block is written by one call, so a file that a crash cuts off is readable up to its last block.

use std::io::{self, Write};
use std::time::Duration;

use crate::frame::cut;
use crate::limits::{CAPTURE_SNAP, CAPTURE_TEXT, PORTS};

/// Types of blocks (section 4).
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const VERSION: [u16; 2] = [1, 0];
/// Length of the section: unknown while the file is written.
const LENGTH_UNKNOWN: u64 = u64::MAX;
const LINK_ETHERNET: u16 = 1;

/// Options, by the block that they belong to.
const END: u16 = 0;
const COMMENT: u16 = 1;
const SECTION_HARDWARE: u16 = 2;
const SECTION_OS: u16 = 3;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;
const PACKET_LOST: u16 = 4;

/// Ten to the power of minus nine: nanoseconds.
const NANOSECONDS: u8 = 9;

/// The capturing host and program. Empty texts are left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Section<'a> {
    pub hardware: &'a str,
    pub os: &'a str,
    pub application: &'a str,
}

/// Number of an interface in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interface {
    number: u32,
    /// Bytes that are kept of a frame.
    snap: u32,
}

/// The direction of a frame, seen from the port's other end: a guest or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the port into the switch.
    In,
    /// From the switch out of the port.
    Out,
}

/// A captured frame.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Since 1970-01-01 00:00 UTC.
    pub time: Duration,
    /// The captured bytes, header first; the writer cuts them to the interface's snap length.
    pub bytes: &'a [u8],
    /// Its length on the wire, in bytes.
    pub original_bytes: u32,
    pub direction: Option<Direction>,
    /// Such as the reason why it was dropped.
    pub comment: Option<&'a str>,
    /// Frames on the same interface that could not be captured since the one before.
    pub lost: u64,
}

/// Writes one file.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    interfaces: u32,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of `out`, as for all methods.
    pub fn new(out: W, section: Section<'_>) -> io::Result<Self> {
        let mut block = Block::new(SECTION_HEADER);
        block.u32(BYTE_ORDER);
        block.u16(VERSION[0]);
        block.u16(VERSION[1]);
        block.0.extend(LENGTH_UNKNOWN.to_le_bytes());
        block.text(SECTION_HARDWARE, section.hardware);
        block.text(SECTION_OS, section.os);
        block.text(SECTION_APPLICATION, section.application);
        let mut writer = Self { out, interfaces: 0 };
        writer.write(block)?;
        Ok(writer)
    }

    /// Declares a port, at any time before its first packet. `snap_bytes` is how much of a frame is kept, 0 for all;
    /// never more than [`CAPTURE_SNAP`].
    ///
    /// # Errors
    /// `QuotaExceeded` beyond [`PORTS`] interfaces.
    pub fn interface(&mut self, name: &str, snap_bytes: u32) -> io::Result<Interface> {
        if usize::try_from(self.interfaces).is_ok_and(|number| number >= PORTS) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let snap = if snap_bytes == 0 { CAPTURE_SNAP } else { snap_bytes.min(CAPTURE_SNAP) };
        let mut block = Block::new(INTERFACE_DESCRIPTION);
        block.u16(LINK_ETHERNET);
        block.u16(0);
        block.u32(snap);
        block.text(INTERFACE_NAME, name);
        block.option(INTERFACE_RESOLUTION, &[NANOSECONDS]);
        self.write(block)?;
        let number = self.interfaces;
        self.interfaces += 1;
        Ok(Interface { number, snap })
    }

    /// Writes a frame.
    ///
    /// # Errors
    /// `InvalidInput` for an interface of another writer.
    pub fn packet(&mut self, interface: Interface, packet: &Packet<'_>) -> io::Result<()> {
        if interface.number >= self.interfaces {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the interface belongs to another capture",
            ));
        }
        let most = usize::try_from(interface.snap).unwrap_or(usize::MAX);
        let bytes = &packet.bytes[..packet.bytes.len().min(most)];
        let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let time = u64::try_from(packet.time.as_nanos()).unwrap_or(u64::MAX).to_be_bytes();
        let [a, b, c, d, e, f, g, h] = time;
        let mut block = Block::new(ENHANCED_PACKET);
        block.u32(interface.number);
        block.u32(u32::from_be_bytes([a, b, c, d]));
        block.u32(u32::from_be_bytes([e, f, g, h]));
        block.u32(captured);
        block.u32(packet.original_bytes.max(captured));
        block.padded(bytes);
        if let Some(direction) = packet.direction {
            let flags: u32 = match direction {
                Direction::In => 1,
                Direction::Out => 2,
            };
            block.option(PACKET_FLAGS, &flags.to_le_bytes());
        }
        if packet.lost != 0 {
            block.option(PACKET_LOST, &packet.lost.to_le_bytes());
        }
        block.text(COMMENT, packet.comment.unwrap_or_default());
        self.write(block)
    }

    /// Flushes and returns the file.
    ///
    /// # Errors
    /// Those of `flush`.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn write(&mut self, block: Block) -> io::Result<()> {
        self.out.write_all(&block.finish())
    }
}

/// A block: type, length, body, options, length again; little-endian, as [`BYTE_ORDER`] shows.
struct Block(Vec<u8>);

impl Block {
    fn new(kind: u32) -> Self {
        let mut block = Self(Vec::with_capacity(128));
        block.u32(kind);
        block.u32(0);
        block
    }

    fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.u16(code);
        self.u16(u16::try_from(value.len()).expect("options are short"));
        self.padded(value);
    }

    fn text(&mut self, code: u16, text: &str) {
        if !text.is_empty() {
            self.option(code, cut(text, CAPTURE_TEXT).as_bytes());
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.option(END, &[]);
        let length = u32::try_from(self.0.len() + 4).expect("frames are bounded");
        self.u32(length);
        self.0[4..8].copy_from_slice(&length.to_le_bytes());
        self.0
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::frame::tests::tshark;

    fn packet(bytes: &[u8]) -> Packet<'_> {
        Packet {
            time: Duration::new(1_700_000_000, 123_456_789),
            bytes,
            original_bytes: u32::try_from(bytes.len()).unwrap(),
            direction: None,
            comment: None,
            lost: 0,
        }
    }

    /// A file of these frames, for Wireshark to read.
    pub(crate) fn capture(frames: &[&[u8]]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), Section::default()).unwrap();
        let port = writer.interface("port", 0).unwrap();
        for frame in frames {
            writer.packet(port, &packet(frame)).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn wireshark_reads_what_was_written() {
        let section = Section { hardware: "x86_64", os: "Linux", application: "Esfera" };
        let mut writer = Writer::new(Vec::new(), section).unwrap();
        let first = writer.interface("vmnic0", 0).unwrap();
        let frame = crate::notify::rarp(crate::Mac([2, 0, 0, 0, 0, 1]), 10);
        let dropped = Packet {
            direction: Some(Direction::In),
            comment: Some("dropped: forged source — of port 3"),
            lost: 7,
            ..packet(&frame)
        };
        writer.packet(first, &dropped).unwrap();
        let second = writer.interface("web-01.eth0", 20).unwrap();
        let long = Packet { direction: Some(Direction::Out), original_bytes: 9000, ..packet(&frame) };
        writer.packet(second, &long).unwrap();
        writer.packet(first, &packet(&frame)).unwrap();
        let fields = [
            "frame.interface_name",
            "frame.time_epoch",
            "frame.cap_len",
            "frame.len",
            "frame.packet_flags_direction",
            "frame.comment",
            "vlan.id",
        ];
        let time = "1700000000.123456789";
        let size = frame.len();
        let wanted = [
            format!("vmnic0|{time}|{size}|{size}|0x00000001|dropped: forged source — of port 3|10"),
            format!("web-01.eth0|{time}|20|9000|0x00000002||10"),
            format!("vmnic0|{time}|{size}|{size}|||10"),
        ];
        assert_eq!(tshark(&writer.finish().unwrap(), &[], &fields), wanted);
    }

    #[test]
    fn every_block_says_its_length_twice() {
        let file = capture(&[&[0; 61], &[1; 64]]);
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let (mut at, mut kinds) = (0, Vec::new());
        while at < file.len() {
            let length = usize::try_from(word(at + 4)).unwrap();
            assert_eq!((length % 4, word(at + length - 4)), (0, word(at + 4)));
            kinds.push(word(at));
            at += length;
        }
        assert_eq!(kinds, [SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET, ENHANCED_PACKET]);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let mut writer = Writer::new(Vec::new(), Section::default()).unwrap();
        let port = writer.interface("port", u32::MAX).unwrap();
        let huge = vec![0; 100_000];
        let comment = "é".repeat(CAPTURE_TEXT);
        writer.packet(port, &Packet { comment: Some(&comment), ..packet(&huge) }).unwrap();
        let lines = tshark(&writer.finish().unwrap(), &[], &["frame.cap_len", "frame.len"]);
        assert_eq!(lines, [format!("{CAPTURE_SNAP}|100000")]);
    }

    #[test]
    fn an_interface_of_another_capture_is_refused() {
        let mut one = Writer::new(Vec::new(), Section::default()).unwrap();
        let port = one.interface("port", 0).unwrap();
        let mut other = Writer::new(Vec::new(), Section::default()).unwrap();
        let error = other.packet(port, &packet(&[0; 60])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        for number in 0..PORTS {
            assert!(other.interface(&number.to_string(), 0).is_ok());
        }
        assert_eq!(other.interface("more", 0).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    }
}
