//! A client that sends exactly what it is told, and its own strict reading of what a server sends.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::packets::*;

/// A property's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Number(u32),
    Bytes(Vec<u8>),
    Pair(String, String),
}

/// Properties, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Properties(pub(crate) Vec<(u8, Value)>);

impl Properties {
    pub(crate) fn number(&self, id: u8) -> Option<u32> {
        self.0.iter().find_map(|(found, value)| match value {
            Value::Number(number) if *found == id => Some(*number),
            _ => None,
        })
    }

    pub(crate) fn numbers(&self, id: u8) -> Vec<u32> {
        let numbers = self.0.iter().filter(|(found, _)| *found == id);
        numbers
            .filter_map(|(_, value)| if let Value::Number(number) = value { Some(*number) } else { None })
            .collect()
    }

    pub(crate) fn text(&self, id: u8) -> Option<&[u8]> {
        self.0.iter().find_map(|(found, value)| match value {
            Value::Bytes(bytes) if *found == id => Some(bytes.as_slice()),
            _ => None,
        })
    }

    /// The user properties, in their order.
    pub(crate) fn user(&self) -> Vec<(&str, &str)> {
        let pairs = self.0.iter().filter_map(|(_, value)| match value {
            Value::Pair(name, value) => Some((name.as_str(), value.as_str())),
            _ => None,
        });
        pairs.collect()
    }

    /// All in a packet's order of bytes; each at most once, as far as that is asked for.
    fn read(input: &mut Input<'_>, version: Version) -> Self {
        let mut all = Vec::new();
        if version == V311 {
            return Self(all);
        }
        let length = input.length();
        let mut rest = Input(input.take(length));
        while !rest.0.is_empty() {
            let id = rest.byte();
            let value = match id {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => Value::Number(rest.byte().into()),
                0x13 | 0x21 | 0x22 | 0x23 => Value::Number(rest.two().into()),
                0x02 | 0x11 | 0x18 | 0x27 => {
                    Value::Number(u32::from(rest.two()) << 16 | u32::from(rest.two()))
                }
                0x0b => Value::Number(u32::try_from(rest.length()).unwrap()),
                0x26 => Value::Pair(rest.text(), rest.text()),
                0x03 | 0x08 | 0x12 | 0x15 | 0x1a | 0x1c | 0x1f => Value::Bytes(rest.text().into_bytes()),
                0x09 | 0x16 => Value::Bytes(rest.bytes().to_vec()),
                other => panic!("the server sent a property {other:#x}"),
            };
            let repeatable = id == prop::USER || id == prop::SUBSCRIPTION_ID;
            assert!(repeatable || all.iter().all(|(other, _)| *other != id), "property {id:#x} came twice");
            all.push((id, value));
        }
        Self(all)
    }
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) id: Option<u16>,
    pub(crate) properties: Properties,
}

/// A packet that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Connack {
        present: bool,
        code: u8,
        properties: Properties,
    },
    Publish(Message),
    /// PUBACK 4, PUBREC 5, PUBREL 6 or PUBCOMP 7, its packet identifier and reason.
    Ack(u8, u16, u8, Properties),
    Suback(u16, Vec<u8>, Properties),
    Unsuback(u16, Vec<u8>, Properties),
    Pingresp,
    Disconnect(u8, Properties),
}

