//! PUBLISH (3.3): what most of the bytes are.

use bytes::BytesMut;

use super::decode::Header;
use super::packet::Parts;
use super::property::{Allowed, Properties, Property};
use super::reader::{Reader, check_topic_name};
use super::{Publish, Qos, Version, WireError};

/// What a PUBLISH says beside its parts.
struct Read {
    parts: Parts,
    qos: Qos,
    packet_id: Option<u16>,
    alias: Option<u16>,
    expiry: Option<u32>,
    /// Something that is not passed on stands between properties that are.
    scattered: bool,
}

/// Takes the PUBLISH of which all bytes are at the front of `buffer`. Nothing is copied, unless properties that
/// are passed on must be moved together.
pub(super) fn take(version: Version, buffer: &mut BytesMut, head: Header) -> Result<Publish, WireError> {
    let read = read(version, buffer.get(..head.total).unwrap_or_default(), head)?;
    let mut frame = buffer.split_to(head.total);
    let mut parts = read.parts;
    if read.scattered {
        parts.properties_end = gather(&mut frame, parts)?;
    }
    Ok(Publish {
        frame: frame.freeze(),
        parts,
        qos: read.qos,
        dup: head.flags & 0x08 != 0,
        retain: head.flags & 0x01 != 0,
        packet_id: read.packet_id,
        alias: read.alias,
        expiry: read.expiry,
    })
}

/// Reads and checks everything but the payload.
fn read(version: Version, frame: &[u8], head: Header) -> Result<Read, WireError> {
    let qos = Qos::from_bits((head.flags >> 1) & 3).ok_or(WireError::Malformed("the QoS is 3"))?;
    // 3.3.1-2: DUP must be 0 at QoS 0.
    if qos == Qos::AtMostOnce && head.flags & 0x08 != 0 {
        return Err(WireError::Malformed("DUP at QoS 0"));
    }
    // Places are counted from the end of the fixed header by what is left.
    let at = |left: &Reader<'_>| offset(frame.len().saturating_sub(left.len()));
    let mut body = Reader(frame.get(head.len..).unwrap_or_default());
    let topic = body.binary()?;
    let topic_end = at(&body)?;
    let topic_at = topic_end.saturating_sub(offset(topic.len())?);
    let packet_id = if qos == Qos::AtMostOnce { None } else { Some(body.packet_id()?) };
    let mut read = Read {
        parts: Parts { topic_at, topic_end, properties_at: 0, properties_end: 0, payload_at: 0 },
        qos,
        packet_id,
        alias: None,
        expiry: None,
        scattered: false,
    };
    if version == Version::V5 {
        let section = body.section()?;
        if !section.is_empty() {
            let end = at(&body)?;
            read.properties(section, end)?;
        }
    }
    read.parts.payload_at = at(&body)?;
    if !topic.is_empty() {
        check_topic_name(topic)?;
    } else if read.alias.is_none() {
        // 5, 3.3.2.1; in 3.1.1 there is no alias.
        return Err(WireError::Protocol("the topic is empty"));
    }
    Ok(read)
}

impl Read {
    /// The properties, which lie just before `end`.
    fn properties(&mut self, section: Reader<'_>, end: u32) -> Result<(), WireError> {
        let mut properties = Properties::new(section, Allowed::PUBLISH);
        let mut from = end.saturating_sub(offset(section.len())?);
        while let Some(property) = properties.next()? {
            let to = end.saturating_sub(offset(properties.left())?);
            match property {
                Property::MessageExpiry(seconds) => self.expiry = Some(seconds),
                Property::TopicAlias(alias) => self.alias = Some(alias),
                // 3.3.4-6
                Property::SubscriptionIdentifier(_) => {
                    return Err(WireError::Protocol("a subscription identifier from a client"));
                }
                _ => {}
            }
            if property.is_passed_on() {
                let parts = &mut self.parts;
                if parts.properties_end == 0 {
                    parts.properties_at = from;
                } else {
                    self.scattered |= parts.properties_end != from;
                }
                parts.properties_end = to;
            }
            from = to;
        }
        Ok(())
    }
}

/// Moves what is passed on together, at the place of the first of it; where it ends then.
fn gather(frame: &mut [u8], parts: Parts) -> Result<u32, WireError> {
    let index = |at: u32| usize::try_from(at).map_err(|_| WireError::TooLong);
    let (mut to, mut from, end) =
        (index(parts.properties_at)?, index(parts.properties_at)?, index(parts.properties_end)?);
    while from < end {
        let section = Reader(frame.get(from..end).unwrap_or_default());
        let mut properties = Properties::new(section, Allowed::PUBLISH);
        let Some(property) = properties.next()? else { break };
        let passed_on = property.is_passed_on();
        let next = end - properties.left();
        if passed_on {
            frame.copy_within(from..next, to);
            to += next - from;
        }
        from = next;
    }
    offset(to)
}

/// A place in a frame. Frames are shorter than 2^32 bytes.
fn offset(at: usize) -> Result<u32, WireError> {
    u32::try_from(at).map_err(|_| WireError::TooLong)
}
