//! Just enough of MQTT 3.1.1 and 5 for a load generator: finding the packets in what was read, and writing a
//! client's packets. It trusts the broker more than a real client may.

use std::io;

use tokio::net::TcpStream;

use crate::mqtt_load::{Login, Qos, Version};

/// First bytes of the packets (MQTT 3.1.1, section 2.2), flags included where they are fixed.
pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const PUBLISH: u8 = 0x30;
const CONNECT: u8 = 0x10;
const SUBSCRIBE: u8 = 0x82;

/// More than two messages of the largest payload that a run may use.
const INBOX: usize = 64 * 1024;

/// One whole packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The first byte: type and flags.
    pub(crate) first: u8,
    /// What follows the remaining length.
    pub(crate) body: &'a [u8],
    /// How many bytes the packet takes with its header.
    pub(crate) length: usize,
}

/// A remaining length of more than four bytes, or a packet that does not fit the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Oversize;

/// The packet at the start of `bytes`, if it is there as a whole.
pub(crate) fn next_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, Oversize> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let mut remaining = 0_usize;
    for (index, &byte) in rest.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let length = 2 + index + remaining;
            if length > INBOX {
                return Err(Oversize);
            }
            let body = bytes.get(2 + index..length);
            return Ok(body.map(|body| Frame { first, body, length }));
        }
    }
    if rest.len() >= 4 { Err(Oversize) } else { Ok(None) }
}

/// What a PUBLISH carries, as far as the generator looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery<'a> {
    /// The packet identifier's two bytes; none at `QoS` 0.
    pub(crate) packet_id: Option<[u8; 2]>,
    /// The payload.
    pub(crate) payload: &'a [u8],
}

/// Reads a PUBLISH on a topic whose length is known. Properties are passed over.
pub(crate) fn delivery<'a>(frame: Frame<'a>, topic: &str, version: Version) -> Option<Delivery<'a>> {
    let (length, rest) = frame.body.split_first_chunk()?;
    let by_alias = version == Version::V5Alias && *length == [0, 0];
    let mut rest = if by_alias { rest } else { rest.strip_prefix(topic.as_bytes())? };
    let mut packet_id = None;
    if frame.first & 0x06 != 0 {
        let (id, after) = rest.split_first_chunk()?;
        (packet_id, rest) = (Some(*id), after);
    }
    if version.has_properties() {
        let (properties, payload) = properties(rest)?;
        // There is one topic, so it has the first alias; the gate says it first.
        if by_alias && !properties.starts_with(&[0x23, 0, 1]) {
            return None;
        }
        rest = payload;
    }
    Some(Delivery { packet_id, payload: rest })
}

/// Properties (MQTT 5, section 2.2.2), and what follows them.
fn properties(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes.get(index + 1..)?.split_at_checked(length);
        }
    }
    None
}

/// What a broker's CONNACK says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// The return or reason code.
    pub(crate) code: u8,
    /// How many messages at `QoS` 1 it takes that it has not acknowledged.
    pub(crate) receive_maximum: u16,
}

/// Reads the body of a CONNACK.
pub(crate) fn welcome(body: &[u8], version: Version) -> Option<Welcome> {
    let mut welcome = Welcome { code: *body.get(1)?, receive_maximum: u16::MAX };
    if version.has_properties() {
        let (mut rest, _) = properties(body.get(2..)?)?;
        while let Some((&name, value)) = rest.split_first() {
            // MQTT 5, section 2.2.2.2: how long the value of each property of a CONNACK is.
            let length = match name {
                0x24 | 0x25 | 0x28 | 0x29 | 0x2a => 1,
                0x13 | 0x21 | 0x22 => 2,
                0x11 | 0x27 => 4,
                0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => text(value)?,
                0x26 => text(value).and_then(|name| Some(name + text(value.get(name..)?)?))?,
                _ => return None,
            };
            if let (0x21, Some(maximum)) = (name, value.first_chunk()) {
                welcome.receive_maximum = u16::from_be_bytes(*maximum);
            }
            rest = value.get(length..)?;
        }
    }
    Some(welcome)
}

