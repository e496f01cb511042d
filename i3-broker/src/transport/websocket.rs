//! MQTT over WebSocket (MQTT 5, section 6), over whatever carries it.

use std::io::{self, ErrorKind};

use bytes::{Buf, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::frames::{Decoder, Found, put_frame};
use super::upgrade::{LARGEST_HEAD, Upgrade, judge};
use super::{LARGEST_PIECE, Layer, ROUNDS, flush, ready, room};

/// How much is read at a time.
const PIECE: usize = 4 * 1_024;

/// The header of a frame of [`LARGEST_PIECE`].
const HEADER: usize = 4;

#[derive(Debug)]
pub(crate) struct WebSocket<C> {
    carrier: C,
    /// What came and was not looked at.
    input: BytesMut,
    decoder: Decoder,
    /// A frame, as far as the carrier has not taken it.
    held: Vec<u8>,
    handed: usize,
    /// The answer to the latest ping; one answer for several pings is allowed (RFC 6455, 5.5.3).
    pong: Option<Vec<u8>>,
    /// The status of the Close frame that is to be sent.
    close: Option<u16>,
    /// It was put, and nothing follows.
    closed: bool,
    /// The client's was read.
    ended: bool,
    unread: bool,
}

impl<C: Layer> WebSocket<C> {
    /// Waits for the HTTP request and answers it.
    pub(super) async fn accept(carrier: C) -> io::Result<Self> {
        let mut stream = Self {
            carrier,
            input: BytesMut::new(),
            decoder: Decoder::default(),
            held: Vec::new(),
            handed: 0,
            pong: None,
            close: None,
            closed: false,
            ended: false,
            unread: false,
        };
        loop {
            let (answer, accepted) = match judge(&stream.input) {
                Upgrade::Partial => {
                    stream.read_head().await?;
                    continue;
                }
                Upgrade::Accepted { used, answer } => {
                    stream.input.advance(used);
                    (answer, true)
                }
                Upgrade::Refused { answer } => (answer, false),
            };
            (stream.held, stream.handed) = (answer, 0);
            flush(&mut stream).await?;
            if accepted {
                return Ok(stream);
            }
            // Read before closing, so that the answer is not lost.
            while stream.carrier.try_read_buf(&mut stream.input).is_ok_and(|count| count > 0) {
                stream.input.clear();
            }
            return Err(io::Error::new(ErrorKind::InvalidData, "the WebSocket upgrade was refused"));
        }
    }

    async fn read_head(&mut self) -> io::Result<()> {
        self.input.reserve(LARGEST_HEAD.saturating_sub(self.input.len()).clamp(1, PIECE));
        loop {
            match self.carrier.try_read_buf(&mut self.input) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready(&mut self.carrier, Interest::READABLE).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts the next frame that is not payload, if there is one.
    fn put_control(&mut self) {
        if let Some(payload) = self.pong.take() {
            put_frame(&mut self.held, OpCode::Control(Control::Pong), &payload);
        } else if let Some(status) = self.close.take() {
            put_frame(&mut self.held, OpCode::Control(Control::Close), &status.to_be_bytes());
            self.closed = true;
        }
    }

    fn put_close(&mut self, status: u16) {
        if !self.closed {
            self.close = Some(status);
        }
    }
}

impl<C: Layer> Layer for WebSocket<C> {
    fn try_read_buf(&mut self, out: &mut BytesMut) -> io::Result<usize> {
        self.unread = false;
        let mut room = room(out);
        let mut taken = 0;
        for _ in 0..ROUNDS {
            while !self.ended {
                match self.decoder.next(&mut self.input, out, room) {
                    Ok(Some(Found::Payload(count))) => {
                        (taken, room) = (taken + count, room - count);
                        if room == 0 {
                            // There may be more, which the socket no longer tells of.
                            self.unread = true;
                            return Ok(taken);
                        }
                    }
                    Ok(Some(Found::Ping(payload))) => self.pong = Some(payload),
                    Ok(Some(Found::Close)) => {
                        self.put_close(1_000);
                        self.ended = true;
                    }
                    Ok(Some(Found::Nothing)) => {}
                    Ok(None) => break,
                    // What came before it was in order.
                    Err(_) if taken > 0 => {
                        self.unread = true;
                        return Ok(taken);
                    }
                    Err(violation) => {
                        self.put_close(violation.status());
                        let _ = self.try_flush();
                        return Err(io::Error::new(ErrorKind::InvalidData, violation));
                    }
                }
            }
            if taken > 0 {
                return Ok(taken);
            }
            // Pings are answered, and so is Close.
            self.try_flush()?;
            if self.ended {
                return Ok(0);
            }
            self.input.reserve(PIECE);
            match self.carrier.try_read_buf(&mut self.input) {
                Ok(0) => return Ok(0),
                Ok(_) => {}
                Err(error) => {
                    if self.input.is_empty() {
                        // Whoever is idle holds nothing.
                        self.input = BytesMut::new();
                    }
                    return Err(error);
                }
            }
        }
        self.unread = true;
        Err(ErrorKind::WouldBlock.into())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.try_flush()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.closed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let piece = bytes.get(..LARGEST_PIECE - HEADER).unwrap_or(bytes);
        put_frame(&mut self.held, OpCode::Data(Data::Binary), piece);
        self.try_flush()?;
        Ok(piece.len())
    }

    fn try_flush(&mut self) -> io::Result<bool> {
        loop {
            while let Some(rest) = self.held.get(self.handed..).filter(|rest| !rest.is_empty()) {
                match self.carrier.try_write(rest) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(count) => self.handed += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            self.held.clear();
            self.held.shrink_to(PIECE);
            self.handed = 0;
            self.put_control();
            if self.held.is_empty() {
                break;
            }
        }
        if self.closed {
            self.carrier.end();
        }
        self.carrier.try_flush()
    }

    fn has_input(&mut self) -> bool {
        self.unread || self.ended || self.carrier.has_input()
    }

    fn end(&mut self) {
        self.put_close(1_000);
    }

    fn socket(&mut self) -> &mut TcpStream {
        self.carrier.socket()
    }
}
