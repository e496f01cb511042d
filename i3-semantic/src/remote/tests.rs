use super::*;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
use i3_core::id::{SequentialIds, VirtualObjectId};
use i3_core::market::{ChangeOntology, CreateObject, EditObject, Marketplace, MoveObject, RegisterUser};
use i3_core::role::RoleName;
use i3_core::store::MemoryStore;
use i3_core::virtual_object::{Content, ObjectState};
use oxigraph::sparql::{QueryResults, SparqlEvaluator};
use oxigraph::store::Store;
use proptest::prelude::*;

use crate::ontology::Ontology;
use crate::sparql::AnswerFormat;

#[derive(Debug)]
struct AllowAll;

impl Policy for AllowAll {
    fn decide(&self, _: &Subject, _: Action, _: &Resource) -> Decision {
        Decision::allow("the test allows everything")
    }
}

/// A store in this process, which can break before or after it did what it was asked.
struct There {
    store: Store,
    /// How many updates go well; then one fails, done (odd) or not (even).
    well: AtomicUsize,
    done_all_the_same: bool,
    late: Mutex<Vec<String>>,
}

impl std::fmt::Debug for There {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("There")
    }
}

impl There {
    fn new() -> Arc<Self> {
        Self::failing(usize::MAX, false)
    }

    fn failing(well: usize, done_all_the_same: bool) -> Arc<Self> {
        let store = Store::new().unwrap();
        Arc::new(Self { store, well: well.into(), done_all_the_same, late: Mutex::default() })
    }

    fn carry_out(&self, update: &str) {
        SparqlEvaluator::new().parse_update(update).unwrap().on_store(&self.store).execute().unwrap();
    }

    fn count(&self, query: &str) -> usize {
        match SparqlEvaluator::new().parse_query(query).unwrap().on_store(&self.store).execute().unwrap() {
            QueryResults::Solutions(solutions) => solutions.count(),
            _ => panic!("a table was asked for"),
        }
    }
}

#[async_trait]
impl Endpoint for There {
    async fn update(&self, update: &str) -> Result<(), EndpointError> {
        let broken = || Err(EndpointError::Unreachable("the connection broke".into()));
        if self.well.load(Ordering::Relaxed) == 0 {
            self.well.store(usize::MAX, Ordering::Relaxed);
            if self.done_all_the_same {
                self.carry_out(update);
            } else {
                self.late.lock().unwrap().push(update.to_owned());
            }
            return broken();
        }
        self.well.fetch_sub(1, Ordering::Relaxed);
        self.carry_out(update);
        Ok(())
    }

    async fn query(&self, query: &str) -> Result<Vec<u8>, EndpointError> {
        let found =
            SparqlEvaluator::new().parse_query(query).unwrap().on_store(&self.store).execute().unwrap();
        let mut answer = Vec::new();
        AnswerFormat::Json.write(found, &mut answer).unwrap();
        Ok(answer)
    }
}

struct House {
    market: Marketplace,
    seller: Actor,
    projection: Arc<Projection>,
}

impl House {
    async fn new() -> Self {
        let market = Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(AllowAll), &[])
            .await
            .unwrap()
            .with_ids(Arc::new(SequentialIds::default()));
        let seller = RegisterUser {
            name: "seller".parse().unwrap(),
            display: "Seller".parse().unwrap(),
            email: None,
            roles: [RoleName::PROVIDER].into(),
            profile: i3_core::user::Profile::default(),
            invitation: None,
            password: None,
        };
        let seller = Actor::User(market.execute(Actor::System, None, &seller).await.unwrap().id);
        let projection = Projection::open(market.clone(), Ontology::core()).await.unwrap();
        Self { market, seller, projection }
    }

    async fn publish(&self, title: &str) -> VirtualObjectId {
        let create = CreateObject { content: content(title), hub: None, submit: true };
        self.market.execute(self.seller, None, &create).await.unwrap().object.id
    }

    async fn change(&self, object: VirtualObjectId, title: &str) {
        let edit = EditObject { object, content: content(title), expect: None };
        self.market.execute(self.seller, None, &edit).await.unwrap();
    }

    async fn withdraw(&self, object: VirtualObjectId) {
        let gone = MoveObject { object, to: ObjectState::Removed, expect: None, remark: None };
        self.market.execute(self.seller, None, &gone).await.unwrap();
    }

    fn remote(&self, there: &Arc<There>, follower: u128) -> Remote {
        Remote::new(self.projection.clone(), there.clone(), follower)
    }
}

