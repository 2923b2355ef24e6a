//! Receiving frames of the control protocols on uplinks: a socket for each protocol and uplink, since one for all
//! frames would cost time for every packet.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::beacon::Host;
use crate::frame::{ETHER_BEACON, ETHER_LLDP};
use crate::hearing::Hearing;
use crate::limits::{CONTROL_FRAME, CONTROL_FRAMES};
use crate::packet::{Instruction, PacketSocket};

/// Frames with a length in place of an EtherType (`ETH_P_802_2`).
const LENGTH: u16 = 4;
/// Opcodes: load 4 or 2 bytes, jump if equal; return all or nothing. As `tcpdump -dd` prints filters.
const LOAD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const IS: u16 = 0x15;
const PASS: Instruction = (0x06, 0, 0, 0x4_0000);
const STOP: Instruction = (0x06, 0, 0, 0);
/// Frames to Cisco's address with CDP in the SNAP header.
const CDP: [Instruction; 8] = [
    (LOAD, 0, 0, 0),
    (IS, 0, 5, 0x0100_0ccc),
    (LOAD_HALF, 0, 0, 4),
    (IS, 0, 3, 0xcccc),
    (LOAD_HALF, 0, 0, 20),
    (IS, 0, 1, 0x2000),
    PASS,
    STOP,
];
/// Offset of the host in a beacon, in bytes.
const BEACON_HOST: u32 = 30;

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speech {
    Lldp,
    Cdp,
    /// Beacons of this host.
    Beacon(Host),
}

/// The ifindex of the uplink, and a frame without its tag.
pub(super) type Heard = (u32, Vec<u8>);

/// All sockets.
pub(super) struct Ears {
    open: BTreeMap<(u32, Speech), JoinHandle<()>>,
    heard: mpsc::Sender<Heard>,
    waiting: mpsc::Receiver<Heard>,
}

impl Ears {
    pub(super) fn new() -> Self {
        let (heard, waiting) = mpsc::channel(CONTROL_FRAMES);
        Self { open: BTreeMap::new(), heard, waiting }
    }

    /// Receives these protocols on these interfaces, and nothing else. In the thread's network namespace.
    pub(super) fn listen(&mut self, wanted: &BTreeSet<(u32, Speech)>) {
        self.open.retain(|ear, task| {
            let stays = wanted.contains(ear) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for ear in wanted {
            if self.open.contains_key(ear) {
                continue;
            }
            match open(ear.0, ear.1) {
                Ok(socket) => {
                    let task = tokio::spawn(hear(socket, ear.0, self.heard.clone()));
                    self.open.insert(*ear, task);
                }
                Err(error) => {
                    tracing::warn!(ifindex = ear.0, protocol = ?ear.1, %error, "cannot listen to an uplink");
                }
            }
        }
    }

    /// The next frame; dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        self.waiting.recv().await
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.open.values().for_each(JoinHandle::abort);
    }
}

fn open(ifindex: u32, speech: Speech) -> io::Result<Hearing> {
    let socket = match speech {
        Speech::Lldp => PacketSocket::listen(ifindex, ETHER_LLDP, &[PASS]),
        Speech::Cdp => PacketSocket::listen(ifindex, LENGTH, &CDP),
        Speech::Beacon(host) => PacketSocket::listen(ifindex, ETHER_BEACON, &beacons_of(&host)),
    };
    Hearing::new(socket?)
}

/// Only this host's beacons, so that all others on the segment cost nothing.
fn beacons_of(host: &Host) -> Vec<Instruction> {
    let (words, _) = host.as_chunks::<4>();
    let mut filter = Vec::new();
    for (at, word) in (BEACON_HOST..).step_by(4).zip(words) {
        filter.extend([(LOAD, 0, 0, at), (IS, 1, 0, u32::from_be_bytes(*word)), STOP]);
    }
    filter.push(PASS);
    filter
}

async fn hear(mut socket: Hearing, ifindex: u32, heard: mpsc::Sender<Heard>) {
    let mut room = vec![0; CONTROL_FRAME];
    loop {
        match socket.next(&mut room).await {
            Ok(length) => {
                if heard.send((ifindex, room[..length].to_vec())).await.is_err() {
                    return;
                }
            }
            // The interface may be down, and may come back.
            Err(error) => tracing::debug!(ifindex, %error, "cannot receive from an uplink"),
        }
    }
}
