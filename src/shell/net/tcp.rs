//! TCP sockets: what SIP wants of them (RFC 3261 §18), whatever is spoken above.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;

use crate::sip::Hop;
use crate::sip::Transport;

/// Connections that the kernel holds until we accept them.
const BACKLOG: u32 = 1_024;

/// Listens on an address; port 0 takes a free one.
pub(super) fn listen(transport: Transport, address: SocketAddr) -> anyhow::Result<TcpListener> {
    bind(address).with_context(|| {
        let transport = transport.via().to_ascii_lowercase();
        format!("cannot listen on {transport} {address}: is it in use, and an address of this machine?")
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        // Otherwise IPv4 peers would show up with mapped addresses, and `0.0.0.0` beside `[::]` would be refused.
        SockRef::from(&socket).set_only_v6(true)?;
        socket
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connects to the hop's neighbour, from our address of the hop.
pub(super) async fn connect(hop: &Hop) -> io::Result<TcpStream> {
    let socket = if hop.remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(hop.local.ip(), 0))?;
    socket.connect(hop.remote).await
}

/// No delay for small messages, and an end for peers that are gone without a word.
pub(super) fn watch_over(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20))
        .with_retries(3);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(60)))
}
