//! The answers of a server: packets to bytes.
//!
//! Every function appends one packet. What a reason string says is cut at 65,535 bytes; whether the client wants
//! one ([`Connect::request_problem_information`](super::Connect::request_problem_information)) and has room for it
//! is the caller's to know.

use super::property::id;
use super::reader::variable_len;
use super::{Reason, Version};

/// What CONNACK says (3.2). For 3.1.1 only the first two count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether the client finds its session as it left it. Sent as 0 with a refusal (3.2.2-6).
    pub session_present: bool,
    /// [`Reason::Success`], or why the client is turned away.
    pub reason: Reason,
    /// The client identifier that was made for a client without one.
    pub assigned_client_id: Option<&'a str>,
    /// The keep alive to use in place of the client's own, in seconds.
    pub server_keep_alive: Option<u16>,
    /// How long the session goes on after the connection, in seconds, if not as long as was asked for.
    pub session_expiry: Option<u32>,
    /// How many messages of `QoS` 1 and 2 the server takes at a time; at least 1.
    pub receive_maximum: u16,
    /// The longest packet that the server takes, in bytes; at least 1.
    pub maximum_packet_size: Option<u32>,
    /// The highest topic alias that the server takes; 0 is none.
    pub topic_alias_maximum: u16,
    /// More about the reason, for people.
    pub reason_string: Option<&'a str>,
}

impl Connack<'_> {
    /// A refusal without any explanation.
    pub const fn refused(reason: Reason) -> Self {
        Self {
            session_present: false,
            reason,
            assigned_client_id: None,
            server_keep_alive: None,
            session_expiry: None,
            receive_maximum: u16::MAX,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            reason_string: None,
        }
    }
}

/// Appends a CONNACK (3.2). In MQTT 5 a success also says that there are no wildcard and no shared subscriptions;
/// that subscription identifiers, retained messages and every `QoS` are there goes without saying. In 3.1.1
/// a reason without a return code appends nothing: the connection is closed without an answer.
pub fn connack(out: &mut Vec<u8>, version: Version, connack: &Connack<'_>) {
    let present = u8::from(connack.session_present && connack.reason == Reason::Success);
    if version == Version::V311 {
        if let Some(code) = connack.reason.connack_v3() {
            out.extend_from_slice(&[0x20, 2, present, code]);
        }
        return;
    }
    let mut properties = Properties(Vec::new());
    properties.u32(id::SESSION_EXPIRY, connack.session_expiry);
    properties.u16(id::RECEIVE_MAXIMUM, Some(connack.receive_maximum).filter(|count| *count != u16::MAX));
    properties.u32(id::MAXIMUM_PACKET_SIZE, connack.maximum_packet_size);
    properties.text(id::ASSIGNED_CLIENT_ID, connack.assigned_client_id);
    properties
        .u16(id::TOPIC_ALIAS_MAXIMUM, Some(connack.topic_alias_maximum).filter(|highest| *highest != 0));
    properties.text(id::REASON_STRING, connack.reason_string);
    if connack.reason == Reason::Success {
        properties.0.extend_from_slice(&[id::WILDCARDS_AVAILABLE, 0, id::SHARED_AVAILABLE, 0]);
    }
    properties.u16(id::SERVER_KEEP_ALIVE, connack.server_keep_alive);
    packet(out, 0x20, &[present, connack.reason.code()], Some(&properties.0), &[]);
}

/// Appends a PUBACK (3.4).
pub fn puback(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    reason: Reason,
    reason_string: Option<&str>,
) {
    ack(out, 0x40, version, packet_id, reason, reason_string);
}

/// Appends a PUBREC (3.5).
pub fn pubrec(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    reason: Reason,
    reason_string: Option<&str>,
) {
    ack(out, 0x50, version, packet_id, reason, reason_string);
}

/// Appends a PUBREL (3.6).
pub fn pubrel(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    reason: Reason,
    reason_string: Option<&str>,
) {
    ack(out, 0x62, version, packet_id, reason, reason_string);
}

