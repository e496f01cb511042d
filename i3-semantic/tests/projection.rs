//! The index follows the marketplace.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
use i3_core::hub::HubState;
use i3_core::id::{ProductId, SequentialIds, UserId, VirtualObjectId};
use i3_core::market::{
    ChangeOntology, CreateObject, CreateProduct, DescribeHub, EditObject, LinkProduct, Marketplace,
    MoveObject, MoveProduct, NewCredential, PublishOffer, Refusal, RegisterDevice, RegisterHub, RegisterUser,
    SetHubState,
};
use i3_core::money::{Amount, Currency};
use i3_core::offer::Plan;
use i3_core::product::ProductState;
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::store::{DynStore, MemoryStore};
use i3_core::time::{ManualClock, Timestamp};
use i3_core::virtual_object::{Content, ObjectState};
use i3_semantic::discovery::{Discovery, Query};
use i3_semantic::ontology::{Ontology, Stored};
use i3_semantic::projection::Projection;

#[derive(Debug)]
struct AllowAll;

impl Policy for AllowAll {
    fn decide(&self, _: &Subject, _: Action, _: &Resource) -> Decision {
        Decision::allow("the test allows everything")
    }
}

async fn market(store: &DynStore, clock: &Arc<ManualClock>) -> Marketplace {
    Marketplace::open(store.clone(), Arc::new(AllowAll), &[])
        .await
        .unwrap()
        .with_clock(clock.clone())
        .with_ids(Arc::new(SequentialIds::default()))
}

struct Shop {
    store: DynStore,
    clock: Arc<ManualClock>,
    market: Marketplace,
    seller: Actor,
    product: ProductId,
}

impl Shop {
    async fn new() -> Self {
        let store: DynStore = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_800_000_000_000_000).unwrap()));
        let market = market(&store, &clock).await;
        let seller = RegisterUser {
            name: "seller".parse().unwrap(),
            display: "Seller".parse().unwrap(),
            email: None,
            roles: [RoleName::PROVIDER].into(),
            profile: i3_core::user::Profile::default(),
            invitation: None,
            password: None,
        };
        let seller: UserId = market.execute(Actor::System, None, &seller).await.unwrap().id;
        let seller = Actor::User(seller);
        let hub = RegisterHub { slug: "acme".parse().unwrap(), title: "Acme".parse().unwrap() };
        let hub = market.execute(seller, None, &hub).await.unwrap();
        let device = RegisterDevice {
            hub: hub.id,
            name: "roof".parse().unwrap(),
            title: "Roof".parse().unwrap(),
            credential: NewCredential::Password { hash: SecretHash::new("hash") },
        };
        let device = market.execute(seller, None, &device).await.unwrap();
        let product = CreateProduct {
            hub: hub.id,
            slug: "air".parse().unwrap(),
            title: "Air quality".parse().unwrap(),
            description: "On the roof".parse().unwrap(),
            tags: vec!["air".parse().unwrap()],
            devices: vec![device.id],
            stream: i3_core::stream::StreamDescription::default(),
        };
        let product = market.execute(seller, None, &product).await.unwrap().id;
        clock.advance(Duration::from_secs(1));
        Self { store, clock, market, seller, product }
    }

    async fn follow(&self) -> Arc<Projection> {
        Projection::open(self.market.clone(), Ontology::core()).await.unwrap()
    }

    async fn publish(&self, title: &str) -> VirtualObjectId {
        let create = CreateObject { content: content(title), hub: None, submit: true };
        self.market.execute(self.seller, None, &create).await.unwrap().object.id
    }

    async fn go(&self, object: VirtualObjectId, to: ObjectState) {
        let go = MoveObject { object, to, expect: None, remark: None };
        self.market.execute(self.seller, None, &go).await.unwrap();
    }

    async fn sell(&self, to: ProductState) {
        let go = MoveProduct { product: self.product, to };
        self.market.execute(self.seller, None, &go).await.unwrap();
    }
}

/// The object of the paper, at a place.
fn content(title: &str) -> Content {
    serde_json::from_value(serde_json::json!({
        "kind": "actuator",
        "title": title,
        "body": "Test app",
        "model": "external-led-edited",
        "tags": ["led"],
        "domain": "smart-home",
        "platforms": ["Raspberry Pi"],
        "protocols": ["coap", "http"],
        "attributes": [{"name": "brightness", "type": "number", "unit": "qudt:PERCENT"}],
        "methods": [{"name": "BlueOn"}, {"name": "TurnOff"}],
        "resources": ["coap://129.21.121.1", "http://129.21.121.1"],
        "location": {"place": "KR/Jeju/Campus", "point": {"lat": 33.450_701, "lon": 126.57}},
    }))
    .unwrap()
}

