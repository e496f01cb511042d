//! Virtual objects over the interface: shared, found, changed, taken away; the paper's own request.

use i3_marketplace::{Assembly, StoreUrl};
use serde_json::{Value, json};

use crate::support::{Rest, assemble, config, text};

/// The request of the paper, as it is printed there (section 4.4).
const PRINTED: &str = include_str!("../fixtures/paper_request.json");

struct House {
    _assembly: Assembly,
    rest: Rest,
    admin: String,
    maker: String,
    stranger: String,
    consumer: String,
}

async fn house() -> House {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let (admin, _) = rest.sign_in("admin").await;
    let (maker, _) = rest.register("maker", "provider").await;
    let (stranger, _) = rest.register("stranger", "provider").await;
    let (consumer, _) = rest.register("guest", "consumer").await;
    House { _assembly: assembly, rest, admin, maker, stranger, consumer }
}

impl House {
    /// What the paper prints, sent as HAL; gives the path of what was made.
    async fn share(&self) -> String {
        let asked = self.rest.ask("POST", "/virtual_objects").token(&self.maker).text(PRINTED);
        let made = asked.header("content-type", "application/hal+json").send().await;
        assert_eq!(made.status, 201, "{made:?}");
        made.headers["location"].to_str().unwrap().strip_prefix("/api/v1").unwrap().to_owned()
    }

    async fn remove(&self, token: &str, path: &str) -> crate::support::Reply {
        self.rest.ask("DELETE", path).token(token).send().await
    }
}

#[tokio::test]
async fn what_the_paper_prints_is_taken_and_answered_in_kind() {
    let house = house().await;
    let asked = house.rest.ask("POST", "/virtual_objects").token(&house.maker).text(PRINTED);
    let asked = asked.header("content-type", "application/hal+json").header("accept", "application/hal+json");
    let made = asked.send().await;
    assert_eq!(made.headers["content-type"], "application/hal+json");
    let place = made.headers["location"].to_str().unwrap().to_owned();
    let made = made.ok();
    let mut printed: Value = serde_json::from_str(PRINTED).unwrap();
    printed.as_object_mut().unwrap().remove("_links");
    for (field, value) in printed.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
    assert_eq!(made["_links"]["self"]["href"], place);
    assert_eq!(made["status"], json!([{"value": "published"}]));

    // Everybody sees it, in that form if it is asked for.
    let path = place.strip_prefix("/api/v1").unwrap();
    let shown = house.rest.ask("GET", format!("{path}?form=node")).send().await.ok();
    assert_eq!(shown["field_supported_protocol"], json!([{"target_id": ["coap", "http"]}]));
    let plain = house.rest.ask("GET", path).send().await.ok();
    assert_eq!((&plain["kind"], &plain["protocols"]), (&json!("actuator"), &json!(["coap", "http"])));
    let found = house.rest.ask("GET", "/virtual_objects?kind=actuator&protocol=coap").send().await.ok();
    assert_eq!(found["items"][0]["id"], plain["id"]);
}

#[tokio::test]
async fn a_consumer_and_a_stranger_delete_nothing_and_owner_and_administrator_do() {
    let house = house().await;
    let path = house.share().await;
    for token in [&house.consumer, &house.stranger] {
        let refused = house.remove(token, &path).await;
        refused.is(403, "forbidden");
        assert_eq!(refused.body["detail"], "the permission `virtual_object:delete` is missing");
    }
    house.rest.ask("DELETE", &path).send().await.is(401, "authentication_required");
    assert_eq!(house.rest.ask("GET", &path).send().await.status, 200, "it is still there");
    assert_eq!(house.remove(&house.maker, &path).await.status, 204);
    house.rest.ask("GET", &path).send().await.is(404, "not_found");
    let other = house.share().await;
    assert_eq!(house.remove(&house.admin, &other).await.status, 204);
    house.rest.ask("GET", &other).send().await.is(404, "not_found");
    let found = house.rest.ask("GET", "/virtual_objects").send().await.ok();
    assert_eq!(found["items"], json!([]));
}

