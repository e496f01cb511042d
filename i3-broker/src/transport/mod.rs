//! The byte stream between a client and its connection: TCP, TLS, WebSocket, or WebSocket over TLS.
//!
//! All four behave as a non-blocking socket does. The gate counts a message as delivered from the moment that
//! [`Stream::try_write`] took its first byte, and takes back what was not taken. A layer above TCP has to hold
//! what it has encrypted or framed until the system takes it; so that this stays small, it takes new bytes only
//! when it holds none: never more than one record or frame, [`LARGEST_PIECE`].

mod frames;
mod tls;
mod upgrade;
mod websocket;

use std::io::{self, ErrorKind};

use bytes::BytesMut;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use self::tls::TlsStream;
use self::websocket::WebSocket;
use crate::listener::{Protocol, Transport};

/// The most bytes that a layer above TCP takes at a time: a TLS record (RFC 8446, 5.1), or a frame with its
/// header.
const LARGEST_PIECE: usize = 16 * 1_024;

/// How many times a layer reads from the one below without finding anything for the one above, before it lets
/// others have their turn.
const ROUNDS: usize = 8;

/// A client's byte stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
    WebSocket(Box<WebSocket<TcpStream>>),
    SecureWebSocket(Box<WebSocket<TlsStream>>),
}

/// A non-blocking stream over a socket.
pub(crate) trait Layer {
    /// Appends what has come, into the room that `out` has; 0 at the end. `WouldBlock` if there is nothing now.
    fn try_read_buf(&mut self, out: &mut BytesMut) -> io::Result<usize>;

    /// Takes some bytes, if it holds none. `WouldBlock` if it does.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Hands what it holds to the system; whether nothing is left.
    fn try_flush(&mut self) -> io::Result<bool>;

    /// Whether there is something to read without the socket being readable.
    fn has_input(&mut self) -> bool;

    /// Says, after what is held, that nothing more comes.
    fn end(&mut self);

    fn socket(&mut self) -> &mut TcpStream;
}

impl Layer for TcpStream {
    fn try_read_buf(&mut self, out: &mut BytesMut) -> io::Result<usize> {
        TcpStream::try_read_buf(self, out)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TcpStream::try_write(self, bytes)
    }

    fn try_flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn has_input(&mut self) -> bool {
        false
    }

    fn end(&mut self) {}

    fn socket(&mut self) -> &mut TcpStream {
        self
    }
}

/// Calls the same method of whatever it is.
macro_rules! each {
    ($stream:expr, $layer:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($layer) => $call,
            Stream::Tls($layer) => $call,
            Stream::WebSocket($layer) => $call,
            Stream::SecureWebSocket($layer) => $call,
        }
    };
}

impl Stream {
    /// Shakes hands as the listener wants it. The caller sets the deadline.
    pub(crate) async fn accept(socket: TcpStream, transport: &Transport) -> io::Result<Self> {
        Ok(match transport {
            Transport::Tcp => Self::Tcp(socket),
            Transport::Tls(tls) => {
                Self::Tls(Box::new(TlsStream::accept(socket, tls.current(Protocol::Mqtt)).await?))
            }
            Transport::WebSocket => Self::WebSocket(Box::new(WebSocket::accept(socket).await?)),
            Transport::SecureWebSocket(tls) => {
                let tls = TlsStream::accept(socket, tls.current(Protocol::Http)).await?;
                Self::SecureWebSocket(Box::new(WebSocket::accept(tls).await?))
            }
        })
    }

    /// Appends what has come; 0 at the end. `WouldBlock` if there is nothing now.
    #[inline]
    pub(crate) fn try_read_buf(&mut self, out: &mut BytesMut) -> io::Result<usize> {
        each!(self, layer => layer.try_read_buf(out))
    }

    /// Takes some bytes. `WouldBlock` if none can be taken now; [`Self::ready`] tells when.
    #[inline]
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, layer => layer.try_write(bytes))
    }

    /// Waits until bytes may have come, or may be taken, whichever is of interest. What is held goes out
    /// meanwhile. May return too early, and may be dropped and called again.
    pub(crate) async fn ready(&mut self, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.ready(interest).await.map(drop),
            Self::Tls(layer) => ready(&mut **layer, interest).await,
            Self::WebSocket(layer) => ready(&mut **layer, interest).await,
            Self::SecureWebSocket(layer) => ready(&mut **layer, interest).await,
        }
    }

    /// Waits for bytes and appends them; 0 at the end.
    pub(crate) async fn read_buf(&mut self, out: &mut BytesMut) -> io::Result<usize> {
        loop {
            match self.try_read_buf(out) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready(Interest::READABLE).await?,
                done => return done,
            }
        }
    }

    /// Hands all bytes to the system.
    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready(Interest::WRITABLE).await?,
                Err(error) => return Err(error),
            }
        }
        self.flush().await
    }

    /// Hands over what is held, says goodbye in the way of each layer, and closes the sending side.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        each!(self, layer => layer.end());
        self.flush().await?;
        each!(self, layer => layer.socket()).shutdown().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !each!(self, layer => layer.try_flush())? {
            self.ready(Interest::WRITABLE).await?;
        }
        Ok(())
    }
}

async fn ready<L: Layer>(layer: &mut L, interest: Interest) -> io::Result<()> {
    loop {
        let clear = layer.try_flush()?;
        if interest.is_writable() && clear {
            return Ok(());
        }
        if interest.is_readable() && layer.has_input() {
            // Nothing was waited for: others have their turn.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let wanted = match (interest.is_readable(), clear) {
            (true, true) => Interest::READABLE,
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::WRITABLE,
            (false, true) => Interest::ERROR,
        };
        let ready = layer.socket().ready(wanted).await?;
        if clear || ready.is_readable() {
            return Ok(());
        }
    }
}

async fn flush<L: Layer>(layer: &mut L) -> io::Result<()> {
    while !layer.try_flush()? {
        ready(layer, Interest::WRITABLE).await?;
    }
    Ok(())
}

/// Room to read into: as much as there is, or a little more.
fn room(out: &mut BytesMut) -> usize {
    if out.capacity() == out.len() {
        out.reserve(1_024);
    }
    out.capacity() - out.len()
}
