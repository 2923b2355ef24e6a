//! Captures of frames at any point of their way through the switch, as with `pktcap-uw`, for people and for Wireshark.
//! [`crate::Engine::capture`] starts one.

pub mod pcapng;
mod ring;

pub use ring::{Captured, Captures, Filter, Point};
pub(crate) use ring::{Capturing, interfaces};
