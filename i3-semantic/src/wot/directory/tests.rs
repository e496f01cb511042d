use std::time::Duration;

use i3_core::access::{Action, Decision, Policy, Resource, Subject};
use i3_core::id::SequentialIds;
use i3_core::market::RegisterUser;
use i3_core::store::MemoryStore;
use i3_core::time::{ManualClock, Timestamp};
use serde_json::json;

use super::*;
use crate::wot::td::CONTEXT;

/// Everybody may do with their own what they want.
#[derive(Debug)]
struct OwnOnly;

impl Policy for OwnOnly {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        let own = matches!(subject.actor, Actor::User(user) if resource.owner == Some(user));
        if subject.actor == Actor::System || own || action == Action::RegisterUser {
            Decision::allow("it is one's own")
        } else {
            Decision::deny("it is somebody else's")
        }
    }
}

struct House {
    market: Marketplace,
    directory: Directory,
    clock: Arc<ManualClock>,
    owner: Actor,
    other: Actor,
}

impl House {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_800_000_000_000_000).unwrap()));
        let market = Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(OwnOnly), &[])
            .await
            .unwrap()
            .with_clock(clock.clone())
            .with_ids(Arc::new(SequentialIds::default()));
        let user = async |name: &str| {
            let register: RegisterUser = serde_json::from_value(
                json!({ "name": name, "display": name, "email": null, "roles": ["provider"] }),
            )
            .unwrap();
            Actor::User(market.execute(Actor::Anonymous, None, &register).await.unwrap().id)
        };
        let (owner, other) = (user("owner").await, user("other").await);
        let directory = Directory::open(market.clone()).await.unwrap();
        Self { market, directory, clock, owner, other }
    }

    async fn put(&self, document: &Value) -> Result<ThingPut, DirectoryError> {
        let id = document["id"].as_str().unwrap().parse().unwrap();
        self.directory.put(self.owner, &id, &document.to_string(), Terms::default()).await
    }

    async fn put_private(&self, document: &Value) {
        let id = document["id"].as_str().unwrap().parse().unwrap();
        let terms = Terms { visibility: Some(Visibility::Private), ..Terms::default() };
        self.directory.put(self.owner, &id, &document.to_string(), terms).await.unwrap();
    }

    async fn viewer(&self, actor: Actor) -> Viewer {
        self.directory.viewer(actor).await.unwrap()
    }

    async fn found(&self, actor: Actor, query: &str) -> Vec<Value> {
        self.directory.search(self.viewer(actor).await, query).await.unwrap()
    }

    async fn told(&self, actor: Actor, after: u64, diff: bool) -> Vec<(&'static str, Value)> {
        let (events, _) = self.directory.events(self.viewer(actor).await, after, None, diff).await.unwrap();
        events.into_iter().map(|event| (event.kind.as_str(), event.data)).collect()
    }
}

fn lamp(id: &str) -> Value {
    json!({
        "@context": CONTEXT,
        "id": id,
        "title": format!("Lamp {id}"),
        "securityDefinitions": { "none": { "scheme": "nosec" } },
        "security": "none",
        "properties": { "on": { "type": "boolean", "forms": [{ "href": "coap://192.0.2.1/on" }] } }
    })
}

fn id(text: &str) -> ThingId {
    text.parse().unwrap()
}

const ALL: Window = Window { offset: 0, limit: 100, sort_by: SortBy::Id, descending: false };

#[tokio::test]
async fn a_description_comes_changes_and_goes() {
    let house = House::new().await;
    assert!(house.put(&lamp("urn:a")).await.unwrap().created);
    let (shown, revision) =
        house.directory.get(house.viewer(Actor::Anonymous).await, &id("urn:a")).await.unwrap();
    assert_eq!((shown["title"].as_str(), revision), (Some("Lamp urn:a"), 1));
    assert_eq!(shown["registration"]["retrieved"], "2027-01-15T08:00:00Z");
    assert!(!house.put(&lamp("urn:a")).await.unwrap().created);
    house.directory.remove(house.owner, &id("urn:a"), Terms::default()).await.unwrap();
    assert!(house.directory.get(house.viewer(house.owner).await, &id("urn:a")).await.is_err());
}

