//! The ontology, extended from outside while the marketplace runs: "a fan is an actuator".

use i3_core::access::Actor;
use i3_core::market::RegisterUser;
use i3_core::role::RoleName;
use i3_marketplace::{AppState, Assembly, Knowledge, StoreUrl, router};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Reply, Rest, config, patient, text};

const HEAD: &str = "@prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix i3: <urn:i3:ns:> .
    @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix x: <urn:x:> .";
const FAN: &str = "x:Fan a owl:Class ; rdfs:subClassOf i3:Actuator ; rdfs:label \"Ventilator\"@de .";
const EXTENSION: &str = "/ontology/extension";

struct House {
    assembly: Assembly,
    rest: Rest,
    admin: String,
}

impl House {
    async fn open(store: StoreUrl) -> Self {
        // After a restart in one process the threads of the life before may still hold the file.
        let mut tries = 0;
        let assembly = loop {
            match Assembly::open(config(store.clone())).await {
                Ok(assembly) => break assembly,
                Err(error) => assert!(tries < 600, "{error}"),
            }
            tries += 1;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        let register = RegisterUser {
            name: "admin".parse().unwrap(),
            display: "Admin".parse().unwrap(),
            email: None,
            roles: [RoleName::ADMINISTRATOR, RoleName::PROVIDER].into(),
            profile: i3_core::user::Profile::default(),
            invitation: None,
            password: Some(assembly.access().passwords.hash(PASSWORD.as_bytes()).await.unwrap()),
        };
        // There already if this is a restart.
        let _ = assembly.market().execute(Actor::System, None, &register).await;
        let program = env!("CARGO_BIN_EXE_i3-marketplace");
        let knowledge = Knowledge::open(assembly.market().clone(), program, patient()).await.unwrap();
        let rest = Rest::Router(router(AppState::from(&assembly).with_knowledge(knowledge)));
        let (admin, _) = rest.sign_in("admin").await;
        Self { assembly, rest, admin }
    }

    async fn say(&self, turtle: &str) -> Reply {
        let body = json!({"turtle": format!("{HEAD}{turtle}"), "remark": "Because"});
        self.rest.put(&self.admin, EXTENSION, body).await
    }

    async fn share(&self, title: &str, classes: Value) -> String {
        let object = json!({"kind": "sensor", "title": title, "classes": classes, "submit": true});
        text(&self.rest.post(&self.admin, "/virtual_objects", object).await.ok()["id"])
    }

    async fn found(&self, question: &str) -> Vec<String> {
        let found = self.rest.ask("GET", format!("/discover?{question}")).send().await.ok();
        found["things"].as_array().unwrap().iter().map(|thing| text(&thing["id"])).collect()
    }

    /// What SPARQL finds of a class.
    async fn members(&self, class: &str) -> Vec<String> {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", &format!("SELECT ?a WHERE {{ ?a a <{class}> }} ORDER BY ?a"))
            .finish();
        let asked = self.rest.ask("GET", format!("/sparql?{query}"));
        let table = asked.header("accept", "text/csv").send_raw().await;
        let thing = |line: &str| line.strip_prefix("urn:i3:thing:").map(str::to_owned);
        table.text.lines().filter_map(thing).collect()
    }

    async fn shown(&self) -> String {
        self.rest.ask("GET", "/ontology").send_raw().await.text
    }
}

#[tokio::test]
async fn an_administrator_says_that_a_fan_is_an_actuator_and_fans_are_found_as_actuators_in_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = || StoreUrl::Sqlite(folder.path().join("market.sqlite"));
    let house = House::open(store()).await;
    assert!(house.found("kind=Actuator").await.is_empty());
    house.rest.ask("GET", "/discover?kind=Fan").send().await.is(400, "invalid_query");

    let said = house.say(FAN).await.ok();
    assert_eq!((&said["number"], &said["remark"]), (&json!(1), &json!("Because")));
    let fan = house.share("Cooler", json!(["urn:x:Fan"])).await;
    let other = house.share("Thermometer", json!([])).await;
    assert_eq!(house.found("kind=Actuator").await, [fan.as_str()]);
    assert_eq!(house.found("kind=fan&q=cooler").await, [fan.as_str()]);
    assert_eq!(house.found("field_vo_type=sensor&sort=title").await, [fan.clone(), other.clone()]);
    let counted = house.rest.ask("GET", "/discover?facets=kind&facet_values=100").send().await.ok();
    let counts = counted["facets"][0]["values"].as_array().unwrap();
    for class in ["urn:x:Fan", "urn:i3:ns:Actuator"] {
        assert!(counts.contains(&json!({"value": class, "count": 1})), "{counts:?}");
    }
    assert_eq!(house.members("urn:i3:ns:Actuator").await, [fan.as_str()]);
    assert!(house.shown().await.contains("Ventilator"));
    let shown = house.rest.ask("GET", format!("/virtual_objects/{fan}")).send().await.ok();
    assert_eq!(shown["classes"], json!(["urn:x:Fan"]));
    let why = house.rest.ask("GET", "/discover?kind=Actuator").send().await.ok();
    assert_eq!(why["things"][0]["why"][0]["value"], "urn:i3:ns:Actuator", "{why}");

