use std::time::Duration;

use i3_core::id::{OrderId, TypedId};
use i3_core::time::ManualClock;
use proptest::prelude::*;

use super::*;

const ONCE: Fate = Fate::Delivered { times: 1, again: 0 };

fn delivered(history: &History, first: u64, last: u64) {
    history.note([Run::whole(Fared::Delivered, first, last)]);
}

/// Messages have their turn and are delivered, the first from this place in the feed.
fn pass(turn: &mut Turn, history: &History, place: u64, numbers: std::ops::RangeInclusive<u64>) {
    for (place, number) in (place..).zip(numbers) {
        turn.pass(place, number, history);
        delivered(history, number, number);
    }
}

fn missed(why: Miss, first: u64, last: u64, messages: u64) -> Fate {
    Fate::Missed { why, messages, first, last }
}

#[test]
fn a_session_that_receives_all_has_one_entry() {
    let (history, mut turn) = (History::default(), Turn::at(40));
    assert_eq!(history.fate(1), Fate::Ahead);
    pass(&mut turn, &history, 40, 1_000..=3_000);
    assert_eq!(history.runs().runs.len(), 1);
    assert_eq!(
        [999, 1_000, 3_000, 3_001].map(|number| history.fate(number)),
        [Fate::Before, ONCE, ONCE, Fate::Ahead]
    );
}

#[test]
fn it_is_known_which_messages_were_missed_and_why() {
    let (history, mut turn) = (History::default(), Turn::at(0));
    pass(&mut turn, &history, 0, 1..=10);
    // The log ran over.
    pass(&mut turn, &history, 15, 16..=20);
    // The client was away for too long; beside that, numbers were skipped by a gate that died.
    turn.was_away(4);
    pass(&mut turn, &history, 24, 1_000..=1_001);
    // Numbers are skipped, and nothing is missed.
    pass(&mut turn, &history, 26, 2_000..=2_000);
    history.note([Run::whole(Fared::Missed(Miss::TooLarge), 2_001, 2_002)]);
    for (numbers, fate) in [
        ([1, 10], ONCE),
        ([11, 15], missed(Miss::Slow, 11, 15, 5)),
        ([16, 20], ONCE),
        ([21, 999], missed(Miss::Offline, 21, 999, 4)),
        ([1_000, 1_001], ONCE),
        ([1_002, 1_999], Fate::Skipped),
        ([2_001, 2_002], missed(Miss::TooLarge, 2_001, 2_002, 2)),
        ([2_003, u64::MAX], Fate::Ahead),
    ] {
        assert_eq!(numbers.map(|number| history.fate(number)), [fate; 2], "{numbers:?}");
    }
}

#[test]
fn what_was_missed_before_the_first_message_is_found_by_its_count() {
    let (history, mut turn) = (History::default(), Turn::at(5));
    pass(&mut turn, &history, 8, 104..=104);
    assert_eq!(history.fate(100), Fate::Before);
    assert_eq!(history.fate(101), missed(Miss::Slow, 101, 103, 3));
}

#[test]
fn what_came_while_there_was_no_session_found_nobody() {
    let (history, mut turn) = (History::default(), Turn::at(0));
    // A retained message comes first, of long before.
    delivered(&history, 3, 3);
    pass(&mut turn, &history, 0, 10..=12);
    let mut turn = Turn::at(90);
    pass(&mut turn, &history, 90, 100..=101);
    let fates = [3, 5, 12, 13, 99, 100].map(|number| history.fate(number));
    assert_eq!(fates, [ONCE, Fate::Before, ONCE, Fate::Absent, Fate::Absent, ONCE]);
}

#[test]
fn what_is_sent_again_and_what_is_charged_again_is_told_apart() {
    let history = History::default();
    delivered(&history, 1, 9);
    history.note([Run::whole(Fared::Again, 4, 5)]);
    delivered(&history, 9, 9);
    assert_eq!(history.fate(4), Fate::Delivered { times: 1, again: 1 });
    assert_eq!(history.fate(9), Fate::Delivered { times: 2, again: 0 });
}

#[test]
fn numbers_of_several_gates_in_turns_are_few_entries() {
    let (history, mut turn) = (History::default(), Turn::at(0));
    for round in 0..200 {
        pass(&mut turn, &history, round * 2, 1_001 + round..=1_001 + round);
        pass(&mut turn, &history, round * 2 + 1, 1 + round..=1 + round);
    }
    assert_eq!(history.runs().runs.len(), 2);
    assert_eq!([1, 200, 1_001, 1_200].map(|number| history.fate(number)), [ONCE; 4]);
}

#[test]
fn entries_are_bounded_and_what_fell_off_is_not_denied() {
    let (history, mut turn) = (History::default(), Turn::at(0));
    let most = u64::try_from(MOST_RUNS).unwrap();
    for round in 0..most + 10 {
        pass(&mut turn, &history, round * 2, round * 2 + 1..=round * 2 + 1);
    }
    assert_eq!(history.runs().runs.len(), MOST_RUNS);
    assert_eq!([1, 2].map(|number| history.fate(number)), [Fate::Forgotten; 2]);
    assert_eq!(history.fate(most * 2 + 19), ONCE);
}

fn histories() -> (Arc<Histories>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_000_000).unwrap()));
    (Arc::new(Histories::new(Arc::clone(&clock) as _)), clock)
}

fn grant(number: u128) -> GrantId {
    GrantId::of(OrderId::from_bits(number))
}

