//! A client of MQTT 5 that sends exactly what it is told.

use super::client::{Client, packet, text};
use super::*;

/// Properties as they came: identifier and value.
pub(super) type Properties = Vec<(u8, Vec<u8>)>;

/// A will: topic, payload, delay in seconds.
pub(super) type Will<'a> = (&'a str, &'a str, u32);

/// What a CONNECT of MQTT 5 can say.
#[derive(Debug, Clone)]
pub(super) struct Hello5<'a> {
    pub(super) id: &'a str,
    pub(super) user: &'a str,
    pub(super) clean: bool,
    pub(super) keep_alive: u16,
    pub(super) expiry: u32,
    /// More properties.
    pub(super) more: Vec<u8>,
    pub(super) will: Option<Will<'a>>,
}

impl<'a> Hello5<'a> {
    pub(super) fn new(id: &'a str, user: &'a str) -> Self {
        Self { id, user, clean: true, keep_alive: 0, expiry: 0, more: Vec::new(), will: None }
    }

    /// A session that goes on for so many seconds.
    pub(super) fn lasting(id: &'a str, user: &'a str, expiry: u32) -> Self {
        Self { clean: false, expiry, ..Self::new(id, user) }
    }

    pub(super) fn packet(&self) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, "MQTT");
        let will = if self.will.is_some() { 0x04 } else { 0 };
        body.extend([5, 0xc0 | u8::from(self.clean) << 1 | will]);
        body.extend(self.keep_alive.to_be_bytes());
        let mut properties = self.more.clone();
        if self.expiry > 0 {
            properties.push(0x11);
            properties.extend(self.expiry.to_be_bytes());
        }
        section(&mut body, &properties);
        text(&mut body, self.id);
        if let Some((topic, payload, delay)) = self.will {
            let delay = delay.to_be_bytes();
            section(&mut body, &[&[0x18], delay.as_slice()].concat());
            text(&mut body, topic);
            text(&mut body, payload);
        }
        text(&mut body, self.user);
        text(&mut body, "secret");
        packet(0x10, &body)
    }
}

fn section(out: &mut Vec<u8>, properties: &[u8]) {
    // The length of a packet is written as that of properties is.
    out.extend(&packet(0, properties)[1..]);
}

/// A PUBLISH of MQTT 5.
pub(super) fn publish5(topic: &str, properties: &[u8], payload: &[u8], qos: u8, id: u16) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    section(&mut body, properties);
    body.extend(payload);
    packet(0x30 | qos << 1, &body)
}

/// A user property.
pub(super) fn user(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0x26];
    text(&mut out, name);
    text(&mut out, value);
    out
}

fn variable(bytes: &mut &[u8]) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= usize::from(byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            return value;
        }
    }
}

fn properties(bytes: &mut &[u8]) -> Properties {
    let len = variable(bytes);
    let (mut section, rest) = bytes.split_at(len);
    *bytes = rest;
    let mut all = Vec::new();
    while let Some((id, mut rest)) = section.split_first() {
        let long = |rest: &[u8]| 2 + usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let len = match id {
            0x01 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => 1,
            0x13 | 0x21 | 0x22 => 2,
            0x02 | 0x11 | 0x27 => 4,
            0x0b => {
                let before = rest.len();
                let mut after = rest;
                variable(&mut after);
                before - after.len()
            }
            0x03 | 0x08 | 0x09 | 0x12 | 0x1f => long(rest),
            0x26 => long(rest) + long(&rest[long(rest)..]),
            other => panic!("property {other:#x}"),
        };
        let (value, after) = rest.split_at(len);
        all.push((*id, value.to_vec()));
        rest = after;
        section = rest;
    }
    all
}

/// The first property of this kind.
pub(super) fn find(properties: &Properties, id: u8) -> Option<&[u8]> {
    properties.iter().find(|(other, _)| *other == id).map(|(_, value)| value.as_slice())
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received5 {
    pub(super) payload: Vec<u8>,
    pub(super) qos: u8,
    pub(super) dup: bool,
    pub(super) retain: bool,
    pub(super) id: u16,
    /// Without the sequence number.
    pub(super) properties: Properties,
    pub(super) sequence: u64,
}

/// A CONNACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Welcome {
    pub(super) present: bool,
    pub(super) reason: u8,
    pub(super) properties: Properties,
}

