//! What a packet says, in a form that every codec's packets can be brought into.

use bytes::BytesMut;
use i3_broker::wire::{self, Connect, Packet, Publish, Qos, Version, WireError};

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// With what its will passes on in place of the will's properties.
    Connect(Connect, Option<PassedOn>),
    Publish(SeenPublish),
    /// Any but a PUBLISH.
    Other(Packet),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenPublish {
    pub(crate) topic: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: Qos,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) packet_id: Option<u16>,
    pub(crate) alias: Option<u16>,
    pub(crate) expiry: Option<u32>,
    pub(crate) passed_on: PassedOn,
}

/// The properties that subscribers are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PassedOn {
    /// No payload format indicator means the same as 0.
    pub(crate) utf8: bool,
    pub(crate) content_type: Option<String>,
    pub(crate) response_topic: Option<String>,
    pub(crate) correlation: Option<Vec<u8>>,
    pub(crate) users: Vec<(String, String)>,
}

impl PassedOn {
    /// Adds a user property, unless it is one that only the gate may say.
    pub(crate) fn user(&mut self, name: &str, value: &str) {
        if !name.starts_with("i3-") {
            self.users.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Reads what the gate passes on.
    pub(crate) fn read(mut bytes: &[u8]) -> Self {
        let mut passed_on = Self::default();
        while let [id, rest @ ..] = bytes {
            bytes = rest;
            let mut next = || {
                let (len, rest) = bytes.split_at(2);
                let (value, rest) = rest.split_at(usize::from(u16::from_be_bytes([len[0], len[1]])));
                bytes = rest;
                value.to_vec()
            };
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            match id {
                0x01 => {
                    passed_on.utf8 = rest[0] == 1;
                    bytes = &rest[1..];
                }
                0x03 => passed_on.content_type = Some(text(next())),
                0x08 => passed_on.response_topic = Some(text(next())),
                0x09 => passed_on.correlation = Some(next()),
                0x26 => passed_on.users.push((text(next()), text(next()))),
                other => panic!("property {other} is passed on"),
            }
        }
        passed_on
    }
}

impl From<&Publish> for SeenPublish {
    fn from(publish: &Publish) -> Self {
        Self {
            topic: publish.topic().to_vec(),
            payload: publish.payload().to_vec(),
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
            packet_id: publish.packet_id,
            alias: publish.alias,
            expiry: publish.expiry,
            passed_on: PassedOn::read(publish.properties()),
        }
    }
}

impl From<Packet> for Seen {
    fn from(packet: Packet) -> Self {
        match packet {
            Packet::Publish(publish) => Self::Publish((&publish).into()),
            other => Self::Other(other),
        }
    }
}

impl From<Connect> for Seen {
    fn from(mut connect: Connect) -> Self {
        let passed_on =
            connect.will.as_mut().map(|will| PassedOn::read(&std::mem::take(&mut will.properties)));
        Self::Connect(connect, passed_on)
    }
}

/// What the gate sees in exactly these bytes. They are all one packet, or there is an error.
pub(crate) fn ours(version: Version, bytes: &[u8]) -> Result<Seen, WireError> {
    let mut buffer = BytesMut::from(bytes);
    let seen = if bytes.first() == Some(&0x10) {
        wire::decode_connect(&mut buffer, 100_000).map_err(|error| error.error)?.map(Into::into)
    } else {
        wire::decode(version, &mut buffer, 100_000)?.map(Into::into)
    };
    match seen {
        Some(seen) if buffer.is_empty() => Ok(seen),
        _ => Err(WireError::Malformed("not exactly one packet")),
    }
}
