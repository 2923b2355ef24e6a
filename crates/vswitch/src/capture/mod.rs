//! Captures of what passes ports, for people and for Wireshark.

pub mod pcapng;
