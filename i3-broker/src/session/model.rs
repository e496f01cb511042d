//! A client and a session with a bad line between them: whatever is lost on the way, in the end every message arrived as
//! often as its quality of service says, in order.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::tests::{ack, device_with, publish, terms};
use super::*;
use crate::message::MessageParts;

/// One direction of the line. What is in it when the line breaks may be cut off anywhere.
type Line<T> = VecDeque<T>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Publish(Qos, u64),
    Ack,
    Rec,
    Rel,
    Comp,
}

type Packed = (Sort, u16);

/// A correct client: sends messages of its own and takes those of the gate.
#[derive(Debug, Default)]
struct Client {
    // As a sender.
    open: Vec<(u16, Sort)>,
    next_id: u16,
    sent: u64,
    // As a receiver.
    received: Vec<u64>,
    known: BTreeMap<u16, u64>,
}

impl Client {
    fn send(&mut self, qos: Qos, line: &mut Line<Packed>) {
        // Its receive maximum is 3.
        if self.open.len() >= 3 {
            return;
        }
        self.next_id = self.next_id % 5 + 1;
        while self.open.iter().any(|(id, _)| *id == self.next_id) {
            self.next_id = self.next_id % 5 + 1;
        }
        let message = (self.next_id, Sort::Publish(qos, self.sent));
        self.sent += 1;
        self.open.push(message);
        line.push_back((message.1, message.0));
    }

    fn hear(&mut self, (sort, id): Packed, line: &mut Line<Packed>) {
        match sort {
            Sort::Publish(Qos::ExactlyOnce, number) => {
                if self.known.insert(id, number).is_none() {
                    self.received.push(number);
                }
                line.push_back((Sort::Rec, id));
            }
            Sort::Publish(_, number) => {
                self.received.push(number);
                line.push_back((Sort::Ack, id));
            }
            Sort::Rel => {
                self.known.remove(&id);
                line.push_back((Sort::Comp, id));
            }
            Sort::Rec => {
                if let Some(entry) = self.open.iter_mut().find(|(open, _)| *open == id) {
                    entry.1 = Sort::Rel;
                    line.push_back((Sort::Rel, id));
                }
            }
            Sort::Ack | Sort::Comp => self.open.retain(|(open, _)| *open != id),
        }
    }

    fn reconnect(&self, line: &mut Line<Packed>) {
        line.clear();
        line.extend(self.open.iter().map(|(id, sort)| (*sort, *id)));
    }
}

/// The gate's side: the session, and the messages that it took and is to deliver.
#[derive(Debug)]
struct Gate {
    session: Session,
    accepted: Vec<u64>,
    delivered: u64,
}

impl Gate {
    fn hear(&mut self, (sort, id): Packed, line: &mut Line<Packed>) {
        let mut out = Vec::new();
        match sort {
            Sort::Publish(qos, number) => {
                let packet = publish(Version::V5, "i3/h/a", 0, qos, id);
                match self.session.packet(packet, &mut out) {
                    Ok(Event::Publish(publish, _)) => {
                        self.accepted.push(number);
                        assert_eq!(publish.packet_id, Some(id));
                    }
                    Ok(Event::Again(again)) => assert_eq!((again, qos), (id, Qos::ExactlyOnce)),
                    other => panic!("a client in order is not refused: {other:?}"),
                }
                self.session.acknowledged();
                line.push_back((if qos == Qos::ExactlyOnce { Sort::Rec } else { Sort::Ack }, id));
                return;
            }
            Sort::Ack => self.session.packet(Packet::PubAck(ack(id, Reason::Success)), &mut out),
            Sort::Rec => self.session.packet(Packet::PubRec(ack(id, Reason::Success)), &mut out),
            Sort::Rel => self.session.packet(Packet::PubRel(ack(id, Reason::Success)), &mut out),
            Sort::Comp => self.session.packet(Packet::PubComp(ack(id, Reason::Success)), &mut out),
        }
        .unwrap();
        match out.first() {
            Some(0x62) => line.push_back((Sort::Rel, id)),
            Some(0x70) => line.push_back((Sort::Comp, id)),
            _ => assert!(out.is_empty()),
        }
    }

