//! What people did: counted by domain, kept in bounds, erased with their part of the counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use i3_core::access::Actor;
use i3_core::analytics::{
    AnalyticsEvent, FOLLOWER, History, Interaction, Item, Observation, ObservationQueue, People, Popularity,
    PopularityId,
};
use i3_core::gate::Metering as _;
use i3_core::id::{GrantId, TypedId, UserId, VirtualObjectId};
use i3_core::market::{
    CreateObject, DescribeUser, Marketplace, PageRequest, Purchase, RateProduct, RegisterUser,
};
use i3_core::offer::Plan;
use i3_core::role::RoleName;
use i3_core::store::{Entity as _, Scan, StoreExt as _};
use i3_core::user::Profile;
use proptest::prelude::*;

use crate::fixture::{DenyAll, Fixture, refusal};

const KEPT: usize = 50;
const FREE: Plan = Plan::Free { quota: None };

pub(crate) fn profile(domain: Option<&str>, unobserved: bool) -> Profile {
    Profile { domain: domain.map(|name| name.parse().unwrap()), unobserved, ..Profile::default() }
}

pub(crate) async fn person(f: &Fixture, name: &str, domain: Option<&str>) -> UserId {
    let register = RegisterUser {
        name: name.parse().unwrap(),
        display: name.parse().unwrap(),
        email: None,
        roles: [RoleName::CONSUMER].into(),
        profile: profile(domain, false),
        invitation: None,
        password: None,
    };
    f.market.execute(Actor::Anonymous, None, &register).await.unwrap().id
}

pub(crate) async fn describe(f: &Fixture, user: UserId, profile: Profile) {
    f.done(user, &DescribeUser { user, display: "Somebody".parse().ok(), profile, keeps: [].into() }).await;
}

pub(crate) async fn published(f: &Fixture, title: &str) -> VirtualObjectId {
    let create = CreateObject { content: crate::workshop::lamp(title), hub: None, submit: true };
    f.done(f.seller, &create).await.object.id
}

pub(crate) async fn write(f: &Fixture, seen: impl IntoIterator<Item = (UserId, Item, Interaction)>) {
    let queue = ObservationQueue::new(10_000);
    for (user, item, interaction) in seen {
        queue.push(Observation { user, item, interaction, at: f.market.now() });
    }
    f.market.write_observations(&queue, KEPT).await.unwrap();
    assert!(queue.is_empty());
}

async fn popularity(market: &Marketplace) -> BTreeMap<PopularityId, People> {
    let all: Vec<Popularity> = market.store().all(Scan::ids(Popularity::collection())).await.unwrap();
    all.into_iter().map(|one| (one.id(), one.people)).collect()
}

async fn histories(market: &Marketplace) -> Vec<History> {
    market.store().all(Scan::ids(History::collection())).await.unwrap()
}

async fn assert_counted(market: &Marketplace) {
    assert_eq!(popularity(market).await, Popularity::of(&histories(market).await));
}

async fn events(f: &Fixture, user: UserId) -> Vec<AnalyticsEvent> {
    f.market.history(Actor::User(user), user, &PageRequest::default()).await.unwrap().items
}

fn air(f: &Fixture) -> Item {
    Item::Product(f.product.id)
}

fn home(item: Item) -> PopularityId {
    PopularityId { domain: "smart-home".parse().unwrap(), item }
}

#[tokio::test]
async fn people_count_once_for_a_thing_however_often_they_look() {
    let f = Fixture::new().await;
    let (one, other) =
        (person(&f, "one", Some("smart-home")).await, person(&f, "two", Some("smart-home")).await);
    let nowhere = person(&f, "nowhere", None).await;
    for _ in 0..3 {
        write(&f, [one, other, one, nowhere].map(|user| (user, air(&f), Interaction::Viewed))).await;
        f.pass(Duration::from_secs(1));
    }
    let counted = popularity(&f.market).await;
    assert_eq!(counted, [(home(air(&f)), People { viewed: 2, ..People::default() })].into());
    let seen = events(&f, one).await;
    assert_eq!((seen.len(), seen[0].times, seen[0].interaction), (1, 3, Interaction::Viewed));
    assert_eq!(events(&f, nowhere).await.len(), 1, "it is remembered, and counted nowhere");
}

