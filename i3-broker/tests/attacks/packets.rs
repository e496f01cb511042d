//! Packets as a client writes them, taken from the standards and not from the gate's codec. Nothing is checked:
//! a bad packet is what most attacks are.

/// The version that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V311,
    V5,
}

pub(crate) use Version::{V5, V311};

/// Both, for what is so in either.
pub(crate) const VERSIONS: &[Version] = &[V311, V5];

/// The qualities of service.
pub(crate) const QUALITIES: &[u8] = &[0, 1, 2];

/// Property identifiers (MQTT 5, 2.2.2.2).
pub(crate) mod prop {
    pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_ID: u8 = 0x0b;
    pub(crate) const SESSION_EXPIRY: u8 = 0x11;
    pub(crate) const ASSIGNED_ID: u8 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(crate) const AUTH_METHOD: u8 = 0x15;
    pub(crate) const PROBLEM_INFORMATION: u8 = 0x17;
    pub(crate) const WILL_DELAY: u8 = 0x18;
    pub(crate) const RESPONSE_INFORMATION: u8 = 0x19;
    pub(crate) const RESPONSE_INFORMATION_GIVEN: u8 = 0x1a;
    pub(crate) const REASON_STRING: u8 = 0x1f;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const USER: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET: u8 = 0x27;
}

/// A length of MQTT: seven bits a byte, the low ones first.
pub(crate) fn length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = u8::try_from(length % 128).unwrap();
        length /= 128;
        out.push(if length > 0 { low | 128 } else { low });
        if length == 0 {
            return;
        }
    }
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    length(&mut out, body.len());
    out.extend(body);
    out
}

/// Text or binary data with its length.
pub(crate) fn text(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text);
}

/// Properties, in the order in which they are added.
#[derive(Debug, Clone, Default)]
pub(crate) struct Props(Vec<u8>);

impl Props {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn byte(mut self, id: u8, value: u8) -> Self {
        self.0.extend([id, value]);
        self
    }

