//! One key, one effect, one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use i3_core::access::{Actor, Bound, Purpose};
use i3_core::id::{ClientId, TypedId};
use i3_core::market::{
    CancelOrder, Commands, IdempotencyKey, MarketError, Purchase, Refusal, ReplaceOrderPassword, contents,
    replay,
};
use i3_core::offer::Plan;
use i3_core::store::{
    Batch, Cell, CommitError, Key, MemoryStore, Receipt, Store, StoreError, StoreErrorKind,
};

use tokio::sync::Semaphore;

use crate::fixture::{Fixture, fixed, refusal};
use crate::wrapped::{Otherwise, Wrapped};

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_same_request_has_one_effect_and_one_answer() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 1_000).await;
    let buy = Purchase { offer: f.offer(fixed(10, 300)).await };
    let buyer = Actor::User(f.buyer);
    let first = f.market.execute(buyer, Some(&key("k")), &buy).await.unwrap();
    let events = f.market.events(Actor::System, 0, 1_000).await.unwrap().len();
    let again = f.market.execute(buyer, Some(&key("k")), &buy).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(f.available().await, 700);
    assert_eq!(f.market.events(Actor::System, 0, 1_000).await.unwrap().len(), events);
    f.assert_balanced().await;
}

#[tokio::test]
async fn a_key_stands_for_one_request_and_each_actor_has_its_own_keys() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 1_000).await;
    let (cheap, dear) = (f.offer(fixed(10, 300)).await, f.offer(fixed(10, 400)).await);
    let buyer = Actor::User(f.buyer);
    f.market.execute(buyer, Some(&key("k")), &Purchase { offer: cheap }).await.unwrap();
    let other = f.market.execute(buyer, Some(&key("k")), &Purchase { offer: dear }).await.unwrap_err();
    assert_eq!(refusal(other), Refusal::KeyReused);
    let stranger = crate::fixture::user(&f.market, "stranger", i3_core::role::RoleName::CONSUMER).await;
    f.top_up(stranger, 1_000).await;
    f.market.execute(Actor::User(stranger), Some(&key("k")), &Purchase { offer: dear }).await.unwrap();
}

#[tokio::test]
async fn a_program_shares_no_keys_with_its_person_nor_with_another_and_the_audit_log_names_it() {
    let f = Fixture::new().await;
    let order = f.buy(Plan::Free { quota: None }).await.id;
    let buyer = Actor::User(f.buyer);
    let renew = ReplaceOrderPassword { order };
    let scopes = ["api:write".parse().unwrap()];
    let through = |client| f.market.through(client, Bound::of(&scopes), Purpose::Changing);
    let clients = [ClientId::from_bits(1), ClientId::from_bits(2)];
    let mut generations = vec![f.market.execute(buyer, Some(&key("k")), &renew).await.unwrap()];
    for client in clients {
        generations.push(through(client).execute(buyer, Some(&key("k")), &renew).await.unwrap());
        assert_eq!(
            through(client).execute(buyer, Some(&key("k")), &renew).await.ok(),
            generations.last().copied()
        );
    }
    assert_eq!(generations, [1, 2, 3], "each has its own effect, once");
    // Nobody's key can be spelled as another's.
    let spelled = key(&format!("{}:k", clients[0]));
    assert_eq!(f.market.execute(buyer, Some(&spelled), &renew).await.unwrap(), 4);
    let log = f.market.audit_log(Actor::System, 0, 1_000).await.unwrap();
    let of_renewals = log.iter().filter(|one| one.entry.command == "replace_order_password");
    let named: Vec<_> = of_renewals.map(|one| one.entry.client).collect();
    assert_eq!(named, [None, Some(clients[0]), Some(clients[1]), None]);
    // An entry that names a program is carried out again under the program's key.
    let (target, all) = (MemoryStore::new(), contents(&[]).unwrap());
    replay(&*f.store, &target, &all, &Commands::standard(), &()).await.unwrap();
}

