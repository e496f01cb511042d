//! What one client may do, without sockets and without time: packets in, decisions out.

use std::collections::VecDeque;

use i3_core::gate::{Principal, PublishRight};
use i3_core::name::Topic;

use crate::wire::{self, Filter, Packet, Publish, Qos, Subscribe};

/// What a packet asks of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Nothing more: it has been answered where it asks for an answer.
    Done,
    /// An authorized message for the product at this place among the rights.
    Publish(Publish, usize),
    /// A message that the rights do not cover.
    Refused(Publish),
    /// Work out which filters are granted, and answer.
    Subscribe(Subscribe),
    /// Stop deliveries if one of these is the subscription, and answer.
    Unsubscribe(wire::Unsubscribe),
    /// The client says good-bye; its will is void.
    Disconnect,
}

/// Why a client's connection must be closed. MQTT 3.1.1 has no way to say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("QoS 2 is not offered")]
    ExactlyOnce,
}

/// The protocol state of one logged-in client.
#[derive(Debug)]
pub(crate) struct Session {
    rights: Vec<PublishRight>,
    /// The right that the last message used: mostly that of the next one too.
    last: usize,
}

impl Session {
    /// A client with these rights to publish; a buyer has none.
    pub(crate) fn new(rights: Vec<PublishRight>) -> Self {
        Self { rights, last: 0 }
    }

    pub(crate) fn rights(&self) -> &[PublishRight] {
        &self.rights
    }

    pub(crate) fn set_rights(&mut self, rights: Vec<PublishRight>) {
        self.rights = rights;
        self.last = 0;
    }

    /// Judges a packet. Short answers are appended to `out`.
    pub(crate) fn packet(
        &mut self,
        packet: Packet,
        window: &mut Window,
        out: &mut Vec<u8>,
    ) -> Result<Event, Violation> {
        match packet {
            Packet::Publish(publish) => {
                if publish.qos == Qos::ExactlyOnce {
                    return Err(Violation::ExactlyOnce);
                }
                Ok(match self.right_for(publish.topic()) {
                    Some(right) => Event::Publish(publish, right),
                    None => Event::Refused(publish),
                })
            }
            Packet::PubAck(ack) => {
                window.acknowledge(ack.packet_id);
                Ok(Event::Done)
            }
            Packet::Subscribe(subscribe) => Ok(Event::Subscribe(subscribe)),
            Packet::Unsubscribe(unsubscribe) => Ok(Event::Unsubscribe(unsubscribe)),
            Packet::PingReq => {
                wire::pingresp(out);
                Ok(Event::Done)
            }
            Packet::Disconnect(_) => Ok(Event::Disconnect),
            Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) | Packet::Auth(_) => {
                Err(Violation::ExactlyOnce)
            }
        }
    }

    /// The right to publish to exactly this topic.
    fn right_for(&mut self, topic: &[u8]) -> Option<usize> {
        let matches = |right: &PublishRight| right.topic.as_str().as_bytes() == topic;
        if !self.rights.get(self.last).is_some_and(matches) {
            self.last = self.rights.iter().position(matches)?;
        }
        Some(self.last)
    }
}

/// May this client leave a will on this topic? Asked at CONNECT and again when it fires.
pub(crate) fn will_right<'a>(rights: &'a [PublishRight], topic: &str) -> Option<&'a PublishRight> {
    rights.iter().find(|right| right.topic.as_str() == topic)
}

/// What a buyer's filters are granted: the exact topic of its grant, at most at `QoS` 1 (3.9.3), and nothing else.
/// Wildcards, shared subscriptions and `$` topics never equal a product topic.
pub(crate) fn grant_filters(filters: &[Filter], topic: Option<&Topic>) -> Vec<Option<Qos>> {
    filters
        .iter()
        .map(|filter| {
            topic
                .filter(|topic| topic.as_str() == filter.filter.as_str())
                .map(|_| filter.qos.min(Qos::AtLeastOnce))
        })
        .collect()
}

/// Whether the principal may subscribe at all.
pub(crate) fn may_subscribe(principal: Principal) -> bool {
    matches!(principal, Principal::Order { .. })
}

/// The `QoS` 1 messages that a client has not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Window {
    /// The packet identifier of the first entry.
    first: u16,
    /// Whether each has been acknowledged; the first never has.
    acknowledged: VecDeque<bool>,
    limit: u16,
}

impl Window {
    pub(crate) fn new(limit: u16) -> Self {
        Self { first: 1, acknowledged: VecDeque::new(), limit }
    }

    /// How many more messages may be sent.
    pub(crate) fn room(&self) -> usize {
        usize::from(self.limit).saturating_sub(self.acknowledged.len())
    }

    /// The packet identifier of the next message; `None` if the client must acknowledge something first.
    pub(crate) fn take(&mut self) -> Option<u16> {
        if self.room() == 0 {
            return None;
        }
        let id = advance(self.first, self.acknowledged.len());
        self.acknowledged.push_back(false);
        Some(id)
    }

    /// Takes back the identifiers of the last `count` messages, which were not sent.
    pub(crate) fn take_back(&mut self, count: usize) {
        let left = self.acknowledged.len().saturating_sub(count);
        self.acknowledged.truncate(left);
        self.slide();
    }

    /// An acknowledgement in any order; for an unknown message it means nothing.
    pub(crate) fn acknowledge(&mut self, id: u16) {
        let place = distance(self.first, id);
        if let Some(entry) = self.acknowledged.get_mut(place) {
            *entry = true;
            self.slide();
        }
    }

