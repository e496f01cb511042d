//! The packets that a client sends.

use bytes::Bytes;

use super::{Qos, Reason, Version};

/// A packet that a client sent after its CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// 3.3
    Publish(Publish),
    /// 3.4: the client has a message of `QoS` 1.
    PubAck(Ack),
    /// 3.5: the client has a message of `QoS` 2.
    PubRec(Ack),
    /// 3.6: the client will not send a message of `QoS` 2 again.
    PubRel(Ack),
    /// 3.7: the client is done with a message of `QoS` 2.
    PubComp(Ack),
    /// 3.8
    Subscribe(Subscribe),
    /// 3.10
    Unsubscribe(Unsubscribe),
    /// 3.12
    PingReq,
    /// 3.14
    Disconnect(Disconnect),
    /// MQTT 5, 3.15
    Auth(Auth),
}

/// One of the four packets that acknowledge (3.4 to 3.7). Its properties were checked and dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The message's packet identifier.
    pub packet_id: u16,
    /// One of those allowed for the packet; always success in 3.1.1.
    pub reason: Reason,
}

/// The client leaves (3.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect {
    /// [`Reason::Success`] voids the will; in 3.1.1 it always does.
    pub reason: Reason,
    /// How long its session shall go on, in seconds, if that changes. That it may not if CONNECT said 0 is the
    /// session's to check (MQTT 5, 3.14.2.2.2).
    pub session_expiry: Option<u32>,
}

/// A step of extended authentication (MQTT 5, 3.15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth {
    /// [`Reason::ContinueAuthentication`] or [`Reason::Reauthenticate`].
    pub reason: Reason,
}

/// A request to connect (3.1). The password never appears in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The version that the client speaks.
    pub version: Version,
    /// Empty if the client wants one to be made for it.
    pub client_id: String,
    /// Whether no state of an earlier connection is wanted.
    pub clean_start: bool,
    /// In seconds; 0 turns it off.
    pub keep_alive: u16,
    /// What to publish if the connection ends without a good-bye.
    pub will: Option<Will>,
    /// The user name.
    pub username: Option<String>,
    /// The password: any bytes.
    pub password: Option<Bytes>,
    /// How long the session goes on after the connection, in seconds; `u32::MAX` is for ever. For 3.1.1 it is 0 with
    /// a clean session and `u32::MAX` without.
    pub session_expiry: u32,
    /// How many messages of `QoS` 1 and 2 the client takes at a time; at least 1.
    pub receive_maximum: u16,
    /// The longest packet that the client takes, in bytes; at least 1.
    pub maximum_packet_size: Option<u32>,
    /// The highest topic alias that the client takes; 0 is none.
    pub topic_alias_maximum: u16,
    /// Whether answers other than CONNACK and DISCONNECT may have reason strings (MQTT 5, 3.1.2.11.7).
    pub request_problem_information: bool,
    /// Whether the client would like response information, which a server may refuse it.
    pub request_response_information: bool,
    /// The method of extended authentication that the client wants.
    pub authentication_method: Option<String>,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("session_expiry", &self.session_expiry)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("request_problem_information", &self.request_problem_information)
            .field("request_response_information", &self.request_response_information)
            .field("authentication_method", &self.authentication_method)
            .finish()
    }
}

/// A will (3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Where to publish it.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// How.
    pub qos: Qos,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
    /// How long to wait before, in seconds.
    pub delay: u32,
    /// How long the message is of use after that, in seconds.
    pub expiry: Option<u32>,
    /// As [`Publish::properties`].
    pub properties: Bytes,
}

/// A message on its way (3.3). Holds the frame that came in; topic, properties and payload are parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub(crate) frame: Bytes,
    pub(super) parts: Parts,
    /// The quality of service.
    pub qos: Qos,
    /// Whether the sender says that it sent it before.
    pub dup: bool,
    /// Whether it becomes the topic's retained message.
    pub retain: bool,
    /// The packet identifier; `None` at `QoS` 0.
    pub packet_id: Option<u16>,
    /// The topic alias that names the topic or is defined by it; not 0.
    pub alias: Option<u16>,
    /// How long the message is of use, in seconds.
    pub expiry: Option<u32>,
}

/// Where the parts of a PUBLISH lie in its frame. No packet is longer than 2^28 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) topic_at: u32,
    pub(super) topic_end: u32,
    pub(super) properties_at: u32,
    pub(super) properties_end: u32,
    pub(super) payload_at: u32,
}

impl Publish {
    /// The topic's text: UTF-8 without NUL and wildcards. Empty only with a topic alias.
    pub fn topic(&self) -> &[u8] {
        self.part(self.parts.topic_at, self.parts.topic_end)
    }

    /// The application's message.
    pub fn payload(&self) -> &[u8] {
        self.frame.get(place(self.parts.payload_at)..).unwrap_or_default()
    }

    /// What is passed on to subscribers beside the payload: payload format indicator, content type, response
    /// topic, correlation data and user properties as they came, one after the other in the form of MQTT 5 without
    /// the length before them. User properties whose name begins with `i3-` are not among them: the gate
    /// alone says those. Empty for 3.1.1.
    pub fn properties(&self) -> &[u8] {
        self.part(self.parts.properties_at, self.parts.properties_end)
    }

    fn part(&self, from: u32, to: u32) -> &[u8] {
        self.frame.get(place(from)..place(to)).unwrap_or_default()
    }
}

/// An index; the fallback is past every end.
fn place(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// A request to subscribe (3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The packet identifier.
    pub packet_id: u16,
    /// What deliveries are to be marked with: 1 to 268,435,455 (MQTT 5, 3.8.2.1.2).
    pub identifier: Option<u32>,
    /// What is asked for; at least one.
    pub filters: Vec<Filter>,
}

/// One of the filters of a SUBSCRIBE with its options (3.8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The topic filter; not empty.
    pub filter: String,
    /// The highest quality of service wanted.
    pub qos: Qos,
    /// Whether the client's own messages shall not come back to it. `false` for 3.1.1.
    pub no_local: bool,
    /// Whether deliveries keep the flag that they were published with. `false` for 3.1.1.
    pub retain_as_published: bool,
    /// Whether the retained message is wanted. [`RetainHandling::Always`] for 3.1.1.
    pub retain_handling: RetainHandling,
}

/// What a topic filter can match, by its form alone (MQTT 5, 4.7.1 and 4.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterKind {
    /// One topic.
    Exact,
    /// It has a wildcard.
    Wildcard,
    /// It begins with `$share/`.
    Shared,
}

impl Filter {
    /// What it can match.
    pub fn kind(&self) -> FilterKind {
        FilterKind::of(&self.filter)
    }
}

impl FilterKind {
    /// What this filter can match.
    pub fn of(filter: &str) -> Self {
        if filter.starts_with("$share/") {
            Self::Shared
        } else if filter.bytes().any(|byte| matches!(byte, b'+' | b'#')) {
            Self::Wildcard
        } else {
            Self::Exact
        }
    }
}

/// When a SUBSCRIBE brings the retained message (MQTT 5, 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetainHandling {
    /// 0: every time.
    Always,
    /// 1: if the subscription is new.
    IfNew,
    /// 2: never.
    Never,
}

/// A request to unsubscribe (3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The packet identifier.
    pub packet_id: u16,
    /// The filters; at least one.
    pub filters: Vec<String>,
}
