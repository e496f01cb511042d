//! Where the upstream broker is, and what may be set.

use std::str::FromStr;
use std::time::Duration;

/// Where an upstream broker listens: `mqtt://host[:port]`, port 1883 by default. An IPv6 address stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    host: String,
    port: u16,
}

/// A text that is no address of an upstream broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUpstreamUrl {
    /// It does not begin with `mqtt://`.
    #[error("an upstream broker's address begins with mqtt://")]
    Scheme,
    /// TLS towards the upstream broker is not offered: put a tunnel beside the gate, or keep both on one machine.
    #[error("TLS to the upstream broker is not offered; use a tunnel")]
    Tls,
    /// A user or password in the address would be seen by everybody on the machine.
    #[error("the upstream broker's user and password do not belong in its address")]
    Credentials,
    /// There is no host, or more than host and port.
    #[error("mqtt://HOST or mqtt://HOST:PORT is expected")]
    Host,
    /// The port is no number from 1 to 65,535.
    #[error("the upstream broker's port is a number from 1 to 65535")]
    Port,
}

impl UpstreamUrl {
    /// The name or address of the machine.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for UpstreamUrl {
    type Err = InvalidUpstreamUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if ["mqtts://", "wss://", "ssl://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(InvalidUpstreamUrl::Tls);
        }
        let place = text.strip_prefix("mqtt://").ok_or(InvalidUpstreamUrl::Scheme)?;
        let place = place.strip_suffix('/').unwrap_or(place);
        if place.contains('@') {
            return Err(InvalidUpstreamUrl::Credentials);
        }
        // The colons of an IPv6 address are inside the brackets.
        let after_brackets = place.rfind(']').unwrap_or_default();
        let (host, port) = match place.rfind(':').filter(|colon| *colon >= after_brackets) {
            Some(colon) => {
                let (host, port) = place.split_at(colon);
                let port = port.strip_prefix(':').and_then(|port| port.parse().ok());
                (host, port.filter(|port| *port > 0).ok_or(InvalidUpstreamUrl::Port)?)
            }
            None => (place, 1_883),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(plain),
        };
        if !good {
            return Err(InvalidUpstreamUrl::Host);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl std::fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "mqtt://{}:{}", self.host, self.port)
    }
}

/// The secret by which gates know each other's messages. All gates before one upstream broker have the same.
#[derive(Clone)]
pub struct UpstreamKey(pub(super) [u8; 32]);

impl UpstreamKey {
    /// This secret; it should come from a random source or a key derivation.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for UpstreamKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UpstreamKey(…)")
    }
}

/// The gate's own login at the upstream broker.
#[derive(Clone)]
pub struct UpstreamLogin {
    pub(super) user: String,
    pub(super) password: String,
}

impl UpstreamLogin {
    /// A login with this user and password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }
}

impl std::fmt::Debug for UpstreamLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamLogin").field("user", &self.user).field("password", &"…").finish()
    }
}

/// The settings of an [`UpstreamLog`](super::UpstreamLog). [`UpstreamConfig::new`] gives the defaults.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UpstreamConfig {
    /// Where the upstream broker listens.
    pub url: UpstreamUrl,
    /// The gate's own login there. Default none. The upstream broker must let it publish and subscribe to `i3/#`.
    pub login: Option<UpstreamLogin>,
    /// What gates know each other's messages by.
    pub key: UpstreamKey,
    /// What all client ids there begin with: ASCII letters, digits, `-` and `_`. Default `i3`.
    pub prefix: String,
    /// This gate's part of its client ids: of the same characters, and no other gate's. Default `gate`.
    pub gate: String,
    /// Whether messages are delivered that others published at the upstream broker, past any gate. They have no
    /// sequence number, and buyers pay for them. Default no: they are dropped and counted.
    pub accept_foreign: bool,
    /// The most publishers with a connection of their own; others share [`Self::shared_lanes`]. Default 128.
    pub own_lanes: usize,
    /// The connections of publishers beyond that. At least 1. Default 2.
    pub shared_lanes: usize,
    /// How long a publisher's connection may be idle before it is closed. Default 60 s.
    pub idle: Duration,
    /// The connections that subscribe; topics are spread over them. At least 1. Default 2.
    pub subscribers: usize,
    /// The messages of one connection that wait for the upstream broker's acknowledgement before its publishers are
    /// told that the log is down; half of it makes them pause. At least 2. Default 16,384.
    pub backlog: usize,
    /// The same in bytes of payload over all connections. Default 64 MiB.
    pub backlog_bytes: usize,
    /// The longest packet taken from the upstream broker, in bytes: at least the gate's longest and 1 KiB. Default
    /// 512 KiB.
    pub max_packet: u32,
    /// How many bytes a feed holds for readers that are behind. Default 8 MiB.
    pub feed_bytes: usize,
    /// How often an idle connection is probed, and half of how long a dead one stays unnoticed. At least 5 s (the
    /// client's own limit). Default 10 s.
    pub keep_alive: Duration,
    /// How old a gate's message may be when it comes back, by the clocks of the two gates: a bound on what a replay
    /// can do. Default 2 min.
    pub max_age: Duration,
    /// How long the upstream broker keeps messages for this gate while the connection is cut. Default 60 s.
    pub session_expiry: Duration,
}

