//! Bytes to packets.

use bytes::{Buf, Bytes, BytesMut};

use super::{Connect, Packet, Publish, Qos, Subscribe, Unsubscribe, Will, WireError};

/// The fixed header (2.2).
#[derive(Clone, Copy)]
struct Header {
    kind: u8,
    flags: u8,
    /// Bytes of the fixed header itself.
    len: usize,
    /// Bytes that follow it.
    remaining: usize,
}

/// Reads a fixed header; `None` if more bytes are needed.
fn header(bytes: &[u8]) -> Result<Option<Header>, WireError> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let mut remaining = 0_usize;
    for place in 0..4 {
        let Some(byte) = bytes.get(1 + place) else { return Ok(None) };
        remaining |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some(Header { kind: first >> 4, flags: first & 0x0f, len: 2 + place, remaining }));
        }
    }
    // 2.2.3: a fourth byte with the continuation bit is malformed.
    Err(WireError::Malformed("the remaining length has more than four bytes"))
}

/// Takes the next packet off the front of `buffer`; `None` if more bytes are needed, in which case at
/// most `limit` bytes belong to the packet that has begun. After an error the bytes are of no use.
pub fn decode(buffer: &mut BytesMut, limit: usize) -> Result<Option<Packet>, WireError> {
    let Some(head) = header(buffer)? else { return Ok(None) };
    let total = head.len.saturating_add(head.remaining);
    if total > limit {
        return Err(WireError::TooLong);
    }
    check_flags(head)?;
    let Some(body) = buffer.get(head.len..total) else {
        return Ok(None);
    };
    let packet = match head.kind {
        3 => {
            let frame = buffer.split_to(total).freeze();
            return publish(frame).map(|publish| Some(Packet::Publish(publish)));
        }
        1 => Packet::Connect(Box::new(connect(body)?)),
        4 => {
            let mut body = Body(body);
            let id = body.packet_id()?;
            body.end()?;
            Packet::PubAck(id)
        }
        8 => Packet::Subscribe(subscribe(body)?),
        10 => Packet::Unsubscribe(unsubscribe(body)?),
        12 => {
            Body(body).end()?;
            Packet::PingReq
        }
        14 => {
            Body(body).end()?;
            Packet::Disconnect
        }
        other => return Err(WireError::Unexpected(other)),
    };
    buffer.advance(total);
    Ok(Some(packet))
}

/// Flags that are reserved must be as given in 2.2.2.
fn check_flags(head: Header) -> Result<(), WireError> {
    let expected = match head.kind {
        3 => return Ok(()),
        8 | 10 => 2,
        1 | 4 | 12 | 14 => 0,
        other => return Err(WireError::Unexpected(other)),
    };
    if head.flags == expected { Ok(()) } else { Err(WireError::Malformed("reserved flags are set")) }
}

/// What is left of a packet's body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or(WireError::Malformed("a length is past the end"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, WireError> {
        self.bytes(1)?.first().copied().ok_or(WireError::Malformed("a byte is missing"))
    }

    fn number(&mut self) -> Result<u16, WireError> {
        let bytes = self.bytes(2)?;
        <[u8; 2]>::try_from(bytes).map(u16::from_be_bytes).map_err(|_| WireError::Malformed("no number"))
    }

    /// 2.3.1: packet identifiers are not 0.
    fn packet_id(&mut self) -> Result<u16, WireError> {
        match self.number()? {
            0 => Err(WireError::Malformed("the packet identifier is 0")),
            id => Ok(id),
        }
    }

    fn binary(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.number()?;
        self.bytes(usize::from(len))
    }

    fn text(&mut self) -> Result<&'a str, WireError> {
        text(self.binary()?)
    }

    fn end(&self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Malformed("bytes are left over")) }
    }
}

/// 1.5.3: well-formed UTF-8 (which excludes surrogates) without NUL.
fn text(bytes: &[u8]) -> Result<&str, WireError> {
    let text = std::str::from_utf8(bytes).map_err(|_| WireError::Malformed("a text is not UTF-8"))?;
    if bytes.contains(&0) { Err(WireError::Malformed("a text has a NUL")) } else { Ok(text) }
}

/// 3.3.2.1 and 4.7: a topic to publish to is not empty and has no wildcard.
fn topic_name(bytes: &[u8]) -> Result<&str, WireError> {
    let topic = text(bytes)?;
    if topic.is_empty() {
        return Err(WireError::Malformed("the topic is empty"));
    }
    if bytes.iter().any(|byte| matches!(byte, b'+' | b'#')) {
        return Err(WireError::Malformed("the topic has a wildcard"));
    }
    Ok(topic)
}