/// Appends a PUBCOMP (3.7).
pub fn pubcomp(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    reason: Reason,
    reason_string: Option<&str>,
) {
    ack(out, 0x70, version, packet_id, reason, reason_string);
}

/// In 3.1.1 there are no reasons: the acknowledgement is the same whatever happened.
fn ack(
    out: &mut Vec<u8>,
    first: u8,
    version: Version,
    packet_id: u16,
    reason: Reason,
    reason_string: Option<&str>,
) {
    let [high, low] = packet_id.to_be_bytes();
    match (version, reason, reason_string) {
        (Version::V311, ..) | (Version::V5, Reason::Success, None) => {
            out.extend_from_slice(&[first, 2, high, low]);
        }
        (Version::V5, _, None) => out.extend_from_slice(&[first, 3, high, low, reason.code()]),
        (Version::V5, _, Some(_)) => {
            let mut properties = Properties(Vec::new());
            properties.text(id::REASON_STRING, reason_string);
            packet(out, first, &[high, low, reason.code()], Some(&properties.0), &[]);
        }
    }
}

/// Appends a SUBACK (3.9) with the answer to each filter, in their order; in 3.1.1 every refusal is 0x80.
pub fn suback(out: &mut Vec<u8>, version: Version, packet_id: u16, reasons: &[Reason]) {
    let code = |reason: &Reason| match version {
        Version::V311 if reason.is_error() => 0x80,
        _ => reason.code(),
    };
    let codes: Vec<u8> = reasons.iter().map(code).collect();
    packet(out, 0x90, &packet_id.to_be_bytes(), no_properties(version), &codes);
}

/// Appends an UNSUBACK (3.11) with the answer to each filter, in their order; 3.1.1 has no answers.
pub fn unsuback(out: &mut Vec<u8>, version: Version, packet_id: u16, reasons: &[Reason]) {
    let codes: Vec<u8> = match version {
        Version::V311 => Vec::new(),
        Version::V5 => reasons.iter().map(|reason| reason.code()).collect(),
    };
    packet(out, 0xb0, &packet_id.to_be_bytes(), no_properties(version), &codes);
}

/// Appends a PINGRESP (3.13).
pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xd0, 0]);
}

/// Appends a DISCONNECT (3.14), which a server sends in MQTT 5 only.
pub fn disconnect(out: &mut Vec<u8>, reason: Reason, reason_string: Option<&str>) {
    if reason_string.is_none() {
        out.extend_from_slice(&[0xe0, 1, reason.code()]);
        return;
    }
    let mut properties = Properties(Vec::new());
    properties.text(id::REASON_STRING, reason_string);
    packet(out, 0xe0, &[reason.code()], Some(&properties.0), &[]);
}

fn no_properties(version: Version) -> Option<&'static [u8]> {
    (version == Version::V5).then_some(&[])
}

/// Appends a packet of these parts, with the properties' length before them.
fn packet(out: &mut Vec<u8>, first: u8, head: &[u8], properties: Option<&[u8]>, tail: &[u8]) {
    let section = properties.map_or(0, |properties| variable_len(properties.len()) + properties.len());
    out.push(first);
    variable(out, head.len() + section + tail.len());
    out.extend_from_slice(head);
    if let Some(properties) = properties {
        variable(out, properties.len());
        out.extend_from_slice(properties);
    }
    out.extend_from_slice(tail);
}

/// Appends a variable byte integer (5, 1.5.5). Values above the largest are the callers' to exclude.
pub(super) fn variable(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Properties being written.
struct Properties(Vec<u8>);

impl Properties {
    fn u16(&mut self, id: u8, value: Option<u16>) {
        if let Some(value) = value {
            self.0.push(id);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
    }

    fn u32(&mut self, id: u8, value: Option<u32>) {
        if let Some(value) = value {
            self.0.push(id);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
    }

    fn text(&mut self, id: u8, value: Option<&str>) {
        if let Some(value) = value {
            let end = value.floor_char_boundary(usize::from(u16::MAX));
            let value = value.get(..end).unwrap_or_default();
            self.u16(id, u16::try_from(value.len()).ok());
            self.0.extend_from_slice(value.as_bytes());
        }
    }
}