/// How many bytes a text or binary value takes, with its length.
fn text(value: &[u8]) -> Option<usize> {
    value.first_chunk().map(|length| 2 + usize::from(u16::from_be_bytes(*length)))
}

/// A CONNECT with a clean session. The keep-alive time is longer than any run, for the generator sends
/// no PINGREQ.
pub(crate) fn connect(client_id: &str, login: Option<&Login>, version: Version) -> Option<Vec<u8>> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', version.level()];
    body.push(if login.is_some() { 0b1100_0010 } else { 0b0000_0010 });
    body.extend(600_u16.to_be_bytes());
    match version {
        // MQTT 5, section 3.1.2.11.5.
        Version::V5Alias => body.extend([3, 0x22, 0, 1]),
        _ => no_properties(&mut body, version),
    }
    field(&mut body, client_id.as_bytes())?;
    if let Some(login) = login {
        field(&mut body, login.username.as_bytes())?;
        field(&mut body, login.password().as_bytes())?;
    }
    packet(CONNECT, &body)
}

/// A SUBSCRIBE to one topic, with packet identifier 1.
pub(crate) fn subscribe(topic: &str, qos: Qos, version: Version) -> Option<Vec<u8>> {
    let mut body = vec![0, 1];
    no_properties(&mut body, version);
    field(&mut body, topic.as_bytes())?;
    body.push(qos.level());
    packet(SUBSCRIBE, &body)
}

/// A PUBLISH that is sent again and again with other numbers in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) packet: Vec<u8>,
    /// Where the packet identifier is; not used at `QoS` 0.
    pub(crate) id_at: usize,
    pub(crate) payload_at: usize,
}

/// A PUBLISH with room for a packet identifier (zero so far) at `QoS` 1.
pub(crate) fn publish(topic: &str, qos: Qos, payload: &[u8], version: Version) -> Option<Template> {
    let mut body = Vec::new();
    field(&mut body, topic.as_bytes())?;
    let id_in_body = body.len();
    if qos == Qos::AtLeastOnce {
        body.extend([0, 0]);
    }
    no_properties(&mut body, version);
    body.extend_from_slice(payload);
    let packet = packet(PUBLISH | (qos.level() << 1), &body)?;
    let id_at = packet.len() - body.len() + id_in_body;
    let payload_at = packet.len() - payload.len();
    Some(Template { packet, id_at, payload_at })
}

fn no_properties(body: &mut Vec<u8>, version: Version) {
    if version.has_properties() {
        body.push(0);
    }
}

