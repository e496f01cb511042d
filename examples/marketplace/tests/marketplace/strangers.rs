//! Every operation with somebody else's id in its path: nothing changes, and nothing is told that not everybody is told.
//! The statuses are in `docs/access.md`.

use i3_core::market::contents;
use i3_core::portable::{StoreDigest, digest};
use i3_marketplace::{StoreUrl, operations};

use crate::everything::{Caller, Everything};

/// What it takes an account, or a role, to see, and no tie to whose it is.
const FOR_ACCOUNTS: [&str; 2] = ["show_role", "show_sample"];

impl Everything {
    /// What is stored that a command writes.
    async fn stored(&self) -> StoreDigest {
        let contents = contents(&[]).unwrap();
        let mut stored = digest(self.assembly().market().store(), &contents, &()).await.unwrap();
        stored.collections.retain(|collection| collection.logged);
        stored
    }
}

#[tokio::test]
async fn a_stranger_changes_nothing_of_others_and_is_told_what_everybody_is_told() {
    let world = Everything::open(StoreUrl::Memory).await.with_programs().await;
    let before = world.stored().await;
    let mut asked = 0;
    for operation in operations().into_iter().filter(|operation| operation.path.contains('{')) {
        let id = operation.id;
        let party = world.sample(&operation).party;
        let strangers = [Caller::Consumer, Caller::Provider, Caller::Buyer, Caller::Seller];
        for caller in strangers.into_iter().filter(|caller| *caller != party && party != Caller::Anonymous) {
            // What was bought ties a buyer and a seller to one another.
            let is_tied = matches!(party, Caller::Buyer | Caller::Seller)
                && matches!(caller, Caller::Buyer | Caller::Seller);
            if is_tied && operation.method.is_safe() {
                continue;
            }
            let reply = world.request(&operation, caller).send_raw().await;
            if !operation.method.is_safe() || !(200..300).contains(&reply.status) {
                assert!(matches!(reply.status, 403 | 404), "{id} by {caller:?}: {reply:?}");
            } else {
                assert!(FOR_ACCOUNTS.contains(&id), "{id} by {caller:?}: {reply:?}");
            }
            asked += 1;
        }
        if party == Caller::Anonymous && operation.method.is_safe() {
            let public = world.request(&operation, Caller::Anonymous).send_raw().await.text;
            for caller in [Caller::Consumer, Caller::Provider] {
                assert_eq!(
                    world.request(&operation, caller).send_raw().await.text,
                    public,
                    "{id} by {caller:?}"
                );
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "{asked} requests");
    assert_eq!(world.stored().await, before);
}
