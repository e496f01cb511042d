//! CONNECT (3.1): the one packet that says which version it is of.

use bytes::{Buf, Bytes, BytesMut};

use super::decode::Header;
use super::property::{Allowed, Properties, Property};
use super::reader::{Reader, topic_name};
use super::{Connect, ConnectError, Qos, Version, Will, WireError};

/// Takes the first packet of a connection off the front of `buffer`, which must be a CONNECT (3.1.0-1) of MQTT 3.1.1
/// or 5; `None` if more bytes are needed, in which case at most `limit` bytes belong to it.
///
/// The length is checked before anything is allocated. After an error the bytes are of no use.
pub fn decode_connect(buffer: &mut BytesMut, limit: usize) -> Result<Option<Connect>, ConnectError> {
    first(buffer, limit).map_err(|error| ConnectError { error, answer: speaks(buffer) })
}

fn first(buffer: &mut BytesMut, limit: usize) -> Result<Option<Connect>, WireError> {
    // Nothing but CONNECT is waited for.
    match buffer.first() {
        None => return Ok(None),
        Some(0x10) => {}
        Some(first) if first >> 4 == 1 => {
            return Err(WireError::Malformed("reserved flags are not as they must be"));
        }
        Some(first) => return Err(WireError::Unexpected(first >> 4)),
    }
    let Some(head) = Header::read(buffer)? else { return Ok(None) };
    if head.total > limit {
        return Err(WireError::TooLong);
    }
    let Some(body) = buffer.get(head.len..head.total) else { return Ok(None) };
    let mut body = Reader(body);
    let version = version(&mut body)?;
    head.check_form(version)?;
    let connect = connect(version, &mut body)?;
    body.end()?;
    buffer.advance(head.total);
    Ok(Some(connect))
}

/// Protocol name and level (3.1.2.1 and 3.1.2.2).
fn version(body: &mut Reader<'_>) -> Result<Version, WireError> {
    match (body.binary()?, body.byte()?) {
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT" | b"MQIsdp", _) => Err(WireError::OtherVersion),
        _ => Err(WireError::Malformed("the protocol name is not MQTT")),
    }
}

/// In which form a client understands an answer, as far as its bytes tell.
fn speaks(bytes: &[u8]) -> Option<Version> {
    let head = Header::read(bytes).ok()??;
    let mut body = Reader(bytes.get(head.len..)?);
    match (head.kind, body.binary().ok()?, body.byte().ok()?) {
        (1, b"MQTT", 5..) => Some(Version::V5),
        (1, b"MQTT" | b"MQIsdp", _) => Some(Version::V311),
        _ => None,
    }
}

fn connect(version: Version, body: &mut Reader<'_>) -> Result<Connect, WireError> {
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
    // 3.1.1, 3.1.2-22; MQTT 5 allows it.
    if version == Version::V311 && has(0x40) && !has(0x80) {
        return Err(WireError::Malformed("a password without a user name"));
    }
    let clean_start = has(0x02);
    let mut connect = Connect {
        version,
        client_id: String::new(),
        clean_start,
        keep_alive: body.u16()?,
        will: None,
        username: None,
        password: None,
        session_expiry: if version == Version::V5 || clean_start { 0 } else { u32::MAX },
        receive_maximum: u16::MAX,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
        request_problem_information: true,
        request_response_information: false,
        authentication_method: None,
    };
    if version == Version::V5 {
        properties(body, &mut connect)?;
    }
    body.text()?.clone_into(&mut connect.client_id);
    if has_will {
        connect.will = Some(will(version, body, will_qos, has(0x20))?);
    }
    if has(0x80) {
        connect.username = Some(body.text()?.to_owned());
    }
    if has(0x40) {
        connect.password = Some(Bytes::copy_from_slice(body.binary()?));
    }
    Ok(connect)
}

/// 3.1.2.11
fn properties(body: &mut Reader<'_>, connect: &mut Connect) -> Result<(), WireError> {
    let mut properties = Properties::new(body.section()?, Allowed::CONNECT);
    let mut data = false;
    while let Some(property) = properties.next()? {
        match property {
            Property::SessionExpiry(seconds) => connect.session_expiry = seconds,
            Property::ReceiveMaximum(count) => connect.receive_maximum = count,
            Property::MaximumPacketSize(bytes) => connect.maximum_packet_size = Some(bytes),
            Property::TopicAliasMaximum(highest) => connect.topic_alias_maximum = highest,
            Property::RequestProblemInformation(wanted) => connect.request_problem_information = wanted,
            Property::RequestResponseInformation(wanted) => connect.request_response_information = wanted,
            Property::AuthenticationMethod(method) => connect.authentication_method = Some(method.to_owned()),
            Property::AuthenticationData => data = true,
            _ => {}
        }
    }
    // 3.1.2.11.10
    if data && connect.authentication_method.is_none() {
        return Err(WireError::Protocol("authentication data without a method"));
    }
    Ok(())
}

/// 3.1.3.2 to 3.1.3.4
fn will(version: Version, body: &mut Reader<'_>, qos: Qos, retain: bool) -> Result<Will, WireError> {
    let (mut delay, mut expiry, mut passed_on) = (0, None, Vec::new());
    if version == Version::V5 {
        let mut rest = body.section()?;
        let mut properties = Properties::new(rest, Allowed::WILL);
        while let Some(property) = properties.next()? {
            let bytes = rest.bytes(rest.len().saturating_sub(properties.left()))?;
            match property {
                Property::WillDelay(seconds) => delay = seconds,
                Property::MessageExpiry(seconds) => expiry = Some(seconds),
                _ if property.is_passed_on() => passed_on.extend_from_slice(bytes),
                _ => {}
            }
        }
    }
    let topic = topic_name(body.binary()?)?.to_owned();
    let payload = Bytes::copy_from_slice(body.binary()?);
    Ok(Will { topic, payload, qos, retain, delay, expiry, properties: passed_on.into() })
}
