//! What people do is remembered for themselves and counted for their domain; what enough of them used is recommended,
//! where the operator wants it.

use std::time::Duration;

use i3_core::store::{Entity as _, Scan, StoreExt as _};
use i3_marketplace::{AppState, Assembly, AssemblyConfig, Knowledge, StoreUrl, router};
use serde_json::{Value, json};

use crate::mqtt::eventually;
use crate::process::{Server, program};
use crate::support::{PASSWORD, Rest, Shop, assemble, config, patient, stores, text};

/// A shop with an object, `lamp`; things are recommended that two people used.
struct World {
    assembly: Assembly,
    shop: Shop,
    lamp: String,
}

fn free() -> Value {
    json!({"kind": "free", "quota": 9})
}

async fn person(rest: &Rest, name: &str) -> (String, String) {
    let body = json!({"name": name, "roles": ["consumer"], "password": PASSWORD, "domain": "smart-home"});
    rest.ask("POST", "/users").json(&body).send().await.ok();
    rest.sign_in(name).await
}

impl World {
    async fn open() -> Self {
        Self::with(|config| config.recommendations = Some(2.try_into().unwrap())).await
    }

    async fn with(change: impl FnOnce(&mut AssemblyConfig)) -> Self {
        let mut config = config(StoreUrl::Memory);
        change(&mut config);
        let (assembly, _) = assemble(config).await;
        let program = env!("CARGO_BIN_EXE_i3-marketplace");
        let knowledge = Knowledge::open(assembly.market().clone(), program, patient()).await.unwrap();
        let rest = Rest::Router(router(AppState::from(&assembly).with_knowledge(knowledge)));
        let shop = Shop::open(rest, free(), 0).await;
        let lamp = json!({"kind": "actuator", "title": "A lamp", "tags": ["led"]});
        let lamp = shop.rest.post(&shop.seller, "/virtual_objects", lamp).await.ok();
        let lamp = text(&lamp["id"]);
        let public = json!({"state": "published"});
        shop.rest.put(&shop.seller, format!("/virtual_objects/{lamp}/state"), public).await;
        Self { assembly, shop, lamp }
    }

    async fn looks_at_all(&self, token: &str) {
        for path in [format!("/virtual_objects/{}", self.lamp), format!("/products/{}", self.shop.product)] {
            self.shop.rest.get(token, path).await.ok();
        }
    }

    async fn written(&self) {
        self.assembly.write_observations().await.unwrap();
    }

    async fn events(&self, token: &str, user: &str) -> Vec<(String, String)> {
        let page = self.shop.rest.get(token, format!("/users/{user}/events?limit=200")).await.ok();
        let events = page["items"].as_array().unwrap().iter();
        events.map(|event| (text(&event["interaction"]), text(&event["item"]))).collect()
    }

    async fn recommended(&self, token: &str) -> Vec<(String, String)> {
        let page = self.shop.rest.get(token, "/recommendations").await.ok();
        assert_eq!(page["next"], Value::Null);
        let items = page["items"].as_array().unwrap().iter();
        items.map(|one| (text(&one["id"]), text(&one["explanation"]))).collect()
    }
}

#[tokio::test]
async fn a_person_sees_what_is_remembered_and_erases_it() {
    let world = World::open().await;
    let (rest, lamp, product) = (&world.shop.rest, world.lamp.clone(), world.shop.product.clone());
    let (one, one_id) = person(rest, "one").await;
    rest.get(&one, "/discover?q=lamp").await.ok();
    world.looks_at_all(&one).await;
    rest.post(&one, "/orders", json!({"offer": world.shop.offer})).await.ok();
    world.looks_at_all(&world.shop.seller).await;
    rest.ask("GET", format!("/products/{product}")).send().await.ok();
    world.written().await;
    let mut seen = world.events(&one, &one_id).await;
    seen.sort();
    let was = |did: &str, item: &String| (did.to_owned(), item.clone());
    let expected =
        [was("bought", &product), was("discovered", &lamp), was("viewed", &product), was("viewed", &lamp)];
    assert_eq!(seen, expected);

    let path = format!("/users/{one_id}/events");
    let page = rest.get(&one, format!("{path}?limit=3")).await.ok();
    let next = text(&page["next"]);
    let last = rest.get(&one, format!("{path}?limit=3&after={next}")).await.ok();
    assert_eq!((last["items"].as_array().unwrap().len(), &last["next"]), (1, &Value::Null));
    let hal = rest.ask("GET", &path).token(&one).header("accept", "application/hal+json").send().await.ok();
    let item = &hal["_embedded"]["items"][0]["_links"]["item"]["href"];
    assert!(
        [format!("/api/v1/products/{product}"), format!("/api/v1/virtual_objects/{lamp}")]
            .contains(&text(item))
    );
    let account =
        rest.ask("GET", "/users/me").token(&one).header("accept", "application/hal+json").send().await;
    assert_eq!(account.ok()["_links"]["events"]["href"], format!("/api/v1{path}"));

    let (seller, admin) = (&world.shop.seller, &world.shop.admin);
    rest.get(seller, &path).await.is(403, "forbidden");
    rest.ask("DELETE", &path).token(seller).send().await.is(403, "forbidden");
    rest.ask("GET", &path).send().await.is(401, "authentication_required");
    assert_eq!(world.events(admin, &one_id).await.len(), 4, "who audits may see it");
    assert_eq!(world.events(seller, &text(&rest.get(seller, "/users/me").await.ok()["id"])).await, []);

    for _ in 0..2 {
        let reply = rest.ask("DELETE", &path).token(&one).send().await;
        assert_eq!(reply.status, 204);
        assert_eq!(world.events(&one, &one_id).await, []);
    }
    world.written().await;
    assert_eq!(world.events(&one, &one_id).await, []);
}