#[tokio::test]
async fn an_anonymous_description_has_its_id_in_every_answer_and_not_in_the_store() {
    let house = House::new().await;
    let mut document = lamp("x:y");
    document.as_object_mut().unwrap().remove("id");
    let given =
        house.directory.create(house.owner, &document.to_string(), 7, Terms::default()).await.unwrap();
    let anybody = house.viewer(Actor::Anonymous).await;
    let (shown, _) = house.directory.get(anybody, &given).await.unwrap();
    assert_eq!(shown["id"], json!(given));
    assert_eq!(house.directory.list(anybody, &ALL).await.unwrap().things[0]["id"], json!(given));
    assert_eq!(house.found(Actor::Anonymous, "$[*].id").await, [json!(given)]);
    let stored = house.market.thing(Actor::System, &given).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored.document).unwrap(), document);
    // A patch leaves it anonymous.
    house.directory.patch(house.owner, &given, r#"{"title":"New"}"#, Terms::default()).await.unwrap();
    assert!(house.market.thing(Actor::System, &given).await.unwrap().anonymous);
    let refused = house.directory.create(house.owner, &lamp("urn:a").to_string(), 8, Terms::default()).await;
    assert!(matches!(refused, Err(DirectoryError::Invalid(errors)) if errors[0].field == "id"));
}

