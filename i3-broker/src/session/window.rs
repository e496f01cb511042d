//! Messages of `QoS` 1 and 2 on their way to a client, and what is known of them (4.3.2, 4.3.3, 4.4).

use std::collections::VecDeque;

use crate::wire::Qos;

/// How many times as many identifiers may be in use as messages may be open: those behind one that a client
/// leaves open are not free, though they are done.
const SPREAD: usize = 4;

/// The messages sent to a client and not done yet, in the order in which they were sent first.
///
/// Their identifiers follow each other, so none is used again while it is open. `M` is what is kept of a message
/// for sending it again.
#[derive(Debug)]
pub(crate) struct Window<M> {
    /// The identifier of the first slot.
    first: u16,
    /// The first is never [`Phase::Done`].
    slots: VecDeque<Slot<M>>,
    /// The slots before this were sent on the present connection.
    sent: usize,
    /// How many of those are open.
    open: usize,
    /// The most that may be open (MQTT 5, 3.3.4-9).
    limit: u16,
    /// What is kept, in bytes, and how much that may become before nothing more is sent.
    weight: usize,
    most_weight: usize,
    /// How many messages were received so far: the order of the PUBRELs.
    receipts: u64,
}

#[derive(Debug)]
struct Slot<M> {
    phase: Phase,
    /// With its weight. Boxed, since most sessions keep nothing: theirs are to be small.
    kept: Option<Box<(M, usize)>>,
}

impl<M> Slot<M> {
    /// Forgets what was kept; its weight.
    fn forget(&mut self) -> usize {
        self.kept.take().map_or(0, |kept| kept.1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// PUBLISH was sent.
    Sent(Qos),
    /// PUBREC came and PUBREL was sent; the number orders the PUBRELs.
    Released(u64),
    Done,
}

/// What a PUBREC leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// PUBREL is to be sent.
    Release,
    /// The client refused the message: it is done.
    Refused,
    /// There is no such message.
    Unknown,
}

impl<M> Window<M> {
    /// At most `limit` messages are open; nothing more is sent while `most_weight` bytes or more are kept.
    pub(crate) fn new(limit: u16, most_weight: usize) -> Self {
        Self {
            first: 1,
            slots: VecDeque::new(),
            sent: 0,
            open: 0,
            limit,
            weight: 0,
            most_weight,
            receipts: 0,
        }
    }

    /// How many more messages may be sent.
    pub(crate) fn room(&self) -> usize {
        if self.sent < self.slots.len() || self.weight >= self.most_weight {
            return 0;
        }
        let limit = usize::from(self.limit);
        let spread = limit.saturating_mul(SPREAD).min(usize::from(u16::MAX));
        limit.saturating_sub(self.open).min(spread.saturating_sub(self.slots.len()))
    }

    /// The packet identifier of the next message; `None` if the client must acknowledge something first. `kept`
    /// is what is needed to send it again, if it may come to that, and how many bytes that is.
    pub(crate) fn take(&mut self, qos: Qos, kept: Option<(M, usize)>) -> Option<u16> {
        if self.room() == 0 {
            return None;
        }
        let id = advance(self.first, self.slots.len());
        self.weight = self.weight.saturating_add(kept.as_ref().map_or(0, |(_, weight)| *weight));
        self.slots.push_back(Slot { phase: Phase::Sent(qos), kept: kept.map(Box::new) });
        self.sent = self.slots.len();
        self.open += 1;
        Some(id)
    }

    /// Takes back the last `count` messages that were taken, none of which was sent.
    pub(crate) fn take_back(&mut self, count: usize) {
        for _ in 0..count {
            let Some(mut slot) = self.slots.pop_back() else { break };
            self.open -= usize::from(slot.phase != Phase::Done);
            self.weight = self.weight.saturating_sub(slot.forget());
        }
        self.sent = self.sent.min(self.slots.len());
        self.slide();
    }

