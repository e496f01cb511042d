//! Leases, usage and the money behind them.

use std::time::Duration;

use i3_core::access::Actor;
use i3_core::gate::{LeaseRefusal, LeaseReport, Metering, MeteringError};
use i3_core::grant::GrantState;
use i3_core::id::GrantId;
use i3_core::ledger::Holder;
use i3_core::market::{CancelOrder, MoveProduct, RateProduct, Refusal, RevokeGrant, SuspendUser};
use i3_core::offer::Plan;
use i3_core::order::OrderState;
use i3_core::product::ProductState;
use i3_core::usage::Missed;

use crate::fixture::{Fixture, fixed, per_message};

fn why(error: MeteringError) -> LeaseRefusal {
    match error {
        MeteringError::Refused(refusal) => refusal,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn a_fixed_count_is_held_when_bought_and_paid_as_it_is_delivered() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 1_000).await;
    let order = f.buy(fixed(100, 900)).await;
    assert_eq!((f.available().await, f.balance(Holder::Held(order.id)).await), (100, 900));

    let lease = f.market.open(GrantId::of(order.id), "gate", 60).await.unwrap();
    f.market.extend(lease.lease, 50.into(), 60).await.unwrap();
    assert_eq!(f.balance(Holder::Earned(f.hub.id)).await, 405); // 450 less a tenth
    assert_eq!(f.balance(Holder::Fees).await, 45);
    f.assert_balanced().await;

    assert_eq!(f.market.extend(lease.lease, 60.into(), 1_000).await.unwrap().granted, 100);
    f.market.close(lease.lease, 100.into()).await.unwrap();
    let order = f.market.order(Actor::System, order.id).await.unwrap();
    assert_eq!(order.state, OrderState::Completed);
    let grant = f.market.grant_of(Actor::System, order.id).await.unwrap();
    assert_eq!((grant.state, grant.epoch), (GrantState::Exhausted, 1));
    assert_eq!((f.balance(Holder::Held(order.id)).await, f.balance(Holder::Fees).await), (0, 90));
    assert_eq!(why(f.market.open(grant.id, "gate", 1).await.unwrap_err()), LeaseRefusal::Exhausted);
    f.assert_balanced().await;
}

#[tokio::test]
async fn pay_per_message_holds_what_is_leased_and_pays_back_what_was_not_delivered() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 100).await;
    let order = f.buy(per_message(30_000_000, None)).await; // three cents
    assert_eq!(f.available().await, 100);
    let lease = f.market.open(GrantId::of(order.id), "gate", 10).await.unwrap();
    assert_eq!(f.available().await, 70);
    f.market.close(lease.lease, 4.into()).await.unwrap();
    assert_eq!(f.available().await, 88);
    f.assert_balanced().await;
}

#[tokio::test]
async fn a_lease_is_no_larger_than_the_balance_pays_for() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 10).await;
    let order = f.buy(per_message(30_000_000, None)).await;
    let grant = GrantId::of(order.id);
    let lease = f.market.open(grant, "gate", 1_000).await.unwrap();
    assert_eq!(lease.granted, 3);
    assert_eq!(f.market.extend(lease.lease, 3.into(), 1_000).await.unwrap().granted, 3);
    f.market.close(lease.lease, 3.into()).await.unwrap();
    assert_eq!(why(f.market.open(grant, "gate", 1).await.unwrap_err()), LeaseRefusal::InsufficientFunds);
    f.top_up(f.buyer, 2).await;
    assert_eq!(f.market.open(grant, "gate", 9).await.unwrap().granted, 1);
    f.assert_balanced().await;
}

#[tokio::test]
async fn parallel_leases_never_sum_above_the_quota() {
    let f = Fixture::new().await;
    let order = f.buy(Plan::Free { quota: Some(100) }).await;
    let grant = GrantId::of(order.id);
    let first = f.market.open(grant, "a", 70).await.unwrap();
    let second = f.market.open(grant, "b", 70).await.unwrap();
    assert_eq!((first.granted, second.granted), (70, 30));
    assert_eq!(why(f.market.open(grant, "c", 1).await.unwrap_err()), LeaseRefusal::LeasedElsewhere);
    f.market.close(first.lease, 10.into()).await.unwrap();
    assert_eq!(f.market.open(grant, "c", 100).await.unwrap().granted, 60);
    f.assert_balanced().await;
}