fn packet(first: u8, body: &[u8]) -> Option<Vec<u8>> {
    let mut packet = vec![first];
    let mut remaining = u32::try_from(body.len()).ok().filter(|length| *length < 1 << 28)?;
    loop {
        let digit = u8::try_from(remaining & 0x7f).ok()?;
        remaining >>= 7;
        packet.push(if remaining > 0 { digit | 0x80 } else { digit });
        if remaining == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    Some(packet)
}

fn field(body: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    body.extend(u16::try_from(bytes.len()).ok()?.to_be_bytes());
    body.extend_from_slice(bytes);
    Some(())
}

/// What was read from a broker and not yet taken.
#[derive(Debug)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; 2 * INBOX], start: 0, end: 0 }
    }

    /// Waits for bytes and reads what is there, up to the free room. The end of the stream is an error.
    pub(crate) async fn fill(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        loop {
            stream.readable().await?;
            match stream.try_read(self.bytes.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next whole packet, which counts as taken.
    pub(crate) fn take(&mut self) -> Result<Option<Frame<'_>>, Oversize> {
        let frame = next_frame(self.bytes.get(self.start..self.end).unwrap_or_default())?;
        if let Some(frame) = frame {
            self.start += frame.length;
        }
        Ok(frame)
    }
}

/// Writes everything.
pub(crate) async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_found_only_when_it_is_whole() {
        for payload_length in [8, 100, 200, 20_000] {
            let payload = vec![7; payload_length];
            for version in [Version::V311, Version::V5] {
                let Template { packet, id_at, payload_at } =
                    publish("i3/h/p", Qos::AtLeastOnce, &payload, version).unwrap();
                assert_eq!(packet[payload_at..], payload);
                assert_eq!(packet[id_at - 6..id_at + 2], *b"i3/h/p\0\0");
                for cut in 0..packet.len() {
                    assert_eq!(next_frame(&packet[..cut]), Ok(None), "cut at {cut}");
                }
                let mut more = packet.clone();
                more.extend([PUBACK, 2]);
                let frame = next_frame(&more).unwrap().unwrap();
                assert_eq!(frame.length, packet.len());
                let found = delivery(frame, "i3/h/p", version).unwrap();
                assert_eq!(found, Delivery { packet_id: Some([0, 0]), payload: &payload });
            }
        }
    }

    #[test]
    fn a_length_of_five_bytes_is_refused() {
        assert_eq!(next_frame(&[PUBLISH, 0xff, 0xff, 0xff, 0xff, 0x01]), Err(Oversize));
        assert_eq!(next_frame(&[PUBLISH, 0xff, 0xff, 0xff]), Ok(None));
    }

    #[test]
    fn a_delivery_on_another_topic_is_not_taken_for_ours() {
        let Template { packet, .. } = publish("i3/h/q", Qos::AtMostOnce, &[0; 8], Version::V311).unwrap();
        let frame = next_frame(&packet).unwrap().unwrap();
        assert_eq!(delivery(frame, "i3/h/p", Version::V311), None);
        assert!(delivery(frame, "i3/h/q", Version::V311).is_some());
    }

    #[test]
    fn connect_carries_the_login() {
        let packet = connect("c", Some(&Login::new("user", "word")), Version::V311).unwrap();
        assert_eq!(packet[..12], [CONNECT, 25, 0, 4, b'M', b'Q', b'T', b'T', 4, 0xc2, 2, 88]);
        assert_eq!(packet[12..], *b"\x00\x01c\x00\x04user\x00\x04word");
    }

    #[test]
    fn properties_are_passed_over_and_the_receive_maximum_is_found() {
        // A user property a=b before the payload.
        let body = [b"\x00\x06i3/h/p\x07\x26\x00\x01a\x00\x01b".as_slice(), &[9; 8]].concat();
        let frame = Frame { first: PUBLISH, body: &body, length: body.len() + 2 };
        let found = delivery(frame, "i3/h/p", Version::V5).unwrap();
        assert_eq!(found, Delivery { packet_id: None, payload: &[9; 8] });
        assert_eq!(delivery(frame, "i3/h/p", Version::V5Alias), Some(found), "the topic may still be there");

        let body = [b"\x00\x00\x03\x23\x00\x01".as_slice(), &[9; 8]].concat();
        let frame = Frame { first: PUBLISH, body: &body, length: body.len() + 2 };
        assert_eq!(delivery(frame, "i3/h/p", Version::V5Alias), Some(found));
        assert_eq!(delivery(frame, "i3/h/p", Version::V5), None, "it takes no aliases");

        let body = b"\x00\x00\x0d\x12\x00\x02id\x21\x00\x14\x22\x00\x0a\x29\x01";
        assert_eq!(welcome(body, Version::V5), Some(Welcome { code: 0, receive_maximum: 20 }));
        assert_eq!(welcome(&body[..10], Version::V5), None, "cut");
        assert_eq!(welcome(&[0, 5], Version::V311), Some(Welcome { code: 5, receive_maximum: u16::MAX }));
    }
}