async fn ids(projection: &Projection, question: &str) -> Vec<String> {
    let answer = projection.discover(&Query::parse(question).unwrap(), None).await.unwrap();
    assert_eq!(usize::try_from(answer.total).unwrap(), answer.hits.len());
    answer.hits.iter().map(|hit| hit.id.to_string()).collect()
}

async fn assert_equal_to_the_store(projection: &Projection) {
    let verified = projection.verify().await.unwrap();
    assert!(verified.holds(), "{verified:?}");
}

#[tokio::test]
async fn what_is_published_is_found_and_what_is_withdrawn_is_not_when_the_command_returns() {
    let shop = Shop::new().await;
    let projection = shop.follow().await;
    let object = shop.publish("LED from external app").await;
    let paper = "field_vo_type=actuator&field_supported_protocol=coap&field_common_methods=BlueOn";
    for question in [
        paper,
        "kind=VirtualObject&platform=raspberry%20pi&place=kr/jeju&q=external%20LED",
        "kind=System&attribute=brightness@qudt:PERCENT&near=33.45,126.57&radius=1000&domain=smart-home",
    ] {
        assert_eq!(ids(&projection, question).await, [object.to_string()], "{question}");
    }
    shop.go(object, ObjectState::Removed).await;
    assert!(ids(&projection, paper).await.is_empty());
    let counted =
        projection.discover(&Query::parse("facets=tag,protocol,kind").unwrap(), None).await.unwrap();
    assert!(counted.facets.iter().all(|facet| facet.values.is_empty()), "{counted:?}");
    assert!(projection.graph().is_empty());
    assert_equal_to_the_store(&projection).await;
}

#[tokio::test]
async fn a_draft_is_found_by_nobody_and_an_edit_replaces_what_was_said() {
    let shop = Shop::new().await;
    let projection = shop.follow().await;
    let draft = CreateObject { content: content("Secret lamp"), hub: None, submit: false };
    let draft = shop.market.execute(shop.seller, None, &draft).await.unwrap().object.id;
    assert!(ids(&projection, "").await.is_empty());
    assert!(ids(&projection, "q=secret").await.is_empty());
    shop.go(draft, ObjectState::Submitted).await;
    assert_eq!(ids(&projection, "q=secret").await.len(), 1);
    let mut other = content("Open lamp");
    other.protocols = ["http"].map(|name| name.parse().unwrap()).into();
    other.resources = vec!["http://129.21.121.1".parse().unwrap()];
    let edit = EditObject { object: draft, content: other, expect: None };
    shop.market.execute(shop.seller, None, &edit).await.unwrap();
    assert!(ids(&projection, "q=secret").await.is_empty());
    assert!(ids(&projection, "protocol=coap").await.is_empty());
    assert_eq!(ids(&projection, "q=open&protocol=http").await, [draft.to_string()]);
    assert_equal_to_the_store(&projection).await;
}

#[tokio::test]
async fn a_product_is_found_by_its_price_and_by_where_its_object_is() {
    let shop = Shop::new().await;
    let projection = shop.follow().await;
    assert!(ids(&projection, "listing=product").await.is_empty());
    shop.sell(ProductState::Listed).await;
    let offer = PublishOffer {
        product: shop.product,
        currency: Currency::EUR,
        plan: Plan::FixedCount { messages: 3, price: Amount::new(1).unwrap() },
        term_seconds: None,
    };
    shop.market.execute(shop.seller, None, &offer).await.unwrap();
    let product = shop.product.to_string();
    // A cent for three messages is a third of a cent for one, rounded up.
    assert_eq!(
        ids(&projection, "max_price=0.003333334&currency=EUR&sort=price").await,
        std::slice::from_ref(&product)
    );
    assert!(ids(&projection, "max_price=0.003333333&currency=EUR").await.is_empty());

    let object = shop.publish("Sensor").await;
    let link = |product| LinkProduct { object, product, expect: None };
    shop.market.execute(shop.seller, None, &link(Some(shop.product))).await.unwrap();
    assert_eq!(ids(&projection, "place=kr&listing=product").await, std::slice::from_ref(&product));
    shop.market.execute(shop.seller, None, &link(None)).await.unwrap();
    assert!(ids(&projection, "place=kr&listing=product").await.is_empty());
    shop.market.execute(shop.seller, None, &link(Some(shop.product))).await.unwrap();
    shop.go(object, ObjectState::Removed).await;
    assert!(ids(&projection, "place=kr").await.is_empty());
    assert_eq!(ids(&projection, "tag=air&q=acme").await, [product]);
    assert_equal_to_the_store(&projection).await;

    let hub = shop.market.product(Actor::System, shop.product).await.unwrap().hub;
    let suspend = SetHubState { hub, state: HubState::Suspended };
    shop.market.execute(Actor::System, None, &suspend).await.unwrap();
    assert!(ids(&projection, "").await.is_empty());
    assert_equal_to_the_store(&projection).await;
}

