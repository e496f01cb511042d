//! A client that sends exactly what it is told, and its own reading of what a server sends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
    input: Vec<u8>,
    at: usize,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) id: Option<u16>,
}

pub(super) fn text(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text);
}

pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).unwrap();
        length /= 128;
        out.push(if length > 0 { low | 128 } else { low });
        if length == 0 {
            break;
        }
    }
    out.extend(body);
    out
}

/// What a CONNECT can say.
pub(super) struct Hello<'a> {
    pub(super) id: &'a str,
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) clean: bool,
    pub(super) keep_alive: u16,
    /// Topic, payload, and whether it is retained.
    pub(super) will: Option<(&'a str, &'a str, bool)>,
}

impl<'a> Hello<'a> {
    pub(super) fn new(id: &'a str, user: &'a str) -> Self {
        Self { id, user, password: "secret", clean: true, keep_alive: 0, will: None }
    }

    pub(super) fn packet(&self) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, "MQTT");
        let will = self.will.map_or(0, |(_, _, retain)| 0x04 | u8::from(retain) << 5);
        body.extend([4, 0xc0 | u8::from(self.clean) << 1 | will]);
        body.extend(self.keep_alive.to_be_bytes());
        text(&mut body, self.id);
        if let Some((topic, payload, _)) = self.will {
            text(&mut body, topic);
            text(&mut body, payload);
        }
        text(&mut body, self.user);
        text(&mut body, self.password);
        packet(0x10, &body)
    }
}

pub(super) fn publish(topic: &str, payload: &[u8], qos: u8, retain: bool, id: u16) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    body.extend(payload);
    packet(0x30 | qos << 1 | u8::from(retain), &body)
}

impl Client {
    pub(super) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, input: Vec::new(), at: 0 }
    }

    /// A client whose system takes next to nothing that it does not read.
    pub(super) async fn open_small(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let stream = socket.connect(address).await.unwrap();
        Self { stream, input: Vec::new(), at: 0 }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Whether it could be sent: the server may have closed.
    pub(super) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The return code, or `None` if the server closed.
    pub(super) async fn hello(&mut self, hello: &Hello<'_>) -> Option<u8> {
        self.send(&hello.packet()).await;
        let (first, body) = self.packet().await?;
        assert_eq!(first, 0x20);
        assert_eq!(body[0], 0, "no session is present");
        Some(body[1])
    }

    pub(super) async fn login(&mut self, id: &str, user: &str, password: &str) -> Option<u8> {
        self.hello(&Hello { password, ..Hello::new(id, user) }).await
    }

    pub(super) async fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        let mut body = vec![0, 9];
        for (filter, qos) in filters {
            text(&mut body, filter);
            body.push(*qos);
        }
        self.send(&packet(0x82, &body)).await;
        let (first, body) = self.packet().await.expect("a SUBACK");
        assert_eq!((first, &body[..2]), (0x90, [0, 9].as_slice()));
        body[2..].to_vec()
    }

    pub(super) async fn publish(&mut self, payload: impl AsRef<[u8]>) {
        self.send(&publish(super::TOPIC, payload.as_ref(), 0, false, 0)).await;
    }

    /// Publishes at `QoS` 1 and waits for the acknowledgement; false if the server closed instead.
    pub(super) async fn publish_acked(&mut self, topic: &str, payload: &[u8], retain: bool) -> bool {
        self.send(&publish(topic, payload, 1, retain, 77)).await;
        match self.packet().await {
            Some(answer) => {
                assert_eq!(answer, (0x40, vec![0, 77]));
                true
            }
            None => false,
        }
    }

    /// The next packet: first byte and body. `None` if the server closed.
    pub(super) async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        super::in_time("an answer", self.packet_at_last()).await
    }

    async fn packet_at_last(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((first, start, end)) = self.complete() {
                let body = self.input[start..end].to_vec();
                self.at = end;
                return Some((first, body));
            }
            self.input.drain(..self.at);
            self.at = 0;
            let mut chunk = vec![0; 65_536];
            match self.stream.read(&mut chunk).await {
                Ok(count @ 1..) => self.input.extend(&chunk[..count]),
                _ => return None,
            }
        }
    }

    fn complete(&self) -> Option<(u8, usize, usize)> {
        let input = &self.input[self.at..];
        let mut length = 0;
        for place in 0..4 {
            let byte = usize::from(*input.get(1 + place)?);
            length |= (byte & 127) << (7 * place);
            if byte < 128 {
                let start = self.at + 2 + place;
                return (self.input.len() >= start + length).then(|| (input[0], start, start + length));
            }
        }
        panic!("the server sent a bad length");
    }

    /// The next message; other packets are passed over. `None` if the server closed.
    pub(super) async fn message(&mut self) -> Option<Received> {
        loop {
            let (first, body) = self.packet().await?;
            if first >> 4 != 3 {
                continue;
            }
            let topic_len = usize::from(u16::from_be_bytes([body[0], body[1]]));
            let qos = (first >> 1) & 3;
            let rest = &body[2 + topic_len..];
            let (id, payload) = if qos > 0 {
                (Some(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..])
            } else {
                (None, rest)
            };
            return Some(Received {
                topic: String::from_utf8(body[2..2 + topic_len].to_vec()).unwrap(),
                payload: payload.to_vec(),
                qos,
                retain: first & 1 == 1,
                id,
            });
        }
    }

    /// All messages until the server closes, each acknowledged.
    pub(super) async fn messages(&mut self) -> Vec<Received> {
        let mut all = Vec::new();
        while let Some(message) = self.message().await {
            if let Some(id) = message.id {
                let mut ack = vec![0x40, 2];
                ack.extend(id.to_be_bytes());
                // The server may have closed already.
                let _ = self.stream.write_all(&ack).await;
            }
            all.push(message);
        }
        all
    }

    /// Whether nothing comes for a while, not even the end.
    pub(super) async fn hears_nothing(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(150), self.packet_at_last()).await.is_err()
    }

    pub(super) async fn is_closed(&mut self) -> bool {
        self.packet().await.is_none()
    }
}
