//! What is public and kept elsewhere is made of what its revision tells of, and of nothing else.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use i3_core::access::Actor;
use i3_core::market::{CatalogueFilter, CreateObject, ObjectFilter, ObjectOrder, PageRequest, TimeOrder};
use i3_core::offer::Plan;
use i3_core::store::{Cell, Collection, Key, MemoryStore, Page, Revision, Scan, StoreError};

use super::fixture::Fixture;
use super::wrapped::{Otherwise, Wrapped};

/// Takes down the collections that are read, and those whose revision is asked for.
#[derive(Debug, Default)]
struct Watching {
    store: MemoryStore,
    read: Mutex<BTreeSet<&'static str>>,
    told: Mutex<BTreeSet<&'static str>>,
}

#[async_trait]
impl Otherwise for Watching {
    fn inner(&self) -> &MemoryStore {
        &self.store
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        self.read.lock().unwrap().extend(keys.iter().map(|key| key.collection().name));
        i3_core::store::Store::read(&self.store, keys).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.read.lock().unwrap().insert(scan.collection().name);
        i3_core::store::Store::scan(&self.store, scan).await
    }

    fn revision(&self, collections: &[&Collection]) -> Option<Revision> {
        self.told.lock().unwrap().extend(collections.iter().map(|collection| collection.name));
        i3_core::store::Store::revision(&self.store, collections)
    }
}

impl Watching {
    /// What was read since the last time, and of what a revision was told.
    fn taken(&self) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
        (std::mem::take(&mut *self.read.lock().unwrap()), std::mem::take(&mut *self.told.lock().unwrap()))
    }
}

#[tokio::test]
async fn the_revision_of_what_is_public_is_of_all_that_it_is_made_of() {
    let store = Arc::new(Wrapped(Watching::default()));
    let fixture = Fixture::over(store.clone()).await;
    fixture.offer(Plan::Free { quota: None }).await;
    let content = serde_json::from_value(serde_json::json!({
        "kind": "sensor", "title": "Air", "tags": ["air"], "platforms": ["Arduino"], "protocols": ["mqtt"],
        "category": "air", "domain": "city",
    }));
    let create = CreateObject { content: content.unwrap(), hub: None, submit: true };
    fixture.done(fixture.seller, &create).await;
    let (market, page) = (&fixture.market, PageRequest::default());
    let reader = Actor::User(fixture.buyer);

    store.taken();
    assert!(market.catalogue_revision().is_some());
    for filter in [
        CatalogueFilter::default(),
        CatalogueFilter { hub: Some(fixture.hub.id), ..CatalogueFilter::default() },
    ] {
        assert_eq!(market.catalogue(&filter, TimeOrder::Newest, &page).await.unwrap().items.len(), 1);
    }
    market.product(reader, fixture.product.id).await.unwrap();
    market.score(fixture.product.id).await.unwrap();
    let (read, told) = store.taken();
    assert_eq!(read, told);

    assert!(market.objects_revision().is_some());
    let all = ObjectFilter::default;
    for filter in [
        all(),
        ObjectFilter { tag: Some("air".parse().unwrap()), ..all() },
        ObjectFilter { category: Some("air".parse().unwrap()), ..all() },
        ObjectFilter { domain: Some("city".parse().unwrap()), ..all() },
        ObjectFilter { protocol: Some("mqtt".parse().unwrap()), ..all() },
    ] {
        assert!(filter.is_public());
        let found = market.objects(reader, &filter, ObjectOrder::Newest, &page).await.unwrap();
        assert_eq!(found.items.len(), 1, "{filter:?}");
    }
    let (read, told) = store.taken();
    assert_eq!(read, told);

    let id = market.objects(reader, &all(), ObjectOrder::Newest, &page).await.unwrap().items[0].object.id;
    let seen = market.seen_object(reader, id).await.unwrap();
    store.taken();
    market.objects_revision();
    market.with_content(seen).await.unwrap();
    let (read, told) = store.taken();
    assert!(read.is_subset(&told), "{read:?}");
}

#[test]
fn what_somebody_alone_may_see_is_no_public_list() {
    let draft = serde_json::from_str("\"draft\"").unwrap();
    for filter in [
        ObjectFilter {
            owner: Some("usr_00000000000000000000000001".parse().unwrap()),
            ..ObjectFilter::default()
        },
        ObjectFilter {
            hub: Some("hub_00000000000000000000000001".parse().unwrap()),
            ..ObjectFilter::default()
        },
        ObjectFilter { state: Some(draft), ..ObjectFilter::default() },
    ] {
        assert!(!filter.is_public(), "{filter:?}");
    }
}
