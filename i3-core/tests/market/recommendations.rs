//! What people of one's domain used: by enough of them, as everybody may see it at this moment.

use i3_core::access::Actor;
use i3_core::analytics::{Interaction, Item, LeastPeople};
use i3_core::hub::HubState;
use i3_core::id::{UserId, VirtualObjectId};
use i3_core::market::{
    LinkProduct, MoveObject, MoveProduct, Purchase, Recommended, RecommendedThing, Refusal, SetHubState,
};
use i3_core::offer::Plan;
use i3_core::product::ProductState;
use i3_core::virtual_object::ObjectState;

use crate::analytics::{describe, person, profile, published, write};
use crate::fixture::{Fixture, refusal};

const DOMAIN: Option<&str> = Some("smart-home");

async fn people(f: &Fixture, count: usize, prefix: &str, domain: Option<&str>) -> Vec<UserId> {
    let mut people = Vec::new();
    for number in 0..count {
        people.push(person(f, &format!("{prefix}-{number}"), domain).await);
    }
    people
}

async fn asked(f: &Fixture, user: UserId) -> Vec<Recommended> {
    f.market.recommendations(Actor::User(user), LeastPeople::default(), 20).await.unwrap()
}

async fn told(f: &Fixture, user: UserId) -> Vec<(Item, String)> {
    let told = |one: Recommended| (one.recommendation.item, one.recommendation.explanation());
    asked(f, user).await.into_iter().map(told).collect()
}

async fn all_did(f: &Fixture, people: &[UserId], item: Item, interaction: Interaction) {
    write(f, people.iter().map(|user| (*user, item, interaction))).await;
}

async fn go(f: &Fixture, object: VirtualObjectId, to: ObjectState) {
    f.done(f.seller, &MoveObject { object, to, expect: None, remark: None }).await;
}

#[tokio::test]
async fn what_enough_people_of_the_domain_used_is_recommended_with_its_reason_the_weightiest_first() {
    let f = Fixture::new().await;
    let asker = person(&f, "asker", DOMAIN).await;
    let others = people(&f, 12, "person", DOMAIN).await;
    let (lamp, fan) = (published(&f, "Lamp").await, published(&f, "Fan").await);
    let air = Item::Product(f.product.id);
    all_did(&f, &others, Item::Object(lamp), Interaction::Viewed).await;
    all_did(&f, &others[..6], air, Interaction::Bought).await;
    all_did(&f, &others[..4], Item::Object(fan), Interaction::Viewed).await;
    all_did(&f, &others, Item::Object(fan), Interaction::Discovered).await;
    let expected = [
        (air, "6 people of smart-home bought it".to_owned()),
        (Item::Object(lamp), "12 people of smart-home looked at it".to_owned()),
    ];
    assert_eq!(told(&f, asker).await, expected);
    let best = f.market.recommendations(Actor::User(asker), LeastPeople::default(), 1).await.unwrap();
    assert!(
        matches!(&best[..], [Recommended { thing: RecommendedThing::Product(card), .. }] if card.product.id == f.product.id)
    );
    // The fifth makes it a group.
    write(&f, [(others[4], Item::Object(fan), Interaction::Viewed)]).await;
    let fan = (Item::Object(fan), "5 people of smart-home looked at it, 12 found it".to_owned());
    assert!(told(&f, asker).await.contains(&fan));
    let more = f.market.recommendations(Actor::User(asker), 7.try_into().unwrap(), 20).await.unwrap();
    assert_eq!(more.len(), 1, "a larger group is asked for");
}

#[tokio::test]
async fn people_of_other_domains_and_who_is_not_observed_are_not_counted() {
    let f = Fixture::new().await;
    let asker = person(&f, "asker", DOMAIN).await;
    let stranger = person(&f, "stranger", Some("agriculture")).await;
    let others = people(&f, 4, "person", DOMAIN).await;
    let farmers = people(&f, 4, "farmer", Some("agriculture")).await;
    let quiet = person(&f, "quiet", DOMAIN).await;
    let lamp = Item::Object(published(&f, "Lamp").await);
    describe(&f, quiet, profile(DOMAIN, true)).await;
    let all: Vec<_> = others.iter().chain(&farmers).chain([&quiet]).copied().collect();
    all_did(&f, &all, lamp, Interaction::Viewed).await;
    assert_eq!((told(&f, asker).await, told(&f, stranger).await), (vec![], vec![]));
    describe(&f, quiet, profile(DOMAIN, false)).await;
    f.market.heed_wish(quiet, f.market.now()).await.unwrap();
    write(&f, [(quiet, lamp, Interaction::Viewed)]).await;
    assert_eq!((told(&f, asker).await.len(), told(&f, stranger).await.len()), (1, 0));
    describe(&f, quiet, profile(DOMAIN, true)).await;
    f.market.heed_wish(quiet, f.market.now()).await.unwrap();
    assert_eq!(told(&f, asker).await, []);
}

