//! Thing Descriptions: whose they are, what may become of them, and what the outbox tells.

use std::sync::Arc;
use std::time::Duration;

use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
use i3_core::id::UserId;
use i3_core::market::{MarketError, Marketplace, PurgeThing, PutThing, Refusal, RemoveThing, ThingPut};
use i3_core::outbox::Event;
use i3_core::store::MemoryStore;
use i3_core::thing::{Lifetime, Thing, ThingId, Visibility};

use crate::fixture::{Fixture, refusal};

/// Everybody may do with their own what they want, and register what they want.
#[derive(Debug)]
struct OwnOnly;

impl Policy for OwnOnly {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        let own = matches!(subject.actor, Actor::User(user) if resource.owner == Some(user));
        let things = [Action::CreateThing, Action::ViewThing, Action::EditThing, Action::DeleteThing];
        if subject.actor == Actor::System || own || !things.contains(&action) {
            Decision::allow("it is one's own")
        } else {
            Decision::deny("it is somebody else's")
        }
    }
}

struct House {
    f: Fixture,
    market: Marketplace,
}

impl House {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let f = Fixture::over(store.clone()).await;
        let market =
            Marketplace::open(store, Arc::new(OwnOnly), &[]).await.unwrap().with_clock(f.clock.clone());
        Self { f, market }
    }

    async fn put(&self, user: UserId, put: &PutThing) -> Result<ThingPut, MarketError> {
        self.market.execute(Actor::User(user), None, put).await
    }

    async fn get(&self, actor: Actor, id: &str) -> Result<Thing, MarketError> {
        self.market.thing(actor, &thing(id)).await
    }
}

fn thing(id: &str) -> ThingId {
    id.parse().unwrap()
}

fn lamp() -> PutThing {
    PutThing {
        thing: thing("urn:lamp"),
        anonymous: false,
        document: r#"{"title":"Lamp"}"#.to_owned(),
        visibility: None,
        lifetime: Lifetime::default(),
        expect: None,
    }
}

const NO_THING: Refusal = Refusal::NotFound { what: "thing" };

