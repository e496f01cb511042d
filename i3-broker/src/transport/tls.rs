//! TLS over TCP, driven by hand: rustls gives and takes bytes, the socket is asked without waiting.

use std::io::{self, BufRead as _, ErrorKind, Read, Write};
use std::sync::Arc;

use bytes::BytesMut;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{LARGEST_PIECE, Layer, ROUNDS, room};

#[derive(Debug)]
pub(crate) struct TlsStream {
    socket: TcpStream,
    tls: ServerConnection,
    /// More may be read at once, though nothing was found last time.
    unread: bool,
}

/// The socket as rustls wants to see it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TlsStream {
    /// Shakes hands. With client certificates wanted, the client has shown one that is good when this is done.
    pub(super) async fn accept(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut stream = Self { socket, tls, unread: false };
        while stream.tls.is_handshaking() {
            let clear = stream.try_flush()?;
            match stream.take_records() {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let wanted =
                        if clear { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
                    stream.socket.ready(wanted).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(stream)
    }

    /// Reads what the socket has, some of it, and takes it apart; 0 if the client has closed.
    fn take_records(&mut self) -> io::Result<usize> {
        let count = self.tls.read_tls(&mut Socket(&self.socket))?;
        if let Err(error) = self.tls.process_new_packets() {
            // The alert that says why, if there is room for it.
            let _ = self.try_flush();
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(count)
    }
}

impl Layer for TlsStream {
    fn try_read_buf(&mut self, out: &mut BytesMut) -> io::Result<usize> {
        self.unread = false;
        let mut room = room(out);
        let mut taken = 0;
        for _ in 0..ROUNDS {
            loop {
                let mut reader = self.tls.reader();
                match reader.fill_buf() {
                    Ok(chunk) => {
                        let chunk = chunk.get(..room).unwrap_or(chunk);
                        let count = chunk.len();
                        out.extend_from_slice(chunk);
                        reader.consume(count);
                        (taken, room) = (taken + count, room - count);
                        if count == 0 || room == 0 {
                            return Ok(taken);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return if taken > 0 { Ok(taken) } else { Err(error) },
                }
            }
            if taken > 0 {
                return Ok(taken);
            }
            // At the end of the stream, the reader knows how it came about.
            self.take_records()?;
        }
        self.unread = true;
        Err(ErrorKind::WouldBlock.into())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.try_flush()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let piece = bytes.get(..LARGEST_PIECE).unwrap_or(bytes);
        let taken = self.tls.writer().write(piece)?;
        // Should this fail, not even a part of the record can be read by the client.
        self.try_flush()?;
        Ok(taken)
    }

    fn try_flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Socket(&self.socket)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn has_input(&mut self) -> bool {
        // An error or the end is also something to read.
        self.unread || !self.tls.reader().fill_buf().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    fn end(&mut self) {
        self.tls.send_close_notify();
    }

    fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }
}
