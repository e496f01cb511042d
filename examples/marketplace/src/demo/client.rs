//! MQTT clients as a device and a buyer would run them: rumqttc, over TCP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS,
    SubscribeReasonCode,
};
use serde::Deserialize;
use tokio::sync::watch;

/// How long the demo waits while nothing happens before it gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A message that arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// When.
    pub(super) at: Instant,
    /// Its number, as the sensor gave it.
    pub(super) seq: u64,
}

/// What a connection has seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    connected: bool,
    /// Whether the last filter was granted.
    subscribed: Option<bool>,
    /// Messages of ours that the gate acknowledged.
    pub(super) acknowledged: u64,
    /// Messages that arrived.
    pub(super) received: u64,
    /// How the connection ended, if it did.
    pub(super) ended: Option<Ending>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The login was refused, with this return code (MQTT 3.1.1, 3.2.2.3).
    Refused(ConnectReturnCode),
    /// The other side closed it, or the network failed.
    Closed,
}

/// A step that did not go as it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("`{client}` was refused: {code:?}")]
    Refused { client: String, code: ConnectReturnCode },
    #[error("the connection of `{client}` ended while it waited for {what}")]
    Ended { client: String, what: &'static str },
    #[error("`{client}` waited too long for {what}")]
    Late { client: String, what: &'static str },
}

/// One connection. It is never made again when it ends.
#[derive(Debug)]
pub(super) struct Client {
    name: String,
    requests: AsyncClient,
    seen: watch::Receiver<Seen>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

/// What the demo reads of a message.
#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

impl Client {
    /// Connects and logs in.
    pub(super) async fn connect(
        gate: SocketAddr,
        name: &str,
        username: &str,
        password: &str,
    ) -> Result<Self, ClientError> {
        let mut options = MqttOptions::new(name, gate.ip().to_string(), gate.port());
        options.set_credentials(username, password).set_inflight(500);
        let (requests, events) = AsyncClient::new(options, 64);
        let (sender, seen) = watch::channel(Seen::default());
        let arrivals = Arc::default();
        tokio::spawn(run(events, sender, Arc::clone(&arrivals)));
        let mut client = Self { name: name.to_owned(), requests, seen, arrivals };
        client.until("the login", |seen| seen.connected).await?;
        Ok(client)
    }

    /// Subscribes at `QoS` 1; says whether the filter was granted.
    pub(super) async fn subscribe(&mut self, topic: &str) -> Result<bool, ClientError> {
        const WHAT: &str = "a subscription";
        self.requests.subscribe(topic, QoS::AtLeastOnce).await.map_err(|_| self.ended(WHAT))?;
        Ok(self.until(WHAT, |seen| seen.subscribed.is_some()).await?.subscribed == Some(true))
    }

    /// Publishes at `QoS` 1; does not wait for the acknowledgement.
    pub(super) async fn publish(&self, topic: &str, payload: Vec<u8>) -> Result<(), ClientError> {
        let sent = self.requests.publish(topic, QoS::AtLeastOnce, false, payload).await;
        sent.map_err(|_| self.ended("a publish"))
    }

    /// Waits until something has come true.
    pub(super) async fn until(
        &mut self,
        what: &'static str,
        mut come: impl FnMut(&Seen) -> bool,
    ) -> Result<Seen, ClientError> {
        let client = || self.name.clone();
        loop {
            let seen = self.seen.borrow_and_update().clone();
            match seen.ended {
                _ if come(&seen) => return Ok(seen),
                Some(Ending::Refused(code)) => return Err(ClientError::Refused { client: client(), code }),
                Some(Ending::Closed) => return Err(ClientError::Ended { client: client(), what }),
                None => {}
            }
            match tokio::time::timeout(PATIENCE, self.seen.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(ClientError::Ended { client: client(), what }),
                Err(_) => return Err(ClientError::Late { client: client(), what }),
            }
        }
    }

    /// What was seen up to now.
    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// All messages that arrived up to now, in their order.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says good-bye and waits for the end.
    pub(super) async fn disconnect(mut self) -> Result<(), ClientError> {
        // An error means that it has ended already.
        let _ = self.requests.disconnect().await;
        self.until("the end", |seen| seen.ended.is_some()).await.map(|_| ())
    }

    fn ended(&self, what: &'static str) -> ClientError {
        ClientError::Ended { client: self.name.clone(), what }
    }
}

/// Follows a connection until it ends.
async fn run(mut events: EventLoop, seen: watch::Sender<Seen>, arrivals: Arc<Mutex<Vec<Arrival>>>) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(packet)) => note(&packet, &seen, &arrivals),
            Ok(Event::Outgoing(_)) => {}
            Err(error) => {
                // What came together with the end was taken in and not yet told.
                for event in events.state.events.drain(..) {
                    if let Event::Incoming(packet) = event {
                        note(&packet, &seen, &arrivals);
                    }
                }
                let ending = match error {
                    ConnectionError::ConnectionRefused(code) => Ending::Refused(code),
                    _ => Ending::Closed,
                };
                seen.send_modify(|seen| seen.ended = Some(ending));
                return;
            }
        }
    }
}

fn note(packet: &Packet, seen: &watch::Sender<Seen>, arrivals: &Mutex<Vec<Arrival>>) {
    match packet {
        Packet::ConnAck(_) => seen.send_modify(|seen| seen.connected = true),
        Packet::SubAck(answer) => {
            let granted = answer.return_codes.iter().all(|code| *code != SubscribeReasonCode::Failure);
            seen.send_modify(|seen| seen.subscribed = Some(granted));
        }
        Packet::PubAck(_) => seen.send_modify(|seen| seen.acknowledged += 1),
        Packet::Publish(message) => {
            // Zero is no sensor's number: what cannot be read shows up as out of order.
            let seq = serde_json::from_slice(&message.payload).map_or(0, |Numbered { seq }| seq);
            let arrival = Arrival { at: Instant::now(), seq };
            arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
            seen.send_modify(|seen| seen.received += 1);
        }
        _ => {}
    }
}