#[tokio::test]
async fn nobody_is_observed_with_what_is_ones_own_or_with_what_is_not_there() {
    let f = Fixture::new().await;
    describe(&f, f.seller, profile(Some("smart-home"), false)).await;
    let object = published(&f, "Lamp").await;
    let missing = Item::Product(TypedId::from_bits(99));
    let seller = f.seller;
    write(&f, [air(&f), Item::Object(object), missing].map(|item| (seller, item, Interaction::Viewed))).await;
    assert_eq!(events(&f, seller).await, []);
    let guest = person(&f, "guest", Some("smart-home")).await;
    write(&f, [air(&f), Item::Object(object), missing].map(|item| (guest, item, Interaction::Viewed))).await;
    assert_eq!(events(&f, guest).await.len(), 2);
    write(&f, [(TypedId::from_bits(5), air(&f), Interaction::Viewed)]).await;
    assert_eq!(histories(&f.market).await.len(), 1, "nor is who is not there");
}

#[tokio::test]
async fn purchases_and_ratings_are_taken_from_the_outbox_each_once() {
    let f = Fixture::new().await;
    describe(&f, f.buyer, profile(Some("smart-home"), false)).await;
    let order = f.buy(FREE).await;
    let lease = f.market.open(GrantId::of(order.id), "gate", 1).await.unwrap();
    f.market.close(lease.lease, 1.into()).await.unwrap();
    let rate = RateProduct { order: order.id, stars: 4.try_into().unwrap(), comment: None };
    f.done(f.buyer, &rate).await;
    assert_eq!(f.market.follow_observations(KEPT).await.unwrap(), 2);
    assert_eq!(f.market.follow_observations(KEPT).await.unwrap(), 0, "nothing twice");
    let people = People { bought: 1, rated: 1, ..People::default() };
    assert_eq!(popularity(&f.market).await, [(home(air(&f)), people)].into());
    assert!(events(&f, f.buyer).await.iter().all(|event| event.times == 1));

    f.pass(Duration::from_secs(1));
    f.buy(FREE).await;
    // Two processes at once take it down once.
    let (one, other) = tokio::join!(f.market.follow_observations(KEPT), f.market.follow_observations(KEPT));
    assert_eq!(one.unwrap() + other.unwrap(), 1);
    let bought = events(&f, f.buyer).await.into_iter().find(|event| event.interaction == Interaction::Bought);
    assert_eq!(bought.unwrap().times, 2);
}

#[tokio::test]
async fn a_marketplace_that_is_told_to_remember_nothing_goes_on_without() {
    let f = Fixture::new().await;
    f.buy(FREE).await;
    f.market.follow_observations(0).await.unwrap();
    assert_eq!(
        f.market.follow_observations(KEPT).await.unwrap(),
        0,
        "what was bought then is not told later"
    );
    assert_eq!(histories(&f.market).await, []);
    let begun = Fixture::new().await;
    begun.buy(FREE).await;
    begun.market.begin_notices(&[FOLLOWER]).await.unwrap();
    assert_eq!(
        begun.market.follow_observations(KEPT).await.unwrap(),
        0,
        "nor what was bought before it began"
    );
}

#[tokio::test]
async fn many_observations_at_once_are_all_taken_down() {
    let f = Fixture::new().await;
    let mut people = Vec::new();
    for number in 0..30 {
        people.push(person(&f, &format!("person-{number}"), Some("smart-home")).await);
    }
    let all = people.iter().flat_map(|user| Interaction::ALL.map(|done| (*user, air(&f), done)));
    write(&f, all).await;
    let everybody = People { discovered: 30, viewed: 30, rated: 30, bought: 30 };
    assert_eq!(popularity(&f.market).await, [(home(air(&f)), everybody)].into());
    for _ in 0..3 {
        f.buy(FREE).await;
    }
    for user in &people {
        let offer = f.offer(FREE).await;
        f.done(*user, &Purchase { offer }).await;
    }
    assert_eq!(f.market.follow_observations(KEPT).await.unwrap(), 33, "so are many purchases");
    assert_counted(&f.market).await;
}

