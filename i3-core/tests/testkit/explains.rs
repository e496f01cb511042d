//! What is explained is what is decided, whatever happened before.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
use i3_core::device::Device;
use i3_core::gate::{Directory, LeaseRefusal, Metering, MeteringError};
use i3_core::id::GrantId;
use i3_core::market::{AccessExplanation, Bars, Marketplace, Outcome};
use i3_core::order::Order;
use i3_core::product::Product;
use i3_core::store::{DynStore, Entity, MemoryStore, Scan, StoreExt};
use i3_core::testkit::trace::{Backend, Trace, compare, traces};
use i3_core::testkit::{Harness, Stop};
use i3_core::time::{ManualClock, Timestamp};
use proptest::prelude::*;

/// Keeps the store that a trace was played on.
#[derive(Default)]
struct Kept(Mutex<Option<DynStore>>);

#[async_trait]
impl Harness for Kept {
    async fn open(&self) -> Result<DynStore, Stop> {
        let store: DynStore = Arc::new(MemoryStore::new());
        *self.0.lock().unwrap() = Some(store.clone());
        Ok(store)
    }
}

#[derive(Debug)]
struct AllowAll;

impl Policy for AllowAll {
    fn decide(&self, _: &Subject, _: Action, _: &Resource) -> Decision {
        Decision::allow("the test allows everything")
    }
}

/// How often each answer was seen, so that the test is known to be no empty one.
#[derive(Debug, Default)]
struct Seen {
    codes: std::collections::BTreeMap<&'static str, u64>,
}

impl Seen {
    fn note(&mut self, explained: &AccessExplanation) {
        *self.codes.entry(explained.code).or_default() += 1;
    }
}

async fn everything<E: Entity>(market: &Marketplace) -> Vec<E> {
    market.store().all(Scan::ids(E::collection())).await.unwrap()
}

fn failed(explained: &AccessExplanation, code: &str) -> bool {
    explained.checks.iter().any(|check| check.check == code && check.outcome == Outcome::Failed)
}

async fn agrees(trace: &Trace, later: u64, seen: &mut Seen) -> Result<(), TestCaseError> {
    let kept = Kept::default();
    let backend = Backend { name: "memory", harness: &kept };
    compare(&[backend], trace).await.map_err(|stop| TestCaseError::fail(format!("{stop:?}")))?;
    let store = kept.0.lock().unwrap().take().unwrap();
    let now = Timestamp::from_micros(1_800_000_000_000_000).unwrap().plus(Duration::from_secs(later));
    let market = Marketplace::open(store, Arc::new(AllowAll), &[])
        .await
        .unwrap()
        .with_clock(Arc::new(ManualClock::at(now)));
    let mut topics: Vec<String> =
        everything::<Product>(&market).await.iter().map(|product| product.topic.to_string()).collect();
    topics.extend(["i3/hub-0/nothing", "i3/hub-0/+", "#", ""].map(str::to_owned));

    for device in everything::<Device>(&market).await {
        let rights = market.publish_rights(device.id).await.unwrap();
        for topic in &topics {
            let explained = market.explain_publish(Actor::System, device.id, topic).await.unwrap();
            let right = |right: &i3_core::gate::PublishRight| right.topic.as_str() == topic;
            let allowed = rights.as_ref().is_some_and(|rights| rights.iter().any(right));
            prop_assert_eq!(explained.allowed, allowed, "{:#?}", explained);
            prop_assert_eq!(explained.quota, None);
            consistent(&explained)?;
            seen.note(&explained);
        }
    }
    for order in everything::<Order>(&market).await {
        let view = market.grant(GrantId::of(order.id)).await.unwrap().unwrap();
        for topic in topics.iter().map(Some).chain([None]) {
            let topic = topic.map(String::as_str);
            let explained = market.explain_receive(Actor::System, order.id, topic).await.unwrap();
            let own = topic.is_none_or(|topic| topic == view.topic.as_str());
            prop_assert_eq!(explained.allowed, view.open && own, "{:#?}", explained);
            consistent(&explained)?;
            seen.note(&explained);
        }
        let explained = market.explain_receive(Actor::System, order.id, None).await.unwrap();
        let opened = market.open(GrantId::of(order.id), "probe", 1).await;
        prop_assert_eq!(explained.quota, Some(opened.is_ok()), "{:?} {:#?}", opened, explained);
        match opened {
            Ok(terms) => market.close(terms.lease, 0.into()).await.unwrap(),
            Err(MeteringError::Refused(refusal)) => {
                let named: &[&str] = match refusal {
                    LeaseRefusal::Exhausted => &["grant", "quota"],
                    LeaseRefusal::LeasedElsewhere => &["leased_elsewhere"],
                    LeaseRefusal::InsufficientFunds => &["balance"],
                    _ => &["account", "hub", "product_state", "grant", "expiry"],
                };
                prop_assert!(named.iter().any(|code| failed(&explained, code)), "{refusal}: {explained:#?}");
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
    Ok(())
}

/// The verdicts are those of the checks.
fn consistent(explained: &AccessExplanation) -> Result<(), TestCaseError> {
    let bars = |what| {
        let mut failed = explained.checks.iter().filter(|check| check.outcome == Outcome::Failed);
        failed.any(|check| check.bars.contains(&what))
    };
    prop_assert_eq!(explained.allowed, !bars(Bars::Access));
    prop_assert_eq!(explained.may_log_in, !bars(Bars::Login));
    if let Some(quota) = explained.quota {
        prop_assert_eq!(quota, !bars(Bars::Quota));
    }
    let well = explained.allowed && explained.may_log_in && explained.quota != Some(false);
    prop_assert_eq!(explained.code == "allowed", well);
    prop_assert!(explained.checks.iter().all(|check| !check.detail.is_empty()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_never_disagrees_with_the_decision(trace in traces(60), later in 0_u64..2_000) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(agrees(&trace, later, &mut Seen::default()))?;
    }
}

#[tokio::test]
async fn random_traces_reach_most_explanations() {
    use proptest::strategy::{Strategy as _, ValueTree as _};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = Seen::default();
    for later in 0..200 {
        let trace = traces(60).new_tree(&mut runner).unwrap().current();
        agrees(&trace, later * 8, &mut seen).await.unwrap();
    }
    for code in
        ["allowed", "account", "hub", "device", "product", "product_state", "topic", "grant", "balance"]
    {
        assert!(seen.codes.contains_key(code), "{code} was never the answer: {seen:?}");
    }
}