fn content(title: &str) -> Content {
    serde_json::from_value(serde_json::json!({
        "kind": "actuator",
        "title": title,
        "body": format!("About {title}"),
        "tags": ["led"],
        "platforms": ["Raspberry Pi", title],
        "protocols": ["coap"],
        "methods": [{"name": "BlueOn", "description": title}],
        "location": {"place": "KR/Jeju/Campus", "point": {"lat": 33.5, "lon": 126.57}},
    }))
    .unwrap()
}

async fn assert_same(remote: &mut Remote) {
    let compared = remote.verify().await.unwrap();
    assert!(compared.holds(), "{compared:?}");
}

#[tokio::test]
async fn what_is_published_changed_and_withdrawn_is_so_there_too_and_other_graphs_are_left_alone() {
    let (house, there) = (House::new().await, There::new());
    there.carry_out("INSERT DATA { GRAPH <urn:somebody:else> { <urn:a> <urn:b> 1 } <urn:a> <urn:b> 2 }");
    let mut remote = house.remote(&there, 1);
    assert!(!remote.is_current());
    assert_same(&mut remote).await;
    assert!(remote.is_current());
    let (lamp, fan) = (house.publish("Lamp").await, house.publish("Fan").await);
    assert!(!remote.is_current());
    assert_same(&mut remote).await;
    house.change(lamp, "Light").await;
    house.withdraw(fan).await;
    let position = remote.catch_up().await.unwrap();
    assert_eq!(position, house.projection.live().position());
    assert_same(&mut remote).await;
    assert_eq!(there.count("SELECT ?g { GRAPH ?g { ?s <urn:i3:ns:title> \"Lamp\" } }"), 0);
    assert_eq!(there.count(&format!("SELECT * {{ GRAPH <urn:i3:thing:{fan}> {{ ?s ?p ?o }} }}")), 0);
    assert_eq!(there.count("SELECT * { GRAPH <urn:somebody:else> { ?s ?p ?o } }"), 1);
    assert_eq!(there.count("SELECT * { ?s <urn:b> ?o }"), 1);

    let turtle = "<urn:x:Fan> a <http://www.w3.org/2002/07/owl#Class> .".to_owned();
    let said = ChangeOntology { turtle: Some(turtle), remark: i3_core::name::Prose::default(), expect: None };
    house.market.execute(Actor::System, None, &said).await.unwrap();
    assert_same(&mut remote).await;
    assert_eq!(there.count("SELECT * { GRAPH <urn:i3:ontology> { <urn:x:Fan> a ?class } }"), 1);
    remote.rebuild().await.unwrap();
    assert_same(&mut remote).await;
}

#[tokio::test]
async fn after_a_restart_only_what_is_missing_is_sent() {
    let (house, there) = (House::new().await, There::new());
    for number in 0..30 {
        house.publish(&format!("Lamp {number}")).await;
    }
    house.remote(&there, 1).catch_up().await.unwrap();
    // A triple that nobody misses: it is still there after the restart, so its graph was not sent again.
    let mark = "SELECT * { GRAPH ?g { <urn:mark> ?p ?o } }";
    let some = house.projection.graph().objects().next().unwrap().clone();
    there.carry_out(&format!("INSERT DATA {{ GRAPH {some} {{ <urn:mark> <urn:mark> <urn:mark> }} }}"));
    let new = house.publish("New").await;
    let mut again = house.remote(&there, 2);
    again.catch_up().await.unwrap();
    assert_eq!(there.count(&format!("SELECT * {{ <urn:i3:thing:{new}> <urn:no> 1 }}")), 0);
    assert!(there.count(&format!("SELECT * {{ GRAPH <urn:i3:thing:{new}> {{ ?s ?p ?o }} }}")) > 10);
    assert_eq!(there.count(mark), 1);
    // What somebody did there behind our back is found, and put right by building anew.
    assert_eq!(again.verify().await.unwrap().different, [some]);
    again.rebuild().await.unwrap();
    assert_eq!(there.count(mark), 0);
    assert_same(&mut again).await;
}