    /// PUBACK, in any order. For an unknown message it means nothing.
    pub(crate) fn acknowledge(&mut self, id: u16) {
        if let Some((place, Phase::Sent(Qos::AtLeastOnce))) = self.find(id) {
            self.done(place);
        }
    }

    /// PUBREC; `refused` if it says so.
    pub(crate) fn received(&mut self, id: u16, refused: bool) -> Receipt {
        match self.find(id) {
            Some((place, Phase::Sent(Qos::ExactlyOnce))) if refused => {
                self.done(place);
                Receipt::Refused
            }
            Some((place, Phase::Sent(Qos::ExactlyOnce))) => {
                self.receipts += 1;
                if let Some(slot) = self.slots.get_mut(place) {
                    slot.phase = Phase::Released(self.receipts);
                    self.weight = self.weight.saturating_sub(slot.forget());
                }
                Receipt::Release
            }
            Some((_, Phase::Released(_))) => Receipt::Release,
            _ => Receipt::Unknown,
        }
    }

    /// PUBCOMP.
    pub(crate) fn completed(&mut self, id: u16) {
        if let Some((place, Phase::Released(_))) = self.find(id) {
            self.done(place);
        }
    }

    /// Begins a new connection: all that is open is to be sent again, in its order. Gives the identifiers
    /// for which PUBREL is to be sent, in the order in which their PUBRECs came (4.6.0-4).
    pub(crate) fn resume(&mut self, limit: u16, most_weight: usize) -> Vec<u16> {
        (self.sent, self.open, self.limit, self.most_weight) = (0, 0, limit, most_weight);
        let released = self.slots.iter().enumerate().filter_map(|(place, slot)| match slot.phase {
            Phase::Released(number) => Some((number, advance(self.first, place))),
            _ => None,
        });
        let mut released: Vec<_> = released.collect();
        released.sort_unstable();
        released.into_iter().map(|(_, id)| id).collect()
    }

    /// The next message to send again, as far as the client takes more.
    pub(crate) fn resend(&mut self) -> Option<(u16, Qos, &M)> {
        while let Some(slot) = self.slots.get(self.sent) {
            match slot.phase {
                Phase::Sent(_) if self.open >= usize::from(self.limit) => return None,
                Phase::Sent(_) if slot.kept.is_some() => break,
                // Sent already by `resume`.
                Phase::Released(_) => self.open += 1,
                // Nothing was kept: it cannot be sent again.
                Phase::Sent(_) => return self.give_up_on_next(),
                Phase::Done => {}
            }
            self.sent += 1;
        }
        let slot = self.slots.get(self.sent)?;
        let (Phase::Sent(qos), Some(kept)) = (slot.phase, &slot.kept) else { return None };
        let kept = &kept.0;
        let id = advance(self.first, self.sent);
        self.sent += 1;
        self.open += 1;
        Some((id, qos, kept))
    }

    fn give_up_on_next(&mut self) -> Option<(u16, Qos, &M)> {
        self.done(self.sent);
        self.resend()
    }

    /// Whether something is still to be sent again.
    pub(crate) fn owes(&self) -> bool {
        self.sent < self.slots.len()
    }

    /// Takes back messages that [`Self::resend`] gave and that were not sent.
    pub(crate) fn unsend(&mut self, ids: &[u16]) {
        let places = ids.iter().filter_map(|id| self.find(*id)).map(|(place, _)| place);
        let Some(place) = places.min() else { return };
        self.sent = self.sent.min(place);
        self.open = self.slots.range(..self.sent).filter(|slot| slot.phase != Phase::Done).count();
    }

    /// Ends a message that will not be sent (again): the client could not take it.
    pub(crate) fn drop_message(&mut self, id: u16) {
        if let Some((place, phase)) = self.find(id)
            && phase != Phase::Done
        {
            self.done(place);
        }
    }

    /// Whether nothing is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The bytes that are kept.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    fn find(&self, id: u16) -> Option<(usize, Phase)> {
        let place = distance(self.first, id)?;
        self.slots.get(place).map(|slot| (place, slot.phase))
    }

