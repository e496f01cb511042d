//! Why one message was or was not charged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use i3_core::access::Actor;
use i3_core::gate::{Fate, LeaseReport, Metering, Recall, Recollection, SessionFate, Streams};
use i3_core::id::{GrantId, OrderId, ProductId, TypedId};
use i3_core::market::MessageExplanation;
use i3_core::offer::Plan;
use i3_core::order::Order;
use i3_core::time::Timestamp;
use i3_core::usage::{Miss, Missed};

use crate::fixture::{Fixture, fixed, refusal};

/// A gate that remembers what it is told to.
#[derive(Debug)]
struct Told {
    since: Mutex<Timestamp>,
    sessions: Mutex<Vec<SessionFate>>,
    /// The first number that it holds and has not given to a message.
    next: AtomicU64,
}

#[async_trait]
impl Recall for Told {
    async fn recall(&self, _: GrantId, _: ProductId, number: u64) -> Recollection {
        let (since, sessions) = (*self.since.lock().unwrap(), self.sessions.lock().unwrap().clone());
        let unused = number >= self.next.load(Ordering::SeqCst);
        Recollection { holder: "gate".to_owned(), since, unused, sessions }
    }
}

/// A marketplace whose only gate is one of these, and an order there.
async fn open(plan: Plan) -> (Fixture, Arc<Told>, Order) {
    let f = Fixture::new().await;
    let gate =
        Told { since: Mutex::new(f.clock_now()), sessions: Mutex::default(), next: AtomicU64::new(u64::MAX) };
    let gate = Arc::new(gate);
    f.market.recall_from(Arc::clone(&gate) as _);
    f.pass(Duration::from_secs(1));
    f.top_up(f.buyer, 1_000).await;
    let order = f.buy(plan).await;
    // The gate was given numbers up to 64.
    f.market.reserve(order.product, "gate", 64).await.unwrap();
    (f, gate, order)
}

fn session(client: &str, present: bool, fate: Fate) -> SessionFate {
    SessionFate { client: client.to_owned(), present, fate }
}

async fn ask(f: &Fixture, order: &Order) -> MessageExplanation {
    f.market.explain_message(Actor::User(f.buyer), order.id, 7, 100).await.unwrap()
}

const DELIVERED: Fate = Fate::Delivered { times: 1, again: 0 };
const MISSED: Fate = Fate::Missed { why: Miss::Slow, messages: 3, first: 6, last: 8 };

/// Sessions that go on or have ended, the code of the answer, and how often the message was charged.
type Case<'a> = (&'a [(bool, Fate)], &'a str, u64);

#[tokio::test]
async fn what_sessions_remember_makes_up_one_answer() {
    let (f, gate, order) = open(fixed(100, 100)).await;
    let cases: &[Case<'_>] = &[
        (&[(true, DELIVERED)], "charged", 1),
        (&[(true, DELIVERED), (false, Fate::Delivered { times: 2, again: 4 })], "charged", 3),
        (&[(true, MISSED), (true, DELIVERED)], "charged", 1),
        (&[(true, MISSED), (true, Fate::Ahead)], "missed", 0),
        (&[(false, Fate::Absent), (true, Fate::Ahead)], "not_yet", 0),
        (&[(true, Fate::Skipped), (false, Fate::Before)], "skipped", 0),
        (&[(true, Fate::Before), (false, Fate::Before)], "before", 0),
        (&[(false, Fate::Ahead), (true, Fate::Before)], "absent", 0),
        (&[(true, Fate::Absent)], "absent", 0),
        (&[], "absent", 0),
        (&[(true, Fate::Forgotten), (false, Fate::Before)], "unknown", 0),
    ];
    for (sessions, code, charged) in cases {
        let told = sessions.iter().map(|(present, fate)| session("c", *present, *fate)).collect();
        *gate.sessions.lock().unwrap() = told;
        let explained = ask(&f, &order).await;
        assert_eq!((explained.code, explained.charged), (*code, *charged), "{sessions:?}");
        assert_eq!(explained.complete, *code != "unknown", "{sessions:?}");
        assert_eq!((explained.number, explained.sessions.len()), (7, sessions.len()));
    }
    *gate.sessions.lock().unwrap() = vec![session("c", true, DELIVERED)];
    let free = f.buy(Plan::Free { quota: None }).await;
    assert_eq!(ask(&f, &free).await.code, "free");
}