#[tokio::test]
async fn a_report_beyond_the_lease_is_refused_and_a_repeated_one_counts_once() {
    let f = Fixture::new().await;
    let order = f.buy(Plan::Free { quota: None }).await;
    let lease = f.market.open(GrantId::of(order.id), "gate", 10).await.unwrap();
    assert!(matches!(f.market.extend(lease.lease, 11.into(), 20).await, Err(MeteringError::Store(_))));
    for _ in 0..3 {
        f.market.extend(lease.lease, 7.into(), 10).await.unwrap();
    }
    f.market.extend(lease.lease, 5.into(), 10).await.unwrap(); // late, out of order
    let statement = f.market.statement(Actor::System, order.id).await.unwrap();
    assert_eq!((statement.line.quantity, statement.open), (7, 3));
    f.market.close(lease.lease, 7.into()).await.unwrap();
    f.market.close(lease.lease, 7.into()).await.unwrap();
    assert_eq!(why(f.market.extend(lease.lease, 8.into(), 10).await.unwrap_err()), LeaseRefusal::NoSuchLease);
    f.assert_balanced().await;
}

#[tokio::test]
async fn what_is_missed_is_kept_with_the_order_and_costs_nothing() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 100).await;
    let order = f.buy(per_message(30_000_000, Some(20))).await;
    let grant = GrantId::of(order.id);
    let first = f.market.open(grant, "gate", 10).await.unwrap();
    let missed = |slow, offline| Missed { slow, offline, ..Missed::default() };
    for (delivered, missed) in
        [(2, missed(40, 0)), (2, missed(40, 0)), (3, missed(50, 7)), (3, missed(45, 7))]
    {
        f.market.extend(first.lease, LeaseReport { delivered, missed }, 10).await.unwrap();
    }
    let told = f.market.statement(Actor::System, order.id).await.unwrap();
    assert_eq!((told.line.quantity, told.missed), (3, missed(50, 7)), "told again, or late, it counts once");
    assert_eq!((told.paid.minor(), told.open), (9, 7), "it costs nothing and uses no quota");

    // Totals are of each lease.
    let second = f.market.open(grant, "other", 5).await.unwrap();
    f.market.close(second.lease, LeaseReport { delivered: 0, missed: missed(1, 1) }).await.unwrap();
    f.market.close(first.lease, LeaseReport { delivered: 3, missed: missed(60, 7) }).await.unwrap();
    f.market.close(first.lease, LeaseReport { delivered: 3, missed: missed(60, 7) }).await.unwrap();
    let told = f.market.statement(Actor::System, order.id).await.unwrap();
    assert_eq!((told.missed, told.paid.minor()), (missed(61, 8), 9));

    // A gate that died may have counted more than it told.
    let third = f.market.open(grant, "dead", 5).await.unwrap();
    f.market.extend(third.lease, LeaseReport { delivered: 0, missed: missed(2, 0) }, 5).await.unwrap();
    f.market.reclaim(Actor::System, "dead").await.unwrap();
    let told = f.market.statement(Actor::System, order.id).await.unwrap();
    assert_eq!((told.missed, told.in_doubt), (missed(63, 8), 5));
    f.assert_balanced().await;
}

#[tokio::test]
async fn a_dead_gates_messages_are_in_doubt_never_billed_and_never_sold_again() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 1_000).await;
    let order = f.buy(fixed(100, 1_000)).await;
    let grant = GrantId::of(order.id);
    let lease = f.market.open(grant, "gate", 40).await.unwrap();
    f.market.extend(lease.lease, 15.into(), 40).await.unwrap();
    let reclaimed = f.market.reclaim(Actor::System, "gate").await.unwrap();
    assert_eq!(reclaimed, [(lease.lease, 25)]);
    assert_eq!(f.available().await, 250); // the price of what is in doubt came back
    assert_eq!(f.market.reclaim(Actor::System, "gate").await.unwrap(), []);

    let lease = f.market.open(grant, "gate", 1_000).await.unwrap();
    assert_eq!(lease.granted, 60);
    f.market.close(lease.lease, 60.into()).await.unwrap();
    let statement = f.market.statement(Actor::System, order.id).await.unwrap();
    assert_eq!((statement.line.quantity, statement.in_doubt, statement.paid.minor()), (75, 25, 750));
    assert_eq!(why(f.market.open(grant, "gate", 1).await.unwrap_err()), LeaseRefusal::Exhausted);
    f.assert_balanced().await;
}