#[tokio::test]
async fn a_description_is_registered_then_replaced_then_removed() {
    let house = House::new().await;
    let seller = house.f.seller;
    assert_eq!(house.put(seller, &lamp()).await.unwrap(), ThingPut { created: true, revision: 1 });
    house.f.pass(Duration::from_secs(5));
    let other = PutThing { document: r#"{"title":"Light"}"#.to_owned(), ..lamp() };
    assert_eq!(house.put(seller, &other).await.unwrap(), ThingPut { created: false, revision: 2 });
    let found = house.get(Actor::Anonymous, "urn:lamp").await.unwrap();
    assert_eq!((found.document.as_str(), found.owner), (r#"{"title":"Light"}"#, seller));
    assert_eq!(found.modified.since(found.created), Duration::from_secs(5));
    let remove = RemoveThing { thing: thing("urn:lamp"), expect: Some(2) };
    house.market.execute(Actor::User(seller), None, &remove).await.unwrap();
    assert_eq!(refusal(house.get(Actor::System, "urn:lamp").await.unwrap_err()), NO_THING);
}

#[tokio::test]
async fn nobody_else_changes_or_removes_a_description() {
    let house = House::new().await;
    house.put(house.f.seller, &lamp()).await.unwrap();
    let put = refusal(house.put(house.f.buyer, &lamp()).await.unwrap_err());
    assert!(matches!(put, Refusal::Forbidden { action: Action::EditThing, .. }), "{put:?}");
    let remove = RemoveThing { thing: thing("urn:lamp"), expect: None };
    let removed = house.market.execute(Actor::User(house.f.buyer), None, &remove).await;
    assert!(matches!(refusal(removed.unwrap_err()), Refusal::Forbidden { action: Action::DeleteThing, .. }));
    let nobody =
        house.market.execute(Actor::System, None, &PutThing { thing: thing("urn:x"), ..lamp() }).await;
    assert!(matches!(refusal(nobody.unwrap_err()), Refusal::Forbidden { action: Action::CreateThing, .. }));
}

#[tokio::test]
async fn a_private_description_is_not_there_for_others() {
    let house = House::new().await;
    let private = PutThing { visibility: Some(Visibility::Private), ..lamp() };
    house.put(house.f.seller, &private).await.unwrap();
    for other in [Actor::Anonymous, Actor::User(house.f.buyer)] {
        assert_eq!(refusal(house.get(other, "urn:lamp").await.unwrap_err()), NO_THING);
    }
    let remove = RemoveThing { thing: thing("urn:lamp"), expect: None };
    let removed = house.market.execute(Actor::User(house.f.buyer), None, &remove).await;
    assert_eq!(refusal(removed.unwrap_err()), NO_THING);
    assert!(house.get(Actor::User(house.f.seller), "urn:lamp").await.is_ok());
    // It stays private until something else is said.
    house.put(house.f.seller, &lamp()).await.unwrap();
    assert!(house.get(Actor::Anonymous, "urn:lamp").await.is_err());
    let public = PutThing { visibility: Some(Visibility::Public), ..lamp() };
    house.put(house.f.seller, &public).await.unwrap();
    assert!(house.get(Actor::Anonymous, "urn:lamp").await.is_ok());
}

#[tokio::test]
async fn a_change_that_expects_another_revision_is_refused() {
    let house = House::new().await;
    let seller = house.f.seller;
    let expecting = |expect| PutThing { expect: Some(expect), ..lamp() };
    let outdated = |revision| Refusal::Outdated { what: "thing", revision };
    assert_eq!(refusal(house.put(seller, &expecting(1)).await.unwrap_err()), outdated(0));
    house.put(seller, &expecting(0)).await.unwrap();
    assert_eq!(refusal(house.put(seller, &expecting(0)).await.unwrap_err()), outdated(1));
    house.put(seller, &expecting(1)).await.unwrap();
    let remove = RemoveThing { thing: thing("urn:lamp"), expect: Some(1) };
    let removed = house.market.execute(Actor::User(seller), None, &remove).await;
    assert_eq!(refusal(removed.unwrap_err()), outdated(2));
}

#[tokio::test]
async fn what_is_past_its_time_is_purged_and_nothing_else() {
    let house = House::new().await;
    let minute = Lifetime { ttl: Some(60_000_000), expires: None };
    house.put(house.f.seller, &PutThing { lifetime: minute, ..lamp() }).await.unwrap();
    let stays = PutThing { thing: thing("urn:stays"), ..lamp() };
    house.put(house.f.seller, &stays).await.unwrap();
    house.f.pass(Duration::from_secs(59));
    assert_eq!(house.market.purge_things(Actor::System).await.unwrap(), 0);
    let early = PurgeThing { thing: thing("urn:lamp") };
    let refused = house.market.execute(Actor::System, None, &early).await;
    assert_eq!(refusal(refused.unwrap_err()), Refusal::WrongState { what: "thing", state: "not expired" });
    house.f.pass(Duration::from_secs(1));
    assert_eq!(house.market.purge_things(Actor::System).await.unwrap(), 1);
    assert!(house.get(Actor::System, "urn:lamp").await.is_err());
    assert!(house.get(Actor::System, "urn:stays").await.is_ok());
}

#[tokio::test]
async fn a_change_renews_the_time_that_a_description_has() {
    let house = House::new().await;
    let minute = PutThing { lifetime: Lifetime { ttl: Some(60_000_000), expires: None }, ..lamp() };
    house.put(house.f.seller, &minute).await.unwrap();
    house.f.pass(Duration::from_secs(50));
    house.put(house.f.seller, &minute).await.unwrap();
    house.f.pass(Duration::from_secs(50));
    assert_eq!(house.market.purge_things(Actor::System).await.unwrap(), 0);
    let long = Lifetime { ttl: Some(Lifetime::MAX_TTL + 1), expires: None };
    let refused =
        refusal(house.put(house.f.seller, &PutThing { lifetime: long, ..lamp() }).await.unwrap_err());
    assert!(matches!(refused, Refusal::Invalid { field: "ttl", .. }), "{refused:?}");
}

#[tokio::test]
async fn a_document_that_does_not_fit_a_record_is_refused() {
    let house = House::new().await;
    // A quotation mark takes two bytes of the record.
    let long = PutThing { document: "\"".repeat(Thing::MAX_BYTES / 2), ..lamp() };
    let refused = refusal(house.put(house.f.seller, &long).await.unwrap_err());
    assert!(matches!(refused, Refusal::Invalid { field: "document", .. }), "{refused:?}");
    let fits = PutThing { document: "\"".repeat(Thing::MAX_BYTES / 2 - 1), ..lamp() };
    house.put(house.f.seller, &fits).await.unwrap();
}

#[tokio::test]
async fn the_outbox_tells_what_was_and_what_is() {
    let house = House::new().await;
    let seller = Actor::User(house.f.seller);
    let from = house.market.events(Actor::System, 0, 1_000).await.unwrap().len();
    house.put(house.f.seller, &lamp()).await.unwrap();
    let hide = PutThing { visibility: Some(Visibility::Private), ..lamp() };
    house.put(house.f.seller, &hide).await.unwrap();
    let remove = RemoveThing { thing: thing("urn:lamp"), expect: None };
    house.market.execute(seller, None, &remove).await.unwrap();
    let events = house.market.events(Actor::System, u64::try_from(from).unwrap(), 1_000).await.unwrap();
    let told: Vec<_> = events
        .into_iter()
        .map(|event| match event.entry.event {
            Event::ThingChanged(change) => {
                assert_eq!((change.thing.as_str(), change.owner), ("urn:lamp", house.f.seller));
                (change.before, change.after.map(|after| (after.visibility, after.revision)))
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let (public, private) = (Visibility::Public, Visibility::Private);
    let wanted = [(None, Some((public, 1))), (Some(public), Some((private, 2))), (Some(private), None)];
    assert_eq!(told, wanted);
}
