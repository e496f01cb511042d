//! A closed-loop MQTT load: one publisher, one or more subscribers, and a fixed number of messages
//! in flight.
//!
//! The publisher sends only while fewer than `window` messages are under way, counted at the slowest
//! subscriber (and at `QoS` 1 at the acknowledgements too), so a broker is never asked to drop anything:
//! every message carries a sequence number, and a gap, a repetition or a loss fails the run. The
//! generator is one thread, for it shares the machine with the broker: it builds messages by patching
//! prepared ones, writes and reads in batches, and looks at no more of a packet than it must.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};

use crate::cpu::{process_time, thread_time};
use crate::mqtt_frames::{
    CONNACK, Frame, Inbox, Oversize, PUBACK, PUBLISH, SUBACK, Template, Welcome, connect, delivery, publish,
    subscribe, welcome, write_all,
};

/// How many bytes the publisher writes at once, at most.
const BATCH: usize = 64 * 1024;
/// How long logging in and subscribing may take, and how long the last messages may.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many bytes the sequence number takes at the start of the payload.
const SEQUENCE: usize = size_of::<u64>();
/// The longest payload of a run.
const MAX_PAYLOAD: usize = 16 * 1024;

/// A user name and a password. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub username: String,
    password: String,
}

impl Login {
    /// This user with this password.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), password: password.into() }
    }

    /// The password.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// With which promise messages are published and subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Qos {
    /// `QoS` 0.
    AtMostOnce,
    /// `QoS` 1.
    AtLeastOnce,
}

impl Qos {
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
        }
    }
}

/// Which version of MQTT is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5. No properties are sent; those that come are passed over.
    V5,
    /// The same, but clients say that they take a topic alias.
    V5Alias,
}

impl Version {
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 | Self::V5Alias => 5,
        }
    }

    pub(crate) fn has_properties(self) -> bool {
        self != Self::V311
    }
}

/// What load to put on a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadSpec {
    /// Where the broker listens.
    pub broker: SocketAddr,
    /// The broker's process, if its processor time is to be measured.
    pub process: Option<u32>,
    /// The topic of all messages.
    pub topic: String,
    /// What all clients speak.
    pub version: Version,
    /// The `QoS` of publishing and of subscribing.
    pub qos: Qos,
    /// The length of a payload in bytes, from 8 to 16,384.
    pub payload: usize,
    /// How many messages may be published and not yet be with every subscriber (and acknowledged, at
    /// `QoS` 1), at most. At least 1, and at most 60,000, as packet identifiers have 16 bits. At `QoS` 1 and in MQTT
    /// 5 the broker's receive maximum is kept to, if it is less.
    pub window: u64,
    /// As whom to publish.
    pub publisher: Option<Login>,
    /// One subscriber for each entry, and as whom.
    pub subscribers: Vec<Option<Login>>,
    /// How long to run before counting.
    pub warm_up: Duration,
    /// How long to count.
    pub measure: Duration,
}

/// What came of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadResult {
    /// Messages received by subscribers while counting, in all.
    pub deliveries: u64,
    /// How long was counted.
    pub elapsed: Duration,
    /// Messages published in the whole run; each was received by each subscriber.
    pub published: u64,
    /// The part of `elapsed` for which the generator's thread was on a processor, where Linux tells.
    /// Near 1, the generator and not the broker sets the rate.
    pub generator_busy: Option<f64>,
    /// The broker's processor time for one delivery, where Linux tells. Other work on the machine hardly
    /// changes it, as it does the rate.
    pub broker_time: Option<Duration>,
}

impl LoadResult {
    /// Deliveries in a second.
    pub fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of a few seconds is far below 2^52")]
        let deliveries = self.deliveries as f64;
        deliveries / self.elapsed.as_secs_f64()
    }
}

