//! The source of a service's connections: an adapter that carries it, its address and the namespace of its stack.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tokio::net::{TcpSocket, UdpSocket};
use tokio::runtime::Handle;

use super::namespace::Namespace;

/// An address of an adapter, and what is needed to bind a socket to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file of the stack's network namespace; `None` for the daemon's own.
    pub namespace: Option<PathBuf>,
    pub address: IpAddr,
    pub device: String,
}

impl Source {
    /// A TCP socket in the adapter's stack that uses only the adapter, bound to its address and a port (0 for any). It
    /// is ready to connect or to listen, and stays in its stack wherever it is used.
    ///
    /// # Errors
    /// If the namespace cannot be entered or the address is gone.
    pub fn tcp(&self, port: u16) -> io::Result<TcpSocket> {
        let open = || {
            let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.bind_device(Some(self.device.as_bytes()))?;
            socket.set_reuseaddr(port != 0)?;
            socket.bind(SocketAddr::new(self.address, port))?;
            Ok(socket)
        };
        let Some(path) = &self.namespace else { return open() };
        let runtime = Handle::current();
        Namespace::open(path)?.run(|| {
            let _entered = runtime.enter();
            open()
        })?
    }

    /// A UDP socket, otherwise as [`Self::tcp`], bound to any port.
    ///
    /// # Errors
    /// If the namespace cannot be entered or the address is gone.
    pub fn udp(&self) -> io::Result<UdpSocket> {
        let open = || {
            let socket = std::net::UdpSocket::bind(SocketAddr::new(self.address, 0))?;
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>(socket)
        };
        let socket = match &self.namespace {
            Some(path) => Namespace::open(path)?.run(open)?,
            None => open(),
        };
        let socket = UdpSocket::from_std(socket?)?;
        socket.bind_device(Some(self.device.as_bytes()))?;
        Ok(socket)
    }
}