#[tokio::test]
async fn an_update_that_breaks_at_any_point_done_or_not_leaves_nothing_wrong() {
    for well in 0..12 {
        for done in [false, true] {
            let (house, there) = (House::new().await, There::failing(well, done));
            let mut remote = house.remote(&there, 1);
            let mut failures = 0;
            let (lamp, fan) = (house.publish("Lamp").await, house.publish("Fan").await);
            for step in 0..4 {
                match step {
                    1 => house.change(lamp, "Light").await,
                    2 => house.withdraw(fan).await,
                    3 => drop(house.publish("Third").await),
                    _ => {}
                }
                while remote.catch_up().await.is_err() {
                    failures += 1;
                }
                // What was given up arrives after all, when others were carried out.
                for late in std::mem::take(&mut *there.late.lock().unwrap()) {
                    there.carry_out(&late);
                }
            }
            assert!(failures <= 2, "{failures} after {well}");
            while remote.catch_up().await.is_err() {}
            assert_same(&mut remote).await;
        }
    }
}

#[tokio::test]
async fn of_two_who_keep_one_store_one_is_told_and_both_find_it_right() {
    let (house, there) = (House::new().await, There::new());
    let (mut one, mut other) = (house.remote(&there, 1), house.remote(&there, 2));
    one.catch_up().await.unwrap();
    other.catch_up().await.unwrap();
    house.publish("Lamp").await;
    other.catch_up().await.unwrap();
    assert!(matches!(one.catch_up().await, Err(RemoteError::Overtaken)));
    one.catch_up().await.unwrap();
    assert_same(&mut one).await;
    assert_same(&mut other).await;
    there.carry_out(
        "DELETE DATA { GRAPH <urn:i3:projection> { <urn:i3:projection> \
        <urn:i3:projection#format> \"1\" } } ; INSERT DATA { GRAPH <urn:i3:projection> { <urn:i3:projection> \
        <urn:i3:projection#format> \"2\" } }",
    );
    let mut later = house.remote(&there, 3);
    assert!(matches!(later.catch_up().await, Err(RemoteError::Format(format)) if format == "2"));
}

#[test]
fn every_name_of_ours_is_an_iri() {
    for name in [write::STATE, write::SHARED, write::TOKEN, write::POSITION, write::DIGEST, write::FORMAT] {
        assert!(NamedNode::new(name.as_str()).is_ok(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Quotes, braces, line breaks, SPARQL: data there as here.
    #[test]
    fn no_text_is_more_than_data_there(text in "([\\PC\\n]|[\"'\\\\{}<>;#?@.]|\" \\} \\} ; DROP ALL #){1,40}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (house, there) = (House::new().await, There::new());
            there.carry_out("INSERT DATA { <urn:a> <urn:b> 2 }");
            let mut remote = house.remote(&there, 1);
            let mut hostile = content("Lamp");
            if let Ok(title) = text.parse() {
                hostile.title = title;
            }
            if let Ok(body) = text.parse() {
                hostile.body = body;
            }
            if let Ok(platform) = text.parse() {
                hostile.platforms.insert(platform);
            }
            if let Ok(tag) = text.parse() {
                hostile.tags.insert(tag);
            }
            let create = CreateObject { content: hostile, hub: None, submit: true };
            if house.market.execute(house.seller, None, &create).await.is_ok() {
                assert_same(&mut remote).await;
                assert_eq!(there.count("SELECT * { ?s <urn:b> ?o }"), 1);
            }
        });
    }
}