#[tokio::test]
async fn a_number_that_no_message_has_so_far_is_told_as_such() {
    let (f, gate, order) = open(fixed(100, 100)).await;
    let ask =
        async |number| f.market.explain_message(Actor::User(f.buyer), order.id, number, 100).await.unwrap();
    // No gate was given it.
    assert_eq!((ask(64).await.code, ask(65).await.code), ("absent", "unpublished"));
    // A gate was, and has not used it; whatever the order's sessions are.
    gate.next.store(7, Ordering::SeqCst);
    for sessions in
        [vec![], vec![session("c", true, Fate::Ahead)], vec![session("c", false, Fate::Forgotten)]]
    {
        *gate.sessions.lock().unwrap() = sessions;
        let explained = ask(7).await;
        assert_eq!((explained.code, explained.charged), ("unpublished", 0));
        assert!(!explained.detail.contains("remembered"), "{}", explained.detail);
    }
    // It came while that was asked.
    *gate.sessions.lock().unwrap() = vec![session("c", true, DELIVERED)];
    assert_eq!(ask(7).await.code, "charged");
}

#[tokio::test]
async fn what_may_be_forgotten_is_not_said_not_to_have_been() {
    let (f, gate, order) = open(fixed(100, 100)).await;
    *gate.sessions.lock().unwrap() = vec![session("c", true, Fate::Before)];
    assert_eq!((ask(&f, &order).await.code, ask(&f, &order).await.complete), ("before", true));
    // The gate was started after the order was placed.
    let started =
        std::mem::replace(&mut *gate.since.lock().unwrap(), order.placed.plus(Duration::from_secs(1)));
    assert_eq!((ask(&f, &order).await.code, ask(&f, &order).await.complete), ("unknown", false));
    *gate.sessions.lock().unwrap() = vec![session("c", true, MISSED)];
    let explained = ask(&f, &order).await;
    assert_eq!((explained.code, explained.complete), ("missed", false), "what is known is said all the same");
    assert!(explained.detail.contains("not remembered"), "{}", explained.detail);
    *gate.since.lock().unwrap() = started;
    assert!(ask(&f, &order).await.complete);

    // Its own leases are no news; those of a gate that nobody can ask are.
    let grant = GrantId::of(order.id);
    let own = f.market.open(grant, "gate", 5).await.unwrap();
    assert!(ask(&f, &order).await.complete);
    let missed = Missed { slow: 3, ..Missed::default() };
    f.market.close(own.lease, LeaseReport { delivered: 2, missed }).await.unwrap();
    f.market.open(grant, "elsewhere", 5).await.unwrap();
    let explained = ask(&f, &order).await;
    assert!(!explained.complete);
    assert_eq!((explained.usage.delivered, explained.usage.missed), (2, missed), "the books have counts");
}

#[tokio::test]
async fn without_a_gate_only_counts_are_known() {
    let f = Fixture::new().await;
    let order = f.buy(Plan::Free { quota: None }).await;
    assert_eq!(ask(&f, &order).await.code, "unpublished");
    f.market.reserve(order.product, "gate", 64).await.unwrap();
    let explained = ask(&f, &order).await;
    assert_eq!((explained.code, explained.complete, explained.charged), ("unknown", false, 0));
    assert!(explained.sessions.is_empty());
}

#[tokio::test]
async fn messages_are_numbered_from_one_and_orders_of_others_are_not_there() {
    let (f, _, order) = open(fixed(100, 100)).await;
    let wrong = f.market.explain_message(Actor::User(f.buyer), order.id, 0, 100).await;
    assert_eq!(refusal(wrong.unwrap_err()).code(), "invalid_request");
    let absent = f.market.explain_message(Actor::System, OrderId::from_bits(9), 1, 100).await;
    assert_eq!(absent.unwrap_err().code(), "not_found");
}