#[tokio::test]
async fn a_draft_is_its_owners_and_each_content_keeps_its_hash_and_number() {
    let house = house().await;
    let draft = json!({
        "kind": "sensor", "title": "Thermometer", "tags": ["indoor"], "protocols": ["mqtt"],
        "attributes": [{"name": "temperature", "type": "number", "unit": "ucum:Cel"}],
    });
    let made = house.rest.post(&house.maker, "/virtual_objects", draft).await.ok();
    let path = format!("/virtual_objects/{}", text(&made["id"]));
    for token in [&house.consumer, &house.stranger] {
        house.rest.get(token, &path).await.is(404, "not_found");
        house
            .rest
            .put(token, format!("{path}/state"), json!({"state": "submitted"}))
            .await
            .is(404, "not_found");
    }
    assert_eq!(house.rest.get(&house.maker, &path).await.ok()["state"], "draft");
    house.rest.put(&house.maker, format!("{path}/state"), json!({"state": "submitted"})).await.ok();

    let patch = |body: Value| {
        let asked = house.rest.ask("PATCH", &path).token(&house.maker).text(body.to_string());
        asked.header("content-type", "application/merge-patch+json")
    };
    let changed = patch(json!({"title": "Good thermometer", "tags": null})).send().await.ok();
    assert_eq!((&changed["version"], changed.get("tags")), (&json!(2), None));
    // Nobody reviews here: what was public before is public at once.
    let seen = house.rest.get(&house.consumer, &path).await.ok();
    assert_eq!((&seen["title"], &seen["version"]), (&json!("Good thermometer"), &json!(2)), "{seen}");
    assert_ne!(seen["hash"], made["hash"]);
    patch(json!({"wings": 2})).send().await.is(400, "invalid_request");

    let history = house.rest.get(&house.maker, format!("{path}/history")).await.ok();
    assert_eq!(history["items"].as_array().unwrap().len(), 2);
    let by_hash = format!("{path}/versions/{}", text(&made["hash"]));
    assert_eq!(house.rest.get(&house.maker, by_hash).await.ok()["content"]["title"], "Thermometer");

    let move_to = async |state: &str| {
        house.rest.put(&house.maker, format!("{path}/state"), json!({"state": state})).await
    };
    move_to("deprecated").await.ok();
    move_to("removed").await.ok();
    move_to("published").await.is(409, "wrong_state");
}

#[tokio::test]
async fn links_say_what_may_be_done_with_an_object() {
    let house = house().await;
    let path = house.share().await;
    let seen = async |token: &str| {
        let asked = house.rest.ask("GET", &path).token(token).header("accept", "application/hal+json");
        let shown = asked.send().await.ok();
        let links = shown["_links"].as_object().unwrap();
        links.keys().filter(|name| name.starts_with("i3:")).cloned().collect::<Vec<_>>()
    };
    let own = seen(&house.maker).await;
    for relation in ["i3:edit", "i3:link-product", "i3:remove", "i3:set-state"] {
        assert!(own.iter().any(|one| one == relation), "{relation} is missing: {own:?}");
    }
    assert_eq!(seen(&house.consumer).await, [""; 0]);
    assert_eq!(seen(&house.stranger).await, [""; 0]);
}

#[tokio::test]
async fn names_that_look_like_code_are_data_or_refused() {
    let house = house().await;
    let long = "x".repeat(200_000);
    let hostile = [
        "'; DROP TABLE objects; --",
        "<script>alert(1)</script>",
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>&b;",
        "../../../etc/passwd",
        "\" onload=\"alert(1)",
        "{{7*7}} ${7*7} %7B",
        "\u{202e}dlrow\u{200b} olleh",
        "\u{0}",
        "line\nbreak",
        &long,
        "ａｂｃ 温度計 🌡",
    ];
    for text in hostile {
        let body = json!({"kind": "sensor", "title": text, "body": text, "model": text, "tags": [text]});
        let mut kept = 0;
        for member in ["title", "body", "model", "tags"] {
            let mut object = json!({"kind": "sensor", "title": "T"});
            object[member] = body[member].clone();
            let made = house.rest.post(&house.maker, "/virtual_objects", object).await;
            if made.status == 201 {
                let path = format!("/virtual_objects/{}", made.body["id"].as_str().unwrap());
                let shown = house.rest.get(&house.maker, &path).await.ok();
                assert_eq!(shown[member], body[member], "kept as it was sent");
                let asked = house.rest.ask("GET", &path).token(&house.maker);
                let xml = asked.header("accept", "application/xml").send_raw().await;
                assert!(!xml.text.contains("<script>") && !xml.text.contains("<!"), "{}", xml.text);
                kept += 1;
            } else {
                assert!(
                    matches!(
                        (made.status, made.body["code"].as_str()),
                        (400, Some("invalid_request")) | (413, Some("body_too_large"))
                    ),
                    "{text:.40}: {made:?}"
                );
            }
        }
        assert!(
            kept > 0 || text.len() > 64 * 1024 || text.contains(['\u{0}', '\u{202e}', '\n']),
            "{text:.40}"
        );
    }
}