    pub(crate) fn two(mut self, id: u8, value: u16) -> Self {
        self.0.push(id);
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn four(mut self, id: u8, value: u32) -> Self {
        self.0.push(id);
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn number(mut self, id: u8, value: usize) -> Self {
        self.0.push(id);
        length(&mut self.0, value);
        self
    }

    pub(crate) fn text(mut self, id: u8, value: impl AsRef<[u8]>) -> Self {
        self.0.push(id);
        text(&mut self.0, value);
        self
    }

    pub(crate) fn user(mut self, name: &str, value: &str) -> Self {
        self.0.push(prop::USER);
        text(&mut self.0, name);
        text(&mut self.0, value);
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// Without their length.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// With their length before them; nothing for 3.1.1, which has none.
    fn put(&self, version: Version, out: &mut Vec<u8>) {
        if version == V5 {
            length(out, self.0.len());
            out.extend(&self.0);
        }
    }
}

/// A will.
#[derive(Debug, Clone)]
pub(crate) struct Will {
    topic: Vec<u8>,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
    props: Props,
}

impl Will {
    pub(crate) fn new(topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Self {
        Self {
            topic: topic.as_ref().to_vec(),
            payload: payload.as_ref().to_vec(),
            qos: 1,
            retain: false,
            props: Props::new(),
        }
    }

    pub(crate) fn qos(self, qos: u8) -> Self {
        Self { qos, ..self }
    }

    pub(crate) fn retained(self) -> Self {
        Self { retain: true, ..self }
    }

    pub(crate) fn props(self, props: Props) -> Self {
        Self { props, ..self }
    }

    /// After this many seconds.
    pub(crate) fn after(self, seconds: u32) -> Self {
        self.props(Props::new().four(prop::WILL_DELAY, seconds))
    }
}

/// A CONNECT.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub(crate) version: Version,
    id: Vec<u8>,
    user: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
    clean: bool,
    keep_alive: u16,
    will: Option<Will>,
    props: Props,
}

impl Hello {
    /// A clean session without keep alive, with the password that is good in the tests' marketplace.
    pub(crate) fn new(version: Version, id: impl AsRef<[u8]>, user: &str) -> Self {
        Self {
            version,
            id: id.as_ref().to_vec(),
            user: Some(user.into()),
            password: Some(b"secret".to_vec()),
            clean: true,
            keep_alive: 0,
            will: None,
            props: Props::new(),
        }
    }

    pub(crate) fn login(self, user: Option<&[u8]>, password: Option<&[u8]>) -> Self {
        Self { user: user.map(<[u8]>::to_vec), password: password.map(<[u8]>::to_vec), ..self }
    }

    pub(crate) fn password(self, password: impl AsRef<[u8]>) -> Self {
        Self { password: Some(password.as_ref().to_vec()), ..self }
    }

    pub(crate) fn keep_alive(self, seconds: u16) -> Self {
        Self { keep_alive: seconds, ..self }
    }

    pub(crate) fn will(self, will: Will) -> Self {
        Self { will: Some(will), ..self }
    }

    pub(crate) fn props(self, props: Props) -> Self {
        Self { props, ..self }
    }

    /// Goes on with the session that there is, if any; it does not end with the connection.
    pub(crate) fn resuming(self) -> Self {
        let props = self.props.four(prop::SESSION_EXPIRY, 3_600);
        Self { clean: false, props, ..self }
    }

    /// Goes on with the session that there is, but in MQTT 5 it ends with this connection.
    pub(crate) fn dirty(self) -> Self {
        Self { clean: false, ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_as("MQTT", if self.version == V5 { 5 } else { 4 })
    }

    /// With this protocol name and level.
    pub(crate) fn bytes_as(&self, name: &str, level: u8) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, name);
        let will = self.will.as_ref().map_or(0, |will| 0x04 | will.qos << 3 | u8::from(will.retain) << 5);
        let user = u8::from(self.user.is_some()) << 7;
        let password = u8::from(self.password.is_some()) << 6;
        body.extend([level, user | password | u8::from(self.clean) << 1 | will]);
        body.extend(self.keep_alive.to_be_bytes());
        self.props.put(self.version, &mut body);
        text(&mut body, &self.id);
        if let Some(will) = &self.will {
            will.props.put(self.version, &mut body);
            text(&mut body, &will.topic);
            text(&mut body, &will.payload);
        }
        for field in [&self.user, &self.password].into_iter().flatten() {
            text(&mut body, field);
        }
        packet(0x10, &body)
    }
}

/// A PUBLISH.
#[derive(Debug, Clone)]
pub(crate) struct Publish {
    topic: Vec<u8>,
    payload: Vec<u8>,
    qos: u8,
    id: u16,
    retain: bool,
    dup: bool,
    props: Props,
}

impl Publish {
    /// At `QoS` 0.
    pub(crate) fn new(topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Self {
        Self {
            topic: topic.as_ref().to_vec(),
            payload: payload.as_ref().to_vec(),
            qos: 0,
            id: 0,
            retain: false,
            dup: false,
            props: Props::new(),
        }
    }

    pub(crate) fn qos(self, qos: u8, id: u16) -> Self {
        Self { qos, id, ..self }
    }

    pub(crate) fn retained(self) -> Self {
        Self { retain: true, ..self }
    }

    /// Sent again.
    pub(crate) fn again(self) -> Self {
        Self { dup: true, ..self }
    }

    pub(crate) fn props(self, props: Props) -> Self {
        Self { props, ..self }
    }

    /// With this topic alias.
    pub(crate) fn alias(self, alias: u16) -> Self {
        self.props(Props::new().two(prop::TOPIC_ALIAS, alias))
    }

    pub(crate) fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, &self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        self.props.put(version, &mut body);
        body.extend(&self.payload);
        packet(0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain), &body)
    }
}

/// A SUBSCRIBE of these filters, each with its options byte.
pub(crate) fn subscribe<F: AsRef<[u8]>>(
    version: Version,
    id: u16,
    filters: &[(F, u8)],
    props: &Props,
) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    props.put(version, &mut body);
    for (filter, options) in filters {
        text(&mut body, filter);
        body.push(*options);
    }
    packet(0x82, &body)
}

pub(crate) fn unsubscribe<F: AsRef<[u8]>>(version: Version, id: u16, filters: &[F]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    Props::new().put(version, &mut body);
    for filter in filters {
        text(&mut body, filter);
    }
    packet(0xa2, &body)
}

/// An acknowledgement in its short form: PUBACK 4, PUBREC 5, PUBREL 6, PUBCOMP 7.
pub(crate) fn ack(kind: u8, id: u16) -> Vec<u8> {
    let flags = if kind == 6 { 2 } else { 0 };
    packet(kind << 4 | flags, &id.to_be_bytes())
}

pub(crate) const PINGREQ: [u8; 2] = [0xc0, 0];

/// A DISCONNECT in its short form, which is a normal one.
pub(crate) const GOODBYE: [u8; 2] = [0xe0, 0];
