//! A blocking MQTT client over any transport. It takes nothing from its socket that it is not asked for.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tokio::net::TcpSocket;
use tungstenite::client::{IntoClientRequest, client};
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use super::super::client::{Hello, packet, publish, text};
use super::super::{PATIENCE, TOPIC};

pub(super) trait Io: Read + Write + Send {}

impl<T: Read + Write + Send> Io for T {}

pub(super) type Secured = StreamOwned<ClientConnection, Socket>;

pub(super) struct Peer {
    io: Box<dyn Io>,
    input: Vec<u8>,
}

/// Binary messages as a stream of bytes.
struct Binary<S> {
    socket: WebSocket<S>,
    input: Vec<u8>,
}

fn other(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

impl<S: Read + Write> Read for Binary<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.input.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(payload)) => self.input = payload.to_vec(),
                Ok(Message::Close(_)) => return Ok(0),
                Ok(_) => {}
                Err(error) => return Err(other(error)),
            }
        }
        let count = buf.len().min(self.input.len());
        buf[..count].copy_from_slice(&self.input[..count]);
        self.input.drain(..count);
        Ok(count)
    }
}

impl<S: Read + Write> Write for Binary<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send(Message::binary(buf.to_vec())).map_err(other)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket with a time limit. Where it has one, the system interrupts a call when the process was stopped for a while
/// and goes on: the call is made again then.
#[derive(Debug)]
pub(super) struct Socket(TcpStream);

fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.0.read(buf))
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        uninterrupted(|| self.0.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Another handle of the same socket.
    pub(super) fn again(&self) -> Self {
        Self(self.0.try_clone().unwrap())
    }

    pub(super) fn shut_down(&self) {
        // It may be closed already.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

pub(super) fn tcp(address: SocketAddr) -> Socket {
    Socket::new(TcpStream::connect(address).unwrap())
}

/// One whose system takes next to nothing that is not read.
pub(super) async fn small_tcp(address: SocketAddr) -> Socket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(address).await.unwrap().into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    Socket::new(stream)
}

pub(super) fn tls(stream: Socket, config: &Arc<ClientConfig>) -> Secured {
    let connection = ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, stream)
}

/// The upgrade, offering these subprotocols.
pub(super) fn upgrade<S: Read + Write>(stream: S, protocols: &'static str) -> Option<WebSocket<S>> {
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(protocols));
    let (socket, response) = client(request, stream).ok()?;
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
    Some(socket)
}

pub(super) fn websocket<S: Read + Write + Send + 'static>(stream: S) -> impl Io {
    Binary { socket: upgrade(stream, "mqtt").expect("the upgrade is accepted"), input: Vec::new() }
}

impl Peer {
    pub(super) fn new(io: impl Io + 'static) -> Self {
        Self { io: Box::new(io), input: Vec::new() }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).unwrap();
        self.io.flush().unwrap();
    }

    /// The return code; `None` if the server, or its TLS, closed.
    pub(super) fn hello(&mut self, hello: &Hello<'_>) -> Option<u8> {
        self.io.write_all(&hello.packet()).and_then(|()| self.io.flush()).ok()?;
        let (first, body) = self.packet()?;
        assert_eq!(first, 0x20);
        Some(body[1])
    }

    pub(super) fn login(mut self, id: &str, user: &str) -> Self {
        assert_eq!(self.hello(&Hello::new(id, user)), Some(0), "{user} is let in");
        self
    }

    pub(super) fn subscribe(&mut self, qos: u8) {
        let mut body = vec![0, 9];
        text(&mut body, TOPIC);
        body.push(qos);
        self.send(&packet(0x82, &body));
        assert_eq!(self.packet(), Some((0x90, vec![0, 9, qos])));
    }

    pub(super) fn publish(&mut self, payload: &[u8]) {
        self.send(&publish(TOPIC, payload, 0, false, 0));
    }

    /// At `QoS` 1; false if the server closed.
    pub(super) fn publish_acked(&mut self, payload: &[u8]) -> bool {
        let sent = self.io.write_all(&publish(TOPIC, payload, 1, false, 77)).and_then(|()| self.io.flush());
        sent.is_ok() && self.packet() == Some((0x40, vec![0, 77]))
    }

    /// The next packet; `None` if the server closed.
    pub(super) fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((length, header)) = self.complete() {
                let body = self.input[header..header + length].to_vec();
                let first = self.input[0];
                self.input.drain(..header + length);
                return Some((first, body));
            }
            let mut chunk = [0; 16_384];
            match self.io.read(&mut chunk) {
                Ok(count @ 1..) => self.input.extend(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    panic!("no answer in time")
                }
                _ => return None,
            }
        }
    }

    fn complete(&self) -> Option<(usize, usize)> {
        let mut length = 0;
        for place in 0..4 {
            let byte = usize::from(*self.input.get(1 + place)?);
            length |= (byte & 127) << (7 * place);
            if byte < 128 {
                return (self.input.len() >= 2 + place + length).then_some((length, 2 + place));
            }
        }
        panic!("the server sent a bad length");
    }

    /// The payload of the next message, at `QoS` 0; `None` if the server closed.
    pub(super) fn message(&mut self) -> Option<Vec<u8>> {
        loop {
            let (first, body) = self.packet()?;
            if first >> 4 == 3 {
                assert_eq!(first & 6, 0);
                return Some(body[2 + TOPIC.len()..].to_vec());
            }
        }
    }

    /// How many messages come before the server closes.
    pub(super) fn count_rest(&mut self) -> u64 {
        let mut count = 0;
        while self.message().is_some() {
            count += 1;
        }
        count
    }

    pub(super) fn is_closed(&mut self) -> bool {
        self.packet().is_none()
    }

    /// Bytes below MQTT.
    pub(super) fn io(&mut self) -> &mut dyn Io {
        &mut self.io
    }
}
