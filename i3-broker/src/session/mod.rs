//! What one client may do, without sockets and without time: packets in, decisions out.

mod alias;
mod ending;
#[cfg(test)]
mod model;
mod received;
mod rights;
#[cfg(test)]
mod tests;
mod window;

use self::alias::Aliases;
pub(crate) use self::ending::Ending;
pub(crate) use self::received::Received;
pub(crate) use self::rights::{Granted, Options, Rights, grant_filters, will_right};
use self::window::Receipt;
pub(crate) use self::window::Window;
use crate::message::Message;
use crate::wire::{self, Disconnect, Packet, Publish, Qos, Reason, Subscribe, Unsubscribe, Version};

/// What a packet asks of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Nothing more: it has been answered where it asks for an answer.
    Done,
    /// An authorized message for the product at this place among the rights.
    Publish(Publish, usize),
    /// A message of `QoS` 2 that came before: it is acknowledged in its turn, and goes nowhere.
    Again(u16),
    /// A message that the rights do not cover.
    Refused(Publish),
    /// Work out which filters are granted, and answer.
    Subscribe(Subscribe),
    /// Stop deliveries if one of these is the subscription, and answer.
    Unsubscribe(Unsubscribe),
    /// The client says good-bye.
    Disconnect(Disconnect),
}

/// What was agreed at CONNECT.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) version: Version,
    /// How long the session goes on without a connection, in seconds; `u32::MAX` is for ever.
    pub(crate) expiry: u32,
    /// The most that it may become.
    pub(crate) most_expiry: u32,
    /// How many messages the client may have under way.
    pub(crate) receive_maximum: u16,
    /// The highest topic alias that the client may use.
    pub(crate) alias_maximum: u16,
    /// Whether it takes topic aliases (MQTT 5, 3.1.2-26 and -27).
    pub(crate) takes_alias: bool,
    /// How many publishes in a row may be refused before the client is sent away.
    pub(crate) refusals: u32,
    /// Whether acknowledgements may say in words why (MQTT 5, 3.1.2-29).
    pub(crate) explains: bool,
    /// The longest packet that the client takes (MQTT 5, 3.1.2-24).
    pub(crate) longest: usize,
}

/// A message that was sent and may have to be sent again.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) message: Message,
    pub(crate) retain: bool,
}

/// The protocol state of one logged-in client.
#[derive(Debug)]
pub(crate) struct Session {
    terms: Terms,
    rights: Rights,
    aliases: Aliases,
    received: Received,
    pub(crate) window: Window<Sent>,
    /// Publishes refused since the last one that was accepted.
    refused: u32,
}

impl Session {
    /// A client with these rights to publish, a buyer having none, and with what is left of its session.
    pub(crate) fn new(terms: Terms, rights: Rights, received: Received, window: Window<Sent>) -> Self {
        Self { terms, rights, aliases: Aliases::new(terms.alias_maximum), received, window, refused: 0 }
    }

    pub(crate) fn version(&self) -> Version {
        self.terms.version
    }

    /// How long it goes on without a connection, in seconds.
    pub(crate) fn expiry(&self) -> u32 {
        self.terms.expiry
    }

    /// Whether the client takes topic aliases.
    pub(crate) fn takes_alias(&self) -> bool {
        self.terms.takes_alias
    }

    /// The longest packet that the client takes.
    pub(crate) fn longest(&self) -> usize {
        self.terms.longest
    }

    pub(crate) fn rights(&self) -> &Rights {
        &self.rights
    }

    pub(crate) fn set_rights(&mut self, rights: Rights) {
        self.rights = rights;
    }

    /// What outlives the connection.
    pub(crate) fn into_kept(mut self) -> (Received, Window<Sent>) {
        self.received.acknowledged();
        (self.received, self.window)
    }