/// What is not read yet of a packet. A server that sends less than it says fails the test.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn two(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = self.two();
        self.take(length.into())
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.bytes().to_vec()).expect("text")
    }

    fn length(&mut self) -> usize {
        let mut length = 0;
        for place in 0..4 {
            let byte = usize::from(self.byte());
            length |= (byte & 127) << (7 * place);
            if byte < 128 {
                assert!(place == 0 || byte > 0, "a length in more bytes than it needs");
                return length;
            }
        }
        panic!("a length of more than four bytes")
    }

    fn rest(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

fn read(version: Version, first: u8, body: &[u8]) -> Reply {
    let mut input = Input(body);
    let flags = first & 15;
    let kind = first >> 4;
    assert!(kind == 3 || flags == if kind == 6 { 2 } else { 0 }, "reserved flags in {first:#x}");
    let reply = match kind {
        2 => {
            let present = input.byte();
            assert!(present < 2, "reserved bits in CONNACK");
            let code = input.byte();
            // A server that refuses a version answers in that version's or in its own form.
            let properties =
                if input.0.is_empty() { Properties::default() } else { Properties::read(&mut input, V5) };
            Reply::Connack { present: present == 1, code, properties }
        }
        3 => {
            let qos = flags >> 1 & 3;
            assert!(qos < 3, "QoS 3");
            assert!(qos > 0 || flags & 8 == 0, "DUP at QoS 0");
            let topic = input.text();
            let id = (qos > 0).then(|| input.two());
            assert_ne!(id, Some(0), "packet identifier 0");
            let properties = Properties::read(&mut input, version);
            return Reply::Publish(Message {
                topic,
                payload: input.rest(),
                qos,
                retain: flags & 1 == 1,
                dup: flags & 8 == 8,
                id,
                properties,
            });
        }
        4..=7 => {
            let id = input.two();
            let long = version == V5 && !input.0.is_empty();
            let reason = if long { input.byte() } else { 0 };
            let properties = if long && !input.0.is_empty() {
                Properties::read(&mut input, version)
            } else {
                Properties::default()
            };
            Reply::Ack(kind, id, reason, properties)
        }
        9 => {
            let id = input.two();
            let properties = Properties::read(&mut input, version);
            return Reply::Suback(id, input.rest(), properties);
        }
        11 => {
            let id = input.two();
            let properties = Properties::read(&mut input, version);
            return Reply::Unsuback(id, input.rest(), properties);
        }
        13 => Reply::Pingresp,
        14 => {
            assert_eq!(version, V5, "a server says DISCONNECT in MQTT 5 only");
            let reason = if input.0.is_empty() { 0 } else { input.byte() };
            let properties = if input.0.is_empty() {
                Properties::default()
            } else {
                Properties::read(&mut input, version)
            };
            Reply::Disconnect(reason, properties)
        }
        _ => panic!("the server sent {first:#x}"),
    };
    assert!(input.0.is_empty(), "more in the packet than belongs there: {first:#x} {body:02x?}");
    reply
}

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Acknowledged with this reason; of `QoS` 2, all four packets.
    Acknowledged(u8),
    /// The connection ended, with this reason if one was told.
    Closed(Option<u8>),
}

