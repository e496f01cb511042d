//! What encryption costs: the same load over plain TCP and over TLS, from two threads of blocking sockets, one that
//! publishes and one that receives.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::cpu::process_time;
use crate::mqtt_frames::{
    CONNACK, PUBLISH, SUBACK, Template, connect, delivery, next_frame, publish, subscribe, welcome,
};
use crate::mqtt_load::{LoadResult, LoadSpec, Login, Qos};

/// How many bytes are written at once, at most.
const BATCH: usize = 16 * 1024;
/// How long a client waits for bytes.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection of either kind.
trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// How to reach the broker over TLS: whom to trust.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts the one certificate in this PEM file, which is for `localhost`.
    ///
    /// # Errors
    /// The file holds no certificate.
    pub fn in_file(file: &Path) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(file).map_err(io::Error::other)?;
        roots.add(certificate).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

/// Puts a load at `QoS` 0 on a broker, over TLS if there is somebody to trust: the first subscriber receives what the
/// publisher publishes, with at most the load's window in flight. Blocks.
///
/// # Errors
/// A connection that failed, a login or subscription that was refused, or a message that came out of order.
pub fn run_over(spec: &LoadSpec, trust: Option<&Trust>) -> io::Result<LoadResult> {
    let login = spec.subscribers.first().and_then(Option::as_ref);
    let (mut receiver, inbox) = open(spec, "transport-subscriber", login, trust)?;
    let request = subscribe(&spec.topic, Qos::AtMostOnce, spec.version).ok_or(ErrorKind::InvalidInput)?;
    let inbox = ask(&mut receiver, inbox, &request, SUBACK)?.1;
    let (mut sender, _) = open(spec, "transport-publisher", spec.publisher.as_ref(), trust)?;

    let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
    let (stopping, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(&mut *sender, spec, &sent, &received, &stopping));
        let receiving = scope.spawn(|| receive(&mut *receiver, inbox, spec, &sent, &received, &done));
        let result = {
            thread::sleep(spec.warm_up);
            let (start, before) = (Instant::now(), received.load(Ordering::Acquire));
            let busy = spec.process.and_then(process_time);
            thread::sleep(spec.measure);
            let (elapsed, after) = (start.elapsed(), received.load(Ordering::Acquire));
            let spent =
                spec.process.and_then(process_time).zip(busy).map(|(after, busy)| after.saturating_sub(busy));
            let deliveries = after - before;
            LoadResult {
                deliveries,
                elapsed,
                published: after,
                generator_busy: None,
                broker_time: spent.and_then(|spent| {
                    u32::try_from(deliveries).ok().and_then(|count| spent.checked_div(count))
                }),
            }
        };
        stopping.store(true, Ordering::Release);
        let joined = |thread: thread::ScopedJoinHandle<'_, io::Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a load thread panicked")))
        };
        let ended = joined(sending);
        done.store(true, Ordering::Release);
        ended.and(joined(receiving)).map(|()| result)
    })
}

fn send(
    wire: &mut dyn Wire,
    spec: &LoadSpec,
    sent: &AtomicU64,
    received: &AtomicU64,
    stopping: &AtomicBool,
) -> io::Result<()> {
    let Template { packet, payload_at, .. } =
        publish(&spec.topic, Qos::AtMostOnce, &vec![b'x'; spec.payload], spec.version)
            .ok_or(ErrorKind::InvalidInput)?;
    let in_batch = (BATCH / packet.len()).max(1);
    let mut batch = packet.repeat(in_batch);
    let refill = (spec.window / 8).max(1);
    while !stopping.load(Ordering::Acquire) {
        let number = sent.load(Ordering::Relaxed);
        let free = spec.window.saturating_sub(number - received.load(Ordering::Acquire));
        if free < refill {
            thread::sleep(Duration::from_micros(50));
            continue;
        }
        let count = usize::try_from(free).unwrap_or(usize::MAX).min(in_batch);
        for (message, number) in batch.chunks_exact_mut(packet.len()).take(count).zip(number..) {
            if let Some(place) = message.get_mut(payload_at..).and_then(|payload| payload.first_chunk_mut()) {
                *place = number.to_be_bytes();
            }
        }
        sent.store(number + u64::try_from(count).unwrap_or_default(), Ordering::Release);
        wire.write_all(batch.get(..count * packet.len()).unwrap_or_default())?;
        wire.flush()?;
    }
    Ok(())
}

/// Takes deliveries until all that was sent is there, once the publisher has stopped.
fn receive(
    wire: &mut dyn Wire,
    mut bytes: Vec<u8>,
    spec: &LoadSpec,
    sent: &AtomicU64,
    received: &AtomicU64,
    done: &AtomicBool,
) -> io::Result<()> {
    let mut expected = 0_u64;
    let mut buffer = vec![0; 4 * BATCH];
    while !(done.load(Ordering::Acquire) && expected == sent.load(Ordering::Acquire)) {
        let count = match wire.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            // The last message may have come before the publisher's end was known.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if done.load(Ordering::Acquire) && expected == sent.load(Ordering::Acquire) {
                    return Ok(());
                }
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let mut at = 0;
        while let Some(frame) =
            next_frame(bytes.get(at..).unwrap_or_default()).map_err(|_| ErrorKind::InvalidData)?
        {
            let found =
                (frame.first & 0xf0 == PUBLISH).then(|| delivery(frame, &spec.topic, spec.version)).flatten();
            let number = found.and_then(|found| found.payload.first_chunk().copied()).map(u64::from_be_bytes);
            if number != Some(expected) {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    format!("{number:?} instead of {expected}"),
                ));
            }
            expected += 1;
            at += frame.length;
        }
        bytes.drain(..at);
        received.store(expected, Ordering::Release);
    }
    Ok(())
}

fn open(
    spec: &LoadSpec,
    client_id: &str,
    login: Option<&Login>,
    trust: Option<&Trust>,
) -> io::Result<(Box<dyn Wire>, Vec<u8>)> {
    let stream = connected(spec.broker)?;
    let mut wire: Box<dyn Wire> = match trust {
        None => Box::new(stream),
        Some(Trust(config)) => {
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(connection, stream))
        }
    };
    let packet = connect(client_id, login, spec.version).ok_or(ErrorKind::InvalidInput)?;
    let (body, rest) = ask(&mut wire, Vec::new(), &packet, CONNACK)?;
    match welcome(&body, spec.version) {
        Some(welcome) if welcome.code == 0 => Ok((wire, rest)),
        _ => Err(ErrorKind::PermissionDenied.into()),
    }
}

fn connected(broker: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(broker)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a packet; gives the body of its answer, and what came behind it.
fn ask(wire: &mut dyn Wire, mut bytes: Vec<u8>, packet: &[u8], answer: u8) -> io::Result<(Vec<u8>, Vec<u8>)> {
    wire.write_all(packet)?;
    wire.flush()?;
    let mut buffer = [0; 1024];
    loop {
        if let Some(frame) = next_frame(&bytes).map_err(|_| ErrorKind::InvalidData)? {
            if frame.first != answer {
                return Err(ErrorKind::InvalidData.into());
            }
            let (body, length) = (frame.body.to_vec(), frame.length);
            return Ok((body, bytes.split_off(length)));
        }
        match wire.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    }
}
