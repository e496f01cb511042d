//! Properties of MQTT 5 (2.2.2.2): which packet may have which, and how often.

use super::reader::{Reader, text, topic_name};
use super::{Reason, WireError};

/// The identifiers.
pub(super) mod id {
    pub(in super::super) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(in super::super) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(in super::super) const CONTENT_TYPE: u8 = 0x03;
    pub(in super::super) const RESPONSE_TOPIC: u8 = 0x08;
    pub(in super::super) const CORRELATION_DATA: u8 = 0x09;
    pub(in super::super) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
    pub(in super::super) const SESSION_EXPIRY: u8 = 0x11;
    pub(in super::super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(in super::super) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(in super::super) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(in super::super) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(in super::super) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(in super::super) const WILL_DELAY: u8 = 0x18;
    pub(in super::super) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub(in super::super) const SERVER_REFERENCE: u8 = 0x1c;
    pub(in super::super) const REASON_STRING: u8 = 0x1f;
    pub(in super::super) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(in super::super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(in super::super) const TOPIC_ALIAS: u8 = 0x23;
    pub(in super::super) const USER_PROPERTY: u8 = 0x26;
    pub(in super::super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(in super::super) const WILDCARDS_AVAILABLE: u8 = 0x28;
    pub(in super::super) const SHARED_AVAILABLE: u8 = 0x2a;
}

/// A set of property identifiers, one bit for each.
#[derive(Clone, Copy)]
pub(super) struct Allowed(u64);

impl Allowed {
    const fn of(ids: &[u8]) -> Self {
        let (mut bits, mut rest) = (0, ids);
        while let [first, others @ ..] = rest {
            bits |= 1 << *first;
            rest = others;
        }
        Self(bits)
    }

    pub(super) const CONNECT: Self = Self::of(&[
        id::SESSION_EXPIRY,
        id::AUTHENTICATION_METHOD,
        id::AUTHENTICATION_DATA,
        id::REQUEST_PROBLEM_INFORMATION,
        id::REQUEST_RESPONSE_INFORMATION,
        id::RECEIVE_MAXIMUM,
        id::TOPIC_ALIAS_MAXIMUM,
        id::USER_PROPERTY,
        id::MAXIMUM_PACKET_SIZE,
    ]);
    pub(super) const WILL: Self = Self::of(&[
        id::PAYLOAD_FORMAT,
        id::MESSAGE_EXPIRY,
        id::CONTENT_TYPE,
        id::RESPONSE_TOPIC,
        id::CORRELATION_DATA,
        id::WILL_DELAY,
        id::USER_PROPERTY,
    ]);
    pub(super) const PUBLISH: Self = Self::of(&[
        id::PAYLOAD_FORMAT,
        id::MESSAGE_EXPIRY,
        id::CONTENT_TYPE,
        id::RESPONSE_TOPIC,
        id::CORRELATION_DATA,
        id::SUBSCRIPTION_IDENTIFIER,
        id::TOPIC_ALIAS,
        id::USER_PROPERTY,
    ]);
    pub(super) const ACK: Self = Self::of(&[id::REASON_STRING, id::USER_PROPERTY]);
    pub(super) const SUBSCRIBE: Self = Self::of(&[id::SUBSCRIPTION_IDENTIFIER, id::USER_PROPERTY]);
    pub(super) const UNSUBSCRIBE: Self = Self::of(&[id::USER_PROPERTY]);
    pub(super) const DISCONNECT: Self =
        Self::of(&[id::SESSION_EXPIRY, id::REASON_STRING, id::USER_PROPERTY, id::SERVER_REFERENCE]);
    pub(super) const AUTH: Self =
        Self::of(&[id::AUTHENTICATION_METHOD, id::AUTHENTICATION_DATA, id::REASON_STRING, id::USER_PROPERTY]);
}

/// A property that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Property<'a> {
    PayloadFormat,
    MessageExpiry(u32),
    ContentType,
    ResponseTopic,
    CorrelationData,
    SubscriptionIdentifier(u32),
    SessionExpiry(u32),
    AuthenticationMethod(&'a str),
    AuthenticationData,
    RequestProblemInformation(bool),
    WillDelay(u32),
    RequestResponseInformation(bool),
    ReasonString,
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(u16),
    User { name: &'a str },
    MaximumPacketSize(u32),
}

impl Property<'_> {
    /// Whether a message's subscribers are told.
    pub(super) fn is_passed_on(&self) -> bool {
        match self {
            Self::PayloadFormat | Self::ContentType | Self::ResponseTopic | Self::CorrelationData => true,
            Self::User { name } => !name.starts_with("i3-"),
            _ => false,
        }
    }
}

/// The properties of one packet.
pub(super) struct Properties<'a> {
    rest: Reader<'a>,
    allowed: Allowed,
    seen: u64,
}

impl<'a> Properties<'a> {
    pub(super) fn new(section: Reader<'a>, allowed: Allowed) -> Self {
        Self { rest: section, allowed, seen: 0 }
    }

    /// How many bytes have not been read.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next one; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Property<'a>>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let read = &mut self.rest;
        let id = read.variable()?;
        let bit = 1_u64.checked_shl(id).unwrap_or_default();
        // 2.2.2.2: an identifier that the packet cannot have makes it malformed.
        if self.allowed.0 & bit == 0 {
            return Err(WireError::Malformed("a property that this packet does not have"));
        }
        let id = u8::try_from(id).unwrap_or_default();
        // 1.5.7: only user properties may come more than once.
        if self.seen & bit != 0 && id != id::USER_PROPERTY {
            return Err(WireError::Protocol("a property comes twice"));
        }
        self.seen |= bit;
        let property = match id {
            id::PAYLOAD_FORMAT => {
                flag(read)?;
                Property::PayloadFormat
            }
            id::MESSAGE_EXPIRY => Property::MessageExpiry(read.u32()?),
            id::CONTENT_TYPE => {
                read.text()?;
                Property::ContentType
            }
            id::RESPONSE_TOPIC => {
                // 3.3.2-14
                topic_name(read.binary()?)?;
                Property::ResponseTopic
            }
            id::CORRELATION_DATA => {
                read.binary()?;
                Property::CorrelationData
            }
            id::SUBSCRIPTION_IDENTIFIER => match read.variable()? {
                0 => return Err(WireError::Protocol("the subscription identifier is 0")),
                number => Property::SubscriptionIdentifier(number),
            },
            id::SESSION_EXPIRY => Property::SessionExpiry(read.u32()?),
            id::AUTHENTICATION_METHOD => Property::AuthenticationMethod(read.text()?),
            id::AUTHENTICATION_DATA => {
                read.binary()?;
                Property::AuthenticationData
            }
            id::REQUEST_PROBLEM_INFORMATION => Property::RequestProblemInformation(flag(read)?),
            id::WILL_DELAY => Property::WillDelay(read.u32()?),
            id::REQUEST_RESPONSE_INFORMATION => Property::RequestResponseInformation(flag(read)?),
            id::SERVER_REFERENCE => {
                return Err(WireError::Protocol("a server reference from a client"));
            }
            id::REASON_STRING => {
                read.text()?;
                Property::ReasonString
            }
            id::RECEIVE_MAXIMUM => match read.u16()? {
                0 => return Err(WireError::Protocol("the receive maximum is 0")),
                number => Property::ReceiveMaximum(number),
            },
            id::TOPIC_ALIAS_MAXIMUM => Property::TopicAliasMaximum(read.u16()?),
            id::TOPIC_ALIAS => match read.u16()? {
                0 => return Err(WireError::TopicAlias),
                number => Property::TopicAlias(number),
            },
            id::USER_PROPERTY => {
                let name = read.text()?;
                text(read.binary()?)?;
                Property::User { name }
            }
            id::MAXIMUM_PACKET_SIZE => match read.u32()? {
                0 => return Err(WireError::Protocol("the maximum packet size is 0")),
                number => Property::MaximumPacketSize(number),
            },
            _ => return Err(WireError::Malformed("an unknown property")),
        };
        Ok(Some(property))
    }

    /// Checks all that are left.
    pub(super) fn check(mut self) -> Result<(), WireError> {
        while self.next()?.is_some() {}
        Ok(())
    }
}

/// A byte that is 0 or 1.
fn flag(read: &mut Reader<'_>) -> Result<bool, WireError> {
    match read.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(WireError::Protocol("a property is neither 0 nor 1")),
    }
}

/// A reason code that is one of `allowed`.
pub(super) fn reason(code: u8, allowed: &[Reason]) -> Result<Reason, WireError> {
    Reason::from_code(code)
        .filter(|reason| allowed.contains(reason))
        .ok_or(WireError::Protocol("a reason code that this packet does not have"))
}
