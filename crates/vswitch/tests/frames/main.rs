//! The virtual switch with real frames, in network namespaces that each test makes and removes. All in one program, since
//! linking one for each file takes minutes.
#![allow(clippy::unwrap_used)]

mod beacons;
mod capturing;
mod conflicts;
mod dhcp;
mod dhcp6;
mod discovery;
mod failover;
mod flows;
mod forwarding;
mod hostile;
mod learning;
mod load;
mod loops;
mod mirroring;
mod multicast;
mod network;
mod observed;
mod reconcile;
mod released;
mod segments;
mod shaping;
mod vmkernel;