/// How long an answer may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) version: Version,
    input: Vec<u8>,
    at: usize,
    /// What came while something else was waited for.
    kept: VecDeque<Reply>,
    /// The last packet identifier of [`Self::publish_next`].
    next: u16,
    /// The longest packet that it takes: a longer one fails the test.
    pub(crate) longest: usize,
    /// The reason in the server's DISCONNECT.
    pub(crate) told: Option<u8>,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr, version: Version) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), version)
    }

    /// One whose system takes next to nothing that it does not read.
    pub(crate) async fn open_small(address: SocketAddr, version: Version) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        Self::over(socket.connect(address).await.unwrap(), version)
    }

    fn over(stream: TcpStream, version: Version) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            version,
            input: Vec::new(),
            at: 0,
            kept: VecDeque::new(),
            next: 0,
            longest: usize::MAX,
            told: None,
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Whether it could be sent: the server may have closed.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// The CONNACK: session present, code and properties; `None` if the server closed without one.
    pub(crate) async fn hello(&mut self, hello: &Hello) -> Option<(bool, u8, Properties)> {
        self.send(hello.bytes()).await;
        match self.reply().await? {
            Reply::Connack { present, code, properties } => Some((present, code, properties)),
            other => panic!("before CONNACK came {other:?}"),
        }
    }

    /// The next packet. `None` if the server closed.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        if let Some(kept) = self.kept.pop_front() {
            return Some(kept);
        }
        tokio::time::timeout(PATIENCE, self.incoming()).await.expect("an answer in time")
    }

    async fn incoming(&mut self) -> Option<Reply> {
        loop {
            if let Some((first, start, end)) = self.complete() {
                assert_eq!(self.told, None, "a packet after DISCONNECT");
                assert!(end - self.at <= self.longest, "a packet of {} bytes", end - self.at);
                let reply = read(self.version, first, &self.input[start..end]);
                self.at = end;
                if let Reply::Disconnect(reason, _) = reply {
                    self.told = Some(reason);
                }
                return Some(reply);
            }
            self.input.drain(..self.at);
            self.at = 0;
            let mut chunk = vec![0; 65_536];
            match self.stream.read(&mut chunk).await {
                Ok(count @ 1..) => self.input.extend(&chunk[..count]),
                _ => return None,
            }
        }
    }

    fn complete(&self) -> Option<(u8, usize, usize)> {
        let input = &self.input[self.at..];
        let mut length = 0;
        for place in 0..4 {
            let byte = usize::from(*input.get(1 + place)?);
            length |= (byte & 127) << (7 * place);
            if byte < 128 {
                let start = self.at + 2 + place;
                return (self.input.len() >= start + length).then_some((input[0], start, start + length));
            }
        }
        panic!("the server sent a bad length");
    }

    /// The next packet of which this is so; others are kept for later. `None` if the server closed.
    async fn find(&mut self, wanted: impl Fn(&Reply) -> bool) -> Option<Reply> {
        if let Some(place) = self.kept.iter().position(&wanted) {
            return self.kept.remove(place);
        }
        let searching = async {
            loop {
                match self.incoming().await? {
                    reply if wanted(&reply) => return Some(reply),
                    Reply::Disconnect(..) => {}
                    reply => self.kept.push_back(reply),
                }
            }
        };
        tokio::time::timeout(PATIENCE, searching).await.expect("an answer in time")
    }

    /// The SUBACK's codes.
    pub(crate) async fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        self.subscribe_with(filters, &Props::new()).await
    }

    pub(crate) async fn subscribe_with(&mut self, filters: &[(&str, u8)], props: &Props) -> Vec<u8> {
        self.send(subscribe(self.version, 9, filters, props)).await;
        match self.find(|reply| matches!(reply, Reply::Suback(9, ..))).await.expect("a SUBACK") {
            Reply::Suback(_, codes, _) => codes,
            _ => unreachable!(),
        }
    }

    /// The SUBACK's code; `None` if the server closed instead.
    pub(crate) async fn try_subscribe(&mut self, filter: &str, qos: u8) -> Option<u8> {
        if !self.try_send(subscribe(self.version, 9, &[(filter, qos)], &Props::new())).await {
            return None;
        }
        match self.find(|reply| matches!(reply, Reply::Suback(9, ..))).await? {
            Reply::Suback(_, codes, _) => codes.first().copied(),
            _ => None,
        }
    }

    /// The UNSUBACK's codes; 3.1.1 has none.
    pub(crate) async fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        self.send(unsubscribe(self.version, 11, filters)).await;
        match self.find(|reply| matches!(reply, Reply::Unsuback(11, ..))).await.expect("an UNSUBACK") {
            Reply::Unsuback(_, codes, _) => codes,
            _ => unreachable!(),
        }
    }

    /// Sends an acknowledgement and waits for the answer to it: the reason of that.
    async fn acknowledged(&mut self, kind: u8, id: u16) -> Option<u8> {
        match self.find(|reply| matches!(reply, Reply::Ack(k, i, ..) if (*k, *i) == (kind, id))).await? {
            Reply::Ack(_, _, reason, _) => Some(reason),
            _ => None,
        }
    }

    /// The next acknowledgement: its kind, identifier and reason; other packets are kept.
    pub(crate) async fn acknowledgement(&mut self) -> Option<(u8, u16, u8)> {
        match self.find(|reply| matches!(reply, Reply::Ack(..))).await? {
            Reply::Ack(kind, id, reason, _) => Some((kind, id, reason)),
            _ => None,
        }
    }

    /// Publishes at `QoS` 1 or 2, through all that belongs to it.
    pub(crate) async fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>, qos: u8) -> Fate {
        self.publish_as(Publish::new(topic, payload).qos(qos, 77), qos, 77).await
    }

    pub(crate) async fn publish_as(&mut self, publish: Publish, qos: u8, id: u16) -> Fate {
        let bytes = publish.bytes(self.version);
        let first = if qos == 1 { 4 } else { 5 };
        if !self.try_send(bytes).await {
            return self.end().await;
        }
        let Some(reason) = self.acknowledged(first, id).await else { return Fate::Closed(self.told) };
        if qos == 1 || reason >= 0x80 {
            return Fate::Acknowledged(reason);
        }
        self.send(ack(6, id)).await;
        match self.acknowledged(7, id).await {
            Some(completed) => {
                assert_eq!(completed, 0, "PUBCOMP");
                Fate::Acknowledged(reason)
            }
            None => Fate::Closed(self.told),
        }
    }

    /// Sends a message at `QoS` 0, which nothing answers.
    pub(crate) async fn tell(&mut self, topic: &str, payload: impl AsRef<[u8]>) {
        self.send(Publish::new(topic, payload).bytes(self.version)).await;
    }

    /// Publishes one of many: waits for acknowledgements where 50 are missing, as a client of a server with a
    /// receive maximum must. `open` is how many are missing.
    pub(crate) async fn publish_next(&mut self, topic: &str, payload: &[u8], qos: u8, open: &mut u16) {
        self.next = self.next % 100 + 1;
        self.send(Publish::new(topic, payload).qos(qos, self.next).bytes(self.version)).await;
        *open += u16::from(qos > 0);
        self.settle(open, 50).await;
    }

    /// Waits until no more than so many acknowledgements are missing.
    pub(crate) async fn settle(&mut self, open: &mut u16, most: u16) {
        while *open > most {
            match self.reply().await {
                Some(Reply::Ack(5, id, 0, _)) => self.send(ack(6, id)).await,
                Some(Reply::Ack(4 | 7, _, 0, _)) => *open -= 1,
                other => panic!("a publisher heard {other:?}"),
            }
        }
    }

    /// Goes through what belongs to the last publish with identifier 1; false if the server is gone.
    pub(crate) async fn finished(&mut self, qos: u8) -> bool {
        if qos == 2 && !(self.acknowledged(5, 1).await.is_some() && self.try_send(ack(6, 1)).await) {
            return false;
        }
        self.acknowledged(if qos == 2 { 7 } else { 4 }, 1).await.is_some()
    }

    /// The next message; other packets are kept. `None` if the server closed.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        match self.find(|reply| matches!(reply, Reply::Publish(_))).await? {
            Reply::Publish(message) => Some(message),
            _ => None,
        }
    }

    /// The payload of the next message, acknowledged.
    pub(crate) async fn payload(&mut self) -> Vec<u8> {
        let message = self.message().await.expect("a message");
        self.acknowledge(&message).await;
        message.payload
    }

    /// Acknowledges a message, through all that belongs to it.
    pub(crate) async fn acknowledge(&mut self, message: &Message) {
        let Some(id) = message.id else { return };
        if message.qos == 1 {
            self.try_send(ack(4, id)).await;
            return;
        }
        self.try_send(ack(5, id)).await;
        if self.acknowledged(6, id).await.is_some() {
            self.try_send(ack(7, id)).await;
        }
    }

    /// All messages until the server closes, each acknowledged.
    pub(crate) async fn messages(&mut self) -> Vec<Message> {
        let mut all = Vec::new();
        while let Some(message) = self.message().await {
            self.acknowledge(&message).await;
            all.push(message);
        }
        all
    }

    /// What comes until nothing does for a while or the server closes, each acknowledged.
    pub(crate) async fn messages_for_a_while(&mut self) -> Vec<Message> {
        let mut all = Vec::new();
        while let Ok(Some(message)) = tokio::time::timeout(Duration::from_millis(300), self.message()).await {
            self.acknowledge(&message).await;
            all.push(message);
        }
        all
    }

    /// A round trip: everything that was sent before has been looked at.
    pub(crate) async fn lives(&mut self) -> bool {
        self.try_send(PINGREQ).await && self.find(|reply| *reply == Reply::Pingresp).await.is_some()
    }

    /// Nothing waits, and nothing comes for a while, not even the end.
    pub(crate) async fn hears_nothing(&mut self) -> bool {
        self.kept.is_empty()
            && tokio::time::timeout(Duration::from_millis(150), self.incoming()).await.is_err()
    }

    /// Waits for the end. Nothing but a DISCONNECT may come before it.
    pub(crate) async fn end(&mut self) -> Fate {
        while let Some(reply) = self.reply().await {
            assert!(matches!(reply, Reply::Disconnect(..)), "before the end came {reply:?}");
        }
        Fate::Closed(self.told)
    }

    /// Waits for the end, whatever comes before it: the reason that was told.
    pub(crate) async fn told_at_end(&mut self) -> Option<u8> {
        while self.reply().await.is_some() {}
        self.told
    }

    /// Leaves without a word, and without leaving the system a port that waits.
    pub(crate) fn abort(self) {
        self.stream.set_zero_linger().unwrap();
    }
}