#[test]
fn sessions_that_have_ended_are_remembered_up_to_a_number_and_it_is_said_since_when() {
    let (histories, clock) = histories();
    let start = clock.now();
    let one = histories.begin(grant(1), "one");
    delivered(&one.history, 1, 5);
    let told = histories.recall("gate", grant(1), 3);
    let session = |present| SessionFate { client: "one".to_owned(), present, fate: ONCE };
    assert_eq!((told.since, told.sessions), (start, vec![session(true)]));
    clock.advance(Duration::from_secs(1));
    drop(one);
    assert_eq!(histories.recall("gate", grant(1), 3).sessions, [session(false)]);

    // The same client goes on with it.
    let again = histories.begin(grant(1), "one");
    assert_eq!(histories.recall("gate", grant(1), 3).sessions, [session(true)]);
    drop(again);

    // One order's many names push out its own.
    let first_end = clock.now();
    for number in 0..MOST_ENDED_OF_GRANT {
        clock.advance(Duration::from_secs(1));
        delivered(&histories.begin(grant(1), &format!("other {number}")).history, 6, 6);
    }
    let told = histories.recall("gate", grant(1), 3);
    assert_eq!((told.since, told.sessions.len()), (first_end, MOST_ENDED_OF_GRANT));
    assert!(told.sessions.iter().all(|session| session.client != "one"));
    assert_eq!(histories.recall("gate", grant(2), 3).since, start, "and nobody else's");

    // Many orders' push out the oldest of all.
    clock.advance(Duration::from_secs(1));
    for number in 0..MOST_ENDED {
        delivered(&histories.begin(grant(100 + u128::try_from(number).unwrap()), "c").history, 1, 1);
    }
    let told = histories.recall("gate", grant(1), 3);
    assert!(told.sessions.is_empty() && told.since > first_end);
    let inner = histories.inner();
    assert_eq!((inner.ended.len(), inner.grants.len()), (MOST_ENDED, MOST_ENDED));
}

#[test]
fn sessions_that_received_nothing_leave_nothing() {
    let (histories, _) = histories();
    for number in 0..10_000_u128 {
        drop(histories.begin(grant(number), "c"));
    }
    let inner = histories.inner();
    assert_eq!((inner.ended.len(), inner.grants.len()), (0, 0));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Deliver(u64),
    PassOver(u64),
    FallBehind(u64),
    SkipNumbers(u64),
    SendAgain(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..20).prop_map(Step::Deliver),
        1 => (1_u64..4).prop_map(Step::PassOver),
        1 => (1_u64..9).prop_map(Step::FallBehind),
        1 => (1_u64..9).prop_map(Step::SkipNumbers),
        1 => (0_u64..9).prop_map(Step::SendAgain),
    ]
}

proptest! {
    #[test]
    fn what_is_remembered_is_what_was(begin in 1_u64..50, steps in prop::collection::vec(step(), 1..200)) {
        let (history, mut turn) = (History::default(), Turn::at(7));
        let (mut place, mut number, mut unused) = (7, begin, 0);
        // What became of each number; `None` is missed in a gap, whatever numbers lie in it.
        let mut known = BTreeMap::new();
        for step in steps {
            match step {
                Step::Deliver(count) | Step::PassOver(count) => {
                    for _ in 0..count {
                        turn.pass(place, number, &history);
                        let fared = match step {
                            Step::Deliver(_) => Fared::Delivered,
                            _ => Fared::Missed(Miss::Expired),
                        };
                        history.note([Run::whole(fared, number, number)]);
                        known.insert(number, Some(fared));
                        (place, number, unused) = (place + 1, number + 1, 0);
                    }
                }
                Step::FallBehind(count) if !known.is_empty() => {
                    for skipped in number - unused..number + count {
                        known.insert(skipped, None);
                    }
                    (place, number) = (place + count, number + count);
                    unused += count;
                }
                Step::FallBehind(_) => {}
                Step::SkipNumbers(count) => {
                    let gap = unused > 0 && known.get(&(number - 1)) == Some(&None);
                    for skipped in (number..number + count).filter(|_| gap) {
                        known.insert(skipped, None);
                    }
                    number += count;
                    unused += count;
                }
                Step::SendAgain(back) => {
                    let sent = known.iter().rev().filter(|(_, fared)| **fared == Some(Fared::Delivered));
                    if let Some((number, _)) = sent.clone().nth(usize::try_from(back).unwrap()) {
                        history.note([Run::whole(Fared::Again, *number, *number)]);
                    }
                }
            }
        }
        // What came last has had no turn yet.
        let last = known.iter().rev().find(|(_, fared)| fared.is_some()).map(|(number, _)| *number);
        for number in 0..number + 5 {
            let (fate, fared) = (history.fate(number), known.get(&number).filter(|_| Some(number) <= last));
            let agrees = match fate {
                // As long as it remembers.
                Fate::Forgotten => number <= history.runs().forgotten && Some(number) <= last,
                Fate::Delivered { times: 1, .. } => fared == Some(&Some(Fared::Delivered)),
                Fate::Missed { why: Miss::Expired, .. } => fared == Some(&Some(Fared::Missed(Miss::Expired))),
                Fate::Missed { why: Miss::Slow, .. } => fared == Some(&None),
                Fate::Before => number < begin || fared.is_none(),
                Fate::Skipped => fared.is_none(),
                Fate::Ahead => Some(number) > last,
                _ => false,
            };
            prop_assert!(agrees, "{number}: {fate:?} and {fared:?} of {known:?}");
        }
    }
}
