//! What people read when they ask why.

use std::time::Duration;

use i3_core::access::Actor;
use i3_core::device::DeviceState;
use i3_core::gate::{LeaseReport, Metering};
use i3_core::id::{DeviceId, GrantId, OrderId, TypedId};
use i3_core::market::{
    AccessExplanation, CreateProduct, MoveProduct, Outcome, RegisterHub, RevokeGrant, SetDeviceState,
};
use i3_core::offer::Plan;
use i3_core::order::Order;
use i3_core::product::ProductState;
use i3_core::store::{Entity, Scan, StoreExt};
use i3_core::usage::Missed;
use proptest::prelude::*;

use crate::fixture::{Fixture, fixed, per_message};
use crate::random_traces::{World, steps};

const OWN: &str = "i3/acme/air";

async fn publish(f: &Fixture, topic: &str) -> AccessExplanation {
    f.market.explain_publish(Actor::User(f.seller), f.device.id, topic).await.unwrap()
}

async fn receive(f: &Fixture, order: &Order) -> AccessExplanation {
    f.market.explain_receive(Actor::User(f.buyer), order.id, None).await.unwrap()
}

fn said<'a>(explained: &'a AccessExplanation, code: &str) -> &'a str {
    let of = |check: &&i3_core::market::Check| check.check == code;
    &explained.checks.iter().find(of).unwrap().detail
}

#[tokio::test]
async fn a_device_is_told_the_first_thing_that_is_in_its_way() {
    let f = Fixture::new().await;
    let explained = publish(&f, OWN).await;
    assert!(explained.allowed && explained.may_log_in && explained.code == "allowed");
    for (topic, code) in [("i3/acme/water", "product"), ("i3/acme/#", "topic"), ("i3/acme/air/", "topic")] {
        let explained = publish(&f, topic).await;
        assert!(!explained.allowed && explained.may_log_in, "a wrong topic does not keep it from connecting");
        assert_eq!(explained.code, code);
    }
    f.done(f.seller, &MoveProduct { product: f.product.id, to: ProductState::Paused }).await;
    assert_eq!(publish(&f, OWN).await.code, "product_state");
    assert_eq!(said(&publish(&f, OWN).await, "product_state"), "the product `air` is paused");
    f.done(f.seller, &SetDeviceState { device: f.device.id, state: DeviceState::Disabled }).await;
    let explained = publish(&f, OWN).await;
    assert!(!explained.may_log_in && explained.code == "device");
}

#[tokio::test]
async fn nobody_learns_of_another_hubs_drafts() {
    let f = Fixture::new().await;
    let hub = RegisterHub { slug: "rival".parse().unwrap(), title: "Rival".parse().unwrap() };
    let hub = f.done(f.seller, &hub).await;
    let device = i3_core::market::RegisterDevice {
        hub: hub.id,
        name: "roof".parse().unwrap(),
        title: "Roof".parse().unwrap(),
        credential: i3_core::market::NewCredential::Password {
            hash: i3_core::secret::SecretHash::new("hash"),
        },
    };
    let device = f.done(f.seller, &device).await;
    let draft = CreateProduct {
        hub: hub.id,
        slug: "secret".parse().unwrap(),
        title: "Secret".parse().unwrap(),
        description: "".parse().unwrap(),
        tags: Vec::new(),
        devices: vec![device.id],
        stream: i3_core::stream::StreamDescription::default(),
    };
    f.done(f.seller, &draft).await;
    let there = publish(&f, "i3/rival/secret").await;
    let absent = publish(&f, "i3/rival/nothing").await;
    assert_eq!((there.code, said(&there, "product")), (absent.code, said(&absent, "product")));
}

#[tokio::test]
async fn a_buyer_is_told_of_quota_money_leases_and_time() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 100).await;
    let order = f.buy(fixed(10, 60)).await;
    let grant = GrantId::of(order.id);
    let explained = receive(&f, &order).await;
    assert!(explained.allowed && explained.quota == Some(true) && explained.code == "allowed");
    let other = f.market.explain_receive(Actor::System, order.id, Some("i3/acme/water")).await.unwrap();
    assert_eq!((other.allowed, other.quota, other.code), (false, Some(true), "topic"));

    let lease = f.market.open(grant, "gate-7", 10).await.unwrap();
    let explained = receive(&f, &order).await;
    assert_eq!((explained.allowed, explained.quota, explained.code), (true, Some(false), "leased_elsewhere"));
    assert!(said(&explained, "leased_elsewhere").contains("gate-7"));
    f.market.close(lease.lease, 10.into()).await.unwrap();
    let explained = receive(&f, &order).await;
    assert_eq!((explained.allowed, explained.may_log_in, explained.code), (false, false, "grant"));
    assert!(said(&explained, "grant").contains("used up"));

    let dear = f.buy(per_message(50_000_000_000, None)).await;
    assert_eq!(receive(&f, &dear).await.code, "balance");

    let offer = f.offer_for(Plan::Free { quota: None }, Some(60)).await;
    let short = f.done(f.buyer, &i3_core::market::Purchase { offer }).await;
    assert_eq!(receive(&f, &short).await.code, "allowed");
    f.pass(Duration::from_mins(1));
    let explained = receive(&f, &short).await;
    assert_eq!((explained.code, explained.may_log_in), ("expiry", false));
    f.done(f.seller, &RevokeGrant { grant: GrantId::of(short.id) }).await;
    assert_eq!(receive(&f, &short).await.code, "grant");
}