impl Client {
    pub(super) async fn hello5(&mut self, hello: &Hello5<'_>) -> Welcome {
        self.send(&hello.packet()).await;
        let (first, body) = self.packet().await.expect("a CONNACK");
        assert_eq!(first, 0x20);
        let mut rest = &body[2..];
        Welcome { present: body[0] == 1, reason: body[1], properties: properties(&mut rest) }
    }

    /// Subscribes with these options and identifier (0: none); the reasons.
    pub(super) async fn subscribe5(&mut self, filters: &[(&str, u8)], identifier: u8) -> Vec<u8> {
        let mut body = vec![0, 9];
        let identifier: &[u8] = if identifier == 0 { &[] } else { &[0x0b, identifier] };
        section(&mut body, identifier);
        for (filter, options) in filters {
            text(&mut body, filter);
            body.push(*options);
        }
        self.send(&packet(0x82, &body)).await;
        let (first, body) = self.packet().await.expect("a SUBACK");
        assert_eq!((first, &body[..3]), (0x90, [0, 9, 0].as_slice()));
        body[3..].to_vec()
    }

    /// The next packet, which is a message.
    pub(super) async fn message5(&mut self) -> Received5 {
        let (first, body) = self.packet().await.expect("a message");
        assert_eq!(first >> 4, 3, "{first:#x} {body:x?}");
        Received5::read(first, &body)
    }

    /// Sends one of the packets that acknowledge.
    pub(super) async fn ack(&mut self, first: u8, id: u16) {
        let [high, low] = id.to_be_bytes();
        self.send(&[first, 2, high, low]).await;
    }

    /// The reason of the DISCONNECT that comes next, after which the server closes.
    pub(super) async fn reason(&mut self) -> u8 {
        let (first, body) = self.packet().await.expect("a DISCONNECT");
        assert_eq!(first, 0xe0, "{body:x?}");
        assert!(self.is_closed().await);
        body[0]
    }
}

impl Received5 {
    /// From the first byte and the body of a PUBLISH.
    pub(super) fn read(first: u8, body: &[u8]) -> Self {
        let topic_len = usize::from(u16::from_be_bytes([body[0], body[1]]));
        assert_eq!(&body[2..2 + topic_len], TOPIC.as_bytes());
        let qos = (first >> 1) & 3;
        let mut rest = &body[2 + topic_len..];
        let mut id = 0;
        if qos > 0 {
            id = u16::from_be_bytes([rest[0], rest[1]]);
            rest = &rest[2..];
        }
        let mut properties = properties(&mut rest);
        let (_, sequence) = properties.pop().unwrap();
        let mut name = Vec::new();
        text(&mut name, "i3-seq");
        let digits = sequence.strip_prefix(name.as_slice()).expect("the last property is ours");
        let sequence = std::str::from_utf8(&digits[2..]).unwrap().parse().unwrap();
        let (dup, retain, payload) = (first & 8 != 0, first & 1 != 0, rest.to_vec());
        Self { payload, qos, dup, retain, id, properties, sequence }
    }
}

impl Scene {
    /// A client of MQTT 5 that is let in, and whether its session was present.
    pub(super) async fn client5(&self, hello: &Hello5<'_>) -> (Client, bool) {
        let mut client = Client::open(self.gate.local_addr()).await;
        let welcome = client.hello5(hello).await;
        assert_eq!(welcome.reason, 0, "{} is let in", hello.user);
        (client, welcome.present)
    }

    pub(super) async fn device5(&self) -> Client {
        self.client5(&Hello5::new("device", "device")).await.0
    }

    /// A buyer that is subscribed with these options.
    pub(super) async fn buyer5(&self, hello: &Hello5<'_>, options: u8) -> Client {
        let (mut client, _) = self.client5(hello).await;
        assert_eq!(client.subscribe5(&[(TOPIC, options)], 0).await, [options & 3]);
        client
    }
}