/// Where topic and payload of a PUBLISH frame lie, without looking at their content:
/// topic at, payload at, `QoS`, packet identifier.
pub(crate) fn publish_parts(frame: &[u8]) -> Result<(usize, usize, Qos, Option<u16>), WireError> {
    let short = WireError::Malformed("the packet ends early");
    let head = header(frame)?.ok_or(short)?;
    let qos = Qos::from_bits((head.flags >> 1) & 3).ok_or(WireError::Malformed("the QoS is 3"))?;
    let mut body = Body(frame.get(head.len..).ok_or(short)?);
    let topic_len = usize::from(body.number()?);
    body.bytes(topic_len)?;
    let topic_at = head.len.saturating_add(2);
    let topic_end = topic_at.saturating_add(topic_len);
    if qos == Qos::AtMostOnce {
        return Ok((topic_at, topic_end, qos, None));
    }
    let id = body.packet_id()?;
    Ok((topic_at, topic_end.saturating_add(2), qos, Some(id)))
}

fn publish(frame: Bytes) -> Result<Publish, WireError> {
    let (topic_at, payload_at, qos, packet_id) = publish_parts(&frame)?;
    let first = frame.first().copied().unwrap_or_default();
    let publish = Publish {
        frame,
        topic_at,
        payload_at,
        qos,
        dup: first & 0x08 != 0,
        retain: first & 0x01 != 0,
        packet_id,
    };
    // 3.3.1.1: DUP must be 0 at QoS 0.
    if publish.dup && qos == Qos::AtMostOnce {
        return Err(WireError::Malformed("DUP at QoS 0"));
    }
    topic_name(publish.topic())?;
    Ok(publish)
}

fn connect(body: &[u8]) -> Result<Connect, WireError> {
    let mut body = Body(body);
    let name = body.binary()?;
    let level = body.byte()?;
    match (name, level) {
        (b"MQTT", 4) => {}
        (b"MQTT", 5) => return Err(WireError::Version5),
        (b"MQTT" | b"MQIsdp", _) => return Err(WireError::OtherVersion),
        _ => return Err(WireError::Malformed("the protocol name is not MQTT")),
    }
    let flags = body.byte()?;
    let has = |bit: u8| flags & bit != 0;
    if has(0x01) {
        return Err(WireError::Malformed("a reserved connect flag is set"));
    }
    let (has_will, will_bits) = (has(0x04), (flags >> 3) & 3);
    let will_qos = Qos::from_bits(will_bits).ok_or(WireError::Malformed("the will's QoS is 3"))?;
    if !has_will && (will_bits != 0 || has(0x20)) {
        return Err(WireError::Malformed("flags of a will without a will"));
    }
    if has(0x40) && !has(0x80) {
        return Err(WireError::Malformed("a password without a user name"));
    }
    let keep_alive = body.number()?;
    let client_id = body.text()?.to_owned();
    let will = if has_will {
        let topic = topic_name(body.binary()?)?.to_owned();
        let payload = Bytes::copy_from_slice(body.binary()?);
        Some(Will { topic, payload, qos: will_qos, retain: has(0x20) })
    } else {
        None
    };
    let username = if has(0x80) { Some(body.text()?.to_owned()) } else { None };
    let password = if has(0x40) { Some(Bytes::copy_from_slice(body.binary()?)) } else { None };
    body.end()?;
    Ok(Connect { client_id, clean_session: has(0x02), keep_alive, will, username, password })
}

fn subscribe(body: &[u8]) -> Result<Subscribe, WireError> {
    let mut body = Body(body);
    let packet_id = body.packet_id()?;
    let mut filters = Vec::new();
    while !body.0.is_empty() {
        let filter = filter(&mut body)?;
        let qos = Qos::from_bits(body.byte()?).ok_or(WireError::Malformed("a requested QoS is above 2"))?;
        filters.push((filter, qos));
    }
    if filters.is_empty() {
        return Err(WireError::Malformed("no filter"));
    }
    Ok(Subscribe { packet_id, filters })
}

fn unsubscribe(body: &[u8]) -> Result<Unsubscribe, WireError> {
    let mut body = Body(body);
    let packet_id = body.packet_id()?;
    let mut filters = Vec::new();
    while !body.0.is_empty() {
        filters.push(filter(&mut body)?);
    }
    if filters.is_empty() {
        return Err(WireError::Malformed("no filter"));
    }
    Ok(Unsubscribe { packet_id, filters })
}

/// A topic filter: any non-empty text. Wildcards are not judged here, since none is ever granted.
fn filter(body: &mut Body<'_>) -> Result<String, WireError> {
    let filter = body.text()?;
    if filter.is_empty() { Err(WireError::Malformed("a filter is empty")) } else { Ok(filter.to_owned()) }
}