#[tokio::test]
async fn leases_of_an_older_epoch_are_noted() {
    let f = Fixture::new().await;
    let order = f.buy(Plan::Free { quota: None }).await;
    f.market.open(GrantId::of(order.id), "gate", 5).await.unwrap();
    assert!(said(&receive(&f, &order).await, "epoch").contains("no open lease is of an older one"));
    f.done(f.seller, &RevokeGrant { grant: GrantId::of(order.id) }).await;
    let explained = receive(&f, &order).await;
    let epoch = explained.checks.iter().find(|check| check.check == "epoch").unwrap();
    assert_eq!(epoch.outcome, Outcome::Noted);
    assert!(epoch.detail.contains("1 open leases of an older one admit nothing more"));
}

#[tokio::test]
async fn what_is_unknown_cannot_be_explained() {
    let f = Fixture::new().await;
    let device = f.market.explain_publish(Actor::System, DeviceId::from_bits(9), OWN).await;
    assert_eq!(device.unwrap_err().code(), "not_found");
    let order = f.market.explain_receive(Actor::System, OrderId::from_bits(9), None).await;
    assert_eq!(order.unwrap_err().code(), "not_found");
    let order = f.market.explain_charge(Actor::System, OrderId::from_bits(9), 100).await;
    assert_eq!(order.unwrap_err().code(), "not_found");
}

#[tokio::test]
async fn every_message_is_accounted_for() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 1_000).await;
    let order = f.buy(fixed(20, 100)).await;
    let grant = GrantId::of(order.id);
    let first = f.market.open(grant, "one", 6).await.unwrap();
    f.market.close(first.lease, 4.into()).await.unwrap();
    let second = f.market.open(grant, "two", 5).await.unwrap();
    let missed = Missed { slow: 6, too_large: 2, ..Missed::default() };
    f.market.extend(second.lease, LeaseReport { delivered: 3, missed }, 5).await.unwrap();
    f.market.reclaim(Actor::System, "two").await.unwrap();
    f.market.open(grant, "three", 1).await.unwrap();
    let explained = f.market.explain_charge(Actor::User(f.buyer), order.id, 100).await.unwrap();
    let counted: Vec<_> = explained.findings.iter().map(|finding| (finding.code, finding.messages)).collect();
    let expected = [
        ("charged", Some(7)),
        ("open", Some(1)),
        ("given_back", Some(2)),
        ("in_doubt", Some(2)),
        ("left", Some(10)),
        ("redelivered", None),
        ("missed", Some(8)),
    ];
    assert_eq!(counted, expected);
    assert_eq!((explained.due.minor(), explained.balances, explained.complete), (35, true, true));
    let rests: Vec<_> = explained.leases.iter().map(|lease| (lease.rest, lease.rest_messages)).collect();
    assert_eq!(rests, [("given_back", 2), ("in_doubt", 2), ("open", 1)]);
    let cut = f.market.explain_charge(Actor::User(f.buyer), order.id, 1).await.unwrap();
    assert!(cut.complete, "one page is read in any case");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn charges_are_explained_to_the_last_message_and_cent(trace in prop::collection::vec(steps(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for plan in [fixed(20, 100), per_message(15_000_000, None), Plan::Free { quota: Some(30) }] {
                world.offers.push(world.f.offer(plan).await);
            }
            for step in &trace {
                world.step(step).await?;
            }
            let market = &world.f.market;
            let orders: Vec<Order> = market.store().all(Scan::ids(Order::collection())).await.unwrap();
            for order in orders {
                let explained = market.explain_charge(Actor::System, order.id, 100_000).await.unwrap();
                prop_assert!(explained.complete && explained.balances, "{explained:#?}");
                let usage = &explained.usage;
                let delivered: u64 = explained.leases.iter().map(|lease| lease.delivered).sum();
                prop_assert_eq!(delivered, usage.delivered);
                for (rest, count) in
                    [("open", usage.open), ("given_back", usage.undelivered), ("in_doubt", usage.in_doubt)]
                {
                    let of = explained.leases.iter().filter(|lease| lease.rest == rest);
                    prop_assert_eq!(of.map(|lease| lease.rest_messages).sum::<u64>(), count, "{}", rest);
                    let found = explained.findings.iter().find(|finding| finding.code == rest);
                    prop_assert_eq!(found.and_then(|finding| finding.messages).unwrap_or(0), count);
                }
            }
            Ok(())
        })?;
    }
}