    fn slide(&mut self) {
        while self.acknowledged.front() == Some(&true) {
            self.acknowledged.pop_front();
            self.first = advance(self.first, 1);
        }
    }
}

/// The identifier `by` places after `id`, going round from 65,535 to 1 (2.3.1: never 0).
fn advance(id: u16, by: usize) -> u16 {
    let round = usize::from(u16::MAX);
    let zero_based = (usize::from(id) + round - 1 + by % round) % round;
    u16::try_from(zero_based + 1).unwrap_or(1)
}

/// How many places `id` is after `first`.
fn distance(first: u16, id: u16) -> usize {
    let round = usize::from(u16::MAX);
    if id == 0 {
        return usize::MAX;
    }
    (usize::from(id) + round - usize::from(first)) % round
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use i3_core::id::{ProductId, TypedId};
    use proptest::prelude::*;

    fn right(number: u128, topic: &str) -> PublishRight {
        PublishRight { product: ProductId::from_bits(number), topic: topic.parse().unwrap() }
    }

    fn publish(topic: &str, qos: Qos) -> Packet {
        let frame = wire::publish(topic, b"x", qos).unwrap();
        wire::decode(wire::Version::V311, &mut BytesMut::from(&frame[..]), 1_000).unwrap().unwrap()
    }

    fn judge(session: &mut Session, packet: Packet) -> Result<Event, Violation> {
        session.packet(packet, &mut Window::new(1), &mut Vec::new())
    }

    #[test]
    fn a_device_publishes_to_its_exact_topics_only() {
        let mut session = Session::new(vec![right(1, "i3/h/a"), right(2, "i3/h/b")]);
        for (topic, place) in [("i3/h/a", 0), ("i3/h/b", 1), ("i3/h/b", 1), ("i3/h/a", 0)] {
            let event = judge(&mut session, publish(topic, Qos::AtLeastOnce)).unwrap();
            assert!(matches!(event, Event::Publish(_, at) if at == place), "{topic}");
        }
        for other in
            ["i3/h/c", "i3/h/a/", "/i3/h/a", "i3/h/A", "i3/h/a ", "i3/h", "$SYS/x", "ä/h/a", "i3/h/a\u{301}"]
        {
            let event = judge(&mut session, publish(other, Qos::AtMostOnce));
            assert!(matches!(event, Ok(Event::Refused(_))), "{other}");
        }
        assert_eq!(judge(&mut session, publish("i3/h/a", Qos::ExactlyOnce)), Err(Violation::ExactlyOnce));
        session.set_rights(Vec::new());
        assert!(matches!(judge(&mut session, publish("i3/h/a", Qos::AtMostOnce)), Ok(Event::Refused(_))));
    }

    #[test]
    fn filters_are_granted_exactly_or_not_at_all() {
        let topic: Topic = "i3/h/p".parse().unwrap();
        let asked = [
            ("i3/h/p", Some(Qos::AtLeastOnce)),
            ("#", None),
            ("+/h/p", None),
            ("i3/+/p", None),
            ("i3/h/#", None),
            ("i3/h/p/#", None),
            ("$share/g/i3/h/p", None),
            ("$SYS/#", None),
            ("$queue/i3/h/p", None),
            ("/i3/h/p", None),
            ("i3/h/p/", None),
            ("i3/h/P", None),
            ("i3/h/p ", None),
            ("\u{feff}i3/h/p", None),
            ("i3/h/p\u{301}", None),
        ];
        let filters: Vec<_> = asked
            .iter()
            .map(|(filter, _)| Filter {
                filter: (*filter).to_owned(),
                qos: Qos::ExactlyOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: wire::RetainHandling::Always,
            })
            .collect();
        let granted: Vec<_> = asked.iter().map(|(_, granted)| *granted).collect();
        assert_eq!(grant_filters(&filters, Some(&topic)), granted);
        assert!(grant_filters(&filters, None).iter().all(Option::is_none));
    }

    #[test]
    fn packet_identifiers_go_round_without_zero() {
        let mut window = Window::new(2);
        for round in 0..70_000_u32 {
            let expected = u16::try_from(round % 65_535 + 1).unwrap();
            assert_eq!(window.take(), Some(expected));
            window.acknowledge(expected);
        }
    }

    proptest! {
        #[test]
        fn the_window_holds_what_is_not_acknowledged(
            first in 1_u16..=u16::MAX,
            steps in proptest::collection::vec((any::<bool>(), 0_u16..40), 1..200)
        ) {
            let mut window = Window::new(16);
            window.first = first;
            let mut open: Vec<u16> = Vec::new();
            for (send, which) in steps {
                if send {
                    let room = window.room();
                    if let Some(id) = window.take() {
                        prop_assert!(room > 0 && id != 0 && !open.contains(&id));
                        open.push(id);
                    } else {
                        prop_assert_eq!(room, 0);
                    }
                } else if let Some(id) = open.get(usize::from(which)).copied() {
                    window.acknowledge(id);
                    window.acknowledge(id);
                    open.retain(|other| *other != id);
                } else {
                    window.acknowledge(which);
                    open.retain(|other| *other != which);
                }
                prop_assert!(open.len() <= 16);
                if open.is_empty() {
                    prop_assert_eq!(window.room(), 16);
                }
            }
        }
    }
}
