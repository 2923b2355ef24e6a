//! Receiving from a packet socket, with pauses: a task that waits for a descriptor that is always ready never yields to
//! the runtime, so a flood of frames would stop timers and link events.

use std::io;

use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use crate::limits::{CONTROL_BURST, CONTROL_PAUSE};
use crate::packet::{Instruction, PacketSocket};

pub(crate) struct Hearing {
    socket: AsyncFd<PacketSocket>,
    /// Frames and errors since the last pause, and the end of the present one.
    heard: u32,
    rests: Option<Instant>,
}

impl Hearing {
    /// The runtime that the calling thread has entered drives it.
    pub(crate) fn new(socket: PacketSocket) -> io::Result<Self> {
        Ok(Self { socket: socket.into_async()?, heard: 0, rests: None })
    }

    /// Receives the next frame into `room` and returns its length. Dropping the future loses no frame and ends no
    /// pause.
    pub(crate) async fn next(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(until) = self.rests {
                sleep_until(until).await;
                self.rests = None;
            }
            let mut ready = self.socket.readable().await?;
            let Ok(heard) = ready.try_io(|socket| socket.get_ref().receive(room)) else { continue };
            self.heard += 1;
            if self.heard == CONTROL_BURST {
                (self.heard, self.rests) = (0, Some(Instant::now() + CONTROL_PAUSE));
            }
            return heard;
        }
    }

    /// Sends a frame, headers included, out of an interface.
    pub(crate) fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        self.socket.get_ref().send(ifindex, frame)
    }

    /// Replaces the filter.
    pub(crate) fn set_filter(&self, filter: &[Instruction]) -> io::Result<()> {
        self.socket.get_ref().set_filter(filter)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::Mac;
    use crate::frame::{ethernet, pad};

    const LOOPBACK: u32 = 1;
    /// *Local experimental* (IEEE 802).
    const EXPERIMENTAL: u16 = 0x88b5;

    #[tokio::test]
    async fn a_sender_without_end_is_read_with_pauses() {
        // Only frames from this MAC.
        let own = Mac([2, 0xea, 0, 0, 0, 0x41]);
        let filter = [(0x20, 0, 0, 8), (0x15, 0, 1, 0x41), (0x06, 0, 0, 0x4_0000), (0x06, 0, 0, 0)];
        let socket = PacketSocket::listen(LOOPBACK, EXPERIMENTAL, &filter).unwrap();
        let mut hearing = Hearing::new(socket).unwrap();
        let frame = pad(ethernet(Mac::BROADCAST, own, 0, EXPERIMENTAL));
        let frames = 3 * CONTROL_BURST + 1;
        for _ in 0..frames {
            hearing.send(LOOPBACK, &frame).unwrap();
        }
        let (mut room, mut pauses) = ([0; 64], 0);
        assert_eq!(hearing.next(&mut room).await.unwrap(), frame.len());
        let mut heard = 1;
        while heard < frames {
            // A frame is waiting.
            match hearing.next(&mut room).now_or_never() {
                Some(length) => {
                    assert_eq!(length.unwrap(), frame.len());
                    heard += 1;
                }
                None => {
                    pauses += 1;
                    tokio::time::sleep(CONTROL_PAUSE / 4).await;
                }
            }
        }
        assert!(pauses > 0, "nobody else had a turn");
    }
}
