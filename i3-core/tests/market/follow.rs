//! Two processes over one store learn of each other's changes of access.

use std::sync::Arc;

use i3_core::access::Actor;
use i3_core::gate::AccessChange;
use i3_core::id::GrantId;
use i3_core::market::{IdempotencyKey, Marketplace, ReplaceOrderPassword, RevokeGrant};
use i3_core::offer::Plan;
use i3_core::store::MemoryStore;

use crate::fixture::{AllowAll, Fixture, Recorder};

/// The same store, as another process sees it.
async fn other(store: &MemoryStore) -> (Marketplace, Arc<Recorder>) {
    let market = Marketplace::open(Arc::new(store.clone()), Arc::new(AllowAll), &[]).await.unwrap();
    let recorder = Arc::new(Recorder::default());
    market.listen(recorder.clone());
    (market, recorder)
}

#[tokio::test]
async fn a_revocation_made_by_one_process_is_announced_in_the_other_once() {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let earlier = f.buy(Plan::Free { quota: None }).await;
    f.done(f.seller, &RevokeGrant { grant: GrantId::of(earlier.id) }).await;
    let order = f.buy(Plan::Free { quota: None }).await;

    let (market, recorder) = other(&store).await;
    let mut follower = market.follow().await.unwrap();
    assert_eq!(follower.catch_up().await.unwrap(), 0, "what was before is in the store");
    let grant = GrantId::of(order.id);
    f.done(f.seller, &RevokeGrant { grant }).await;
    assert_eq!(follower.catch_up().await.unwrap(), 1);
    assert_eq!(follower.catch_up().await.unwrap(), 0);
    assert_eq!(recorder.told(), [AccessChange::Grant(grant)]);
}

#[tokio::test]
async fn own_changes_are_announced_by_their_commands_alone_and_others_still_told() {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let order = f.buy(Plan::Free { quota: None }).await;
    let (market, recorder) = other(&store).await;
    let mut follower = market.follow().await.unwrap();

    let replace = ReplaceOrderPassword { order: order.id };
    let key: IdempotencyKey = "replace".parse().unwrap();
    market.execute(Actor::User(f.buyer), Some(&key), &replace).await.unwrap();
    assert_eq!(recorder.told().len(), 1);
    assert_eq!(follower.catch_up().await.unwrap(), 0, "a client with the new password is left alone");

    // The answer under the key is announced again here, and by nobody else.
    market.execute(Actor::User(f.buyer), Some(&key), &replace).await.unwrap();
    assert_eq!(recorder.told().len(), 1);
    f.done(f.buyer, &replace).await;
    assert_eq!(
        follower.catch_up().await.unwrap(),
        1,
        "the other process's change is not taken for an own one"
    );
    assert_eq!(recorder.told().len(), 1);
}

#[tokio::test]
async fn a_follower_reads_on_over_any_number_of_events() {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let (market, recorder) = other(&store).await;
    let mut follower = market.follow().await.unwrap();
    let order = f.buy(Plan::Free { quota: None }).await;
    for _ in 0..1_500 {
        f.top_up(f.buyer, 1).await;
    }
    f.done(f.seller, &RevokeGrant { grant: GrantId::of(order.id) }).await;
    assert_eq!(follower.catch_up().await.unwrap(), 1);
    assert_eq!(recorder.told(), [AccessChange::Grant(GrantId::of(order.id))]);
}
