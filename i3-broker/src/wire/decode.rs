//! Bytes to packets.

use bytes::{Buf, BytesMut};

use super::property::{Allowed, Properties, Property, reason};
use super::reader::{LONG_FORM, Reader, variable};
use super::{
    Ack, Auth, Disconnect, Filter, FilterKind, Packet, Qos, Reason, RetainHandling, Subscribe, Unsubscribe,
    Version, WireError, publish,
};

/// The fixed header (3.1.1, 2.2; 5, 2.1).
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Bytes of the fixed header itself.
    pub(super) len: usize,
    /// Bytes of the whole packet.
    pub(super) total: usize,
    /// Whether the length is in its shortest form.
    shortest: bool,
}

impl Header {
    /// Reads a fixed header; `None` if more bytes are needed.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, WireError> {
        let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
        let Some((remaining, len)) = variable(rest)? else { return Ok(None) };
        let body = usize::try_from(remaining).map_err(|_| WireError::TooLong)?;
        Ok(Some(Self {
            kind: first >> 4,
            flags: first & 0x0f,
            len: 1 + len,
            total: 1 + len + body,
            shortest: len == 1 || remaining >> (7 * (len - 1)) != 0,
        }))
    }

    /// MQTT 5 wants the shortest form of the length (1.5.5-1); 3.1.1 does not say.
    pub(super) fn check_form(&self, version: Version) -> Result<(), WireError> {
        if self.shortest || version == Version::V311 { Ok(()) } else { Err(LONG_FORM) }
    }
}

/// Takes the next packet off the front of `buffer`; `None` if more bytes are needed, in which case at
/// most `limit` bytes belong to the packet that has begun.
///
/// For a connection whose CONNECT said `version`. The length is checked before anything is allocated. After an error
/// the bytes are of no use.
pub fn decode(version: Version, buffer: &mut BytesMut, limit: usize) -> Result<Option<Packet>, WireError> {
    let Some(head) = Header::read(buffer)? else { return Ok(None) };
    head.check_form(version)?;
    check_kind(version, head)?;
    if head.total > limit {
        return Err(WireError::TooLong);
    }
    let Some(body) = buffer.get(head.len..head.total) else { return Ok(None) };
    if head.kind == 3 {
        return publish::take(version, buffer, head).map(|publish| Some(Packet::Publish(publish)));
    }
    let mut body = Reader(body);
    let packet = match head.kind {
        4 => Packet::PubAck(ack(version, &mut body, RECEIVED)?),
        5 => Packet::PubRec(ack(version, &mut body, RECEIVED)?),
        6 => Packet::PubRel(ack(version, &mut body, RELEASED)?),
        7 => Packet::PubComp(ack(version, &mut body, RELEASED)?),
        8 => Packet::Subscribe(subscribe(version, &mut body)?),
        10 => Packet::Unsubscribe(unsubscribe(version, &mut body)?),
        12 => Packet::PingReq,
        14 => Packet::Disconnect(disconnect(version, &mut body)?),
        15 => Packet::Auth(auth(&mut body)?),
        other => return Err(WireError::Unexpected(other)),
    };
    body.end()?;
    buffer.advance(head.total);
    Ok(Some(packet))
}

/// Whether a client may send this type now, and whether reserved flags are as they must be (3.1.1, 2.2.2; 5, 2.1.3).
fn check_kind(version: Version, head: Header) -> Result<(), WireError> {
    let flags = match head.kind {
        3 => return Ok(()),
        6 | 8 | 10 => 2,
        4 | 5 | 7 | 12 | 14 => 0,
        15 if version == Version::V5 => 0,
        0 | 15 => return Err(WireError::Malformed("a reserved packet type")),
        other => return Err(WireError::Unexpected(other)),
    };
    if head.flags == flags {
        Ok(())
    } else {
        Err(WireError::Malformed("reserved flags are not as they must be"))
    }
}

/// What PUBACK and PUBREC may say (5, 3.4.2.1 and 3.5.2.1).
const RECEIVED: &[Reason] = &[
    Reason::Success,
    Reason::NoMatchingSubscribers,
    Reason::Unspecified,
    Reason::ImplementationSpecific,
    Reason::NotAuthorized,
    Reason::TopicNameInvalid,
    Reason::PacketIdentifierInUse,
    Reason::QuotaExceeded,
    Reason::PayloadFormatInvalid,
];

/// What PUBREL and PUBCOMP may say (5, 3.6.2.1 and 3.7.2.1).
const RELEASED: &[Reason] = &[Reason::Success, Reason::PacketIdentifierNotFound];

/// What a client may say with DISCONNECT (5, 3.14.2.1).
const GOODBYE: &[Reason] = &[
    Reason::Success,
    Reason::DisconnectWithWill,
    Reason::Unspecified,
    Reason::MalformedPacket,
    Reason::ProtocolError,
    Reason::ImplementationSpecific,
    Reason::TopicNameInvalid,
    Reason::ReceiveMaximumExceeded,
    Reason::TopicAliasInvalid,
    Reason::PacketTooLarge,
    Reason::MessageRateTooHigh,
    Reason::QuotaExceeded,
    Reason::AdministrativeAction,
    Reason::PayloadFormatInvalid,
];

