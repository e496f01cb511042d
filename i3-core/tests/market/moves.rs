//! Replay, copy, export and import of whole marketplaces.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use i3_core::access::{Actor, HubRole};
use i3_core::gate::Metering;
use i3_core::id::GrantId;
use i3_core::market::{
    Commands, Marketplace, Purchase, Refusal, RegisterUser, Registration, SetMember, Settings, contents,
    replay,
};
use i3_core::offer::Plan;
use i3_core::portable::{Contents, PortError, StoreDigest, copy, digest, export, import, verify};
use i3_core::role::RoleName;
use i3_core::store::{
    Batch, BatchBuilder, CommitError, MemoryStore, Receipt, Scan, Store, StoreError, StoreErrorKind,
};
use proptest::prelude::*;

use crate::fixture::{AllowAll, Fixture, fixed, per_message};
use crate::random_traces::{World, steps};
use crate::wrapped::{Otherwise, Wrapped};

fn all() -> Contents {
    contents(&[]).unwrap()
}

pub(crate) async fn digest_of(store: &dyn Store) -> StoreDigest {
    digest(store, &all(), &()).await.unwrap()
}

async fn replayed(source: &dyn Store) -> MemoryStore {
    let target = MemoryStore::new();
    let report = replay(source, &target, &all(), &Commands::standard(), &()).await.unwrap();
    assert_eq!(report.digest, digest_of(&target).await);
    target
}

async fn exported(source: &dyn Store) -> Vec<u8> {
    let mut lines = Vec::new();
    export(source, &all(), &mut lines, &()).await.unwrap();
    lines
}

/// All lines but the last, which names secrets that an import cannot bring back.
fn without_end(mut lines: Vec<u8>) -> Vec<u8> {
    lines.pop();
    let end = lines.iter().rposition(|byte| *byte == b'\n').unwrap();
    lines.truncate(end);
    lines
}

async fn imported(lines: &[u8]) -> Result<MemoryStore, PortError> {
    let target = MemoryStore::new();
    import(&target, &all(), &mut &lines[..], &()).await?;
    Ok(target)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn replay_copy_and_import_end_with_the_same_digest(trace in prop::collection::vec(steps(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for plan in [fixed(20, 100), per_message(15_000_000, None), Plan::Free { quota: Some(30) }] {
                world.offers.push(world.f.offer(plan).await);
            }
            for step in &trace {
                world.step(step).await?;
            }
            let source = world.f.market.store();
            let wanted = digest_of(source).await;

            let again = replayed(source).await;
            prop_assert_eq!(digest_of(&again).await.logged(), wanted.logged());

            let twin = MemoryStore::new();
            let copied = copy(source, &twin, &all(), &()).await.unwrap();
            prop_assert_eq!(&copied.digest, &wanted);
            prop_assert!(!copied.resumed);

            let lines = exported(source).await;
            let moved = imported(&lines).await.unwrap();
            prop_assert_eq!(digest_of(&moved).await.total(), wanted.without_secrets());
            prop_assert_eq!(without_end(exported(&moved).await), without_end(lines.clone()));
            let text = String::from_utf8(lines).unwrap();
            prop_assert!(!text.contains("argon2id"), "a secret was exported");

            for store in [source, &again, &twin, &moved] {
                let report = verify(store, &all(), &()).await.unwrap();
                prop_assert_eq!(report.faults, vec![]);
            }
            for store in [again, twin, moved] {
                let market = Marketplace::open(Arc::new(store), Arc::new(AllowAll), &[]).await.unwrap();
                let report = market.reconcile(Actor::System).await.unwrap();
                prop_assert_eq!(report.differences, vec![]);
            }
            Ok(())
        })?;
    }
}

type Meddling = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Lets somebody else be faster, once: between a decision and its commit.
#[derive(Clone)]
pub(crate) struct Overtaken {
    inner: MemoryStore,
    meddling: Arc<Mutex<Option<Meddling>>>,
}

impl Overtaken {
    pub(crate) fn over(
        store: &MemoryStore,
        meddling: impl Future<Output = ()> + Send + 'static,
    ) -> Wrapped<Self> {
        Wrapped(Self { inner: store.clone(), meddling: Arc::new(Mutex::new(Some(Box::pin(meddling)))) })
    }
}

