//! The TLS and WebSocket listeners of `serve`, and new certificates for a server that runs.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;

use crate::process::program;

/// A CONNECT of MQTT 3.1.1 with an unknown user, and its answer: not authorized.
const CONNECT: &[u8] = b"\x10\x15\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01c\x00\x03who\x00\x01p";
const REFUSED: &[u8] = &[0x20, 2, 0, 5];

const PATIENCE: Duration = Duration::from_mins(1);

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Puts a new certificate and key into the folder; gives a client that trusts nothing else.
fn renew(folder: &Path) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A socket with a time limit. Where it has one, the system interrupts a call when the process was stopped for a while
/// and goes on: the call is made again then.
struct Socket(TcpStream);

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.0.read(buf) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn connect(address: SocketAddr) -> Socket {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Socket(stream)
}

fn secured(address: SocketAddr, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, Socket> {
    let connection = ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, connect(address))
}

/// Whether MQTT is spoken there within TLS that this client trusts.
fn answers(address: SocketAddr, config: &Arc<ClientConfig>) -> bool {
    let mut stream = secured(address, config);
    let mut answer = [0; 4];
    stream.write_all(CONNECT).and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer == REFUSED
}

fn answers_over_websocket(stream: impl Read + Write) {
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("mqtt"));
    let Ok((mut socket, _)) = tungstenite::client::client(request, stream) else { panic!("no upgrade") };
    socket.send(Message::binary(CONNECT.to_vec())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(REFUSED.to_vec()));
}

fn eventually(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn tls_and_websocket_are_served_and_certificates_change_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = renew(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let any = "127.0.0.1:0";
    let mut child = program()
        .args(["serve", "--http", any, "--mqtt", any, "--store", "memory:"])
        .args(["--mqtt-tls", any, "--mqtt-ws", any, "--mqtt-wss", any])
        .args(["--tls-cert", &file("cert.pem"), "--tls-key", &file("key.pem")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let served = Served(child);
    let mqtt: Vec<_> = lines.filter(|line| line.starts_with("MQTT")).take(4).collect();
    let [_, tls, websocket, secure_websocket] = [0, 1, 2, 3].map(|place: usize| {
        let line: &str = &mqtt[place];
        assert!(
            line.ends_with(["", " over TLS", " over WebSocket", " over WebSocket over TLS"][place]),
            "{line}"
        );
        line.split_whitespace().nth(1).unwrap().parse::<SocketAddr>().unwrap()
    });
    assert!(answers(tls, &first));
    answers_over_websocket(connect(websocket));
    answers_over_websocket(secured(secure_websocket, &first));

    let hang_up = || {
        let status = Command::new("kill").args(["-HUP", &served.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    };
    let second = renew(folder.path());
    assert!(!answers(tls, &second), "files alone change nothing");
    hang_up();
    eventually("the new certificate is used", || answers(tls, &second) && !answers(tls, &first));
    answers_over_websocket(secured(secure_websocket, &second));

    std::fs::write(folder.path().join("key.pem"), "no key").unwrap();
    hang_up();
    std::thread::sleep(Duration::from_millis(300));
    assert!(answers(tls, &second), "what cannot be used is not");
    let third = renew(folder.path());
    hang_up();
    eventually("it can be mended", || answers(tls, &third));
}