    // A restart goes on with it.
    let House { assembly, rest, .. } = house;
    drop(rest);
    drop(assembly);
    let house = House::open(store()).await;
    assert_eq!(house.found("kind=Actuator").await, [fan.as_str()]);
    assert_eq!(house.members("urn:i3:ns:Actuator").await, [fan.as_str()]);

    assert_eq!(house.rest.ask("DELETE", EXTENSION).token(&house.admin).send().await.status, 204);
    assert!(house.found("kind=Actuator").await.is_empty());
    assert!(house.members("urn:i3:ns:Actuator").await.is_empty());
    assert_eq!(house.found("q=cooler").await, [fan]);
    assert!(!house.shown().await.contains("Ventilator"));
    let history = house.rest.get(&house.admin, "/ontology/versions").await.ok();
    let numbers: Vec<&Value> =
        history["items"].as_array().unwrap().iter().map(|one| &one["number"]).collect();
    assert_eq!(numbers, [&json!(2), &json!(1)]);
    let first = house.rest.get(&house.admin, "/ontology/versions/1").await.ok();
    assert!(
        text(&first["turtle"]).contains(FAN) && first["at"].is_string() && first["by"]["user"].is_string()
    );
    house.rest.ask("DELETE", EXTENSION).token(&house.admin).send().await.is(404, "not_found");
}

#[tokio::test]
async fn what_contradicts_itself_or_the_ontology_that_is_there_is_refused_with_the_reason() {
    let house = House::open(StoreUrl::Memory).await;
    let fan = house.share("Cooler", json!(["urn:x:Fan"])).await;
    house.say(FAN).await.ok();
    let before = house.shown().await;
    for (turtle, reason) in [
        (
            "x:Fan a owl:Class ; rdfs:subClassOf i3:Sensor , i3:Product .",
            "nothing could be a <urn:x:Fan>: it would be both <urn:i3:ns:Product> and <urn:i3:ns:VirtualObject>, \
             which are disjoint",
        ),
        ("i3:Sensor a owl:DatatypeProperty .", "<urn:i3:ns:Sensor> is declared to be two kinds of thing"),
        ("owl:Class rdfs:subClassOf i3:Sensor .", "belongs to a standard"),
        ("x:Fan rdfs:subClassOf i3:Actuator .", "not declared"),
        ("x:Fan a owl:Class ; rdfs:subClassOf [ a owl:Restriction ] .", "not supported"),
        ("x:o a owl:Ontology ; owl:imports <http://example.org/> .", "not supported"),
        ("x:Fan a", "not lawful Turtle"),
    ] {
        let reply = house.say(turtle).await;
        reply.is(400, "invalid_request");
        assert!(text(&reply.body["detail"]).contains(reason), "{}", reply.body);
    }
    let long = format!("# {}", "x".repeat(41 * 1024));
    house.say(&long).await.is(400, "invalid_request");
    assert_eq!(house.shown().await, before);
    assert_eq!(house.found("kind=Actuator").await, [fan.as_str()]);
    // Classes in a circle are one class, and one below itself is none the worse.
    house
        .say("x:Fan a owl:Class ; rdfs:subClassOf x:Fan , x:B . x:B a owl:Class ; rdfs:subClassOf x:Fan .")
        .await
        .ok();
    assert_eq!(house.found("kind=B").await, [fan]);
}

#[tokio::test]
async fn of_two_administrators_who_saw_the_same_version_one_has_to_look_again() {
    let house = House::open(StoreUrl::Memory).await;
    let shown = house.rest.get(&house.admin, EXTENSION).await;
    let tag = shown.headers["etag"].to_str().unwrap().to_owned();
    let put = async |turtle: &str| {
        let body = json!({"turtle": format!("{HEAD}{turtle}")});
        let asked = house.rest.ask("PUT", EXTENSION).token(&house.admin).header("if-match", tag.clone());
        asked.json(&body).send().await
    };
    let (one, other) = tokio::join!(put(FAN), put("x:Fan a owl:Class ."));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    assert_eq!(house.rest.get(&house.admin, EXTENSION).await.ok()["number"], 1);

    let (user, id) = house.rest.register("somebody", "provider").await;
    let body = json!({"turtle": ""});
    house.rest.put(&user, EXTENSION, body.clone()).await.is(403, "forbidden");
    house.rest.get(&user, EXTENSION).await.is(403, "forbidden");
    house.rest.ask("PUT", EXTENSION).json(&body).send().await.is(401, "authentication_required");
    // A role with the permission is enough.
    let role = json!({"name": "ontologist", "label": "Ontologist", "permissions": ["ontology:manage"]});
    house.rest.post(&house.admin, "/roles", role).await.ok();
    house.rest.put(&house.admin, format!("/users/{id}/roles"), json!({"roles": ["ontologist"]})).await.ok();
    assert_eq!(house.rest.put(&user, EXTENSION, body).await.ok()["number"], 2);
}