#[tokio::test]
async fn who_does_not_want_to_be_observed_leaves_nothing_and_nothing_comes_later() {
    let f = Fixture::new().await;
    let (one, other) =
        (person(&f, "one", Some("smart-home")).await, person(&f, "two", Some("smart-home")).await);
    write(&f, [one, other].map(|user| (user, air(&f), Interaction::Viewed))).await;
    describe(&f, one, profile(Some("smart-home"), true)).await;
    f.market.follow_observations(KEPT).await.unwrap();
    assert_eq!(popularity(&f.market).await[&home(air(&f))].viewed, 1);
    assert_eq!(events(&f, one).await, []);
    f.pass(Duration::from_secs(1));
    write(&f, [(one, air(&f), Interaction::Viewed)]).await;
    let offer = f.offer(FREE).await;
    f.done(one, &Purchase { offer }).await;
    f.pass(Duration::from_secs(1));
    // Observed again, before the purchase was even looked at: what was done meanwhile stays unknown.
    describe(&f, one, profile(Some("smart-home"), false)).await;
    f.market.follow_observations(KEPT).await.unwrap();
    assert_eq!(events(&f, one).await, []);
    f.pass(Duration::from_secs(1));
    write(&f, [(one, air(&f), Interaction::Viewed)]).await;
    assert_eq!(events(&f, one).await.len(), 1);
    assert_counted(&f.market).await;
}

#[tokio::test]
async fn what_is_erased_is_gone_from_the_counts_and_does_not_come_back_late() {
    let f = Fixture::new().await;
    let one = person(&f, "one", Some("smart-home")).await;
    let queue = ObservationQueue::new(10);
    let seen = Observation { user: one, item: air(&f), interaction: Interaction::Viewed, at: f.market.now() };
    queue.push(seen);
    f.market.write_observations(&queue, KEPT).await.unwrap();
    f.market.erase_history(Actor::User(one), one).await.unwrap();
    assert_eq!((popularity(&f.market).await.len(), histories(&f.market).await.len()), (0, 0));
    queue.push(seen);
    f.market.write_observations(&queue, KEPT).await.unwrap();
    assert_eq!(events(&f, one).await, [], "it waited in another process");
    f.pass(Duration::from_secs(1));
    write(&f, [(one, air(&f), Interaction::Viewed)]).await;
    assert_eq!(events(&f, one).await.len(), 1, "later is another matter");
}

#[tokio::test]
async fn a_history_is_read_in_pages_the_latest_first_and_by_whom_it_is_of() {
    let f = Fixture::new().await;
    let one = person(&f, "one", Some("smart-home")).await;
    for interaction in Interaction::ALL {
        write(&f, [(one, air(&f), interaction)]).await;
        f.pass(Duration::from_secs(1));
    }
    let mut page = PageRequest { after: None, limit: 3 };
    let first = f.market.history(Actor::User(one), one, &page).await.unwrap();
    page.after = first.next;
    let second = f.market.history(Actor::User(one), one, &page).await.unwrap();
    let told: Vec<_> = first.items.iter().chain(&second.items).map(|event| event.interaction).collect();
    assert_eq!(told, Interaction::ALL.into_iter().rev().collect::<Vec<_>>());
    assert!(second.next.is_none());

    let strict = Marketplace::open(f.store.clone(), Arc::new(DenyAll), &[]).await.unwrap();
    let page = PageRequest::default();
    for actor in [Actor::User(f.buyer), Actor::Anonymous] {
        let denied = strict.history(actor, one, &page).await.unwrap_err();
        assert_eq!(refusal(denied).code(), "forbidden");
        assert_eq!(refusal(strict.erase_history(actor, one).await.unwrap_err()).code(), "forbidden");
    }
}