    fn deliver(&mut self, qos: Qos, line: &mut Line<Packed>) {
        while let Some((id, qos, sent)) = self.session.window.resend() {
            line.push_back((Sort::Publish(qos, sent.message.sequence()), id));
        }
        let parts = MessageParts {
            qos,
            retain: false,
            sequence: self.delivered,
            published: 0,
            expiry: None,
            properties: &[],
            payload: &[],
        };
        let sent = Sent { message: Message::new(&parts).unwrap(), retain: false };
        if let Some(id) = self.session.window.take(qos, Some((sent, 1))) {
            line.push_back((Sort::Publish(qos, self.delivered), id));
            self.delivered += 1;
        }
    }

    fn reconnect(self, line: &mut Line<Packed>) -> Self {
        line.clear();
        let (received, mut window) = self.session.into_kept();
        let released = window.resume(3, usize::MAX);
        line.extend(released.into_iter().map(|id| (Sort::Rel, id)));
        let fresh = device_with(terms(Version::V5));
        Self { session: Session { received, window, ..fresh }, ..self }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send(Qos),
    Deliver(Qos),
    ToGate,
    ToClient,
    /// The line breaks after so many more packets have arrived on either side.
    Break(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let qos = || prop_oneof![Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)];
    prop_oneof![
        3 => qos().prop_map(Step::Send),
        3 => qos().prop_map(Step::Deliver),
        6 => Just(Step::ToGate),
        6 => Just(Step::ToClient),
        1 => (0_usize..4, 0_usize..4).prop_map(|(gate, client)| Step::Break(gate, client)),
    ]
}

/// Every message once, in order; those of `QoS` 1 may come again, but first in order.
fn check(seen: &[u64], count: u64, exact: impl Fn(u64) -> bool) -> Result<(), TestCaseError> {
    let mut firsts: Vec<u64> = Vec::new();
    for number in seen {
        if firsts.contains(number) {
            prop_assert!(!exact(*number), "{number} came twice");
        } else {
            firsts.push(*number);
        }
    }
    prop_assert_eq!(firsts, (0..count).collect::<Vec<_>>());
    Ok(())
}

proptest! {
    #[test]
    fn nothing_is_lost_and_exactly_once_is_exactly_once(steps in proptest::collection::vec(step(), 1..200)) {
        let (mut client, mut to_gate, mut to_client) = (Client::default(), Line::new(), Line::new());
        let session = device_with(terms(Version::V5));
        let mut gate = Gate { session, accepted: Vec::new(), delivered: 0 };
        let (mut sent_exact, mut delivered_exact) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Send(qos) => {
                    client.send(qos, &mut to_gate);
                    sent_exact.resize(usize::try_from(client.sent).unwrap(), qos == Qos::ExactlyOnce);
                }
                Step::Deliver(qos) => {
                    gate.deliver(qos, &mut to_client);
                    delivered_exact.resize(usize::try_from(gate.delivered).unwrap(), qos == Qos::ExactlyOnce);
                }
                Step::ToGate => if let Some(packet) = to_gate.pop_front() {
                    gate.hear(packet, &mut to_client);
                },
                Step::ToClient => if let Some(packet) = to_client.pop_front() {
                    client.hear(packet, &mut to_gate);
                },
                Step::Break(at_gate, at_client) => {
                    for packet in to_gate.drain(..at_gate.min(to_gate.len())) {
                        gate.hear(packet, &mut Line::new());
                    }
                    for packet in to_client.drain(..at_client.min(to_client.len())) {
                        client.hear(packet, &mut Line::new());
                    }
                    client.reconnect(&mut to_gate);
                    gate = gate.reconnect(&mut to_client);
                }
            }
        }
        // A good line at last.
        client.reconnect(&mut to_gate);
        gate = gate.reconnect(&mut to_client);
        loop {
            while let Some((id, qos, sent)) = gate.session.window.resend() {
                to_client.push_back((Sort::Publish(qos, sent.message.sequence()), id));
            }
            if let Some(packet) = to_gate.pop_front() {
                gate.hear(packet, &mut to_client);
            } else if let Some(packet) = to_client.pop_front() {
                client.hear(packet, &mut to_gate);
            } else {
                break;
            }
        }
        prop_assert!(client.open.is_empty() && client.known.is_empty());
        prop_assert!(gate.session.window.is_empty() && gate.session.received.count() == 0);
        let exact = |which: &[bool], number: u64| which[usize::try_from(number).unwrap()];
        check(&gate.accepted, client.sent, |number| exact(&sent_exact, number))?;
        check(&client.received, gate.delivered, |number| exact(&delivered_exact, number))?;
    }
}