/// The rest of a packet of MQTT 5 that may end before its reason code, and before its properties: the code, and the
/// properties if there are any.
fn reason_and_properties<'a>(
    body: &mut Reader<'a>,
    allowed: &[Reason],
) -> Result<(Reason, Reader<'a>), WireError> {
    if body.is_empty() {
        return Ok((Reason::Success, Reader(&[])));
    }
    let reason = reason(body.byte()?, allowed)?;
    let section = if body.is_empty() { Reader(&[]) } else { body.section()? };
    Ok((reason, section))
}

fn ack(version: Version, body: &mut Reader<'_>, allowed: &[Reason]) -> Result<Ack, WireError> {
    let packet_id = body.packet_id()?;
    let mut reason = Reason::Success;
    if version == Version::V5 && !body.is_empty() {
        let section;
        (reason, section) = reason_and_properties(body, allowed)?;
        Properties::new(section, Allowed::ACK).check()?;
    }
    Ok(Ack { packet_id, reason })
}

fn disconnect(version: Version, body: &mut Reader<'_>) -> Result<Disconnect, WireError> {
    let mut disconnect = Disconnect { reason: Reason::Success, session_expiry: None };
    if version == Version::V5 {
        let section;
        (disconnect.reason, section) = reason_and_properties(body, GOODBYE)?;
        let mut properties = Properties::new(section, Allowed::DISCONNECT);
        while let Some(property) = properties.next()? {
            if let Property::SessionExpiry(seconds) = property {
                disconnect.session_expiry = Some(seconds);
            }
        }
    }
    Ok(disconnect)
}

fn auth(body: &mut Reader<'_>) -> Result<Auth, WireError> {
    // 3.15.2.1: without a code it means success, which only a server says.
    if body.is_empty() {
        return Err(WireError::Protocol("a reason code that this packet does not have"));
    }
    let (reason, section) =
        reason_and_properties(body, &[Reason::ContinueAuthentication, Reason::Reauthenticate])?;
    let (mut properties, mut method) = (Properties::new(section, Allowed::AUTH), false);
    while let Some(property) = properties.next()? {
        method |= matches!(property, Property::AuthenticationMethod(_));
    }
    // 3.15.2.2.2
    if method { Ok(Auth { reason }) } else { Err(WireError::Protocol("no authentication method")) }
}

fn subscribe(version: Version, body: &mut Reader<'_>) -> Result<Subscribe, WireError> {
    let packet_id = body.packet_id()?;
    let mut identifier = None;
    if version == Version::V5 {
        let mut properties = Properties::new(body.section()?, Allowed::SUBSCRIBE);
        while let Some(property) = properties.next()? {
            if let Property::SubscriptionIdentifier(number) = property {
                identifier = Some(number);
            }
        }
    }
    let mut filters = Vec::new();
    while !body.is_empty() {
        let filter = filter(body)?;
        filters.push(options(version, filter, body.byte()?)?);
    }
    if filters.is_empty() { Err(NO_FILTER) } else { Ok(Subscribe { packet_id, identifier, filters }) }
}

/// A filter with its options (3.1.1, 3.8.3.1; 5, 3.8.3.1).
fn options(version: Version, filter: String, options: u8) -> Result<Filter, WireError> {
    let reserved = match version {
        Version::V311 => 0xfc,
        Version::V5 => 0xc0,
    };
    if options & reserved != 0 {
        return Err(WireError::Malformed("reserved bits of the subscription options are set"));
    }
    let qos = Qos::from_bits(options & 3).ok_or(WireError::Protocol("a requested QoS is 3"))?;
    let no_local = options & 4 != 0;
    // 3.8.3-4
    if no_local && FilterKind::of(&filter) == FilterKind::Shared {
        return Err(WireError::Protocol("no local on a shared subscription"));
    }
    let retain_handling = match options >> 4 {
        0 => RetainHandling::Always,
        1 => RetainHandling::IfNew,
        2 => RetainHandling::Never,
        _ => return Err(WireError::Protocol("retain handling is 3")),
    };
    Ok(Filter { filter, qos, no_local, retain_as_published: options & 8 != 0, retain_handling })
}

fn unsubscribe(version: Version, body: &mut Reader<'_>) -> Result<Unsubscribe, WireError> {
    let packet_id = body.packet_id()?;
    if version == Version::V5 {
        Properties::new(body.section()?, Allowed::UNSUBSCRIBE).check()?;
    }
    let mut filters = Vec::new();
    while !body.is_empty() {
        filters.push(filter(body)?);
    }
    if filters.is_empty() { Err(NO_FILTER) } else { Ok(Unsubscribe { packet_id, filters }) }
}

/// 3.1.1, 3.8.3-3 and 3.10.3-2; 5, 3.8.3-2 and 3.10.3-2.
const NO_FILTER: WireError = WireError::Protocol("no filter");

/// A topic filter: any non-empty text. Wildcards are not judged here, since none is ever granted.
fn filter(body: &mut Reader<'_>) -> Result<String, WireError> {
    let filter = body.text()?;
    if filter.is_empty() { Err(WireError::Malformed("a filter is empty")) } else { Ok(filter.to_owned()) }
}
