//! Sequence numbers, stream quality and samples, over a store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use i3_core::access::{Action, Actor, Decision, HubRole, Policy, Resource, Subject};
use i3_core::gate::{AccessChange, Directory, Streams, StreamsError};
use i3_core::id::{ProductId, TypedId};
use i3_core::market::{
    AmendStream, Commands, CreateProduct, DescribeStream, MarketError, Marketplace, MoveProduct, Refusal,
    RefusalKind, contents, replay,
};
use i3_core::product::ProductState;
use i3_core::quality::Quality;
use i3_core::role::RoleName;
use i3_core::store::{Applied, MemoryStore};
use i3_core::stream::{Sample, SampleTerms, SchemaCheck, SequenceBlock, StreamDescription, StreamReport};
use i3_core::testkit::faults::{Call, FailsAs, Fault, FaultyStore, Plan};

use serde_json::{Value as Json, json};

use crate::fixture::{AllowAll, Fixture, Recorder, refusal, user};

/// Tells members of a hub from others, and lets everybody buy but strangers.
#[derive(Debug)]
pub(crate) struct MembersOnly;

impl Policy for MembersOnly {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        let allowed = match action {
            Action::ViewHub => subject.actor == Actor::System || resource.hub_role >= Some(HubRole::Viewer),
            Action::Purchase => subject.active,
            _ => true,
        };
        if allowed { Decision::allow("so the test says") } else { Decision::deny("so the test says") }
    }
}

async fn strict(f: &Fixture, store: &MemoryStore) -> Marketplace {
    let market = Marketplace::open(Arc::new(store.clone()), Arc::new(MembersOnly), &[]).await.unwrap();
    market.with_clock(f.clock.clone())
}

fn sampled(last: u8, redact: &[&str], per_person_per_day: u16) -> StreamDescription {
    let redact = redact.iter().map(ToString::to_string).collect();
    StreamDescription { schema: None, sample: Some(SampleTerms { last, redact, per_person_per_day }) }
}