    /// Judges a packet. Short answers are appended to `out`.
    pub(crate) fn packet(&mut self, packet: Packet, out: &mut Vec<u8>) -> Result<Event, Ending> {
        match packet {
            Packet::Publish(publish) => return self.publish(publish),
            Packet::PubAck(ack) => self.window.acknowledge(ack.packet_id),
            Packet::PubRec(ack) => {
                let id = ack.packet_id;
                let reason = match self.window.received(id, ack.reason.is_error()) {
                    Receipt::Release => Reason::Success,
                    Receipt::Refused => return Ok(Event::Done),
                    Receipt::Unknown => Reason::PacketIdentifierNotFound,
                };
                self.answer(out, |out, version| wire::pubrel(out, version, id, reason, None));
            }
            Packet::PubRel(ack) => {
                let id = ack.packet_id;
                let known = self.received.release(id);
                let reason = if known { Reason::Success } else { Reason::PacketIdentifierNotFound };
                self.answer(out, |out, version| wire::pubcomp(out, version, id, reason, None));
            }
            Packet::PubComp(ack) => self.window.completed(ack.packet_id),
            Packet::Subscribe(subscribe) => return Ok(Event::Subscribe(subscribe)),
            Packet::Unsubscribe(unsubscribe) => return Ok(Event::Unsubscribe(unsubscribe)),
            Packet::PingReq => self.answer(out, |out, _| wire::pingresp(out)),
            Packet::Disconnect(disconnect) => {
                if let Some(expiry) = disconnect.session_expiry {
                    // MQTT 5, 3.14.2.2.2
                    if self.terms.expiry == 0 && expiry != 0 {
                        return Err(Ending::Violation(Reason::ProtocolError));
                    }
                    self.terms.expiry = expiry.min(self.terms.most_expiry);
                }
                return Ok(Event::Disconnect(disconnect));
            }
            // MQTT 5, 4.12: no method was agreed on.
            Packet::Auth(_) => return Err(Ending::Violation(Reason::ProtocolError)),
        }
        Ok(Event::Done)
    }

    fn publish(&mut self, publish: Publish) -> Result<Event, Ending> {
        let topic = publish.topic();
        let right = match publish.alias {
            // 3.3.2-8 and -9
            Some(alias) if !self.aliases.allows(alias) => {
                return Err(Ending::Violation(Reason::TopicAliasInvalid));
            }
            Some(alias) if topic.is_empty() => {
                let topic = self.aliases.get(alias).ok_or(Ending::Violation(Reason::ProtocolError))?;
                self.rights.find(topic.as_str().as_bytes())
            }
            Some(alias) => {
                let right = self.rights.find(topic);
                let topic = right.and_then(|right| self.rights.get(right)).map(|right| &right.topic);
                self.aliases.set(alias, topic);
                right
            }
            None => self.rights.find(topic),
        };
        if let (Qos::ExactlyOnce, Some(id)) = (publish.qos, publish.packet_id)
            && self.received.knows(id)
        {
            return Ok(Event::Again(id));
        }
        // MQTT 5, 3.3.4-7
        if publish.qos != Qos::AtMostOnce
            && self.terms.version == Version::V5
            && self.received.count() >= usize::from(self.terms.receive_maximum)
        {
            return Err(Ending::Violation(Reason::ReceiveMaximumExceeded));
        }
        let Some(right) = right else { return Ok(Event::Refused(publish)) };
        match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, _) => self.received.wait(),
            (Qos::ExactlyOnce, Some(id)) => self.received.open(id),
            _ => {}
        }
        self.refused = 0;
        Ok(Event::Publish(publish, right))
    }

    /// Appends the acknowledgement of a message that was accepted and is in the log now.
    pub(crate) fn accept(&self, out: &mut Vec<u8>, qos: Qos, id: u16) {
        match qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => {
                self.answer(out, |out, version| wire::puback(out, version, id, Reason::Success, None));
            }
            Qos::ExactlyOnce => {
                self.answer(out, |out, version| wire::pubrec(out, version, id, Reason::Success, None));
            }
        }
    }

    /// Answers a message that is refused for good; where there is no answer the connection ends (3.1.1, 3.3.5-2; 5,
    /// 3.3.5-1).
    pub(crate) fn refuse(&mut self, publish: &Publish, out: &mut Vec<u8>) -> Result<(), Ending> {
        let ending = Ending::Violation(Reason::NotAuthorized);
        let Some(id) = publish.packet_id.filter(|_| self.terms.version == Version::V5) else {
            return Err(ending);
        };
        self.refused = self.refused.saturating_add(1);
        if self.refused > self.terms.refusals {
            return Err(ending);
        }
        let why = self.terms.explains.then_some("this client may not publish to this topic");
        let write = if publish.qos == Qos::ExactlyOnce { wire::pubrec } else { wire::puback };
        let at = out.len();
        write(out, self.terms.version, id, Reason::NotAuthorized, why);
        if out.len() - at > self.terms.longest {
            out.truncate(at);
            self.answer(out, |out, version| write(out, version, id, Reason::NotAuthorized, None));
        }
        Ok(())
    }

    /// All accepted messages have been acknowledged.
    pub(crate) fn acknowledged(&mut self) {
        self.received.acknowledged();
    }

    /// A message of `QoS` 2 that was accepted got lost before it was in the log: sent again, it is a new one.
    pub(crate) fn forget(&mut self, id: u16) {
        self.received.release(id);
    }

    /// Appends an answer, unless it is longer than the client takes (MQTT 5, 3.1.2-24 and -25).
    pub(crate) fn answer(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>, Version)) {
        let at = out.len();
        write(out, self.terms.version);
        if out.len() - at > self.terms.longest {
            out.truncate(at);
        }
    }
}
