//! Captures of the frames that pass the host's ports, for `/capture`: pcapng that Wireshark reads.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use api::server::{CaptureQuery, Captures};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use hostnet::{HostNetwork, invalid};
use parking_lot::Mutex;
use vim::{Fault, MoRef, fault};
use vswitch::capture::pcapng::{Direction, Interface, Packet, Section, Writer};
use vswitch::capture::{Captured, Filter, Point};
use vswitch::limits::CAPTURE_LENGTH;

use super::Network;
use crate::ids;

/// Points by the names that clients give them.
const POINTS: [(&str, Point); 5] = [
    ("fromPort", Point::FromPort),
    ("toPort", Point::ToPort),
    ("uplinkIn", Point::UplinkIn),
    ("uplinkOut", Point::UplinkOut),
    ("dropped", Point::Dropped),
];
/// EtherType of an 802.1Q tag, and its offset in a frame.
const TAG: [u8; 2] = [0x81, 0x00];
const TAG_AT: usize = 12;

struct OfHost(Arc<HostNetwork>);

impl Network {
    /// Captures of the frames that pass this host's ports.
    pub fn captures(&self) -> Arc<dyn Captures> {
        Arc::new(OfHost(self.host_network.clone()))
    }
}

#[async_trait]
impl Captures for OfHost {
    fn object(&self) -> MoRef {
        ids::host()
    }

    async fn capture(&self, query: CaptureQuery) -> Result<BoxStream<'static, Bytes>, Fault> {
        let mut filter = Filter { interfaces: query.ports, ..Filter::default() };
        let known = self.0.interfaces().await;
        if let Some(unknown) = filter.interfaces.iter().find(|port| !known.contains(port)) {
            let message = format_args!("The host has no port {unknown}; it has {}", known.join(", "));
            return Err(invalid("port", message));
        }
        if !query.points.is_empty() {
            let point = |name: &String| {
                let found = POINTS.iter().find(|(known, _)| known == name).map(|(_, point)| *point);
                found.ok_or_else(|| invalid("point", format_args!("{name} is not a point of capture")))
            };
            filter.points = query.points.iter().map(point).collect::<Result<_, Fault>>()?;
        }
        if let Some(length) = query.length {
            let most = CAPTURE_LENGTH;
            if !(1..=most).contains(&length) {
                return Err(invalid("length", format_args!("Length {length} is out of range (1–{most})")));
            }
            filter.length = length;
        }
        let length = filter.length;
        let frames = self.0.fabric().capture(filter).await;
        let frames =
            frames.map_err(|error| fault!(HostConfigFault {}, "Nothing can be captured: {error}"))?;
        let mut file =
            File::begin(length).map_err(|error| crate::error::internal("begin a capture", &error))?;
        let begun = stream::iter([file.taken()]);
        let all = begun.chain(frames.map(move |frame| match file.add(&frame) {
            Ok(()) => file.taken(),
            Err(error) => {
                tracing::warn!(%error, "a captured frame is left out");
                Bytes::new()
            }
        }));
        Ok(all.filter(|bytes| std::future::ready(!bytes.is_empty())).boxed())
    }
}

/// A pcapng file whose bytes are taken as it grows.
struct File {
    writer: Writer<Growing>,
    grown: Growing,
    interfaces: BTreeMap<String, Interface>,
    length: u32,
}

#[derive(Clone, Default)]
struct Growing(Arc<Mutex<Vec<u8>>>);

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl File {
    fn begin(length: u32) -> io::Result<Self> {
        let grown = Growing::default();
        let application = concat!("Esfera ", env!("CARGO_PKG_VERSION"));
        let section = Section { hardware: std::env::consts::ARCH, os: "Linux", application };
        Ok(Self { writer: Writer::new(grown.clone(), section)?, grown, interfaces: BTreeMap::new(), length })
    }

    fn add(&mut self, frame: &Captured) -> io::Result<()> {
        let interface = match self.interfaces.get(&frame.interface) {
            Some(known) => *known,
            None => {
                // A tag that is put back must not push the frame's last bytes out.
                let new = self.writer.interface(&frame.interface, self.length + 4)?;
                self.interfaces.insert(frame.interface.clone(), new);
                new
            }
        };
        let bytes = with_tag(frame);
        let comment = frame.reason.map(|reason| format!("dropped: {reason:?}"));
        let direction = match frame.point {
            Point::FromPort | Point::UplinkIn | Point::Dropped => Direction::In,
            Point::ToPort | Point::UplinkOut => Direction::Out,
        };
        let tag_bytes = u32::from(frame.tag.is_some()) * 4;
        self.writer.packet(
            interface,
            &Packet {
                time: frame.time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
                bytes: &bytes,
                original_bytes: frame.length + tag_bytes,
                direction: Some(direction),
                comment: comment.as_deref(),
                lost: frame.lost,
            },
        )
    }

    fn taken(&self) -> Bytes {
        std::mem::take(&mut *self.grown.0.lock()).into()
    }
}

/// The frame as it is on a wire: the kernel keeps its tag apart.
fn with_tag(frame: &Captured) -> Vec<u8> {
    let mut bytes = frame.bytes.clone();
    if let Some(tag) = frame.tag
        && bytes.len() >= TAG_AT
    {
        let [high, low] = tag.to_be_bytes();
        bytes.splice(TAG_AT..TAG_AT, [TAG[0], TAG[1], high, low]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_tag_is_put_back_where_it_was() {
        let captured = |tag| Captured {
            time: SystemTime::now(),
            interface: "vm1n0".into(),
            point: Point::ToPort,
            reason: None,
            length: 60,
            tag,
            bytes: (0..16).collect(),
            lost: 0,
        };
        assert_eq!(with_tag(&captured(None)), (0..16).collect::<Vec<u8>>());
        let tagged = with_tag(&captured(Some(0x600a)));
        assert_eq!(tagged[10..18], [10, 11, 0x81, 0x00, 0x60, 0x0a, 12, 13]);
    }
}
