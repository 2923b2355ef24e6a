//! Sending and receiving whole Ethernet frames at an interface, bypassing the host's network stack.
//!
//! Unsafe because no safe wrapper covers `AF_PACKET` (packet(7)): a socket, and its kind of address.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use tokio::io::unix::AsyncFd;

use crate::Mac;

/// A socket for frames.
pub(crate) struct PacketSocket(OwnedFd);

/// One instruction of a classic BPF filter (`struct sock_filter`): code, jumps if true and if false, operand.
pub(crate) type Instruction = (u16, u8, u8, u32);

impl PacketSocket {
    /// A socket that sends frames and receives none, in the network namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers; protocol 0 receives nothing.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// A socket that also receives frames of a protocol (an EtherType) at an interface, if they pass the classic filter
    /// (kernel documentation, `networking/filter`).
    pub(crate) fn listen(ifindex: u32, protocol: u16, filter: &[Instruction]) -> io::Result<Self> {
        let socket = Self::open()?;
        socket.set_filter(filter)?;
        // The socket receives only from here on, so no frame gets past the filter.
        let mut of = Self::address(ifindex);
        of.sll_protocol = protocol.to_be();
        let size = libc::socklen_t::try_from(mem::size_of_val(&of)).expect("is 20");
        // SAFETY: the address outlives the call, and `size` is its length.
        let bound = unsafe { libc::bind(socket.0.as_raw_fd(), (&raw const of).cast(), size) };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
    }

    /// Replaces the filter.
    pub(crate) fn set_filter(&self, filter: &[Instruction]) -> io::Result<()> {
        let mut filter: Vec<libc::sock_filter> =
            filter.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
        let length = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
        let size = libc::socklen_t::try_from(mem::size_of_val(&program)).expect("is small");
        // SAFETY: program and filter outlive the call, and the lengths are theirs; the kernel checks the instructions.
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

    /// Registers the socket with the current runtime.
    pub(crate) fn into_async(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the socket owns the descriptor, which never changes and stays open as long as the socket lives.
        Ok(unsafe { AsyncFd::register(self) }?)
    }

    /// Receives a frame into `room` and returns its length; a longer frame is cut. `WouldBlock` if none is waiting.
    pub(crate) fn receive(&self, room: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the room outlives the call, and the length is its own.
        let got = unsafe { libc::recv(self.0.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), 0) };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }

    fn address(ifindex: u32) -> libc::sockaddr_ll {
        // SAFETY: all zeroes is a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).expect("is 17");
        address.sll_ifindex = ifindex.cast_signed();
        address
    }

    /// The MAC of an interface.
    pub(crate) fn mac_of(ifindex: u32) -> io::Result<Mac> {
        let socket = Self::open()?;
        let mut address = Self::address(ifindex);
        let mut size = libc::socklen_t::try_from(mem::size_of_val(&address)).expect("is 20");
        // SAFETY: the address outlives the calls, and `size` is its length.
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
        // SAFETY: frame and address outlive the call, and the lengths are theirs.
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
