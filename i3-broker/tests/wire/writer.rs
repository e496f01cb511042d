//! Writes the packets of clients, and knows what a reader must see in them. Shares no code with the crate.

use bytes::Bytes;
use i3_broker::wire::{
    Ack, Auth, Connect, Disconnect, Filter, Packet, Qos, Reason, RetainHandling, Subscribe, Unsubscribe,
    Version, Will,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::seen::{PassedOn, Seen, SeenPublish};

/// A packet and what it says.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) version: Version,
    pub(crate) bytes: Vec<u8>,
    pub(crate) seen: Seen,
}

/// A property with its value.
#[derive(Debug, Clone)]
pub(crate) enum Property {
    Format(bool),
    Expiry(u32),
    ContentType(String),
    ResponseTopic(String),
    Correlation(Vec<u8>),
    Identifier(u32),
    SessionExpiry(u32),
    Method(String),
    Data(Vec<u8>),
    ProblemInformation(bool),
    WillDelay(u32),
    ResponseInformation(bool),
    ReasonString(String),
    ReceiveMaximum(u16),
    AliasMaximum(u16),
    Alias(u16),
    User(String, String),
    MaximumPacketSize(u32),
}

pub(crate) fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text);
}

/// A variable byte integer.
pub(crate) fn variable(out: &mut Vec<u8>, mut value: usize) {
    while value > 127 {
        out.push(u8::try_from(value % 128).unwrap() + 128);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap());
}

pub(crate) fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    variable(&mut out, body.len());
    out.extend(body);
    out
}

impl Property {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Format(flag) => out.extend([0x01, u8::from(*flag)]),
            Self::Expiry(seconds) => {
                out.push(0x02);
                out.extend(seconds.to_be_bytes());
            }
            Self::ContentType(text) => {
                out.push(0x03);
                string(out, text.as_bytes());
            }
            Self::ResponseTopic(text) => {
                out.push(0x08);
                string(out, text.as_bytes());
            }
            Self::Correlation(bytes) => {
                out.push(0x09);
                string(out, bytes);
            }
            Self::Identifier(number) => {
                out.push(0x0b);
                variable(out, usize::try_from(*number).unwrap());
            }
            Self::SessionExpiry(seconds) => {
                out.push(0x11);
                out.extend(seconds.to_be_bytes());
            }
            Self::Method(text) => {
                out.push(0x15);
                string(out, text.as_bytes());
            }
            Self::Data(bytes) => {
                out.push(0x16);
                string(out, bytes);
            }
            Self::ProblemInformation(flag) => out.extend([0x17, u8::from(*flag)]),
            Self::WillDelay(seconds) => {
                out.push(0x18);
                out.extend(seconds.to_be_bytes());
            }
            Self::ResponseInformation(flag) => out.extend([0x19, u8::from(*flag)]),
            Self::ReasonString(text) => {
                out.push(0x1f);
                string(out, text.as_bytes());
            }
            Self::ReceiveMaximum(count) => {
                out.push(0x21);
                out.extend(count.to_be_bytes());
            }
            Self::AliasMaximum(highest) => {
                out.push(0x22);
                out.extend(highest.to_be_bytes());
            }
            Self::Alias(alias) => {
                out.push(0x23);
                out.extend(alias.to_be_bytes());
            }
            Self::User(name, value) => {
                out.push(0x26);
                string(out, name.as_bytes());
                string(out, value.as_bytes());
            }
            Self::MaximumPacketSize(bytes) => {
                out.push(0x27);
                out.extend(bytes.to_be_bytes());
            }
        }
    }
}

/// Properties with their length.
pub(crate) fn section(properties: &[Property]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for property in properties {
        property.write(&mut bytes);
    }
    let mut out = Vec::new();
    variable(&mut out, bytes.len());
    out.extend(bytes);
    out
}

fn passed_on(properties: &[Property]) -> PassedOn {
    let mut passed_on = PassedOn::default();
    for property in properties {
        match property.clone() {
            Property::Format(utf8) => passed_on.utf8 = utf8,
            Property::ContentType(text) => passed_on.content_type = Some(text),
            Property::ResponseTopic(text) => passed_on.response_topic = Some(text),
            Property::Correlation(bytes) => passed_on.correlation = Some(bytes),
            Property::User(name, value) => passed_on.user(&name, &value),
            _ => {}
        }
    }
    passed_on
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/ äß€𝄞]{0,20}"
}

fn topic() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-zA-Z0-9/ äß€]{1,20}", 1 => "[a-z/]{100,200}"]
}