#[tokio::test]
async fn a_product_is_found_by_its_hubs_new_title_when_the_command_returns() {
    let shop = Shop::new().await;
    let projection = shop.follow().await;
    shop.sell(ProductState::Listed).await;
    assert_eq!(ids(&projection, "q=acme").await.len(), 1);
    let hub = shop.market.product(Actor::System, shop.product).await.unwrap().hub;
    let describe = DescribeHub { hub, title: "Weather Makers".parse().ok() };
    shop.market.execute(shop.seller, None, &describe).await.unwrap();
    assert_eq!(ids(&projection, "q=makers").await.len(), 1);
    assert!(ids(&projection, "q=acme").await.is_empty());
    assert_equal_to_the_store(&projection).await;
}

#[tokio::test]
async fn an_index_that_begins_later_is_the_one_that_followed_from_the_start() {
    let shop = Shop::new().await;
    let first = shop.follow().await;
    shop.sell(ProductState::Listed).await;
    for number in 0..5 {
        let object = shop.publish(&format!("Lamp {number}")).await;
        if number % 2 == 0 {
            shop.go(object, ObjectState::Deprecated).await;
        }
    }
    // As after a crash between the store and the index: another process over the same store.
    let second = Projection::open(market(&shop.store, &shop.clock).await, Ontology::core()).await.unwrap();
    assert_eq!(second.live().digest(), first.live().digest());
    assert_eq!(second.graph().digest(), first.graph().digest());
    assert_equal_to_the_store(&second).await;
}

#[tokio::test]
async fn a_projection_that_nobody_holds_any_more_is_gone_with_its_marketplace() {
    let shop = Shop::new().await;
    let projection = shop.follow().await;
    let (store, gone) = (Arc::downgrade(&shop.store), Arc::downgrade(&projection));
    drop(projection);
    assert!(gone.upgrade().is_none());
    shop.publish("Lamp").await;
    drop(shop);
    assert!(store.upgrade().is_none());
}

#[tokio::test]
async fn what_another_process_commits_is_found_by_who_names_its_position() {
    let shop = Shop::new().await;
    let here = shop.follow().await;
    let elsewhere = market(&shop.store, &shop.clock).await.with_ids(Arc::new(i3_core::id::RandomIds));
    let create = CreateObject { content: content("Elsewhere"), hub: None, submit: true };
    let object = elsewhere.execute(shop.seller, None, &create).await.unwrap().object.id;
    assert!(ids(&here, "q=elsewhere").await.is_empty());
    let seen = elsewhere.outbox_position().await.unwrap();
    let question = Query::parse("q=elsewhere").unwrap();
    let answer = here.discover(&question, Some(seen)).await.unwrap();
    assert_eq!((&*answer.hits[0].id, answer.position), (&*object.to_string(), seen));
    assert!(here.discover(&question, Some(seen + 1)).await.is_err(), "nobody committed that");
    let gone = MoveObject { object, to: ObjectState::Removed, expect: None, remark: None };
    elsewhere.execute(shop.seller, None, &gone).await.unwrap();
    here.catch_up().await.unwrap();
    assert!(ids(&here, "q=elsewhere").await.is_empty());
}

const HEAD: &str = "@prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix i3: <urn:i3:ns:> .
    @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix x: <urn:x:> .";
const FAN: &str = "x:Fan a owl:Class ; rdfs:subClassOf i3:Actuator .";

impl Shop {
    async fn say(&self, turtle: Option<&str>) -> u32 {
        let turtle = turtle.map(|turtle| format!("{HEAD}{turtle}"));
        let change = ChangeOntology { turtle, remark: i3_core::name::Prose::default(), expect: None };
        self.market.execute(Actor::System, None, &change).await.unwrap().number
    }

