//! One connection to the upstream broker, from CONNECT to its end.

use std::time::Duration;

use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::v5::ConnAck;
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions};

use super::config::UpstreamConfig;

/// The most messages that this side sends without an acknowledgement, whatever the broker allows.
const IN_FLIGHT: u16 = 1_024;

/// What the broker may have sent that this side has not acknowledged.
const RECEIVE_MAXIMUM: u16 = 4_096;

/// The requests between our tasks and the connection.
const REQUESTS: usize = 32;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Failed(#[from] Box<ConnectionError>),
    #[error("the upstream broker is silent")]
    Silent,
    #[error("the upstream broker sent something before CONNACK")]
    Disorder,
}

/// A connection. It is never used again after an error: what was under way belongs to whoever sent it.
///
/// Its event loop must not be dropped in the middle of [`Self::next`] while the connection is to live on: requests
/// that were taken and not written would be lost.
pub(super) struct Line {
    events: EventLoop,
    /// The longest silence: nothing at all, not even our own pings.
    patience: Duration,
}

/// What the broker said when it accepted the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Welcome {
    /// The longest packet that it takes.
    pub(super) max_packet: usize,
}

impl Line {
    /// Connects as this client. `fresh` says that the broker is to forget what it kept for an earlier connection.
    pub(super) async fn open(
        config: &UpstreamConfig,
        client_id: &str,
        fresh: bool,
        session: Option<Duration>,
    ) -> Result<(AsyncClient, Self, Welcome), Ended> {
        let mut options = MqttOptions::new(client_id, config.url.host(), config.url.port());
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        let expiry = session.map(|session| u32::try_from(session.as_secs()).unwrap_or(u32::MAX));
        options
            .set_network_options(network)
            .set_keep_alive(config.keep_alive)
            .set_clean_start(fresh)
            .set_outgoing_inflight_upper_limit(IN_FLIGHT)
            .set_session_expiry_interval(expiry)
            .set_receive_maximum(Some(RECEIVE_MAXIMUM))
            .set_max_packet_size(Some(config.max_packet))
            .set_topic_alias_max(Some(0));
        if let Some(login) = &config.login {
            options.set_credentials(&login.user, &login.password);
        }
        let (client, events) = AsyncClient::new(options, REQUESTS);
        // A ping goes out in every interval, and its answer is missed at the next.
        let mut line = Self { events, patience: config.keep_alive * 2 + Duration::from_secs(1) };
        match line.next().await? {
            Event::Incoming(Incoming::ConnAck(ConnAck { properties, .. })) => {
                // The broker may have set another interval (MQTT 5, 3.2.2.3.14).
                line.patience = line.events.options.keep_alive() * 2 + Duration::from_secs(1);
                let max_packet = properties.and_then(|properties| properties.max_packet_size);
                let max_packet = usize::try_from(max_packet.unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
                Ok((client, line, Welcome { max_packet }))
            }
            _ => Err(Ended::Disorder),
        }
    }

    /// What happens next.
    pub(super) async fn next(&mut self) -> Result<Event, Ended> {
        match tokio::time::timeout(self.patience, self.events.poll()).await {
            Ok(event) => Ok(event.map_err(Box::new)?),
            Err(_) => Err(Ended::Silent),
        }
    }

    /// What had come when the connection ended.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Event> {
        std::mem::take(&mut self.events.state.events).into_iter()
    }

    /// Whether something has happened already that [`Self::next`] has not told.
    pub(super) fn has_more(&self) -> bool {
        !self.events.state.events.is_empty()
    }
}

/// The pauses between tries to connect.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(20);
    const LAST: Duration = Duration::from_secs(2);

    pub(super) const fn new() -> Self {
        Self(Self::FIRST)
    }

    /// A connection was of use.
    pub(super) fn reset(&mut self) {
        self.0 = Self::FIRST;
    }

    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::LAST);
    }
}