fn filter() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => topic(),
        1 => select(vec!["#", "+", "a/+/b", "a/#", "+/+", "$SYS/#", "$share/g/t", "$share/g/#"]).prop_map(str::to_owned),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => proptest::collection::vec(any::<u8>(), 100..300),
        1 => Just(vec![7; 20_000]),
    ]
}

fn qos() -> impl Strategy<Value = Qos> {
    select(vec![Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
}

/// Some of these, and user properties, in any order.
fn properties(possible: Vec<BoxedStrategy<Property>>) -> BoxedStrategy<Vec<Property>> {
    let each: Vec<_> = possible.into_iter().map(proptest::option::of).collect();
    let name = prop_oneof![4 => text(), 1 => Just("i3-seq".to_owned()), 1 => Just("i3-".to_owned())];
    let user = (name, text()).prop_map(|(name, value)| Property::User(name, value));
    (each, proptest::collection::vec(user, 0..4))
        .prop_map(|(each, users)| each.into_iter().flatten().chain(users).collect::<Vec<_>>())
        .prop_shuffle()
        .boxed()
}

fn message_properties(more: BoxedStrategy<Property>) -> BoxedStrategy<Vec<Property>> {
    properties(vec![
        any::<bool>().prop_map(Property::Format).boxed(),
        // 0, which the standard allows, one of the others does not take: `differences` has it.
        (1_u32..).prop_map(Property::Expiry).boxed(),
        text().prop_map(Property::ContentType).boxed(),
        topic().prop_map(Property::ResponseTopic).boxed(),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Property::Correlation).boxed(),
        more,
    ])
}

/// The properties that say why.
fn reason_properties() -> BoxedStrategy<Vec<Property>> {
    properties(vec![text().prop_map(Property::ReasonString).boxed()])
}

fn publish(version: Version) -> BoxedStrategy<Written> {
    let properties = match version {
        Version::V311 => Just(Vec::new()).boxed(),
        Version::V5 => message_properties((1_u16..).prop_map(Property::Alias).boxed()),
    };
    (topic(), bytes(), qos(), any::<(bool, bool, bool)>(), 1_u16.., properties)
        .prop_map(move |(mut topic, payload, qos, (dup, retain, unnamed), id, properties)| {
            let alias = properties
                .iter()
                .find_map(|p| if let Property::Alias(alias) = p { Some(*alias) } else { None });
            let expiry =
                properties.iter().find_map(|p| if let Property::Expiry(at) = p { Some(*at) } else { None });
            if alias.is_some() && unnamed {
                topic.clear();
            }
            let with_id = qos != Qos::AtMostOnce;
            let dup = dup && with_id;
            let mut body = Vec::new();
            string(&mut body, topic.as_bytes());
            if with_id {
                body.extend(id.to_be_bytes());
            }
            if version == Version::V5 {
                body.extend(section(&properties));
            }
            body.extend(&payload);
            let seen = Seen::Publish(SeenPublish {
                topic: topic.into_bytes(),
                payload,
                qos,
                dup,
                retain,
                packet_id: with_id.then_some(id),
                alias,
                expiry,
                passed_on: passed_on(&properties),
            });
            let first = 0x30 | u8::from(dup) << 3 | qos.bits() << 1 | u8::from(retain);
            Written { version, bytes: framed(first, &body), seen }
        })
        .boxed()
}

fn will(version: Version) -> BoxedStrategy<(Will, Vec<Property>)> {
    let properties = match version {
        Version::V311 => Just(Vec::new()).boxed(),
        Version::V5 => message_properties(any::<u32>().prop_map(Property::WillDelay).boxed()),
    };
    (topic(), bytes(), qos(), any::<bool>(), properties)
        .prop_map(|(topic, payload, qos, retain, properties)| {
            let delay = properties
                .iter()
                .find_map(|p| if let Property::WillDelay(by) = p { Some(*by) } else { None });
            let expiry =
                properties.iter().find_map(|p| if let Property::Expiry(at) = p { Some(*at) } else { None });
            let payload = payload.into();
            let delay = delay.unwrap_or_default();
            (Will { topic, payload, qos, retain, delay, expiry, properties: Bytes::new() }, properties)
        })
        .boxed()
}

fn connect(version: Version) -> BoxedStrategy<Written> {
    let properties = match version {
        Version::V311 => Just(Vec::new()).boxed(),
        Version::V5 => properties(vec![
            any::<u32>().prop_map(Property::SessionExpiry).boxed(),
            (1_u16..).prop_map(Property::ReceiveMaximum).boxed(),
            (1_u32..).prop_map(Property::MaximumPacketSize).boxed(),
            any::<u16>().prop_map(Property::AliasMaximum).boxed(),
            any::<bool>().prop_map(Property::ProblemInformation).boxed(),
            any::<bool>().prop_map(Property::ResponseInformation).boxed(),
            text().prop_map(Property::Method).boxed(),
        ]),
    };
    let login =
        (proptest::option::of(text()), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)));
    (text(), any::<(bool, u16)>(), proptest::option::of(will(version)), login, properties)
        .prop_map(
            move |(client_id, (clean_start, keep_alive), will, (username, mut password), mut properties)| {
                if version == Version::V311 && username.is_none() {
                    password = None;
                }
                let mut connect = Connect {
                    version,
                    client_id,
                    clean_start,
                    keep_alive,
                    will: will.as_ref().map(|(will, _)| will.clone()),
                    username,
                    password: password.map(Into::into),
                    session_expiry: if version == Version::V5 || clean_start { 0 } else { u32::MAX },
                    receive_maximum: u16::MAX,
                    maximum_packet_size: None,
                    topic_alias_maximum: 0,
                    request_problem_information: true,
                    request_response_information: false,
                    authentication_method: None,
                };
                for property in properties.clone() {
                    match property {
                        Property::SessionExpiry(seconds) => connect.session_expiry = seconds,
                        Property::ReceiveMaximum(count) => connect.receive_maximum = count,
                        Property::MaximumPacketSize(bytes) => connect.maximum_packet_size = Some(bytes),
                        Property::AliasMaximum(highest) => connect.topic_alias_maximum = highest,
                        Property::ProblemInformation(flag) => connect.request_problem_information = flag,
                        Property::ResponseInformation(flag) => connect.request_response_information = flag,
                        Property::Method(method) => {
                            connect.authentication_method = Some(method);
                            properties.push(Property::Data(vec![0, 1, 2]));
                        }
                        _ => {}
                    }
                }
                let mut body = b"\0\x04MQTT".to_vec();
                body.push(if version == Version::V5 { 5 } else { 4 });
                let mut flags = u8::from(clean_start) << 1;
                flags |=
                    u8::from(connect.username.is_some()) << 7 | u8::from(connect.password.is_some()) << 6;
                if let Some(will) = &connect.will {
                    flags |= 4 | will.qos.bits() << 3 | u8::from(will.retain) << 5;
                }
                body.push(flags);
                body.extend(keep_alive.to_be_bytes());
                if version == Version::V5 {
                    body.extend(section(&properties));
                }
                string(&mut body, connect.client_id.as_bytes());
                if let Some((will, properties)) = &will {
                    if version == Version::V5 {
                        body.extend(section(properties));
                    }
                    string(&mut body, will.topic.as_bytes());
                    string(&mut body, &will.payload);
                }
                if let Some(username) = &connect.username {
                    string(&mut body, username.as_bytes());
                }
                if let Some(password) = &connect.password {
                    string(&mut body, password);
                }
                let passed_on = will.map(|(_, properties)| passed_on(&properties));
                Written { version, bytes: framed(0x10, &body), seen: Seen::Connect(connect, passed_on) }
            },
        )
        .boxed()
}