    /// A sensor that says it is of these classes.
    async fn publish_as(&self, classes: &[&str]) -> VirtualObjectId {
        let mut content = content("Of a class");
        content.kind = i3_core::virtual_object::ObjectKind::Sensor;
        content.classes = classes.iter().map(|class| class.parse().unwrap()).collect();
        let create = CreateObject { content, hub: None, submit: true };
        self.market.execute(self.seller, None, &create).await.unwrap().object.id
    }
}

#[tokio::test]
async fn a_fan_is_an_actuator_from_the_answer_to_the_one_who_says_so_until_it_is_withdrawn() {
    let shop = Shop::new().await;
    let projection = shop.follow().await;
    let (before, core) = (shop.publish_as(&["urn:x:Fan"]).await, projection.graph().digest());
    assert!(ids(&projection, "kind=Actuator").await.is_empty());
    assert!(projection.discover(&Query::parse("kind=Fan").unwrap(), None).await.is_err(), "no such class");

    assert_eq!(shop.say(Some(FAN)).await, 1);
    assert_eq!(ids(&projection, "kind=Actuator").await, [before.to_string()]);
    assert_eq!(projection.graph().ontology().version().number, 2);
    let after = shop.publish_as(&["urn:x:Fan"]).await;
    assert_eq!(ids(&projection, "kind=fan").await.len(), 2);
    let counted = projection.discover(&Query::parse("facets=kind").unwrap(), None).await.unwrap();
    let counted = counted.facets.iter().flat_map(|facet| &facet.values);
    let fans: Vec<u64> =
        counted.filter(|value| &*value.value == "urn:x:Fan").map(|value| value.count).collect();
    assert_eq!(fans, [2]);
    shop.go(after, ObjectState::Removed).await;
    assert_equal_to_the_store(&projection).await;

    assert_eq!(shop.say(None).await, 2);
    assert!(ids(&projection, "kind=Actuator").await.is_empty());
    assert_eq!(ids(&projection, "kind=Sensor").await, [before.to_string()]);
    assert_eq!(projection.graph().digest(), core);
    // Another version with the same statements is another version.
    assert_eq!(projection.graph().ontology().version().number, 3);
    assert_equal_to_the_store(&projection).await;
}

#[tokio::test]
async fn whoever_follows_goes_over_to_the_stored_ontology_also_after_a_restart() {
    let shop = Shop::new().await;
    let here = shop.follow().await;
    let elsewhere = market(&shop.store, &shop.clock).await.with_ids(Arc::new(i3_core::id::RandomIds));
    let there = Projection::open(elsewhere.clone(), Ontology::core()).await.unwrap();
    let object = shop.publish_as(&["urn:x:Fan"]).await;
    shop.say(Some(FAN)).await;
    // Another process learns of it when it looks, or when a question names the position.
    assert!(there.discover(&Query::parse("kind=Fan").unwrap(), None).await.is_err());
    let seen = elsewhere.outbox_position().await.unwrap();
    let late = there.discover(&Query::parse("kind=Actuator").unwrap(), Some(seen)).await.unwrap();
    assert_eq!(&*late.hits[0].id, object.to_string());
    let restarted = Projection::open(market(&shop.store, &shop.clock).await, Ontology::core()).await.unwrap();
    assert_eq!(ids(&restarted, "kind=Fan").await, [object.to_string()]);
    for one in [&there, &restarted] {
        assert_eq!(one.graph().digest(), here.graph().digest());
        assert_eq!(one.live().digest(), here.live().digest());
        assert_equal_to_the_store(one).await;
    }
}

#[tokio::test]
async fn objects_that_change_while_the_ontology_does_end_up_as_the_store_says() {
    let shop = Arc::new(Shop::new().await);
    let projection = shop.follow().await;
    for number in 0..200 {
        shop.publish(&format!("Lamp {number}")).await;
    }
    let saying = tokio::spawn({
        let shop = shop.clone();
        async move {
            for round in 0..10 {
                shop.say((round % 2 == 0).then_some(FAN)).await;
            }
            shop.say(Some(FAN)).await
        }
    });
    let mut kept = Vec::new();
    for number in 0..40 {
        let fan = shop.publish_as(&["urn:x:Fan"]).await;
        assert!(projection.live().ids().contains(fan.to_string().as_str()), "found when the command returns");
        if number % 2 == 0 {
            shop.go(fan, ObjectState::Removed).await;
            assert!(!projection.live().ids().contains(fan.to_string().as_str()));
        } else {
            kept.push(fan.to_string());
        }
    }
    assert_eq!(saying.await.unwrap(), 11);
    assert_equal_to_the_store(&projection).await;
    let found = projection.discover(&Query::parse("kind=Fan&limit=100").unwrap(), None).await.unwrap();
    let mut found: Vec<String> = found.hits.iter().map(|hit| hit.id.to_string()).collect();
    found.sort_unstable();
    kept.sort_unstable();
    assert_eq!(found, kept);
}