impl UpstreamConfig {
    /// The defaults for this broker, with this key.
    pub fn new(url: UpstreamUrl, key: UpstreamKey) -> Self {
        Self {
            url,
            login: None,
            key,
            prefix: "i3".to_owned(),
            gate: "gate".to_owned(),
            accept_foreign: false,
            own_lanes: 128,
            shared_lanes: 2,
            idle: Duration::from_mins(1),
            subscribers: 2,
            backlog: 16_384,
            backlog_bytes: 64 << 20,
            max_packet: 512 * 1_024,
            feed_bytes: 8 << 20,
            keep_alive: Duration::from_secs(10),
            max_age: Duration::from_mins(2),
            session_expiry: Duration::from_mins(1),
        }
    }

    /// The same within the ranges that work; an error if a name has characters that a client id should not have.
    pub(super) fn in_range(mut self) -> Result<Self, InvalidUpstreamName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        for name in [&self.prefix, &self.gate] {
            if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
                return Err(InvalidUpstreamName);
            }
        }
        self.shared_lanes = self.shared_lanes.max(1);
        self.subscribers = self.subscribers.max(1);
        self.backlog = self.backlog.max(2);
        self.keep_alive = self.keep_alive.clamp(Duration::from_secs(5), Duration::from_hours(1));
        Ok(self)
    }
}

/// A prefix or gate name that does not fit into a client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to 64 ASCII letters, digits, - and _ are expected in the prefix and the gate's name")]
pub struct InvalidUpstreamName;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_others_refused_with_the_reason() {
        for (text, host, port) in [
            ("mqtt://broker", "broker", 1_883),
            ("mqtt://10.0.0.7:2883/", "10.0.0.7", 2_883),
            ("mqtt://[::1]:1884", "[::1]", 1_884),
            ("mqtt://[fe80::1]", "[fe80::1]", 1_883),
        ] {
            let url: UpstreamUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!(url.to_string().parse::<UpstreamUrl>().unwrap(), url);
        }
        for (text, error) in [
            ("tcp://broker", InvalidUpstreamUrl::Scheme),
            ("mqtts://broker", InvalidUpstreamUrl::Tls),
            ("mqtt://u:p@broker", InvalidUpstreamUrl::Credentials),
            ("mqtt://", InvalidUpstreamUrl::Host),
            ("mqtt://a/b", InvalidUpstreamUrl::Host),
            ("mqtt://::1:1883", InvalidUpstreamUrl::Host),
            ("mqtt://broker:0", InvalidUpstreamUrl::Port),
            ("mqtt://broker:x", InvalidUpstreamUrl::Port),
        ] {
            assert_eq!(text.parse::<UpstreamUrl>(), Err(error), "{text}");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let mut config = UpstreamConfig::new("mqtt://b".parse().unwrap(), UpstreamKey::from_bytes([65; 32]));
        config.login = Some(UpstreamLogin::new("gate", "hunter2"));
        let shown = format!("{config:?}");
        assert!(shown.contains("gate") && !shown.contains("hunter2") && !shown.contains("65"), "{shown}");
    }

    #[test]
    fn names_that_do_not_fit_into_a_client_id_are_refused() {
        for name in ["", "a/b", "a.b", "ä", "#"] {
            let mut config =
                UpstreamConfig::new("mqtt://b".parse().unwrap(), UpstreamKey::from_bytes([0; 32]));
            config.gate = name.to_owned();
            assert!(config.in_range().is_err(), "{name:?}");
        }
    }
}
