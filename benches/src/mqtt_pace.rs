//! How long a message takes when little is on its way: an open loop at a fixed rate.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::mqtt_frames::{
    CONNACK, Inbox, PUBACK, PUBLISH, SUBACK, Template, connect, delivery, publish, subscribe, welcome,
    write_all,
};
use crate::mqtt_load::{LoadSpec, Login, Qos};
use crate::rounds::percentile;

/// How long an answer or a message may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long messages took from before they were written to after they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Half of the messages took at most this.
    pub p50: Duration,
    /// 99 of 100 took at most this.
    pub p99: Duration,
    /// How many there were.
    pub messages: usize,
}

/// Publishes `rate` messages a second for as long as the load counts, to its first subscriber. The next message is
/// published when its time has come, however long the others take. The load's window is not used. Blocks.
///
/// # Errors
/// What is not the expected answer, and a message that does not come.
pub fn latency(spec: &LoadSpec, rate: u32) -> io::Result<Latency> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(drive(spec, rate.max(1)))
}

async fn drive(spec: &LoadSpec, rate: u32) -> io::Result<Latency> {
    let (receiver, mut inbox) =
        open(spec, "pace-subscriber", spec.subscribers.first().and_then(Option::as_ref)).await?;
    let request = subscribe(&spec.topic, spec.qos, spec.version).ok_or(io::ErrorKind::InvalidInput)?;
    ask(&receiver, &mut inbox, &request, SUBACK).await?;
    let (sender, mut answers) = open(spec, "pace-publisher", spec.publisher.as_ref()).await?;
    let Template { packet: mut message, id_at, payload_at } =
        publish(&spec.topic, spec.qos, &vec![b'x'; spec.payload], spec.version)
            .ok_or(io::ErrorKind::InvalidInput)?;

    let begin = tokio::time::Instant::now() + Duration::from_millis(20);
    let step = Duration::from_secs(1) / rate;
    let warm_up = count(spec.warm_up, step);
    let total = warm_up + count(spec.measure, step);
    let sending = async {
        for number in 0..total {
            tokio::time::sleep_until(begin + step * number).await;
            // Linux wakes sleepers about a millisecond late: each message carries when it was really written.
            let sent = nanos(begin.into_std().elapsed());
            if let Some(stamp) = message.get_mut(payload_at..).and_then(|payload| payload.first_chunk_mut()) {
                *stamp = sent.to_be_bytes();
            }
            if spec.qos == Qos::AtLeastOnce
                && let Some(id) = message.get_mut(id_at..).and_then(|rest| rest.first_chunk_mut())
            {
                *id = u16::try_from(number % 60_000 + 1).unwrap_or(1).to_be_bytes();
            }
            write_all(&sender, &message).await?;
        }
        io::Result::Ok(())
    };
    let receiving = async {
        let mut times = Vec::new();
        let mut came = 0;
        while came < total {
            inbox.fill(&receiver).await?;
            let read = nanos(begin.into_std().elapsed());
            let mut acknowledgements = Vec::new();
            while let Some(frame) = inbox.take().map_err(|_| io::ErrorKind::InvalidData)? {
                let found =
                    (frame.first & 0xf0 == PUBLISH).then(|| delivery(frame, &spec.topic, spec.version));
                let found = found.flatten().ok_or(io::ErrorKind::InvalidData)?;
                let sent =
                    u64::from_be_bytes(*found.payload.first_chunk().ok_or(io::ErrorKind::InvalidData)?);
                if let Some([high, low]) = found.packet_id {
                    acknowledgements.extend_from_slice(&[PUBACK, 2, high, low]);
                }
                came += 1;
                if came > warm_up {
                    times.push(Duration::from_nanos(read.saturating_sub(sent)));
                }
            }
            write_all(&receiver, &acknowledgements).await?;
        }
        io::Result::Ok(times)
    };
    // Acknowledgements are read and not looked at.
    let acknowledged = async {
        loop {
            answers.fill(&sender).await?;
            while answers.take().map_err(|_| io::ErrorKind::InvalidData)?.is_some() {}
        }
    };
    let all = async {
        tokio::select! {
            both = async { tokio::try_join!(sending, receiving) } => both.map(|((), times)| times),
            failed = acknowledged => failed,
        }
    };
    let limit = spec.warm_up + spec.measure + PATIENCE;
    let mut times = tokio::time::timeout(limit, all).await.map_err(|_| io::ErrorKind::TimedOut)??;
    times.sort_unstable();
    Ok(Latency { p50: percentile(&times, 50), p99: percentile(&times, 99), messages: times.len() })
}

fn count(time: Duration, step: Duration) -> u32 {
    u32::try_from(time.as_nanos() / step.as_nanos().max(1)).unwrap_or(u32::MAX)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

async fn open(spec: &LoadSpec, client_id: &str, login: Option<&Login>) -> io::Result<(TcpStream, Inbox)> {
    let stream = TcpStream::connect(spec.broker).await?;
    stream.set_nodelay(true)?;
    let mut inbox = Inbox::new();
    let packet = connect(client_id, login, spec.version).ok_or(io::ErrorKind::InvalidInput)?;
    let body = ask(&stream, &mut inbox, &packet, CONNACK).await?;
    match welcome(&body, spec.version) {
        Some(welcome) if welcome.code == 0 => Ok((stream, inbox)),
        _ => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// Sends a packet and gives the body of its answer.
async fn ask(stream: &TcpStream, inbox: &mut Inbox, packet: &[u8], answer: u8) -> io::Result<Vec<u8>> {
    write_all(stream, packet).await?;
    let answered = async {
        loop {
            inbox.fill(stream).await?;
            if let Some(frame) = inbox.take().map_err(|_| io::ErrorKind::InvalidData)? {
                return if frame.first == answer {
                    Ok(frame.body.to_vec())
                } else {
                    Err(io::Error::from(io::ErrorKind::InvalidData))
                };
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.map_err(|_| io::ErrorKind::TimedOut)?
}