impl std::fmt::Debug for Overtaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Overtaken")
    }
}

#[async_trait]
impl Otherwise for Overtaken {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        let meddling = self.meddling.lock().unwrap().take();
        if let Some(meddling) = meddling {
            meddling.await;
        }
        self.inner.commit(batch).await
    }
}

async fn overtaken() -> (Fixture, Wrapped<Overtaken>) {
    let store = Wrapped(Overtaken { inner: MemoryStore::new(), meddling: Arc::default() });
    (Fixture::over(Arc::new(store.clone())).await, store)
}

#[tokio::test]
async fn a_lease_that_saw_an_older_balance_is_replayed_as_it_was() {
    let (f, store) = overtaken().await;
    let order = f.buy(per_message(10_000_000, None)).await;
    f.top_up(f.buyer, 5).await;
    let (market, buyer) = (f.market.clone(), f.buyer);
    *store.meddling.lock().unwrap() = Some(Box::pin(async move {
        let amount = crate::fixture::euros(1_000);
        let reference = String::new();
        let currency = i3_core::money::Currency::EUR;
        let top_up = i3_core::market::TopUp { user: buyer, amount, currency, reference };
        market.execute(Actor::System, None, &top_up).await.unwrap();
    }));
    let lease = f.market.open(GrantId::of(order.id), "gate", 100).await.unwrap();
    assert_eq!(lease.granted, 5, "it was decided before the money came");
    let again = replayed(&store).await;
    assert_eq!(digest_of(&again).await.logged(), digest_of(&store).await.logged());
}

#[tokio::test]
async fn whoever_becomes_a_member_meanwhile_cannot_buy() {
    let (f, store) = overtaken().await;
    let offer = f.offer(Plan::Free { quota: None }).await;
    let (market, seller) = (f.market.clone(), f.seller);
    let set = SetMember { hub: f.hub.id, user: f.buyer, role: HubRole::Viewer };
    *store.meddling.lock().unwrap() = Some(Box::pin(async move {
        market.execute(Actor::User(seller), None, &set).await.unwrap();
    }));
    assert_eq!(f.refused(f.buyer, &Purchase { offer }).await, Refusal::OwnProduct);
    replayed(&store).await;
}

/// Denies the management of users to everybody.
#[derive(Debug)]
pub(crate) struct Visitors;

impl i3_core::access::Policy for Visitors {
    fn decide(
        &self,
        _: &i3_core::access::Subject,
        action: i3_core::access::Action,
        _: &i3_core::access::Resource,
    ) -> i3_core::access::Decision {
        if action == i3_core::access::Action::ManageUsers {
            i3_core::access::Decision::deny("visitors manage nobody")
        } else {
            i3_core::access::Decision::allow("the rest is free")
        }
    }
}

#[tokio::test]
async fn a_replay_gives_the_answers_of_the_policy_and_the_settings_of_then() {
    let store = MemoryStore::new();
    let market = Marketplace::open(Arc::new(store.clone()), Arc::new(Visitors), &[]).await.unwrap();
    let register = |name: &str| RegisterUser {
        name: name.parse().unwrap(),
        display: name.parse().unwrap(),
        email: None,
        roles: [RoleName::CONSUMER].into(),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: None,
    };
    let strict = Settings::default().with_registration(Registration::Approval);
    let early = market.execute(Actor::Anonymous, None, &register("early")).await.unwrap();
    let market = market.with_settings(strict);
    let late = market.execute(Actor::Anonymous, None, &register("late")).await.unwrap();
    assert_ne!(early.state, late.state);
    let log = market.audit_log(Actor::System, 0, 10).await.unwrap();
    assert_eq!(log[0].entry.denied, [1], "the visitor may register, and not manage users");
    let again = replayed(&store).await;
    assert_eq!(digest_of(&again).await, digest_of(&store).await);
}

