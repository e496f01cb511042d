//! What one connection still has to bring to the upstream broker.

use std::collections::{HashMap, VecDeque};

use i3_core::name::Topic;

use crate::message::Message;

/// A message on its way.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) topic: Topic,
    /// Its number among the messages of this queue and topic.
    pub(super) number: u64,
    pub(super) message: Message,
    /// The packet identifier under which it was sent; 0 before that.
    packet_id: u16,
    acknowledged: bool,
}

/// What was left in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    /// Those that nobody acknowledged.
    pub(super) messages: u64,
    /// Bytes of payload.
    pub(super) bytes: usize,
}

/// Messages in order, from the oldest that is not acknowledged. Those at the front were handed to the present
/// connection, the others wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// How many were handed to the connection, and of how many of those it told the packet identifier.
    handed: usize,
    named: usize,
    numbers: HashMap<Topic, u64>,
    /// How many were ever taken, and how many of them are done with.
    taken: u64,
    done: u64,
}

impl Queue {
    /// How many wait for their acknowledgement.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// How many were ever taken: all are done with when [`Self::done`] has reached this.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many were acknowledged or given up.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Takes messages.
    pub(super) fn take(&mut self, topic: &Topic, messages: &[Message]) {
        let number = match self.numbers.get_mut(topic) {
            Some(number) => number,
            None => self.numbers.entry(topic.clone()).or_default(),
        };
        for message in messages {
            *number += 1;
            self.taken += 1;
            self.items.push_back(Item {
                topic: topic.clone(),
                number: *number,
                message: message.clone(),
                packet_id: 0,
                acknowledged: false,
            });
        }
    }

    /// The next message to hand to the connection.
    pub(super) fn hand_over(&mut self) -> Option<Item> {
        let item = self.items.get(self.handed)?.clone();
        self.handed += 1;
        Some(item)
    }

    /// The connection sent the oldest handed message that had no identifier under this one.
    pub(super) fn sent(&mut self, packet_id: u16) {
        if let Some(item) = self.items.get_mut(self.named)
            && self.named < self.handed
        {
            item.packet_id = packet_id;
            self.named += 1;
        }
    }

    /// The broker acknowledged this identifier, whatever it said; how many bytes of payload are done with.
    pub(super) fn acknowledged(&mut self, packet_id: u16) -> usize {
        let mut waiting = self.items.iter_mut().take(self.named);
        if let Some(item) = waiting.find(|item| item.packet_id == packet_id && !item.acknowledged) {
            item.acknowledged = true;
        }
        self.drop_acknowledged()
    }

    /// The message that was handed over last is not sent at all; how many bytes of payload are done with.
    pub(super) fn give_up_last(&mut self) -> usize {
        let last = self.handed.saturating_sub(1);
        let Some(item) = self.items.remove(last) else { return 0 };
        self.handed = last;
        self.done += 1;
        item.message.payload().len()
    }

    /// The connection is gone: what was not acknowledged is to be handed over again, in the same order.
    pub(super) fn start_again(&mut self) -> usize {
        (self.handed, self.named) = (0, 0);
        let mut freed = 0;
        let done = &mut self.done;
        self.items.retain(|item| {
            if item.acknowledged {
                freed += item.message.payload().len();
                *done += 1;
            }
            !item.acknowledged
        });
        freed
    }

    /// Gives up all that is left.
    pub(super) fn abandon(&mut self) -> Left {
        let bytes = self.items.iter().map(|item| item.message.payload().len()).sum();
        let messages = u64::try_from(self.items.iter().filter(|item| !item.acknowledged).count());
        self.items.clear();
        (self.handed, self.named, self.done) = (0, 0, self.taken);
        Left { messages: messages.unwrap_or(u64::MAX), bytes }
    }

    fn drop_acknowledged(&mut self) -> usize {
        let mut freed = 0;
        while let Some(item) = self.items.front()
            && item.acknowledged
        {
            freed += item.message.payload().len();
            self.items.pop_front();
            self.done += 1;
            self.handed = self.handed.saturating_sub(1);
            self.named = self.named.saturating_sub(1);
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Qos;
    use proptest::prelude::*;

    fn topic() -> Topic {
        "i3/h/p".parse().unwrap()
    }

    fn messages(count: u64) -> Vec<Message> {
        (0..count).map(|n| Message::plain(&n.to_be_bytes(), Qos::AtMostOnce)).collect()
    }

    #[test]
    fn what_was_not_acknowledged_goes_again_in_order() {
        let mut queue = Queue::default();
        queue.take(&topic(), &messages(5));
        for id in 1..=3 {
            queue.hand_over().unwrap();
            queue.sent(id);
        }
        // Out of order: the first still waits.
        assert_eq!((queue.acknowledged(2), queue.len(), queue.done()), (0, 5, 0));
        assert_eq!((queue.start_again(), queue.len(), queue.done()), (8, 4, 1));
        let again: Vec<_> = std::iter::from_fn(|| queue.hand_over()).map(|item| item.number).collect();
        assert_eq!(again, [1, 3, 4, 5]);
        assert_eq!(queue.acknowledged(1), 0, "identifiers of the old connection mean nothing");
    }

    #[test]
    fn a_message_that_is_given_up_leaves_the_others_alone() {
        let mut queue = Queue::default();
        queue.take(&topic(), &messages(3));
        queue.hand_over();
        queue.sent(1);
        queue.hand_over();
        assert_eq!(queue.give_up_last(), 8);
        assert_eq!(queue.hand_over().unwrap().number, 3);
        queue.sent(2);
        assert_eq!((queue.acknowledged(1), queue.acknowledged(2)), (8, 8));
        assert_eq!((queue.len(), queue.taken(), queue.done()), (0, 3, 3));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_reordered_by_any_course_of_events(
            steps in proptest::collection::vec((0_u8..5, 0_usize..8), 1..200)
        ) {
            let mut queue = Queue::default();
            let (mut taken, mut on_wire, mut next_id) = (0, Vec::<(u16, u64)>::new(), 1_u16);
            let mut acknowledged = std::collections::BTreeSet::new();
            for (what, which) in steps {
                match what {
                    0 => { queue.take(&topic(), &messages(2)); taken += 2; }
                    1 | 2 => if let Some(item) = queue.hand_over() {
                        queue.sent(next_id);
                        let expected = on_wire.last().map(|(_, number)| *number).or(acknowledged.last().copied());
                        if let Some(before) = expected.filter(|before| item.number > *before) {
                            prop_assert!((before + 1..item.number).all(|n| acknowledged.contains(&n)));
                        }
                        on_wire.push((next_id, item.number));
                        next_id += 1;
                    },
                    3 if which < on_wire.len() => {
                        let (id, number) = on_wire.remove(which);
                        queue.acknowledged(id);
                        acknowledged.insert(number);
                    }
                    4 => { queue.start_again(); on_wire.clear(); }
                    _ => {}
                }
                prop_assert!(queue.done() <= u64::try_from(acknowledged.len()).unwrap());
            }
            queue.start_again();
            let left: Vec<_> = std::iter::from_fn(|| queue.hand_over()).map(|item| item.number).collect();
            let expected: Vec<_> = (1..=taken).filter(|n| !acknowledged.contains(n)).collect();
            prop_assert_eq!(left, expected);
        }
    }
}