/// Why a load came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The load cannot be put on anything.
    #[error("bad load: {0}")]
    Spec(&'static str),
    /// The connection of this client failed or was closed by the broker.
    #[error("the connection of the {client} failed")]
    Connection {
        /// Which client.
        client: Client,
        /// What failed.
        source: io::Error,
    },
    /// The broker refused the login.
    #[error("the login of the {client} was refused with code {code}")]
    LoginRefused {
        /// Which client.
        client: Client,
        /// CONNACK's return code.
        code: u8,
    },
    /// The broker refused the subscription or granted another `QoS`.
    #[error("the subscription of the {client} was answered with code {code:#04x}")]
    SubscriptionRefused {
        /// Which client.
        client: Client,
        /// SUBACK's return code.
        code: u8,
    },
    /// The broker sent something that has no place here.
    #[error("the broker sent the {client} an unexpected packet of type {first:#04x}")]
    Unexpected {
        /// Which client.
        client: Client,
        /// The packet's first byte.
        first: u8,
    },
    /// A subscriber received another message than the next one.
    #[error("the {client} received message {received} instead of {expected}")]
    Gap {
        /// Which client.
        client: Client,
        /// The next message.
        expected: u64,
        /// What came.
        received: u64,
    },
    /// An acknowledgement came out of order (MQTT 3.1.1, section 4.6) or for nothing.
    #[error("packet {received} was acknowledged instead of {expected}")]
    Acknowledgement {
        /// The next packet identifier.
        expected: u16,
        /// What came.
        received: u16,
    },
    /// Messages were neither delivered nor refused in time.
    #[error("after {published} messages, {missing} deliveries or acknowledgements did not come in time")]
    Lost {
        /// How many had been published.
        published: u64,
        /// How many did not come.
        missing: u64,
    },
    /// A login or subscription was not answered in time.
    #[error("the broker did not answer in time")]
    NoAnswer,
    /// The generator could not start.
    #[error("the load generator could not start")]
    Start(#[source] io::Error),
}

/// A client of the load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// The publisher.
    Publisher,
    /// The subscriber of this number, from 0.
    Subscriber(usize),
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publisher => f.write_str("publisher"),
            Self::Subscriber(number) => write!(f, "subscriber {number}"),
        }
    }
}

/// Puts a load on a broker and counts what arrives. Blocks, and takes the calling thread for the
/// generator.
///
/// # Errors
/// Any answer of the broker that is not the expected one; see [`LoadError`]. A result therefore means
/// that every message arrived once, in order, at every subscriber.
pub fn run(spec: &LoadSpec) -> Result<LoadResult, LoadError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Start)?;
    LocalSet::new().block_on(&runtime, drive(spec))
}

/// What the clients share. All of them run on one thread.
#[derive(Debug)]
struct Flow {
    sent: Cell<u64>,
    acknowledged: Cell<u64>,
    received: RefCell<Vec<u64>>,
    stopped: Cell<bool>,
    /// Something arrived: the publisher may go on.
    progress: Notify,
    qos: Qos,
}

impl Flow {
    /// What is with every subscriber, and acknowledged where that is asked for.
    fn settled(&self) -> u64 {
        let received = self.received.borrow().iter().copied().min().unwrap_or(0);
        match self.qos {
            Qos::AtMostOnce => received,
            Qos::AtLeastOnce => received.min(self.acknowledged.get()),
        }
    }

    fn deliveries(&self) -> u64 {
        self.received.borrow().iter().sum()
    }
}

async fn drive(spec: &LoadSpec) -> Result<LoadResult, LoadError> {
    if !(SEQUENCE..=MAX_PAYLOAD).contains(&spec.payload) {
        return Err(LoadError::Spec("the payload must have 8 to 16,384 bytes"));
    }
    if !(1..=60_000).contains(&spec.window) {
        return Err(LoadError::Spec("the window must be 1 to 60,000 messages"));
    }
    if spec.subscribers.is_empty() {
        return Err(LoadError::Spec("there must be a subscriber"));
    }
    let flow = Rc::new(Flow {
        sent: Cell::new(0),
        acknowledged: Cell::new(0),
        received: RefCell::new(vec![0; spec.subscribers.len()]),
        stopped: Cell::new(false),
        progress: Notify::new(),
        qos: spec.qos,
    });
    let mut clients = JoinSet::new();
    tokio::time::timeout(PATIENCE, start_clients(spec, &flow, &mut clients))
        .await
        .unwrap_or(Err(LoadError::NoAnswer))?;
    tokio::select! {
        outcome = observe(spec, &flow) => outcome,
        // A client ends only by failing.
        failed = clients.join_next() => match failed {
            Some(Ok(Err(error))) => Err(error),
            Some(Err(panic)) => Err(LoadError::Start(io::Error::other(panic))),
            None => Err(LoadError::NoAnswer),
        },
    }
}