#[tokio::test]
async fn a_refused_request_may_be_sent_again_under_its_key() {
    let f = Fixture::new().await;
    let buy = Purchase { offer: f.offer(fixed(10, 300)).await };
    let buyer = Actor::User(f.buyer);
    let poor = f.market.execute(buyer, Some(&key("k")), &buy).await.unwrap_err();
    assert_eq!(refusal(poor), Refusal::InsufficientFunds);
    f.top_up(f.buyer, 300).await;
    f.market.execute(buyer, Some(&key("k")), &buy).await.unwrap();
}

/// Commits, then says that it does not know, every second time; or does not even commit.
#[derive(Debug)]
struct Doubtful {
    inner: MemoryStore,
    commits: AtomicUsize,
    armed: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Otherwise for Doubtful {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        let unknown = || StoreError::new(StoreErrorKind::Unavailable, "the line went dead").outcome_unknown();
        if !self.armed.load(Ordering::SeqCst) {
            return self.inner.commit(batch).await;
        }
        match self.commits.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => Err(unknown().into()),
            1 => {
                self.inner.commit(batch).await?;
                Err(unknown().into())
            }
            _ => self.inner.commit(batch).await,
        }
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_resolved_by_the_key() {
    let store = Arc::new(Wrapped(Doubtful {
        inner: MemoryStore::new(),
        commits: AtomicUsize::new(0),
        armed: std::sync::atomic::AtomicBool::new(false),
    }));
    let f = Fixture::over(store.clone()).await;
    f.top_up(f.buyer, 10_000).await;
    let buy = Purchase { offer: f.offer(fixed(10, 100)).await };
    store.armed.store(true, Ordering::SeqCst);
    for round in 0..20 {
        let key = key(&format!("round-{round}"));
        f.market.execute(Actor::User(f.buyer), Some(&key), &buy).await.unwrap();
        assert_eq!(f.available().await, 10_000 - 100 * (round + 1));
    }
    let blind = f.market.execute(Actor::User(f.buyer), None, &buy).await;
    assert!(matches!(blind, Err(MarketError::Store(_))), "without a key nobody can tell: {blind:?}");
    store.armed.store(false, Ordering::SeqCst);
    f.assert_balanced().await;
}

/// Holds the caller of the read after so many others until it is let go.
#[derive(Debug)]
struct Holding {
    inner: MemoryStore,
    before: AtomicUsize,
    held: Semaphore,
    free: Semaphore,
}

const NEVER: usize = usize::MAX;

#[async_trait]
impl Otherwise for Holding {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        let one_less = |left: usize| (left != NEVER).then(|| left.checked_sub(1).unwrap_or(NEVER));
        if self.before.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) == Ok(0) {
            self.held.add_permits(1);
            self.free.acquire().await.unwrap().forget();
        }
        self.inner.read(keys).await
    }
}

#[tokio::test]
async fn who_reads_while_the_same_request_is_carried_out_gets_its_answer() {
    for reads in 0.. {
        let store = Arc::new(Wrapped(Holding {
            inner: MemoryStore::new(),
            before: AtomicUsize::new(NEVER),
            held: Semaphore::new(0),
            free: Semaphore::new(0),
        }));
        let f = Fixture::over(store.clone()).await;
        f.top_up(f.buyer, 1_000).await;
        let buyer = Actor::User(f.buyer);
        let buy = Purchase { offer: f.offer(fixed(10, 100)).await };
        let order = f.done(f.buyer, &buy).await.id;
        let (key, cancel) = (key("k"), CancelOrder { order });
        store.before.store(reads, Ordering::SeqCst);
        let slow = f.market.execute(buyer, Some(&key), &cancel);
        let quick = async {
            store.held.acquire().await.unwrap().forget();
            f.market.execute(buyer, Some(&key), &cancel).await.unwrap();
            store.free.add_permits(1);
        };
        tokio::pin!(slow, quick);
        tokio::select! {
            () = &mut quick => slow.await.unwrap(),
            done = &mut slow => {
                done.unwrap();
                assert!(reads >= 2, "the command was held at each of its reads");
                return;
            }
        }
    }
}