fn report(
    f: &Fixture,
    numbers: std::ops::Range<u64>,
    terms: &StreamDescription,
    revision: u32,
) -> StreamReport {
    let (now, payload) = (f.clock_now(), br#"{"t": 1, "who": "x"}"#);
    let mut quality = Quality::default();
    quality.observe(now, None, numbers.start, numbers.clone().map(|_| payload.len()));
    let samples = numbers.map(|sequence| Sample {
        sequence,
        at: now,
        bytes: 20,
        content: terms.sample.as_ref().unwrap().show(payload),
    });
    StreamReport { quality, samples: samples.collect(), revision }
}

#[tokio::test]
async fn gates_take_disjoint_rising_numbers_and_a_restart_goes_on_above_them() {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let product = f.product.id;
    let mut all = BTreeSet::new();
    let mut highest = 0;
    for round in 0..20_u64 {
        // A process that begins anew knows nothing but the store.
        let market = Marketplace::open(Arc::new(store.clone()), Arc::new(AllowAll), &[]).await.unwrap();
        let holder = if round % 3 == 0 { "gate-1" } else { "gate-2" };
        let block = market.reserve(product, holder, 1 + round).await.unwrap();
        assert_eq!((block.count(), block.first), (1 + round, highest + 1));
        all.extend(block.first..block.end);
        highest = block.end - 1;
    }
    assert_eq!(all.len(), 210);
    assert_eq!(f.market.reserve(product, "gate-1", u64::MAX).await.unwrap().count(), 1 << 20);
    let nobody = f.market.reserve(ProductId::from_bits(1), "gate-1", 1).await;
    assert!(matches!(nobody, Err(StreamsError::NoSuchProduct)));
}

#[tokio::test]
async fn an_orderly_end_leaves_no_gap_and_a_crash_skips_the_block() {
    let f = Fixture::new().await;
    let product = f.product.id;
    let block = f.market.reserve(product, "gate", 64).await.unwrap();
    assert_eq!(block.first, 1);
    for _ in 0..2 {
        f.market.release(product, "gate", SequenceBlock { first: 6, ..block }).await.unwrap();
    }
    // This one dies.
    assert_eq!(f.market.reserve(product, "gate", 64).await.unwrap().first, 6);
    assert_eq!(f.market.reserve(product, "gate", 64).await.unwrap().first, 70);
}

#[tokio::test]
async fn many_gates_at_once_never_get_one_number_twice() {
    let f = Fixture::new().await;
    let mut tasks = Vec::new();
    for gate in 0..8_u64 {
        let (market, product) = (f.market.clone(), f.product.id);
        tasks.push(tokio::spawn(async move {
            let (holder, mut used) = (format!("gate-{gate}"), Vec::new());
            for round in 0..20 {
                let block = market.reserve(product, &holder, 7).await.unwrap();
                let some = block.first + (gate + round) % 7;
                used.extend(block.first..some);
                market.release(product, &holder, SequenceBlock { first: some, ..block }).await.unwrap();
            }
            used
        }));
    }
    let mut seen = BTreeSet::new();
    for task in tasks {
        for number in task.await.unwrap() {
            assert!(seen.insert(number), "{number} twice");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_skips_a_block_and_never_repeats_it() {
    let memory = MemoryStore::new();
    let f = Fixture::over(Arc::new(memory.clone())).await;
    let store = Arc::new(FaultyStore::new(Arc::new(memory)));
    let market = Marketplace::open(store.clone(), Arc::new(AllowAll), &[]).await.unwrap();
    let product = f.product.id;
    for (fault, next) in
        [(Fault::Fails(FailsAs::Unavailable), 1), (Fault::LostBefore, 1), (Fault::LostAfter, 11)]
    {
        store.arm(Plan::at(1, fault).of(Call::Commit));
        let Err(StreamsError::Store(error)) = market.reserve(product, "gate", 10).await else {
            panic!("no fault")
        };
        assert_eq!(error.applied() == Applied::Unknown, fault != Fault::Fails(FailsAs::Unavailable));
        store.disarm();
        let block = market.reserve(product, "gate", 10).await.unwrap();
        assert_eq!(block.first, next);
        market.release(product, "gate", block).await.unwrap();
    }
    store.arm(Plan::at(1, Fault::Overtaken).of(Call::Commit));
    assert_eq!(
        market.reserve(product, "gate", 10).await.unwrap().first,
        11,
        "what was overtaken is decided again"
    );
}

#[tokio::test]
async fn what_gates_measure_adds_up_and_is_seen_by_anybody_who_sees_the_product() {
    let f = Fixture::new().await;
    let terms = sampled(3, &[], 1);
    f.market.report(f.product.id, report(&f, 1..11, &terms, 0)).await.unwrap();
    f.pass(Duration::from_mins(1));
    f.market.report(f.product.id, report(&f, 65..70, &terms, 0)).await.unwrap();
    f.market.report(f.product.id, StreamReport::default()).await.unwrap();
    f.pass(Duration::from_secs(5));
    let quality = f.market.quality(Actor::Anonymous, f.product.id).await.unwrap();
    assert_eq!((quality.messages, quality.bytes, quality.missing), (15, 300, 54));
    assert_eq!((quality.freshness_ms, quality.messages_per_hour), (Some(5_000), 15 * 3_600 / 65));
    let nobody = f.market.report(ProductId::from_bits(1), report(&f, 1..2, &terms, 0)).await;
    assert!(matches!(nobody, Err(StreamsError::NoSuchProduct)));
}

#[tokio::test]
async fn a_person_sees_the_last_redacted_messages_so_often_a_day_and_pays_nothing() {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let market = strict(&f, &store).await;
    let (buyer, product) = (Actor::User(f.buyer), f.product.id);
    let none = refusal(market.sample(buyer, product).await.unwrap_err());
    assert_eq!(none, Refusal::NotFound { what: "sample" });
    let stream = sampled(2, &["/who"], 2);
    let terms = f.done(f.seller, &DescribeStream { product, stream: stream.clone() }).await;
    assert_eq!(
        market.sample(buyer, product).await.unwrap().looks_left,
        None,
        "there is nothing to count yet"
    );
    f.market.report(product, report(&f, 1..6, &stream, terms.revision)).await.unwrap();

    let before = f.market.events(Actor::System, 0, 1_000).await.unwrap().len();
    let seen = market.sample(buyer, product).await.unwrap();
    assert_eq!(seen.samples.iter().map(|sample| sample.sequence).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(
        serde_json::to_value(&seen.samples[0].content).unwrap(),
        serde_json::json!({"json": {"t": 1}})
    );
    assert_eq!(market.sample(buyer, product).await.unwrap().looks_left, Some(0));
    let refused = refusal(market.sample(buyer, product).await.unwrap_err());
    assert_eq!((refused.code(), refused.kind()), ("samples_used_up", RefusalKind::TooOften));
    let other = user(&f.market, "other", RoleName::CONSUMER).await;
    assert!(market.sample(Actor::User(other), product).await.is_ok(), "each person has a count of their own");
    f.pass(Duration::from_hours(24));
    assert_eq!(market.sample(buyer, product).await.unwrap().looks_left, Some(1));
    f.assert_balanced().await;
    let after = f.market.events(Actor::System, 0, 1_000).await.unwrap().len();
    assert_eq!(
        after,
        before + 1,
        "of a look nothing is metered, billed or told; the one event is of the other user"
    );
}

#[tokio::test]
async fn only_people_who_may_buy_and_the_hub_see_a_sample_and_only_of_what_is_listed() {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let market = strict(&f, &store).await;
    let (product, stream) = (f.product.id, sampled(2, &["/who"], 1));
    let terms = f.done(f.seller, &DescribeStream { product, stream: stream.clone() }).await;
    f.market.report(product, report(&f, 1..3, &stream, terms.revision)).await.unwrap();
    let stranger = refusal(market.sample(Actor::Anonymous, product).await.unwrap_err());
    assert!(matches!(stranger, Refusal::Forbidden { action: Action::Purchase, .. }));
    f.done(f.seller, &MoveProduct { product, to: ProductState::Paused }).await;
    let paused = refusal(market.sample(Actor::User(f.buyer), product).await.unwrap_err());
    assert_eq!(paused, Refusal::WrongState { what: "product", state: "paused" });
    for _ in 0..3 {
        assert_eq!(market.sample(Actor::User(f.seller), product).await.unwrap().samples.len(), 2);
    }
}

#[tokio::test]
async fn what_was_shown_under_old_terms_is_gone_at_once_and_late_reports_bring_nothing_back() {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let market = strict(&f, &store).await;
    let (buyer, product) = (Actor::User(f.buyer), f.product.id);
    let open = sampled(2, &[], 9);
    let first = f.done(f.seller, &DescribeStream { product, stream: open.clone() }).await;
    f.market.report(product, report(&f, 1..3, &open, first.revision)).await.unwrap();
    assert_eq!(market.sample(buyer, product).await.unwrap().samples.len(), 2);

    let recorder = Arc::new(Recorder::default());
    f.market.listen(recorder.clone());
    let second = f.done(f.seller, &DescribeStream { product, stream: sampled(2, &["/who"], 9) }).await;
    assert_eq!(second.revision, first.revision + 1);
    assert_eq!(recorder.told(), [AccessChange::Product(product)], "gates read their rights again");
    let rights = f.market.publish_rights(f.device.id).await.unwrap().unwrap();
    assert_eq!(rights[0].terms.as_deref(), Some(&second));
    assert!(market.sample(buyer, product).await.unwrap().samples.is_empty());
    f.market.report(product, report(&f, 3..5, &open, first.revision)).await.unwrap();
    assert!(
        market.sample(buyer, product).await.unwrap().samples.is_empty(),
        "they were redacted by other terms"
    );
    assert_eq!(market.quality(buyer, product).await.unwrap().messages, 4, "but they were measured");
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_keeps_what_it_does_not() {
    let f = Fixture::new().await;
    let product = f.product.id;
    let amend = |patch: Json| AmendStream { product, patch: patch.as_object().unwrap().clone() };
    // Nothing was said, and nothing is.
    let nothing = f.done(f.seller, &amend(json!({"schema": null}))).await;
    assert_eq!((nothing.revision, nothing.description.is_empty()), (0, true));
    assert_eq!(f.market.stream_terms(Actor::Anonymous, product).await.unwrap(), None);

    let schema = json!({"type": "object", "required": ["celsius"]});
    let first = f.done(f.seller, &amend(json!({"schema": schema}))).await;
    assert_eq!((first.revision, first.description.schema.as_deref()), (1, Some(&*schema.to_string())));
    let sample = json!({"last": 3, "redact": ["/who"], "per_person_per_day": 2});
    let second = f.done(f.seller, &amend(json!({"sample": sample}))).await;
    assert_eq!((second.revision, &second.description.schema), (2, &first.description.schema));
    let patch = json!({"schema": {"required": null, "title": "Air"}, "sample": {"last": 1, "redact": null}});
    let third = f.done(f.seller, &amend(patch.clone())).await;
    let schema = json!({"type": "object", "title": "Air"}).to_string();
    let expected = StreamDescription { schema: Some(schema), ..sampled(1, &[], 2) };
    assert_eq!((third.revision, &third.description), (3, &expected));

    let recorder = Arc::new(Recorder::default());
    f.market.listen(recorder.clone());
    assert_eq!(f.done(f.seller, &amend(patch)).await, third, "it says so already");
    assert!(recorder.told().is_empty());
    let last = f.done(f.seller, &amend(json!({"schema": null, "sample": null}))).await;
    assert_eq!((last.revision, last.description.is_empty()), (4, true));
    assert_eq!(recorder.told(), [AccessChange::Product(product)]);

    for (patch, of) in [
        (json!({"wings": 2}), "stream"),
        // What a sample needs is not said.
        (json!({"sample": {"last": 2}}), "stream"),
        (json!({"sample": {"last": 2, "per_person_per_day": 0}}), "sample"),
        (json!({"schema": {"$ref": "#/nowhere"}}), "schema"),
        (json!({"schema": 3}), "schema"),
    ] {
        let refused = f.refused(f.seller, &amend(patch)).await;
        assert!(matches!(&refused, Refusal::Invalid { field, .. } if *field == of), "{refused}");
    }
    assert_eq!(f.market.stream_terms(Actor::Anonymous, product).await.unwrap(), Some(last));
}

#[derive(Debug)]
struct NoStrings;

impl SchemaCheck for NoStrings {
    fn check(&self, schema: &str) -> Result<(), String> {
        if schema.contains("string") { Err("no strings, please".to_owned()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn terms_are_checked_where_they_are_set_and_a_replay_needs_no_validator() {
    let store = MemoryStore::new();
    let mut f = Fixture::over(Arc::new(store.clone())).await;
    f.market = f.market.clone().with_schema_check(Arc::new(NoStrings));
    let product = f.product.id;
    let schema = |text: &str| StreamDescription { schema: Some(text.to_owned()), sample: None };
    for (stream, field) in [
        (schema("{"), "schema"),
        (schema(r##"{"$ref": "#"}"##), "schema"),
        (schema(r#"{"type": "string"}"#), "schema"),
        (sampled(0, &[], 1), "sample"),
        (sampled(1, &["who"], 1), "sample"),
    ] {
        let refused = f.refused(f.seller, &DescribeStream { product, stream: stream.clone() }).await;
        assert!(matches!(&refused, Refusal::Invalid { field: of, .. } if *of == field), "{refused}");
        let create = CreateProduct {
            hub: f.hub.id,
            slug: "second".parse().unwrap(),
            title: "Second".parse().unwrap(),
            description: "".parse().unwrap(),
            tags: Vec::new(),
            devices: vec![f.device.id],
            stream,
        };
        assert_eq!(f.refused(f.seller, &create).await, refused);
    }
    let stream = StreamDescription { schema: Some("{}".to_owned()), ..sampled(3, &["/a"], 1) };
    let terms = f.done(f.seller, &DescribeStream { product, stream: stream.clone() }).await;
    assert_eq!((terms.revision, &terms.description), (1, &stream));
    assert_eq!(f.market.stream_terms(Actor::Anonymous, product).await.unwrap(), Some(terms));

    let target = MemoryStore::new();
    let all = contents(&[]).unwrap();
    f.market.reserve(product, "gate", 9).await.unwrap();
    let done = replay(&store, &target, &all, &Commands::standard(), &()).await.unwrap();
    assert_eq!(done.left_out.keys().collect::<Vec<_>>(), ["device_secrets", "streams"]);
}

#[tokio::test]
async fn who_may_not_manage_a_product_says_nothing_of_its_stream() {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let market = Marketplace::open(Arc::new(store), Arc::new(crate::fixture::DenyAll), &[]).await.unwrap();
    let describe = DescribeStream { product: f.product.id, stream: sampled(1, &[], 1) };
    let denied = market.execute(Actor::User(f.buyer), None, &describe).await;
    assert!(matches!(denied, Err(MarketError::Refused(Refusal::Forbidden { .. }))));
    let nowhere = DescribeStream { product: ProductId::from_bits(1), ..describe };
    assert_eq!(f.refused(f.seller, &nowhere).await, Refusal::NotFound { what: "product" });
}