#[tokio::test]
async fn a_patch_changes_what_it_says_and_is_validated_as_a_whole() {
    let house = House::new().await;
    house.put(&lamp("urn:a")).await.unwrap();
    let patch =
        async |text: &str| house.directory.patch(house.owner, &id("urn:a"), text, Terms::default()).await;
    patch(r#"{"description": "In the hall", "ex:term": {"a": 1}}"#).await.unwrap();
    patch(r#"{"ex:term": null, "registration": {"ttl": 60}}"#).await.unwrap();
    let (shown, _) = house.directory.get(house.viewer(house.owner).await, &id("urn:a")).await.unwrap();
    assert_eq!((shown["description"].as_str(), shown.get("ex:term")), (Some("In the hall"), None));
    assert_eq!(shown["registration"]["expires"], "2027-01-15T08:01:00Z");
    // An empty patch renews the time.
    house.clock.advance(Duration::from_secs(30));
    patch("{}").await.unwrap();
    let (shown, _) = house.directory.get(house.viewer(house.owner).await, &id("urn:a")).await.unwrap();
    assert_eq!(shown["registration"]["expires"], "2027-01-15T08:01:30Z");
    for (text, field) in [
        (r#"{"title": null}"#, "(root)"),
        (r#"{"id": "urn:b"}"#, "id"),
        (r#"{"id": null}"#, "id"),
        ("[]", "(root)"),
    ] {
        let refused = patch(text).await;
        assert!(
            matches!(refused, Err(DirectoryError::Invalid(errors)) if errors[0].field == field),
            "{text}"
        );
    }
    house.clock.advance(Duration::from_mins(1));
    assert_eq!(house.directory.purge().await.unwrap(), 1);
    assert!(matches!(
        patch("{}").await,
        Err(DirectoryError::Market(MarketError::Refused(Refusal::NotFound { .. })))
    ));
}

#[tokio::test]
async fn lists_are_sorted_by_code_points_and_paged() {
    let house = House::new().await;
    for name in ["urn:b", "urn:B", "urn:é", "urn:a"] {
        house.put(&lamp(name)).await.unwrap();
    }
    let anybody = house.viewer(Actor::Anonymous).await;
    let ids = |listing: &Listing| -> Vec<String> {
        listing.things.iter().map(|thing| thing["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = house.directory.list(anybody, &ALL).await.unwrap();
    assert_eq!(ids(&all), ["urn:B", "urn:a", "urn:b", "urn:é"]);
    let first = house.directory.list(anybody, &Window { limit: 3, ..ALL }).await.unwrap();
    assert_eq!((first.next, first.total), (Some(3), 4));
    let last = house.directory.list(anybody, &Window { offset: 3, limit: 3, ..ALL }).await.unwrap();
    assert_eq!((ids(&last), last.next), (vec!["urn:é".to_owned()], None));
    assert_eq!(first.version, last.version);
    let newest = Window { sort_by: SortBy::Created, descending: true, ..ALL };
    assert_eq!(house.directory.list(anybody, &newest).await.unwrap().total, 4);
    house.put(&lamp("urn:c")).await.unwrap();
    assert!(house.directory.list(anybody, &ALL).await.unwrap().version > first.version);
    let beyond = Window { offset: usize::MAX, limit: 1, ..ALL };
    assert_eq!(house.directory.list(anybody, &beyond).await.unwrap().things, Vec::<Arc<Value>>::new());
}

#[tokio::test]
async fn what_is_private_is_in_no_answer_to_others() {
    let house = House::new().await;
    house.put(&lamp("urn:open")).await.unwrap();
    let from = house.directory.position();
    let before = house.directory.list(house.viewer(house.other).await, &ALL).await.unwrap();
    house.put_private(&lamp("urn:secret")).await;
    house.put_private(&lamp("urn:secret")).await;
    for stranger in [Actor::Anonymous, house.other] {
        let viewer = house.viewer(stranger).await;
        assert!(house.directory.get(viewer, &id("urn:secret")).await.is_err());
        let listed = house.directory.list(viewer, &ALL).await.unwrap();
        assert_eq!((listed.total, listed.version), (1, before.version), "not even that something changed");
        assert_eq!(house.found(stranger, "$[?@.title == 'Lamp urn:secret']").await, Vec::<Value>::new());
        assert_eq!(house.found(stranger, "$..id").await, [json!("urn:open")]);
        assert_eq!(house.told(stranger, from, true).await, []);
    }
    for who in [house.owner, Actor::System] {
        assert_eq!(house.found(who, "$[*].id").await.len(), 2);
        assert_eq!(house.told(who, from, false).await.len(), 2);
    }
}

#[tokio::test]
async fn who_sees_nothing_private_is_told_that_it_is_gone() {
    let house = House::new().await;
    let from = house.directory.position();
    house.put(&lamp("urn:a")).await.unwrap();
    house.put_private(&lamp("urn:a")).await;
    let public = Terms { visibility: Some(Visibility::Public), ..Terms::default() };
    house.directory.patch(house.owner, &id("urn:a"), "{}", public).await.unwrap();
    let kinds = |told: Vec<(&'static str, Value)>| told.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    let stranger = kinds(house.told(Actor::Anonymous, from, false).await);
    assert_eq!(stranger, ["thing_created", "thing_deleted", "thing_created"]);
    let owner = kinds(house.told(house.owner, from, false).await);
    assert_eq!(owner, ["thing_created", "thing_updated", "thing_updated"]);
}

#[tokio::test]
async fn events_tell_the_id_and_with_diff_what_changed() {
    let house = House::new().await;
    let from = house.directory.position();
    house.put(&lamp("urn:a")).await.unwrap();
    house.clock.advance(Duration::from_secs(1));
    house.directory.patch(house.owner, &id("urn:a"), r#"{"title":"New"}"#, Terms::default()).await.unwrap();
    house.directory.remove(house.owner, &id("urn:a"), Terms::default()).await.unwrap();
    let only = json!({ "id": "urn:a" });
    let plain = house.told(Actor::Anonymous, from, false).await;
    assert_eq!(
        plain,
        [("thing_created", only.clone()), ("thing_updated", only.clone()), ("thing_deleted", only.clone())]
    );
    let diff = house.told(Actor::Anonymous, from, true).await;
    assert_eq!(
        (diff[0].1["title"].as_str(), diff[0].1["properties"].is_object()),
        (Some("Lamp urn:a"), true)
    );
    let update =
        json!({ "id": "urn:a", "title": "New", "registration": { "modified": "2027-01-15T08:00:01Z" } });
    assert_eq!(diff[1].1, update);
    assert_eq!(diff[2].1, only);
}

#[tokio::test]
async fn another_directory_over_the_store_tells_the_same_events_again() {
    let house = House::new().await;
    house.put(&lamp("urn:a")).await.unwrap();
    house.put(&lamp("urn:b")).await.unwrap();
    house.directory.patch(house.owner, &id("urn:a"), r#"{"title":"New"}"#, Terms::default()).await.unwrap();
    house.directory.remove(house.owner, &id("urn:b"), Terms::default()).await.unwrap();
    let again = Directory::open(house.market.clone()).await.unwrap();
    let viewer = house.viewer(Actor::Anonymous).await;
    for after in [0, house.directory.position() - 2] {
        let old = house.directory.events(viewer, after, None, true).await.unwrap();
        let new = again.events(viewer, after, None, true).await.unwrap();
        assert_eq!(old, new);
    }
    assert_eq!(again.list(viewer, &ALL).await.unwrap(), house.directory.list(viewer, &ALL).await.unwrap());
    // And it follows what the first one does.
    house.put(&lamp("urn:c")).await.unwrap();
    assert_eq!(again.list(viewer, &ALL).await.unwrap().total, 2);
}

#[tokio::test]
async fn the_index_finds_what_a_scan_finds() {
    let house = House::new().await;
    for number in 0..40 {
        let mut document = lamp(&format!("urn:thing:{number:02}"));
        document["title"] = json!(format!("T{}", number % 5));
        document["support"] = json!(format!("s:{}", number % 3));
        if number % 4 == 0 {
            document["actions"] = json!({ format!("a{}", number % 8): { "forms": [{ "href": "a" }] } });
        }
        house.put(&document).await.unwrap();
    }
    house.directory.remove(house.owner, &id("urn:thing:05"), Terms::default()).await.unwrap();
    house
        .directory
        .patch(house.owner, &id("urn:thing:06"), r#"{"title":"T0"}"#, Terms::default())
        .await
        .unwrap();
    // The same condition, once as the index reads it and once so that it does not.
    for condition in [
        "@.title == 'T0'",
        "@.title == 'T0' && @.support == 's:1'",
        "@.actions.a4",
        "@.actions.a4.forms && @.title == 'T4'",
        "@.properties.on.type == 'boolean'",
        "@['support'] == 's:2' && @.actions",
        "@.nothing",
        "@.title == 'none'",
    ] {
        let indexed = house.found(Actor::Anonymous, &format!("$[?{condition}].id")).await;
        let scanned = house.found(Actor::Anonymous, &format!("$[?({condition}) || @.never].id")).await;
        assert_eq!(indexed, scanned, "{condition}");
    }
    assert_eq!(house.found(Actor::Anonymous, "$[?@.title == 'T0'].id").await.len(), 8);
}

#[tokio::test]
async fn what_is_no_document_is_refused_with_its_reason() {
    let house = House::new().await;
    let put = async |text: &str| house.directory.put(house.owner, &id("urn:a"), text, Terms::default()).await;
    assert!(matches!(put("{").await, Err(DirectoryError::Json(_))));
    assert!(matches!(put("[]").await, Err(DirectoryError::Invalid(_))));
    assert!(matches!(put(&lamp("urn:b").to_string()).await, Err(DirectoryError::Invalid(_))));
    let mut many = lamp("urn:a");
    let one = json!({ "forms": [{ "href": "a" }] });
    many["properties"] =
        Value::Object((0..10_000).map(|number| (format!("p{number}"), one.clone())).collect());
    assert!(matches!(put(&many.to_string()).await, Err(DirectoryError::Json(InvalidJson::TooLong { .. }))));
    let mut long = lamp("urn:a");
    long["description"] = json!("x".repeat(1_000_000));
    assert!(matches!(put(&long.to_string()).await, Err(DirectoryError::Json(InvalidJson::TooLong { .. }))));
    assert_eq!(house.directory.list(house.viewer(Actor::System).await, &ALL).await.unwrap().total, 0);
}

#[tokio::test]
async fn a_copy_of_the_graph_that_follows_the_changes_is_what_a_new_one_would_be() {
    use crate::graph::Snapshot;
    use crate::sparql::Source as _;
    use std::collections::HashSet;
    let all =
        |snapshot: Snapshot| -> HashSet<String> { snapshot.map(|quad| quad.unwrap().to_string()).collect() };

    let house = House::new().await;
    house.put(&lamp("urn:a")).await.unwrap();
    let first = house.directory.snapshot();
    let mut known = first.revision();
    let mut copy = all(first);
    assert!(!copy.is_empty());
    let put = async |id: &str, title: &str, visibility: Option<Visibility>| {
        let mut document = lamp(id);
        document["title"] = json!(title);
        let terms = Terms { visibility, ..Terms::default() };
        let id = id.parse().unwrap();
        house.directory.put(house.owner, &id, &document.to_string(), terms).await.unwrap();
    };
    put("urn:b", "B", None).await;
    put("urn:secret", "S", Some(Visibility::Private)).await;
    put("urn:a", "Another", None).await;
    put("urn:b", "B", Some(Visibility::Private)).await;
    put("urn:secret", "S", Some(Visibility::Public)).await;
    house.directory.remove(house.owner, &"urn:a".parse().unwrap(), Terms::default()).await.unwrap();
    for change in house.directory.since(known).unwrap() {
        for quad in &change.removed {
            assert!(copy.remove(&quad.to_string()), "{quad}");
        }
        for quad in &change.added {
            assert!(copy.insert(quad.to_string()), "{quad}");
        }
        known = known.next();
    }
    let now = house.directory.snapshot();
    assert_eq!(known, now.revision());
    assert_eq!(copy, all(now));
    assert!(copy.iter().all(|quad| quad.ends_with("<urn:secret>")));
}
