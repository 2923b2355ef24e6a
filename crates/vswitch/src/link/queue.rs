//! Queues of an interface (tc-htb(8)): a class for each shaped port and direction, which delays early frames.
//!
//! A class without a parent to borrow from sends while it has tokens of both its rates. So *rate* with its burst is
//! vSphere's average, and *ceil* with next to no burst is the peak.

use futures_util::StreamExt;
use rtnetlink::packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage};

use super::Netlink;
use crate::Result;
use crate::layout::{QUEUE_FIRST, QUEUE_MAJOR};
use crate::plan::Queue;

/// `TCA_OPTIONS`, and the attributes of HTB in it (linux/rtnetlink.h, linux/pkt_sched.h).
const OPTIONS: u16 = 2;
const HTB_PARMS: u16 = 1;
const HTB_INIT: u16 = 2;
const HTB_RATE64: u16 = 6;
const HTB_CEIL64: u16 = 7;
const HTB_VERSION: u32 = 3;
/// `TC_LINKLAYER_ETHERNET`: HTB then needs no table of rates.
const ETHERNET: u8 = 1;
/// A tick of the scheduler's clock (`PSCHED_SHIFT`).
const TICK_NS: u128 = 64;
/// The time for which HTB may exceed the peak at once, so that the timer need not be exact.
const SLACK_NS: u64 = 2_000_000;
/// Bytes that a class sends before it yields to the next: a frame of 64 kB.
const QUANTUM: u32 = 65_536;

/// Answers that mean that the interface is already as requested.
const THERE: i32 = -libc::EEXIST;
const GONE: i32 = -libc::ENOENT;

impl Netlink {
    /// Gives an interface the discipline whose classes [`Self::set_queue`] makes, unless it has it.
    ///
    /// # Errors
    /// `Link`, where the kernel has no HTB for instance.
    pub async fn begin_queues(&self, name: &str, index: u32) -> Result<()> {
        let mut init = Vec::new();
        for word in [HTB_VERSION, 10, 0, 0, 0] {
            init.extend(word.to_ne_bytes());
        }
        let message =
            self.tc(index, TcHandle::from(QUEUE_MAJOR), TcHandle::ROOT, "htb", &nla(HTB_INIT, &init));
        self.change(name, "set up its queues", RouteNetlinkMessage::NewQueueDiscipline(message), NLM_F_EXCL)
            .await
    }

    /// Makes the queue at a place, or changes it.
    ///
    /// # Errors
    /// `Link`.
    pub async fn set_queue(&self, name: &str, index: u32, place: u32, queue: &Queue) -> Result<()> {
        let handle = QUEUE_MAJOR | (QUEUE_FIRST + place);
        let parent = TcHandle::from(QUEUE_MAJOR);
        let message = self.tc(index, TcHandle::from(handle), parent, "htb", &class(queue));
        self.change(name, "make a queue", RouteNetlinkMessage::NewTrafficClass(message), 0).await?;
        let most = u32::try_from(queue.most).unwrap_or(u32::MAX);
        // A child with a handle of its own is changed in place, and keeps the frames that wait in it.
        let own = TcHandle::from((QUEUE_FIRST + place + 1) << 16);
        let fifo = self.tc(index, own, TcHandle::from(handle), "bfifo", &most.to_ne_bytes());
        self.change(name, "bound a queue", RouteNetlinkMessage::NewQueueDiscipline(fifo), NLM_F_REPLACE).await
    }

    /// Removes the queue at a place; what waits in it is lost.
    ///
    /// # Errors
    /// `Link`.
    pub async fn remove_queue(&self, name: &str, index: u32, place: u32) -> Result<()> {
        let mut message = TcMessage::with_index(index.cast_signed());
        message.header.handle = TcHandle::from(QUEUE_MAJOR | (QUEUE_FIRST + place));
        message.header.parent = TcHandle::from(QUEUE_MAJOR);
        self.change(name, "remove a queue", RouteNetlinkMessage::DelTrafficClass(message), 0).await
    }

    fn tc(&self, index: u32, handle: TcHandle, parent: TcHandle, kind: &str, options: &[u8]) -> TcMessage {
        let mut message = TcMessage::with_index(index.cast_signed());
        message.header.handle = handle;
        message.header.parent = parent;
        message.attributes.push(TcAttribute::Kind(kind.into()));
        message.attributes.push(TcAttribute::Other(DefaultNla::new(OPTIONS, options.to_vec())));
        message
    }

    async fn change(
        &self,
        name: &str,
        what: &'static str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<()> {
        let create =
            if matches!(message, RouteNetlinkMessage::DelTrafficClass(_)) { 0 } else { NLM_F_CREATE };
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | create | flags;
        let mut handle = self.handle.clone();
        let sent = async move {
            let mut answers = handle.request(request)?;
            while let Some(answer) = answers.next().await {
                if let NetlinkPayload::Error(error) = answer.payload
                    && error.code.is_some_and(|code| ![THERE, GONE].contains(&code.get()))
                {
                    return Err(rtnetlink::Error::NetlinkError(error));
                }
            }
            Ok(())
        };
        self.answer(name, what, sent).await
    }
}

/// The parameters of a class.
fn class(queue: &Queue) -> Vec<u8> {
    let mut parameters = Vec::with_capacity(44);
    for rate in [queue.average, queue.peak] {
        // struct tc_ratespec
        parameters.extend([0, ETHERNET]);
        parameters.extend([0; 6]);
        parameters.extend(u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
    }
    let burst = ticks(queue.burst, queue.average).max(ticks(0, queue.peak));
    for word in [burst, ticks(0, queue.peak), QUANTUM, 0, 0] {
        parameters.extend(word.to_ne_bytes());
    }
    let mut options = nla(HTB_PARMS, &parameters);
    for (kind, rate) in [(HTB_RATE64, queue.average), (HTB_CEIL64, queue.peak)] {
        if rate > u64::from(u32::MAX) {
            options.extend(nla(kind, &rate.to_ne_bytes()));
        }
    }
    options
}

/// The time of this many bytes at a rate plus the slack, in ticks.
fn ticks(bytes: u64, rate: u64) -> u32 {
    let ns = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1)) + u128::from(SLACK_NS);
    u32::try_from(ns / TICK_NS).unwrap_or(u32::MAX)
}

/// An attribute whose length is a multiple of four.
fn nla(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).expect("is short");
    [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_says_rates_in_bytes_and_bursts_in_ticks() {
        let queue = Queue { average: 1_000_000, burst: 500_000, peak: 5_000_000_000, most: 0 };
        let options = class(&queue);
        let word = |at: usize| u32::from_ne_bytes(options[at..at + 4].try_into().unwrap());
        assert_eq!(options.len(), 4 + 44 + 12);
        assert_eq!((word(12), word(24)), (1_000_000, u32::MAX));
        assert_eq!((word(28), word(32)), ((502_000_000 / 64), 2_000_000 / 64));
        assert_eq!(options[52..60], 5_000_000_000u64.to_ne_bytes());
    }
}