/// One of the four acknowledgements.
fn ack(version: Version) -> BoxedStrategy<Written> {
    let received = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    (4_u8..8, 1_u16.., select(received.to_vec()), any::<bool>(), 0_u8..3, reason_properties())
        .prop_map(move |(kind, id, received, found, form, properties)| {
            let code = match (version, kind, found) {
                (Version::V311, ..) | (_, 6 | 7, true) => 0,
                (_, 6 | 7, false) => 0x92,
                _ => received,
            };
            let mut body = id.to_be_bytes().to_vec();
            // Without reason, without properties, whole.
            if version == Version::V5 && (form > 0 || code != 0) {
                body.push(code);
                if form == 2 {
                    body.extend(section(&properties));
                }
            }
            let ack = Ack { packet_id: id, reason: Reason::from_code(code).unwrap() };
            let (first, packet) = match kind {
                4 => (0x40, Packet::PubAck(ack)),
                5 => (0x50, Packet::PubRec(ack)),
                6 => (0x62, Packet::PubRel(ack)),
                _ => (0x70, Packet::PubComp(ack)),
            };
            Written { version, bytes: framed(first, &body), seen: Seen::Other(packet) }
        })
        .boxed()
}

fn subscribe(version: Version) -> BoxedStrategy<Written> {
    let identifier = proptest::option::of(1_u32..268_435_456);
    let options = (qos(), any::<(bool, bool)>(), 0_usize..3);
    let handling = [RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never];
    (1_u16.., identifier, proptest::collection::vec((filter(), options), 1..5), properties(Vec::new()))
        .prop_map(move |(packet_id, identifier, filters, mut properties)| {
            let v5 = version == Version::V5;
            let mut body = packet_id.to_be_bytes().to_vec();
            let identifier = identifier.filter(|_| v5);
            if v5 {
                properties.extend(identifier.map(Property::Identifier));
                body.extend(section(&properties));
            }
            let mut asked = Vec::new();
            for (filter, (qos, (no_local, retain_as_published), at)) in filters {
                let no_local = v5 && no_local && !filter.starts_with("$share/");
                let (retain_as_published, at) = (v5 && retain_as_published, if v5 { at } else { 0 });
                string(&mut body, filter.as_bytes());
                let bits = u8::from(no_local) << 2 | u8::from(retain_as_published) << 3;
                body.push(qos.bits() | bits | u8::try_from(at).unwrap() << 4);
                asked.push(Filter {
                    filter,
                    qos,
                    no_local,
                    retain_as_published,
                    retain_handling: handling[at],
                });
            }
            let packet = Packet::Subscribe(Subscribe { packet_id, identifier, filters: asked });
            Written { version, bytes: framed(0x82, &body), seen: Seen::Other(packet) }
        })
        .boxed()
}