    fn done(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place) {
            slot.phase = Phase::Done;
            self.weight = self.weight.saturating_sub(slot.forget());
            self.open -= usize::from(place < self.sent);
        }
        self.slide();
    }

    fn slide(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.phase == Phase::Done) {
            self.slots.pop_front();
            self.first = advance(self.first, 1);
            self.sent = self.sent.saturating_sub(1);
        }
        if self.slots.is_empty() {
            // One burst must not hold memory for ever.
            self.slots.shrink_to(1_024);
        }
    }
}

/// The identifier `by` places after `id`, going round from 65,535 to 1 (2.3.1: never 0).
fn advance(id: u16, by: usize) -> u16 {
    let round = usize::from(u16::MAX);
    let zero_based = (usize::from(id) + round - 1 + by % round) % round;
    u16::try_from(zero_based + 1).unwrap_or(1)
}

/// How many places `id` is after `first`; 0 is no identifier.
fn distance(first: u16, id: u16) -> Option<usize> {
    let round = usize::from(u16::MAX);
    (id != 0).then(|| (usize::from(id) + round - usize::from(first)) % round)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packet_identifiers_go_round_without_zero() {
        let mut window = Window::<()>::new(2, 1);
        for round in 0..70_000_u32 {
            let expected = u16::try_from(round % 65_535 + 1).unwrap();
            assert_eq!(window.take(Qos::AtLeastOnce, None), Some(expected));
            window.acknowledge(expected);
        }
    }

    #[test]
    fn acknowledgements_of_the_wrong_kind_or_of_nothing_mean_nothing() {
        let mut window = Window::<()>::new(9, 1);
        let (one, two) =
            (window.take(Qos::AtLeastOnce, None).unwrap(), window.take(Qos::ExactlyOnce, None).unwrap());
        assert_eq!(window.received(one, false), Receipt::Unknown);
        window.acknowledge(two);
        window.completed(two);
        window.completed(one);
        for unknown in [0, 3, 65_535] {
            window.acknowledge(unknown);
            window.completed(unknown);
            assert_eq!(window.received(unknown, false), Receipt::Unknown);
        }
        assert_eq!(window.room(), 7);
        assert_eq!(window.received(two, false), Receipt::Release);
        assert_eq!(window.received(two, false), Receipt::Release, "the first PUBREL may be lost");
        assert_eq!(window.room(), 7, "it counts until PUBCOMP");
        window.completed(two);
        window.acknowledge(one);
        assert_eq!(window.room(), 9);
    }

    #[test]
    fn a_refused_message_is_done() {
        let mut window = Window::<()>::new(1, 1);
        let id = window.take(Qos::ExactlyOnce, None).unwrap();
        assert_eq!((window.room(), window.received(id, true), window.room()), (0, Receipt::Refused, 1));
    }

    #[test]
    fn one_message_left_open_does_not_stop_the_others_for_long() {
        let mut window = Window::<()>::new(10, 1);
        window.take(Qos::AtLeastOnce, None).unwrap();
        for _ in 0..39 {
            let id = window.take(Qos::AtLeastOnce, None).unwrap();
            window.acknowledge(id);
        }
        assert_eq!(window.take(Qos::AtLeastOnce, None), None, "but it does in the end: memory is bounded");
        window.acknowledge(1);
        assert_eq!(window.room(), 10);
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes() {
        let mut window = Window::new(10, 100);
        assert_eq!(window.take(Qos::AtLeastOnce, Some(("a", 99))), Some(1));
        assert_eq!(window.take(Qos::ExactlyOnce, Some(("b", 500))), Some(2), "one may go beyond");
        assert_eq!(window.take(Qos::AtLeastOnce, Some(("c", 1))), None);
        assert_eq!(window.received(2, false), Receipt::Release);
        assert_eq!((window.weight(), window.room()), (99, 8));
    }

    #[test]
    fn a_smaller_window_on_the_next_connection_is_kept_to() {
        let mut window = Window::new(10, 1_000);
        for number in 0..5 {
            window.take(Qos::AtLeastOnce, Some((number, 1))).unwrap();
        }
        assert!(window.resume(2, 1_000).is_empty());
        assert_eq!(window.resend(), Some((1, Qos::AtLeastOnce, &0)));
        assert_eq!(window.resend(), Some((2, Qos::AtLeastOnce, &1)));
        assert_eq!(window.resend(), None);
        assert_eq!((window.owes(), window.room()), (true, 0));
        // Late acknowledgements of what was sent before count too.
        window.acknowledge(4);
        assert_eq!(window.resend(), None);
        window.acknowledge(1);
        assert_eq!(window.resend(), Some((3, Qos::AtLeastOnce, &2)));
        window.acknowledge(2);
        assert_eq!(window.resend(), Some((5, Qos::AtLeastOnce, &4)));
        assert_eq!((window.owes(), window.room()), (false, 0));
        window.acknowledge(3);
        assert_eq!(window.take(Qos::AtLeastOnce, Some((5, 1))), Some(6));
    }

    #[test]
    fn releases_are_sent_again_in_the_order_of_the_receipts() {
        let mut window = Window::new(10, 1_000);
        for number in 0..4 {
            window.take(Qos::ExactlyOnce, Some((number, 1))).unwrap();
        }
        for id in [3, 1] {
            window.received(id, false);
        }
        assert_eq!(window.resume(10, 1_000), [3, 1]);
        assert_eq!(window.resend(), Some((2, Qos::ExactlyOnce, &1)));
        assert_eq!(window.resend(), Some((4, Qos::ExactlyOnce, &3)));
        assert_eq!(window.resend(), None);
        assert_eq!(window.room(), 6);
        window.unsend(&[4]);
        assert_eq!((window.owes(), window.room()), (true, 0));
        assert_eq!(window.resend(), Some((4, Qos::ExactlyOnce, &3)));
        assert_eq!(window.room(), 6);
    }

    /// What a plain list says of the same steps.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Open {
        id: u16,
        qos: Qos,
        number: u64,
        released: bool,
        sent: bool,
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take(Qos),
        TakeBack(usize),
        Ack(usize),
        Receipt(usize, bool),
        Complete(usize),
        Noise(u16),
        Resume(u16),
        Resend(usize),
        Unsend,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => prop_oneof![Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)].prop_map(Step::Take),
            1 => (0_usize..4).prop_map(Step::TakeBack),
            3 => (0_usize..16).prop_map(Step::Ack),
            3 => (0_usize..16, proptest::bool::weighted(0.1)).prop_map(|(at, refused)| Step::Receipt(at, refused)),
            3 => (0_usize..16).prop_map(Step::Complete),
            1 => any::<u16>().prop_map(Step::Noise),
            1 => (1_u16..12).prop_map(Step::Resume),
            2 => (0_usize..8).prop_map(Step::Resend),
            1 => Just(Step::Unsend),
        ]
    }

    proptest! {
        #[test]
        fn the_window_does_what_a_plain_list_does(
            first in 1_u16..=u16::MAX,
            steps in proptest::collection::vec(step(), 1..300)
        ) {
            let mut window = Window::new(8, usize::MAX);
            window.first = first;
            let (mut open, mut limit, mut number) = (Vec::<Open>::new(), 8_usize, 0);
            // Taken since the last that may not be taken back, and given again likewise.
            let (mut fresh, mut again) = (0, Vec::new());
            for step in steps {
                match step {
                    Step::Take(qos) => {
                        let id = window.take(qos, Some((number, 1)));
                        let counted = open.iter().filter(|open| open.sent).count();
                        let owes = open.iter().any(|open| !open.sent);
                        if owes || counted >= limit {
                            prop_assert_eq!(id, None);
                        }
                        if let Some(id) = id {
                            prop_assert!(id != 0 && open.iter().all(|open| open.id != id));
                            open.push(Open { id, qos, number, released: false, sent: true });
                            number += 1;
                            fresh += 1;
                        } else {
                            // One that is left open holds the others up, but not before four times the limit.
                            prop_assert!(owes || counted > 0);
                        }
                    }
                    Step::TakeBack(count) => {
                        let count = count.min(fresh);
                        window.take_back(count);
                        open.truncate(open.len() - count);
                        fresh -= count;
                    }
                    Step::Ack(at) | Step::Complete(at) | Step::Receipt(at, _) if at >= open.len() => {}
                    Step::Ack(at) => {
                        window.acknowledge(open[at].id);
                        if open[at].qos == Qos::AtLeastOnce {
                            open.remove(at);
                            fresh = 0;
                        }
                    }
                    Step::Receipt(at, refused) => {
                        let receipt = window.received(open[at].id, refused);
                        if open[at].qos != Qos::ExactlyOnce {
                            prop_assert_eq!(receipt, Receipt::Unknown);
                        } else if refused && !open[at].released {
                            prop_assert_eq!(receipt, Receipt::Refused);
                            open.remove(at);
                        } else {
                            prop_assert_eq!(receipt, Receipt::Release);
                            open[at].released = true;
                        }
                        fresh = 0;
                    }
                    Step::Complete(at) => {
                        window.completed(open[at].id);
                        if open[at].released {
                            open.remove(at);
                            fresh = 0;
                        }
                    }
                    Step::Noise(id) => {
                        if open.iter().all(|open| open.id != id) {
                            window.acknowledge(id);
                            window.completed(id);
                            prop_assert_eq!(window.received(id, false), Receipt::Unknown);
                        }
                    }
                    Step::Resume(to) => {
                        limit = usize::from(to);
                        let released = window.resume(to, usize::MAX);
                        let mut expected: Vec<_> =
                            open.iter().filter(|open| open.released).map(|open| open.id).collect();
                        let mut sorted = released.clone();
                        sorted.sort_unstable();
                        expected.sort_unstable();
                        prop_assert_eq!(sorted, expected);
                        for open in &mut open {
                            open.sent = false;
                        }
                        (fresh, again) = (0, Vec::new());
                    }
                    Step::Resend(count) => {
                        for _ in 0..count {
                            let given = window.resend().map(|(id, qos, number)| (id, qos, *number));
                            // PUBRELs were sent by `resume`; they count from when their turn has come.
                            let mut next = None;
                            for open_one in open.iter_mut().filter(|open| !open.sent) {
                                if !open_one.released {
                                    next = Some(open_one.id);
                                    break;
                                }
                                open_one.sent = true;
                            }
                            let counted = open.iter().filter(|open| open.sent).count();
                            let next = next.filter(|_| counted < limit);
                            prop_assert_eq!(given.map(|(id, ..)| id), next);
                            if let Some((id, qos, number)) = given {
                                let one = open.iter_mut().find(|open| open.id == id).unwrap();
                                one.sent = true;
                                prop_assert_eq!((one.qos, one.number), (qos, number));
                                again.push(id);
                                fresh = 0;
                            }
                        }
                    }
                    Step::Unsend => {
                        // Only what is still open and was given last can come back.
                        again.retain(|id| open.iter().any(|open| open.id == *id && !open.released));
                        let all_sent_since = fresh == 0;
                        if all_sent_since && let Some(id) = again.pop() {
                            window.unsend(&[id]);
                            let place = open.iter().position(|open| open.id == id).unwrap();
                            for open in &mut open[place..] {
                                open.sent = false;
                            }
                            again.clear();
                        }
                    }
                }
                let counted = open.iter().filter(|open| open.sent).count();
                prop_assert_eq!(window.open, counted);
                prop_assert_eq!(window.weight(), open.iter().filter(|open| !open.released).count());
                prop_assert!(window.slots.front().is_none_or(|slot| slot.phase != Phase::Done));
                if open.is_empty() {
                    prop_assert!(window.slots.is_empty() && window.room() == limit);
                }
            }
        }
    }
}
