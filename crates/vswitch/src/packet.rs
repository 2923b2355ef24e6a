//! Sending and receiving whole Ethernet frames at an interface, past the host's own network stack.
//!
//! Unsafe for `AF_PACKET` (packet(7)), which no safe interface covers: a socket, and an address of its kind.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use tokio::io::unix::AsyncFd;

use crate::Mac;

/// A socket for frames.
pub(crate) struct PacketSocket(OwnedFd);

/// One instruction of a filter (`struct sock_filter`): code, jumps if true and if false, operand.
pub(crate) type Instruction = (u16, u8, u8, u32);

impl PacketSocket {
    /// One that sends frames and receives none, in the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers; protocol 0 receives nothing.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// One that also receives the frames of a protocol (an EtherType) that an interface takes and the classic filter (of the
    /// kernel's documentation, `networking/filter`) lets pass.
    pub(crate) fn listen(ifindex: u32, protocol: u16, filter: &[Instruction]) -> io::Result<Self> {
        let socket = Self::open()?;
        socket.set_filter(filter)?;
        // Only now does it begin to receive, so that nothing passes that the filter stops.
        let mut of = Self::address(ifindex);
        of.sll_protocol = protocol.to_be();
        let size = libc::socklen_t::try_from(mem::size_of_val(&of)).expect("is 20");
        // SAFETY: the address outlives the call and is as long as is said.
        let bound = unsafe { libc::bind(socket.0.as_raw_fd(), (&raw const of).cast(), size) };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
    }

    /// Puts another filter in the place of the one that it has.
    pub(crate) fn set_filter(&self, filter: &[Instruction]) -> io::Result<()> {
        let mut filter: Vec<libc::sock_filter> =
            filter.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
        let length = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
        let size = libc::socklen_t::try_from(mem::size_of_val(&program)).expect("is small");
        // SAFETY: program and filter outlive the call and are as long as is said; the kernel checks what they say.
        let set = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                size,
            )
        };
        if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// For a runtime to wait on.
    pub(crate) fn into_async(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the descriptor is this socket's own, always the same, and open for as long as it lives.
        Ok(unsafe { AsyncFd::register(self) }?)
    }

    /// Takes a frame into `room`, and says how much of that it fills; one that is longer is cut. `WouldBlock` if none is there.
    pub(crate) fn receive(&self, room: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the room outlives the call and is as long as is said.
        let got = unsafe { libc::recv(self.0.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), 0) };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }

    fn address(ifindex: u32) -> libc::sockaddr_ll {
        // SAFETY: all zeroes is a `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).expect("is 17");
        address.sll_ifindex = ifindex.cast_signed();
        address
    }

    /// The MAC of an interface, or of what stands for one.
    pub(crate) fn mac_of(ifindex: u32) -> io::Result<Mac> {
        let socket = Self::open()?;
        let mut address = Self::address(ifindex);
        let mut size = libc::socklen_t::try_from(mem::size_of_val(&address)).expect("is 20");
        // SAFETY: the address outlives the calls and is as long as is said.
        let got = unsafe {
            match libc::bind(socket.0.as_raw_fd(), (&raw const address).cast(), size) {
                0 => libc::getsockname(socket.0.as_raw_fd(), (&raw mut address).cast(), &raw mut size),
                failed => failed,
            }
        };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        let mac = address.sll_addr.first_chunk().filter(|_| address.sll_halen == 6);
        mac.map(|mac| Mac(*mac)).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Sends a frame, headers included, out of an interface.
    pub(crate) fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        let to = Self::address(ifindex);
        let length = libc::socklen_t::try_from(mem::size_of_val(&to)).expect("is 20");
        // SAFETY: frame and address outlive the call and are as long as is said.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const to).cast(),
                length,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