#[tokio::test]
async fn who_says_not_to_be_observed_is_forgotten_before_the_answer_comes() {
    let world = World::open().await;
    let rest = &world.shop.rest;
    let (asker, _) = person(rest, "asker").await;
    let (one, one_id) = person(rest, "one").await;
    let (two, _) = person(rest, "two").await;
    world.looks_at_all(&one).await;
    world.looks_at_all(&two).await;
    world.written().await;
    assert_eq!(world.recommended(&asker).await.len(), 2);
    let unobserved = json!({"display": "One", "domain": "smart-home", "unobserved": true});
    rest.put(&one, format!("/users/{one_id}"), unobserved).await.ok();
    assert_eq!(world.events(&one, &one_id).await, []);
    assert_eq!(world.recommended(&asker).await, []);
    world.looks_at_all(&one).await;
    rest.post(&one, "/orders", json!({"offer": world.shop.offer})).await.ok();
    world.written().await;
    assert_eq!(world.events(&one, &one_id).await, []);
    assert_eq!(world.recommended(&asker).await, []);
    let all: Vec<i3_core::analytics::Popularity> = {
        let scan = Scan::ids(i3_core::analytics::Popularity::collection());
        world.assembly.market().store().all(scan).await.unwrap()
    };
    assert!(all.iter().all(|one| one.people.viewed == 1 && one.people.bought == 0), "{all:?}");
}

#[tokio::test]
async fn nothing_is_recommended_or_remembered_unless_the_operator_wants_it() {
    let world = World::with(|config| config.analytics_kept = 0).await;
    let rest = &world.shop.rest;
    let (one, one_id) = person(rest, "one").await;
    rest.get(&one, "/recommendations").await.is(404, "not_found");
    rest.ask("GET", "/recommendations").send().await.is(401, "authentication_required");
    world.looks_at_all(&one).await;
    rest.post(&one, "/orders", json!({"offer": world.shop.offer})).await.ok();
    world.written().await;
    assert_eq!(world.events(&one, &one_id).await, []);

    let usual = World::with(|_| {}).await;
    usual.shop.rest.get(&usual.shop.buyer, "/recommendations").await.is(404, "not_found");
}

#[tokio::test]
async fn what_enough_people_used_is_recommended_and_what_is_hidden_never_is() {
    let world = World::open().await;
    let (rest, lamp, product) = (&world.shop.rest, world.lamp.clone(), world.shop.product.clone());
    let (asker, _) = person(rest, "asker").await;
    let (one, _) = person(rest, "one").await;
    let (two, _) = person(rest, "two").await;
    rest.get(&world.shop.buyer, "/recommendations").await.is(409, "wrong_state");
    world.looks_at_all(&one).await;
    world.written().await;
    assert_eq!(world.recommended(&asker).await, [], "one is no group");
    for token in [&one, &two] {
        world.looks_at_all(token).await;
        rest.post(token, "/orders", json!({"offer": world.shop.offer})).await.ok();
    }
    world.written().await;
    let expected = [
        (product.clone(), "2 people of smart-home bought it, 2 looked at it".to_owned()),
        (lamp.clone(), "2 people of smart-home looked at it".to_owned()),
    ];
    assert_eq!(world.recommended(&asker).await, expected);
    assert_eq!(world.recommended(&one).await, expected[1..], "what one bought is not recommended");
    let page = rest.get(&asker, "/recommendations?limit=1").await.ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let because = json!([
        {"interaction": "bought", "people": 2}, {"interaction": "viewed", "people": 2},
    ]);
    let first = &page["items"][0];
    assert_eq!(
        (&first["because"], &first["listing"], &first["domain"]),
        (&because, &json!("product"), &json!("smart-home"))
    );
    assert_eq!(first["document"]["product"]["title"], "Air");
    for bad in ["limit=0", "limit=101", "after=x"] {
        rest.get(&asker, format!("/recommendations?{bad}")).await.is(400, "invalid_request");
    }
    let hal = rest.ask("GET", "/recommendations").token(&asker).header("accept", "application/hal+json");
    let hal = hal.send().await.ok();
    assert_eq!(
        hal["_embedded"]["items"][1]["_links"]["self"]["href"],
        format!("/api/v1/virtual_objects/{lamp}")
    );
    let found = rest.get(&asker, "/discover").await.ok();
    assert!(!found.to_string().contains("people of smart-home"), "no other answer has any of it");

    rest.put(&world.shop.seller, format!("/virtual_objects/{lamp}/state"), json!({"state": "removed"}))
        .await
        .ok();
    assert_eq!(world.recommended(&asker).await, expected[..1]);
    rest.put(&world.shop.seller, format!("/products/{product}/state"), json!({"state": "paused"})).await.ok();
    assert_eq!(world.recommended(&asker).await, []);
}