#[tokio::test]
async fn what_came_into_doubt_pays_for_nothing_more_of_an_order_that_pays_for_each_message() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 100).await;
    let order = f.buy(per_message(10_000_000, None)).await;
    let grant = GrantId::of(order.id);
    let lease = f.market.open(grant, "gate", 60).await.unwrap();
    f.market.extend(lease.lease, 20.into(), 60).await.unwrap();
    f.market.reclaim(Actor::System, "gate").await.unwrap();
    assert_eq!(f.available().await, 40, "forty may have been delivered, and are held");
    let lease = f.market.open(grant, "gate", 1_000).await.unwrap();
    assert_eq!(lease.granted, 40, "a hundred in all");
    let extended = f.market.extend(lease.lease, 40.into(), 1_000).await.unwrap();
    assert_eq!(extended.granted, 40);
    f.market.close(lease.lease, 40.into()).await.unwrap();
    assert_eq!(why(f.market.open(grant, "gate", 1).await.unwrap_err()), LeaseRefusal::InsufficientFunds);
    f.top_up(f.buyer, 5).await;
    let lease = f.market.open(grant, "gate", 1_000).await.unwrap();
    assert_eq!(lease.granted, 5);
    f.market.close(lease.lease, 0.into()).await.unwrap();
    f.assert_balanced().await;

    f.done(f.buyer, &CancelOrder { order: order.id }).await;
    assert_eq!(f.available().await, 45, "what is in doubt is paid back with the end of the order");
    let statement = f.market.statement(Actor::System, order.id).await.unwrap();
    assert_eq!((statement.line.quantity, statement.in_doubt, statement.paid.minor()), (60, 40, 60));
    f.assert_balanced().await;
}

#[tokio::test]
async fn nothing_is_admitted_under_a_revoked_grant_but_what_was_delivered_is_still_paid() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 1_000).await;
    let order = f.buy(fixed(100, 1_000)).await;
    let grant = GrantId::of(order.id);
    let lease = f.market.open(grant, "gate", 40).await.unwrap();
    f.done(f.seller, &RevokeGrant { grant }).await;
    assert_eq!(f.available().await, 600); // what is leased stays held until the gate reports
    assert_eq!(f.market.extend(lease.lease, 10.into(), 100).await.unwrap().granted, 40);
    f.market.close(lease.lease, 12.into()).await.unwrap();
    assert_eq!(f.available().await, 880);
    assert_eq!(why(f.market.open(grant, "gate", 1).await.unwrap_err()), LeaseRefusal::NotActive);
    let again = f.refused(f.buyer, &CancelOrder { order: order.id }).await;
    assert!(matches!(again, Refusal::WrongState { what: "grant", state: "revoked" }));
    f.assert_balanced().await;
}

#[tokio::test]
async fn a_lease_needs_a_listed_product_and_an_active_buyer() {
    let f = Fixture::new().await;
    let order = f.buy(Plan::Free { quota: None }).await;
    let grant = GrantId::of(order.id);
    let product = f.product.id;
    f.done(f.seller, &MoveProduct { product, to: ProductState::Paused }).await;
    assert_eq!(why(f.market.open(grant, "gate", 1).await.unwrap_err()), LeaseRefusal::NotActive);
    f.done(f.seller, &MoveProduct { product, to: ProductState::Listed }).await;
    f.done(f.seller, &SuspendUser { user: f.buyer }).await;
    assert_eq!(why(f.market.open(grant, "gate", 1).await.unwrap_err()), LeaseRefusal::NotActive);
    assert_eq!(
        why(f.market.open(GrantId::of(i3_core::id::TypedId::from_bits(9)), "gate", 1).await.unwrap_err()),
        LeaseRefusal::NoSuchLease
    );
}

#[tokio::test]
async fn a_grant_ends_with_its_term_and_what_is_left_is_paid_back() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 1_000).await;
    let offer = f.offer_for(fixed(10, 1_000), Some(60)).await;
    let order = f.done(f.buyer, &i3_core::market::Purchase { offer }).await;
    let grant = GrantId::of(order.id);
    let lease = f.market.open(grant, "gate", 10).await.unwrap();
    f.pass(Duration::from_secs(59));
    assert_eq!(f.market.expire(Actor::System).await.unwrap(), 0);
    f.pass(Duration::from_secs(1));
    assert_eq!(why(f.market.open(grant, "other", 1).await.unwrap_err()), LeaseRefusal::NotActive);
    assert_eq!(f.market.expire(Actor::System).await.unwrap(), 1);
    f.market.close(lease.lease, 3.into()).await.unwrap();
    assert_eq!(f.available().await, 700);
    f.assert_balanced().await;
}

#[tokio::test]
async fn only_what_was_received_can_be_rated_and_a_second_rating_replaces_the_first() {
    let f = Fixture::new().await;
    let order = f.buy(Plan::Free { quota: None }).await;
    let rate = |stars: u8| RateProduct { order: order.id, stars: stars.try_into().unwrap(), comment: None };
    assert!(matches!(f.refused(f.buyer, &rate(5)).await, Refusal::NothingReceived));
    let lease = f.market.open(GrantId::of(order.id), "gate", 1).await.unwrap();
    f.market.close(lease.lease, 1.into()).await.unwrap();
    f.done(f.buyer, &rate(5)).await;
    f.done(f.buyer, &rate(2)).await;
    let score = f.market.score(f.product.id).await.unwrap();
    assert_eq!((score.ratings, score.stars, score.tenths()), (1, 2, Some(20)));
}