#[tokio::test]
async fn what_is_not_public_any_more_is_not_recommended_from_that_moment_on() {
    let f = Fixture::new().await;
    let asker = person(&f, "asker", DOMAIN).await;
    let others = people(&f, 5, "person", DOMAIN).await;
    let (lamp, fan) = (published(&f, "Lamp").await, published(&f, "Fan").await);
    for item in [Item::Object(lamp), Item::Object(fan), Item::Product(f.product.id)] {
        all_did(&f, &others, item, Interaction::Viewed).await;
    }
    assert_eq!(told(&f, asker).await.len(), 3);
    go(&f, lamp, ObjectState::Removed).await;
    go(&f, fan, ObjectState::Deprecated).await;
    assert_eq!(told(&f, asker).await.len(), 1);
    let hub = |to| SetHubState { hub: f.hub.id, state: to };
    f.done(f.seller, &hub(HubState::Suspended)).await;
    assert_eq!(told(&f, asker).await, [], "a suspended hub sells nothing");
    f.done(f.seller, &hub(HubState::Active)).await;
    assert_eq!(told(&f, asker).await.len(), 1);
    f.done(f.seller, &MoveProduct { product: f.product.id, to: ProductState::Paused }).await;
    assert_eq!(told(&f, asker).await, []);
}

#[tokio::test]
async fn nobody_is_recommended_what_is_ones_own_or_was_bought() {
    let f = Fixture::new().await;
    let asker = person(&f, "asker", DOMAIN).await;
    describe(&f, f.seller, profile(DOMAIN, false)).await;
    let others = people(&f, 5, "person", DOMAIN).await;
    let (lamp, fan) = (published(&f, "Lamp").await, published(&f, "Fan").await);
    f.done(f.seller, &LinkProduct { object: fan, product: Some(f.product.id), expect: None }).await;
    let air = Item::Product(f.product.id);
    for item in [Item::Object(lamp), Item::Object(fan), air] {
        all_did(&f, &others, item, Interaction::Viewed).await;
    }
    assert_eq!(told(&f, asker).await.len(), 3);
    assert_eq!(told(&f, f.seller).await, []);
    let offer = f.offer(Plan::Free { quota: None }).await;
    f.done(asker, &Purchase { offer }).await;
    let left: Vec<Item> = told(&f, asker).await.into_iter().map(|(item, _)| item).collect();
    assert_eq!(left, [Item::Object(lamp)], "neither the product nor the object that it delivers the data of");
}

#[tokio::test]
async fn who_names_no_domain_is_told_so() {
    let f = Fixture::new().await;
    let ask = f.market.recommendations(Actor::User(f.buyer), LeastPeople::default(), 20).await;
    assert!(matches!(refusal(ask.unwrap_err()), Refusal::WrongState { what: "profile", .. }));
    let ask = f.market.recommendations(Actor::Anonymous, LeastPeople::default(), 20).await;
    assert!(matches!(refusal(ask.unwrap_err()), Refusal::Forbidden { .. }));
}

#[tokio::test]
async fn what_most_used_is_found_among_many_things_that_may_not_be_seen() {
    let f = Fixture::new().await;
    let asker = person(&f, "asker", DOMAIN).await;
    let others = people(&f, 6, "person", DOMAIN).await;
    for number in 0..150 {
        let object = published(&f, &format!("Gone {number}")).await;
        all_did(&f, &others, Item::Object(object), Interaction::Viewed).await;
        go(&f, object, ObjectState::Removed).await;
    }
    let lamp = Item::Object(published(&f, "Lamp").await);
    all_did(&f, &others[..5], lamp, Interaction::Viewed).await;
    assert_eq!(told(&f, asker).await, [(lamp, "5 people of smart-home looked at it".to_owned())]);
}