#[tokio::test]
async fn a_flood_of_looks_keeps_nobody_waiting_and_what_is_lost_is_counted() {
    let world = World::open().await;
    let (one, one_id) = person(&world.shop.rest, "one").await;
    let queue = world.assembly.access().observations.clone().unwrap();
    let path = format!("/products/{}", world.shop.product);
    let seen = i3_core::analytics::Observation {
        user: one_id.parse().unwrap(),
        item: world.shop.product.parse().unwrap(),
        interaction: i3_core::analytics::Interaction::Viewed,
        at: world.assembly.market().now(),
    };
    for later in 0.. {
        let at = seen.at.plus(Duration::from_micros(later));
        queue.push(i3_core::analytics::Observation { at, ..seen });
        if queue.lost() > 0 {
            break;
        }
    }
    world.shop.rest.get(&one, &path).await.ok();
    assert_eq!(queue.lost(), 2);
    world.written().await;
    let page = world.shop.rest.get(&one, format!("/users/{one_id}/events")).await.ok();
    assert_eq!((&page["items"][0]["times"], queue.is_empty()), (&json!(4_096), true));
}

#[tokio::test]
async fn a_server_that_was_killed_remembers_what_was_bought_and_one_that_ended_what_was_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("market.sqlite").display());
    let start = || Server::start(folder.path(), &store, &["--recommendations", "2"]);
    let server = start();
    let shop = Shop::open(server.rest(), free(), 0).await;
    let (one, one_id) = person(&server.rest(), "one").await;
    server.rest().post(&one, "/orders", json!({"offer": shop.offer})).await.ok();
    server.kill();

    let server = start();
    let kinds = async |server: &Server| {
        let page = server.rest().get(&one, format!("/users/{one_id}/events")).await.ok();
        let events = page["items"].as_array().unwrap().iter();
        events.map(|event| (text(&event["interaction"]), event["times"].clone())).collect::<Vec<_>>()
    };
    let bought = ("bought".to_owned(), json!(1));
    let came = async || kinds(&server).await == [bought.clone()];
    assert!(eventually(Duration::from_mins(1), came).await);
    server.rest().get(&one, format!("/products/{}", shop.product)).await.ok();
    server.end();

    let server = start();
    assert_eq!(kinds(&server).await, [("viewed".to_owned(), json!(1)), bought]);
    let (asker, _) = person(&server.rest(), "asker").await;
    assert_eq!(server.rest().get(&asker, "/recommendations").await.ok()["items"], json!([]));
}

#[test]
fn a_server_does_not_start_that_shall_recommend_by_nothing_or_name_people() {
    for (options, why) in [
        (&["--recommendations", "--analytics-kept", "0"][..], "nothing to recommend by"),
        (&["--recommendations", "1"], "at least 2 people"),
        (&["--analytics-kept", "301"], "0 to 300"),
    ] {
        let output = program().args(["serve", "--store", "memory:"]).args(options).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.contains(why)), (Some(2), true), "{said}");
    }
}

#[tokio::test]
async fn on_every_store_what_is_counted_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        if matches!(store, StoreUrl::Memory) {
            continue;
        }
        let settings = || {
            let mut config = config(store.clone());
            config.master_key = Some(folder.path().join(format!("{}.key", store.to_string().len())));
            config.recommendations = Some(2.try_into().unwrap());
            config
        };
        let (assembly, rest) = assemble(settings()).await;
        let shop = Shop::open(rest, free(), 0).await;
        for name in ["one", "two", "three"] {
            let (token, id) = person(&shop.rest, name).await;
            shop.rest.post(&token, "/orders", json!({"offer": shop.offer})).await.ok();
            shop.rest.get(&token, format!("/products/{}", shop.product)).await.ok();
            assembly.write_observations().await.unwrap();
            if name == "one" {
                shop.rest.ask("DELETE", format!("/users/{id}/events")).token(&token).send().await;
            }
        }
        let (asker, _) = person(&shop.rest, "asker").await;
        drop((shop, assembly));
        let assembly = Assembly::open(settings()).await.unwrap();
        let rest = Rest::Router(router(AppState::from(&assembly)));
        let page = rest.get(&asker, "/recommendations").await.ok();
        assert_eq!(
            page["items"][0]["explanation"], "2 people of smart-home bought it, 2 looked at it",
            "{store}"
        );
    }
}
