//! MQTT clients: a real one's, over TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rumqttc::{AsyncClient, ConnectReturnCode, Event, EventLoop, MqttOptions, Packet, QoS};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A client whose connection is served in the background until it ends for the first time.
pub(crate) struct Client {
    pub(crate) requests: AsyncClient,
    /// The payloads that arrive.
    pub(crate) arrived: mpsc::UnboundedReceiver<Vec<u8>>,
    /// How many have arrived.
    pub(crate) count: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client with room for so many requests, which waits long: a login alone may take a slow machine seconds.
fn client(gate: SocketAddr, id: &str, login: (&str, &str), requests: usize) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, gate.ip().to_string(), gate.port());
    options.set_credentials(login.0, login.1).set_keep_alive(Duration::from_mins(2)).set_inflight(1_000);
    let (client, mut connection) = AsyncClient::new(options, requests);
    connection.network_options.set_connection_timeout(120);
    (client, connection)
}

/// What the gate says to this login.
pub(crate) async fn connack(gate: SocketAddr, login: (&str, &str)) -> ConnectReturnCode {
    let (_client, mut connection) = client(gate, "asker", login, 10);
    match connection.poll().await {
        Ok(Event::Incoming(Packet::ConnAck(ack))) => ack.code,
        Err(rumqttc::ConnectionError::ConnectionRefused(code)) => code,
        other => panic!("{other:?}"),
    }
}

impl Client {
    /// Connects and waits until the gate has let it in and, if it wants a topic, given that too.
    pub(crate) async fn connect(
        gate: SocketAddr,
        id: &str,
        login: (&str, &str),
        topic: Option<&str>,
    ) -> Self {
        Self::reading(Self::not_reading(gate, id, login, topic).await)
    }

    /// The same up to the point where it would read what comes.
    pub(crate) async fn not_reading(
        gate: SocketAddr,
        id: &str,
        login: (&str, &str),
        topic: Option<&str>,
    ) -> (AsyncClient, EventLoop) {
        let (client, mut connection) = client(gate, id, login, 1_000);
        if let Some(topic) = topic {
            client.subscribe(topic, QoS::AtLeastOnce).await.unwrap();
        }
        loop {
            match connection.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                    assert_eq!(ack.code, ConnectReturnCode::Success, "{id}");
                    if topic.is_none() {
                        break;
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    let granted = rumqttc::SubscribeReasonCode::Success(QoS::AtLeastOnce);
                    assert_eq!(ack.return_codes, [granted], "{id}");
                    break;
                }
                Ok(_) => {}
                Err(error) => panic!("{id} was not let in: {error}"),
            }
        }
        (client, connection)
    }

    /// From now on it reads.
    pub(crate) fn reading((client, connection): (AsyncClient, EventLoop)) -> Self {
        let (sender, arrived) = mpsc::unbounded_channel();
        let count = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(serve(connection, sender, count.clone()));
        Self { requests: client, arrived, count, task }
    }

    /// Whether its connection is still there.
    pub(crate) fn is_connected(&self) -> bool {
        !self.task.is_finished()
    }
}

async fn serve(mut connection: EventLoop, arrived: mpsc::UnboundedSender<Vec<u8>>, count: Arc<AtomicU64>) {
    let take = |event| {
        if let Event::Incoming(Packet::Publish(publish)) = event {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = arrived.send(publish.payload.to_vec());
        }
    };
    // rumqttc would connect again: one life is enough here.
    while let Ok(event) = connection.poll().await {
        take(event);
    }
    // What it had read before it found the connection closed, and kept to itself.
    connection.state.events.drain(..).for_each(take);
}

/// Waits until this is true, for at most `limit`.
pub(crate) async fn eventually(limit: Duration, mut is: impl AsyncFnMut() -> bool) -> bool {
    let wait = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(limit, wait).await.is_ok()
}

/// Whether the broker gives this login this filter.
pub(crate) async fn subscribed(broker: SocketAddr, id: &str, login: (&str, &str), filter: &str) -> bool {
    let (client, mut connection) = client(broker, id, login, 10);
    client.subscribe(filter, QoS::AtMostOnce).await.unwrap();
    loop {
        match connection.poll().await {
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                return ack.return_codes == [rumqttc::SubscribeReasonCode::Success(QoS::AtMostOnce)];
            }
            Ok(_) => {}
            Err(error) => panic!("{id} was not let in: {error}"),
        }
    }
}