/// Steps of a few people over a few things.
#[derive(Debug, Clone)]
enum Step {
    Did(usize, usize, Interaction),
    Bought(usize),
    Moved(usize, u8),
    Unobserved(usize, bool),
    Erased(usize),
    Followed,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0_usize..3;
    let done = (0_usize..4).prop_map(|kind| Interaction::ALL[kind]);
    prop_oneof![
        6 => (who(), 0_usize..4, done).prop_map(|(who, what, done)| Step::Did(who, what, done)),
        2 => who().prop_map(Step::Bought),
        2 => (who(), 0_u8..3).prop_map(|(who, domain)| Step::Moved(who, domain)),
        1 => (who(), any::<bool>()).prop_map(|(who, unobserved)| Step::Unobserved(who, unobserved)),
        1 => who().prop_map(Step::Erased),
        2 => Just(Step::Followed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// After every step the counts are what the histories add up to, no history is longer than it may be, and of who is
    /// not observed there is nothing once that was heeded.
    #[test]
    fn counts_are_what_the_histories_add_up_to_at_every_moment(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let f = Fixture::new().await;
            let mut objects = Vec::new();
            for title in ["Lamp", "Fan", "Bell", "Door"] {
                objects.push(published(&f, title).await);
            }
            let offer = f.offer(FREE).await;
            let mut people = Vec::new();
            let mut profiles = vec![profile(None, false); 3];
            for number in 0..3 {
                people.push(person(&f, &format!("person-{number}"), None).await);
            }
            for step in steps {
                f.pass(Duration::from_secs(1));
                match step {
                    Step::Did(who, what, interaction) => {
                        let queue = ObservationQueue::new(10);
                        let (user, item) = (people[who], Item::Object(objects[what]));
                        queue.push(Observation { user, item, interaction, at: f.market.now() });
                        f.market.write_observations(&queue, 2).await.unwrap();
                    }
                    Step::Bought(who) => {
                        f.done(people[who], &Purchase { offer }).await;
                    }
                    Step::Moved(who, domain) => {
                        let names = [None, Some("home"), Some("farm")];
                        profiles[who].domain = profile(names[usize::from(domain)], false).domain;
                        describe(&f, people[who], profiles[who].clone()).await;
                    }
                    Step::Unobserved(who, unobserved) => {
                        profiles[who].unobserved = unobserved;
                        describe(&f, people[who], profiles[who].clone()).await;
                        f.market.heed_wish(people[who], f.market.now()).await.unwrap();
                    }
                    Step::Erased(who) => {
                        f.market.erase_history(Actor::User(people[who]), people[who]).await.unwrap();
                    }
                    Step::Followed => {
                        f.market.follow_observations(2).await.unwrap();
                    }
                }
                assert_counted(&f.market).await;
                for history in histories(&f.market).await {
                    assert!((1..=2).contains(&history.occurrences.len()), "{history:?}");
                    let who = people.iter().position(|user| *user == history.user).unwrap();
                    assert!(!profiles[who].unobserved, "{history:?}");
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_stay_right_when_several_write_and_erase_at_once() {
    let f = Fixture::new().await;
    let mut tasks = Vec::new();
    let mut people = Vec::new();
    for number in 0..8 {
        people.push(person(&f, &format!("person-{number}"), Some("smart-home")).await);
    }
    for user in people {
        let (market, item) = (f.market.clone(), air(&f));
        tasks.push(tokio::spawn(async move {
            for round in 0..20_u32 {
                let queue = ObservationQueue::new(10);
                for interaction in Interaction::ALL {
                    queue.push(Observation { user, item, interaction, at: market.now() });
                }
                market.write_observations(&queue, KEPT).await.unwrap();
                if round % 7 == 3 {
                    market.erase_history(Actor::User(user), user).await.unwrap();
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_counted(&f.market).await;
}