#[tokio::test]
async fn an_ontology_that_cannot_be_is_refused_with_its_reason_before_it_is_stored() {
    let shop = Shop::new().await;
    let market = shop.market.clone().with_ontology_check(Arc::new(Stored::default()));
    let projection = shop.follow().await;
    for (turtle, reason) in [
        ("x:Both a owl:Class ; rdfs:subClassOf i3:Sensor , i3:Product .", "nothing could be a <urn:x:Both>"),
        ("i3:Offer rdfs:subClassOf i3:Place .", "nothing could be a"),
        ("i3:Sensor a owl:ObjectProperty .", "<urn:i3:ns:Sensor> is declared to be two kinds of thing"),
        ("owl:Thing rdfs:subClassOf i3:Sensor .", "belongs to a standard"),
        ("x:Fan rdfs:subClassOf i3:Actuator .", "<urn:x:Fan> is used as a class but not declared"),
        ("x:a owl:sameAs x:b .", "not supported"),
        ("nonsense", "not lawful Turtle"),
    ] {
        let turtle = Some(format!("{HEAD}{turtle}"));
        let change = ChangeOntology { turtle, remark: i3_core::name::Prose::default(), expect: None };
        let refused = market.execute(Actor::System, None, &change).await.unwrap_err();
        let Some(Refusal::Invalid { field: "turtle", reason: said }) = refused.refusal() else {
            panic!("{refused:?}");
        };
        assert!(said.contains(reason), "{said}");
    }
    // A circle, and a class below itself, are no contradiction: the classes are one.
    let circle =
        "x:A a owl:Class ; rdfs:subClassOf x:A , x:B . x:B a owl:Class ; rdfs:subClassOf x:A , i3:Actuator .";
    assert_eq!(shop.say(Some(circle)).await, 1);
    let object = shop.publish_as(&["urn:x:A"]).await;
    for kind in ["A", "B", "Actuator"] {
        assert_eq!(ids(&projection, &format!("kind={kind}")).await, [object.to_string()]);
    }
    assert_equal_to_the_store(&projection).await;
}

#[tokio::test]
async fn what_was_stored_unchecked_and_cannot_be_leaves_the_version_before_in_force() {
    let shop = Shop::new().await;
    let projection = shop.follow().await;
    let object = shop.publish_as(&["urn:x:Fan"]).await;
    shop.say(Some(FAN)).await;
    for bad in ["nonsense", "x:Fan a owl:Class ; rdfs:subClassOf i3:Sensor , i3:Product ."] {
        let number = shop.say(Some(bad)).await;
        assert_eq!(ids(&projection, "kind=Actuator").await, [object.to_string()]);
        let refused = projection.refused().unwrap();
        assert_eq!(refused.number, number, "{refused}");
        let restarted = shop.follow().await;
        assert_eq!(restarted.refused(), Some(refused));
        assert_eq!(restarted.graph().ontology().version().number, 2);
        assert_equal_to_the_store(&projection).await;
    }
    shop.say(None).await;
    assert_eq!(projection.refused(), None);
    assert!(ids(&projection, "kind=Actuator").await.is_empty());
    assert_equal_to_the_store(&projection).await;
}

#[tokio::test]
async fn an_object_whose_classes_exclude_each_other_is_found_by_nobody_and_one_of_a_standards_class_is() {
    let shop = Shop::new().await;
    let projection = shop.follow().await;
    shop.publish_as(&["urn:i3:ns:Product"]).await;
    assert!(ids(&projection, "").await.is_empty());
    let plain = shop.publish_as(&["http://www.w3.org/2002/07/owl#Nothing", "urn:x:unheard-of"]).await;
    assert_eq!(ids(&projection, "kind=Sensor").await, [plain.to_string()]);
    assert_equal_to_the_store(&projection).await;
}
