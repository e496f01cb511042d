//! Copies that are stopped, gone on with, or disturbed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use i3_core::access::{Actor, HubRole};
use i3_core::market::{Marketplace, Purchase, RemoveMember, SetMember, contents};
use i3_core::offer::Plan;
use i3_core::portable::{Contents, PortError, copy, digest, export, verify};
use i3_core::store::{By, Collection, Key, Kind, MemoryStore, Page, Scan, Store, StoreError, StoreErrorKind};

use crate::fixture::{AllowAll, Fixture};
use crate::moves::{Failing, Overtaken, digest_of};
use crate::wrapped::{Otherwise, Wrapped};

fn all() -> Contents {
    contents(&[]).unwrap()
}

/// A marketplace with enough orders for several batches.
async fn busy() -> (Fixture, MemoryStore) {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let offer = f.offer(Plan::Free { quota: None }).await;
    for _ in 0..500 {
        f.done(f.buyer, &Purchase { offer }).await;
    }
    f.done(f.seller, &SetMember { hub: f.hub.id, user: f.buyer, role: HubRole::Viewer }).await;
    (f, store)
}

async fn refused(store: &MemoryStore) -> bool {
    let opened = Marketplace::open(Arc::new(store.clone()), Arc::new(AllowAll), &[]).await;
    opened.is_err_and(|error| error.kind() == StoreErrorKind::Unfinished)
}

#[tokio::test]
async fn a_copy_that_fails_at_any_commit_is_finished_by_the_next() {
    let (_, source) = busy().await;
    let wanted = digest_of(&source).await;
    let mut stopped = 0;
    loop {
        let target = MemoryStore::new();
        if copy(&source, &Failing::after(&target, stopped), &all(), &()).await.is_ok() {
            break;
        }
        assert_eq!(refused(&target).await, stopped > 0, "after {stopped} commits");
        let copied = copy(&source, &target, &all(), &()).await.unwrap();
        assert_eq!((copied.digest, copied.resumed), (wanted.clone(), stopped > 0));
        assert!(!refused(&target).await);
        stopped += 1;
    }
    assert!(stopped > 4, "only {stopped} commits");
}

#[tokio::test]
async fn a_copy_goes_on_after_the_source_has_changed() {
    let (f, source) = busy().await;
    let target = almost(&source).await;
    f.done(f.seller, &RemoveMember { hub: f.hub.id, user: f.buyer }).await;
    f.top_up(f.buyer, 77).await;
    let copied = copy(&source, &target, &all(), &()).await.unwrap();
    assert_eq!(copied.digest, digest_of(&source).await, "what was taken away is gone from the copy too");
    assert_eq!(verify(&target, &all(), &()).await.unwrap().faults, vec![]);
}

/// A target to which nothing is missing but the last commit, which takes the mark away.
async fn almost(source: &MemoryStore) -> MemoryStore {
    let mut last = MemoryStore::new();
    for commits in 0.. {
        let target = MemoryStore::new();
        if copy(source, &Failing::after(&target, commits), &all(), &()).await.is_ok() {
            break;
        }
        last = target;
    }
    assert!(refused(&last).await);
    assert_eq!(digest_of(&last).await, digest_of(source).await);
    last
}

#[tokio::test]
async fn a_source_that_changes_meanwhile_is_noticed() {
    let (f, source) = busy().await;
    let target = MemoryStore::new();
    // The mark is there already: what comes next is a batch of records.
    copy(&source, &Failing::after(&target, 1), &all(), &()).await.unwrap_err();
    let (market, top_up) = (f.market.clone(), f.buyer);
    let meddled = Overtaken::over(&target, async move {
        let amount = crate::fixture::euros(5);
        let currency = i3_core::money::Currency::EUR;
        let top_up = i3_core::market::TopUp { user: top_up, amount, currency, reference: String::new() };
        market.execute(Actor::System, None, &top_up).await.unwrap();
    });
    let stopped = copy(&source, &meddled, &all(), &()).await.unwrap_err();
    assert!(matches!(stopped, PortError::SourceChanged), "{stopped}");
    assert!(refused(&target).await);
    assert!(copy(&source, &target, &all(), &()).await.unwrap().resumed);
}

#[tokio::test]
async fn a_target_that_was_filled_from_elsewhere_is_not_gone_on_with() {
    let (_, source) = busy().await;
    let target = almost(&source).await;
    let foreign = MemoryStore::new();
    let f = Fixture::over(Arc::new(foreign.clone())).await;
    f.top_up(f.buyer, 1).await;
    let stopped = copy(&foreign, &target, &all(), &()).await.unwrap_err();
    assert!(matches!(stopped, PortError::Diverged { .. }), "{stopped}");
}

static STRANGE: Collection = Collection {
    name: "strange",
    kind: Kind::Counters,
    about: "another program's",
    columns: &[],
    indexes: &[],
};

#[tokio::test]
async fn what_the_contents_do_not_name_is_named_as_left_behind() {
    let (_, source) = busy().await;
    let more = i3_core::market::schema(&[&STRANGE]).unwrap();
    source.prepare(&more).await.unwrap();
    let key = Key::new(&STRANGE, "one").unwrap();
    let one = i3_core::store::Units::new(1).unwrap();
    let batch = i3_core::store::BatchBuilder::new().adjust(key, one, i3_core::store::Units::ZERO);
    source.commit(&batch.build().unwrap()).await.unwrap();
    let copied = copy(&source, &MemoryStore::new(), &all(), &()).await.unwrap();
    assert_eq!(copied.left_behind, ["strange"]);
    let exported = export(&source, &all(), &mut Vec::new(), &()).await.unwrap();
    assert_eq!(exported.left_behind, copied.left_behind);
}

/// Is wrong about an index.
#[derive(Debug)]
struct Lying {
    inner: MemoryStore,
    lie: fn(&mut Page),
    told: AtomicBool,
}

#[async_trait]
impl Otherwise for Lying {
    fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        let mut page = self.inner.scan(scan).await?;
        let whole = matches!(scan.by_what(), By::Index { equal, .. } if equal.is_empty());
        if whole && page.rows.len() > 2 && !self.told.swap(true, Ordering::SeqCst) {
            (self.lie)(&mut page);
        }
        Ok(page)
    }
}

#[tokio::test]
async fn an_index_that_leaves_out_repeats_or_misplaces_a_record_is_found() {
    let (_, source) = busy().await;
    let lies: [fn(&mut Page); 3] = [
        |page| drop(page.rows.remove(1)),
        |page| page.rows.insert(1, page.rows[0].clone()),
        |page| page.rows.swap(0, 1),
    ];
    for lie in lies {
        let lying = Wrapped(Lying { inner: source.clone(), lie, told: AtomicBool::new(false) });
        let report = verify(&lying, &all(), &()).await.unwrap();
        assert!(report.faulty > 0, "{report:?}");
    }
    assert_eq!(verify(&source, &all(), &()).await.unwrap().faulty, 0);
    assert_eq!(digest(&source, &all(), &()).await.unwrap(), digest_of(&source).await);
}
