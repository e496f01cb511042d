//! A client's connection as its frames: it tells what was sent again from what was not, and ends as it likes.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// What a CONNECT says.
pub(super) struct Hello<'a> {
    pub(super) id: &'a str,
    pub(super) login: (&'a str, &'a str),
    pub(super) five: bool,
    /// Whether the session goes on without the connection.
    pub(super) persistent: bool,
    /// Whether the system takes little that is not read.
    pub(super) small: bool,
}

/// A message that came.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) id: Option<u16>,
    pub(super) again: bool,
    /// The number that its payload begins with.
    pub(super) number: usize,
    /// The gate's number of it, with MQTT 5.
    pub(super) sequence: Option<u64>,
}

#[derive(Debug)]
pub(super) enum Packet {
    ConnAck {
        present: bool,
        code: u8,
    },
    SubAck(u8),
    PubAck(u8),
    Publish(Came),
    /// With the reason.
    Disconnect(u8),
}

pub(super) struct Link {
    stream: TcpStream,
    five: bool,
    chunk: Vec<u8>,
    /// What was read, and up to where it was taken.
    input: Vec<u8>,
    at: usize,
}

/// Digits of the number at a payload's beginning.
pub(super) const DIGITS: usize = 10;

impl Link {
    /// Connects and says hello. What is answered comes with the other packets.
    pub(super) async fn open(gate: SocketAddr, hello: &Hello<'_>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if hello.small {
            socket.set_recv_buffer_size(4_096)?;
        }
        let stream = socket.connect(gate).await?;
        stream.set_nodelay(true)?;
        let mut body = Vec::new();
        text(&mut body, "MQTT");
        body.push(if hello.five { 5 } else { 4 });
        // Clean start is not said with MQTT 5: without expiry there is no session to be found.
        body.push(0xc0 | u8::from(!hello.five && !hello.persistent) << 1);
        body.extend([0, 0]);
        match (hello.five, hello.persistent) {
            (true, true) => body.extend([5, 0x11, 0, 0, 0xe, 0x10]),
            (true, false) => body.push(0),
            _ => {}
        }
        text(&mut body, hello.id);
        text(&mut body, hello.login.0);
        text(&mut body, hello.login.1);
        let mut link = Self { stream, five: hello.five, chunk: vec![0; 16_384], input: Vec::new(), at: 0 };
        link.send(&packet(0x10, &body)).await?;
        Ok(link)
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub(super) async fn subscribe(&mut self, topic: &str, qos: u8) -> io::Result<()> {
        let mut body = vec![0, 1];
        body.extend(self.five.then_some(0));
        text(&mut body, topic);
        body.push(qos);
        self.send(&packet(0x82, &body)).await
    }

    /// DISCONNECT. Nothing may be sent after it: the system would answer by throwing away what was not read.
    pub(super) async fn say_goodbye(&mut self) -> io::Result<()> {
        self.send(&[0xe0, 0]).await
    }

    /// Reads at most this many bytes; false if there are no more.
    pub(super) async fn read(&mut self, most: usize) -> io::Result<bool> {
        let most = most.min(self.chunk.len());
        let count = self.stream.read(&mut self.chunk[..most]).await?;
        self.input.drain(..std::mem::take(&mut self.at));
        self.input.extend_from_slice(&self.chunk[..count]);
        Ok(count > 0)
    }

    /// Whether what was read ends within a message that is not one again.
    pub(super) fn is_torn(&self) -> bool {
        self.input.get(self.at).is_some_and(|first| first & 0xf8 == 0x30)
    }

    /// The next packet of what was read, if it came whole.
    pub(super) fn next(&mut self) -> Option<Packet> {
        let rest = &self.input[self.at..];
        let (length, header) = length(rest.get(1..)?)?;
        let first = rest[0];
        let body = rest.get(1 + header..1 + header + length)?;
        let said = match first & 0xf0 {
            0x20 => Packet::ConnAck { present: body[0] == 1, code: body[1] },
            0x90 => Packet::SubAck(*body.last().unwrap()),
            0x40 => Packet::PubAck(body.get(2).copied().unwrap_or(0)),
            0x30 => Packet::Publish(came(first, body, self.five)),
            0xe0 => Packet::Disconnect(body.first().copied().unwrap_or(0)),
            other => panic!("no such packet was asked for: {other:#x}"),
        };
        self.at += 1 + header + length;
        Some(said)
    }
}

pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
}

pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        let low = u8::try_from(left % 128).unwrap();
        left /= 128;
        out.push(if left > 0 { low | 128 } else { low });
        if left == 0 {
            break;
        }
    }
    out.extend(body);
    out
}

/// A variable length, and how many bytes it takes.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut sum = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        sum |= usize::from(byte & 127) << (7 * place);
        if byte & 128 == 0 {
            return Some((sum, place + 1));
        }
    }
    None
}

fn short(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

fn came(first: u8, body: &[u8], five: bool) -> Came {
    let mut at = 2 + short(body, 0);
    let mut id = None;
    if first & 0x06 != 0 {
        id = Some(u16::try_from(short(body, at)).unwrap());
        at += 2;
    }
    let mut sequence = None;
    if five {
        let (properties, header) = length(&body[at..]).unwrap();
        at += header;
        let end = at + properties;
        while at < end {
            // User properties are all that these messages have.
            assert_eq!(body[at], 0x26);
            let (name, rest) = (at + 3, at + 3 + short(body, at + 1));
            let value = rest + 2;
            let after = value + short(body, rest);
            if &body[name..rest] == b"i3-seq" {
                sequence = Some(number(&body[value..after]));
            }
            at = after;
        }
    }
    let number = usize::try_from(number(&body[at..at + DIGITS])).unwrap();
    Came { id, again: first & 0x08 != 0, number, sequence }
}

fn number(digits: &[u8]) -> u64 {
    std::str::from_utf8(digits).unwrap().parse().unwrap()
}