fn unsubscribe(version: Version) -> BoxedStrategy<Written> {
    (1_u16.., proptest::collection::vec(filter(), 1..5), properties(Vec::new()))
        .prop_map(move |(packet_id, filters, properties)| {
            let mut body = packet_id.to_be_bytes().to_vec();
            if version == Version::V5 {
                body.extend(section(&properties));
            }
            for filter in &filters {
                string(&mut body, filter.as_bytes());
            }
            let packet = Packet::Unsubscribe(Unsubscribe { packet_id, filters });
            Written { version, bytes: framed(0xa2, &body), seen: Seen::Other(packet) }
        })
        .boxed()
}

fn disconnect(version: Version) -> BoxedStrategy<Written> {
    if version == Version::V311 {
        let packet = Packet::Disconnect(Disconnect { reason: Reason::Success, session_expiry: None });
        return Just(Written { version, bytes: vec![0xe0, 0], seen: Seen::Other(packet) }).boxed();
    }
    let codes = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    let properties = properties(vec![
        any::<u32>().prop_map(Property::SessionExpiry).boxed(),
        text().prop_map(Property::ReasonString).boxed(),
    ]);
    (select(codes.to_vec()), 0_u8..3, properties)
        .prop_map(move |(code, form, properties)| {
            let (mut body, mut session_expiry) = (Vec::new(), None);
            if form > 0 || code != 0 {
                body.push(code);
            }
            if form == 2 {
                body.extend(section(&properties));
                let expiry =
                    |p: &Property| if let Property::SessionExpiry(at) = p { Some(*at) } else { None };
                session_expiry = properties.iter().find_map(expiry);
            }
            let disconnect = Disconnect { reason: Reason::from_code(code).unwrap(), session_expiry };
            Written { version, bytes: framed(0xe0, &body), seen: Seen::Other(Packet::Disconnect(disconnect)) }
        })
        .boxed()
}

fn auth() -> BoxedStrategy<Written> {
    (any::<bool>(), text(), reason_properties())
        .prop_map(|(again, method, mut properties)| {
            let code = if again { 0x19 } else { 0x18 };
            properties.push(Property::Method(method));
            properties.push(Property::Data(vec![1, 2]));
            let mut body = vec![code];
            body.extend(section(&properties));
            let seen = Seen::Other(Packet::Auth(Auth { reason: Reason::from_code(code).unwrap() }));
            Written { version: Version::V5, bytes: framed(0xf0, &body), seen }
        })
        .boxed()
}

fn ping(version: Version) -> BoxedStrategy<Written> {
    Just(Written { version, bytes: vec![0xc0, 0], seen: Seen::Other(Packet::PingReq) }).boxed()
}

/// Any packet of a client after CONNECT.
pub(crate) fn later(version: Version) -> BoxedStrategy<Written> {
    let mut all = vec![
        publish(version),
        publish(version),
        ack(version),
        subscribe(version),
        unsubscribe(version),
        disconnect(version),
        ping(version),
    ];
    if version == Version::V5 {
        all.push(auth());
    }
    proptest::strategy::Union::new(all).boxed()
}

/// Any packet of a client of either version.
pub(crate) fn any_packet() -> BoxedStrategy<Written> {
    select(vec![Version::V311, Version::V5])
        .prop_flat_map(|version| prop_oneof![3 => later(version), 1 => connect(version)])
        .boxed()
}