async fn start_clients(
    spec: &LoadSpec,
    flow: &Rc<Flow>,
    clients: &mut JoinSet<Result<Infallible, LoadError>>,
) -> Result<(), LoadError> {
    for (number, login) in spec.subscribers.iter().enumerate() {
        let client = Client::Subscriber(number);
        let (mut link, _) = Link::open(spec.broker, client, login.as_ref(), spec.version).await?;
        link.subscribe(&spec.topic, spec.qos).await?;
        clients.spawn_local(receive(link, number, spec.topic.clone(), spec.payload, Rc::clone(flow)));
    }
    let login = spec.publisher.as_ref();
    let (mut link, welcome) = Link::open(spec.broker, Client::Publisher, login, spec.version).await?;
    let stream = Rc::clone(&link.stream);
    let mut spec = spec.clone();
    if spec.qos == Qos::AtLeastOnce {
        spec.window = spec.window.min(welcome.receive_maximum.into());
    }
    clients.spawn_local(send(stream, spec, Rc::clone(flow)));
    let flow = Rc::clone(flow);
    clients.spawn_local(async move { link.count_acknowledgements(&flow).await });
    Ok(())
}

/// Counts for the asked time, then waits until all that was sent has arrived.
async fn observe(spec: &LoadSpec, flow: &Flow) -> Result<LoadResult, LoadError> {
    tokio::time::sleep(spec.warm_up).await;
    let times = || (thread_time(), spec.process.and_then(process_time));
    let (start, (busy_before, broker_before), before) = (Instant::now(), times(), flow.deliveries());
    tokio::time::sleep(spec.measure).await;
    let (elapsed, (busy_after, broker_after), after) = (start.elapsed(), times(), flow.deliveries());

    flow.stopped.set(true);
    let stopped = Instant::now();
    // The publisher may be in the middle of a batch, and is then counted on.
    while flow.settled() < flow.sent.get() {
        if stopped.elapsed() > PATIENCE {
            let published = flow.sent.get();
            return Err(LoadError::Lost { published, missing: published - flow.settled() });
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let spent = |before: Option<Duration>, after: Option<Duration>| Some(after?.saturating_sub(before?));
    let deliveries = after - before;
    Ok(LoadResult {
        deliveries,
        elapsed,
        published: flow.sent.get(),
        generator_busy: spent(busy_before, busy_after).map(|busy| busy.as_secs_f64() / elapsed.as_secs_f64()),
        broker_time: spent(broker_before, broker_after)
            .and_then(|busy| u32::try_from(deliveries).ok().and_then(|count| busy.checked_div(count))),
    })
}

/// A connection that the broker has accepted.
#[derive(Debug)]
struct Link {
    stream: Rc<TcpStream>,
    inbox: Inbox,
    client: Client,
    version: Version,
}

impl Link {
    async fn open(
        broker: SocketAddr,
        client: Client,
        login: Option<&Login>,
        version: Version,
    ) -> Result<(Self, Welcome), LoadError> {
        let stream = async {
            let stream = TcpStream::connect(broker).await?;
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        };
        let stream = stream.await.map_err(|source| LoadError::Connection { client, source })?;
        let mut link = Self { stream: Rc::new(stream), inbox: Inbox::new(), client, version };
        let client_id = match client {
            Client::Publisher => "load-publisher".to_owned(),
            Client::Subscriber(number) => format!("load-subscriber-{number}"),
        };
        let packet = connect(&client_id, login, version).ok_or(LoadError::Spec("a login is too long"))?;
        let answer = link.ask(&packet, CONNACK, |body| welcome(body, version)).await?;
        match answer.code {
            0 => Ok((link, answer)),
            code => Err(LoadError::LoginRefused { client, code }),
        }
    }

    async fn subscribe(&mut self, topic: &str, qos: Qos) -> Result<(), LoadError> {
        let packet = subscribe(topic, qos, self.version).ok_or(LoadError::Spec("the topic is too long"))?;
        let code = self.ask(&packet, SUBACK, |body| body.last().copied()).await?;
        if code == qos.level() {
            Ok(())
        } else {
            Err(LoadError::SubscriptionRefused { client: self.client, code })
        }
    }

    /// Sends a packet and gives what is read from the body of its answer.
    async fn ask<T>(
        &mut self,
        packet: &[u8],
        answer: u8,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, LoadError> {
        let client = self.client;
        write_all(&self.stream, packet).await.map_err(|source| LoadError::Connection { client, source })?;
        loop {
            match self.inbox.take() {
                Ok(Some(Frame { first, body, .. })) => {
                    let answered = if first == answer { read(body) } else { None };
                    return answered.ok_or(LoadError::Unexpected { client, first });
                }
                Ok(None) => self.fill().await?,
                Err(Oversize) => return Err(LoadError::Unexpected { client, first: 0 }),
            }
        }
    }

    async fn fill(&mut self) -> Result<(), LoadError> {
        let client = self.client;
        self.inbox.fill(&self.stream).await.map_err(|source| LoadError::Connection { client, source })
    }

    /// The publisher's other half: counts PUBACKs, which must come in the order of the messages.
    async fn count_acknowledgements(&mut self, flow: &Flow) -> Result<Infallible, LoadError> {
        let client = self.client;
        loop {
            self.fill().await?;
            loop {
                match self.inbox.take() {
                    Ok(Some(Frame { first: PUBACK, body: &[high, low], .. })) => {
                        let received = u16::from_be_bytes([high, low]);
                        let expected = packet_id(flow.acknowledged.get());
                        if received != expected || flow.acknowledged.get() >= flow.sent.get() {
                            return Err(LoadError::Acknowledgement { expected, received });
                        }
                        flow.acknowledged.set(flow.acknowledged.get() + 1);
                    }
                    Ok(Some(frame)) => return Err(LoadError::Unexpected { client, first: frame.first }),
                    Ok(None) => break,
                    Err(Oversize) => return Err(LoadError::Unexpected { client, first: 0 }),
                }
            }
            flow.progress.notify_one();
        }
    }
}

/// The packet identifier of the message of this number: 1 to 65,535 in turn, as 0 is not allowed.
fn packet_id(number: u64) -> u16 {
    u16::try_from(number % u64::from(u16::MAX)).unwrap_or(0) + 1
}

/// Publishes whenever an eighth of the window is free, so that small refills do not cost a system call
/// each.
async fn send(stream: Rc<TcpStream>, spec: LoadSpec, flow: Rc<Flow>) -> Result<Infallible, LoadError> {
    let filler = vec![b'x'; spec.payload];
    let Template { packet: message, id_at, payload_at } =
        publish(&spec.topic, spec.qos, &filler, spec.version)
            .ok_or(LoadError::Spec("the topic is too long"))?;
    let in_batch = (BATCH / message.len()).max(1);
    let mut batch = message.repeat(in_batch);
    let refill = (spec.window / 8).max(1);
    loop {
        let free = spec.window - (flow.sent.get() - flow.settled());
        if free < refill || flow.stopped.get() {
            flow.progress.notified().await;
            continue;
        }
        let count = usize::try_from(free).unwrap_or(usize::MAX).min(in_batch);
        let mut number = flow.sent.get();
        for message in batch.chunks_exact_mut(message.len()).take(count) {
            let (head, payload) = message.split_at_mut(payload_at);
            if let Some(sequence) = payload.first_chunk_mut::<SEQUENCE>() {
                *sequence = number.to_be_bytes();
            }
            if spec.qos == Qos::AtLeastOnce
                && let Some(id) = head.get_mut(id_at..).and_then(|rest| rest.first_chunk_mut())
            {
                *id = packet_id(number).to_be_bytes();
            }
            number += 1;
        }
        // Before writing: the broker may answer before the write has returned.
        flow.sent.set(number);
        write_all(&stream, batch.get(..count * message.len()).unwrap_or_default())
            .await
            .map_err(|source| LoadError::Connection { client: Client::Publisher, source })?;
    }
}

/// Takes deliveries, checks their numbers and acknowledges them at `QoS` 1.
async fn receive(
    mut link: Link,
    number: usize,
    topic: String,
    payload: usize,
    flow: Rc<Flow>,
) -> Result<Infallible, LoadError> {
    let client = link.client;
    let mut expected = 0_u64;
    let mut acknowledgements = Vec::new();
    loop {
        link.fill().await?;
        loop {
            let frame = match link.inbox.take() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(Oversize) => return Err(LoadError::Unexpected { client, first: 0 }),
            };
            let first = frame.first;
            let found = (first & 0xf0 == PUBLISH)
                .then(|| delivery(frame, &topic, link.version))
                .flatten()
                .filter(|found| {
                    found.payload.len() == payload
                        && found.packet_id.is_some() == (flow.qos == Qos::AtLeastOnce)
                });
            let Some((found, sequence)) = found.and_then(|found| Some((found, found.payload.first_chunk()?)))
            else {
                return Err(LoadError::Unexpected { client, first });
            };
            let received = u64::from_be_bytes(*sequence);
            if received != expected {
                return Err(LoadError::Gap { client, expected, received });
            }
            expected += 1;
            if let Some([high, low]) = found.packet_id {
                acknowledgements.extend_from_slice(&[PUBACK, 2, high, low]);
            }
        }
        if let Some(count) = flow.received.borrow_mut().get_mut(number) {
            *count = expected;
        }
        flow.progress.notify_one();
        if !acknowledgements.is_empty() {
            write_all(&link.stream, &acknowledgements)
                .await
                .map_err(|source| LoadError::Connection { client, source })?;
            acknowledgements.clear();
        }
    }
}