#[tokio::test]
async fn a_log_that_was_changed_is_not_replayed_to_its_end() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 500).await;
    f.buy(fixed(10, 300)).await;
    // The same log with more money, linked as if it were genuine.
    let forged = MemoryStore::new();
    forged.prepare(all().schema()).await.unwrap();
    let stream = i3_core::audit::stream().unwrap();
    let log = f.market.store().scan(&Scan::entries(stream.clone()).unwrap()).await.unwrap();
    for row in log.rows {
        let i3_core::store::Row::Entry { body, .. } = row else { continue };
        let body =
            i3_core::store::Body::new(body.as_str().replace("\"amount\":500", "\"amount\":100")).unwrap();
        let batch = BatchBuilder::new().append(stream.clone(), body).build().unwrap();
        forged.commit(&batch).await.unwrap();
    }
    let target = MemoryStore::new();
    let stopped = replay(&forged, &target, &all(), &Commands::standard(), &()).await.unwrap_err();
    let PortError::Replay { command, .. } = &stopped else { panic!("{stopped:?}") };
    assert_eq!(command, "purchase", "what was not paid cannot be bought");
    let refused = Marketplace::open(Arc::new(target), Arc::new(AllowAll), &[]).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unfinished);
}

#[tokio::test]
async fn a_replay_that_was_stopped_goes_on_where_it_stopped() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 500).await;
    let target = MemoryStore::new();
    let failing = Failing::after(&target, 5);
    let commands = Commands::standard();
    replay(f.market.store(), &failing, &all(), &commands, &()).await.unwrap_err();
    assert!(!digest_of(&target).await.collections.is_empty());
    let report = replay(f.market.store(), &target, &all(), &commands, &()).await.unwrap();
    assert_eq!(report.digest.logged(), digest_of(f.market.store()).await.logged());
    assert!(report.left_out.contains_key("device_secrets"));
}

/// Fails at every commit after the first ones.
#[derive(Debug)]
pub(crate) struct Failing {
    inner: MemoryStore,
    left: Mutex<usize>,
}

impl Failing {
    pub(crate) fn after(store: &MemoryStore, commits: usize) -> Wrapped<Self> {
        Wrapped(Self { inner: store.clone(), left: Mutex::new(commits) })
    }
}

#[async_trait]
impl Otherwise for Failing {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        {
            let mut left = self.left.lock().unwrap();
            if *left == 0 {
                return Err(StoreError::new(StoreErrorKind::Unavailable, "the disk is full").into());
            }
            *left -= 1;
        }
        self.inner.commit(batch).await
    }
}

#[tokio::test]
async fn no_bytes_of_an_export_can_be_changed_or_left_out_unnoticed() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 500).await;
    f.buy(fixed(10, 300)).await;
    let lines = exported(f.market.store()).await;
    imported(&lines).await.unwrap();
    for end in (0..lines.len()).step_by(97) {
        imported(&lines[..end]).await.unwrap_err();
    }
    let text = String::from_utf8(lines.clone()).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    for left_out in 1..rows.len() {
        let mut rest = rows.clone();
        rest.remove(left_out);
        imported(format!("{}\n", rest.join("\n")).as_bytes()).await.unwrap_err();
        let mut twice = rows.clone();
        twice.insert(left_out, rows[left_out]);
        imported(format!("{}\n", twice.join("\n")).as_bytes()).await.unwrap_err();
    }
    for (from, to) in [
        ("\"units\":-500", "\"units\":-501"),
        ("\"amount\":500", "\"amount\":600"),
        ("\"title\":\"Acme\"", "\"title\":\"Acne\""),
        ("\"command\":\"purchase\"", "\"command\":\"purchasf\""),
    ] {
        assert!(text.contains(from), "{from}");
        imported(text.replacen(from, to, 1).as_bytes()).await.unwrap_err();
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_importer_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), place in 0_usize..5_000) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let f = Fixture::new().await;
            let mut lines = exported(f.market.store()).await;
            let place = place % lines.len();
            let until = (place + bytes.len()).min(lines.len());
            let changed = lines[place..until] != bytes[..];
            lines.splice(place..until, bytes);
            if changed {
                prop_assert!(imported(&lines).await.is_err());
            }
            Ok(())
        })?;
    }
}
