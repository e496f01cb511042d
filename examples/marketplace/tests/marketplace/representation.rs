//! One thing, shown in several ways; and changes that depend on what was seen.

use std::collections::BTreeSet;

use i3_marketplace::{StoreUrl, openapi, operations};
use serde_json::{Value, json};

use crate::support::{Shop, assemble, config, kept, text};

async fn shop() -> (i3_marketplace::Assembly, Shop) {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    (assembly, Shop::open(rest, json!({"kind": "free"}), 500).await)
}

/// The relations of a thing's links that begin with `i3:`.
fn offered(thing: &Value) -> BTreeSet<String> {
    let links = thing["_links"].as_object().unwrap();
    links.keys().filter_map(|relation| relation.strip_prefix("i3:")).map(str::to_owned).collect()
}

impl Shop {
    async fn hal(&self, token: &str, path: &str) -> Value {
        let reply =
            self.rest.ask("GET", path).token(token).header("accept", "application/hal+json").send().await;
        assert_eq!(reply.headers["content-type"], "application/hal+json");
        reply.ok()
    }
}

#[tokio::test]
async fn links_say_what_the_caller_may_do() {
    let (_assembly, shop) = shop().await;
    let product = format!("/products/{}", shop.product);
    let seen = shop.hal(&shop.seller, &product).await;
    assert_eq!(seen["_links"]["self"]["href"], format!("/api/v1{product}"));
    assert_eq!(seen["_links"]["curies"][0]["href"], "/api/v1/relations/{rel}");
    let all = ["describe", "describe-stream", "publish-offer", "sample", "set-state"];
    assert_eq!(offered(&seen), all.map(str::to_owned).into());
    assert_eq!(offered(&shop.hal(&shop.buyer, &product).await), BTreeSet::from(["sample".to_owned()]));

    let (order, _) = shop.buy().await;
    let order = format!("/orders/{order}");
    let mine = offered(&shop.hal(&shop.buyer, &order).await);
    assert!(mine.contains("cancel") && mine.contains("password") && !mine.contains("revoke"), "{mine:?}");
    let sold = offered(&shop.hal(&shop.seller, &order).await);
    assert!(sold.contains("revoke") && !sold.contains("cancel") && !sold.contains("password"), "{sold:?}");
    shop.rest.post(&shop.buyer, format!("{order}/cancel"), Value::Null).await.ok();
    let over = offered(&shop.hal(&shop.buyer, &order).await);
    assert!(!over.contains("cancel"), "{over:?}");
}

#[tokio::test]
async fn a_list_embeds_its_items_and_links_to_its_next_page() {
    let (_assembly, shop) = shop().await;
    for _ in 0..3 {
        shop.buy().await;
    }
    let first = shop.hal(&shop.buyer, "/orders?limit=2").await;
    let items = first["_embedded"]["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["_links"]["self"]["href"], format!("/api/v1/orders/{}", text(&items[0]["id"])));
    let next = text(&first["_links"]["next"]["href"]);
    let next = next.strip_prefix("/api/v1").unwrap();
    let second = shop.hal(&shop.buyer, next).await;
    assert_eq!(second["_embedded"]["items"].as_array().unwrap().len(), 1);
    assert!(second["_links"]["next"].is_null());
    assert_eq!(second["_links"]["first"]["href"], "/api/v1/orders?limit=2");

    let plain = shop.rest.get(&shop.buyer, "/orders?limit=2").await;
    let link = plain.headers["link"].to_str().unwrap().to_owned();
    assert_eq!(link, format!("<{}>; rel=\"next\"", text(&first["_links"]["next"]["href"])));
    assert_eq!(plain.ok()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn xml_says_the_same_and_is_taken_too() {
    let (_assembly, shop) = shop().await;
    let ask = |method, path: &str| {
        shop.rest.ask(method, path).token(&shop.seller).header("accept", "application/xml")
    };
    let product = format!("/products/{}", shop.product);
    let shown = ask("GET", &product).send_raw().await;
    assert_eq!(shown.headers["content-type"], "application/xml");
    assert!(shown.text.contains("<title>Air</title>"), "{}", shown.text);
    assert!(shown.text.contains("<tags type=\"array\"><item>air</item></tags>"), "{}", shown.text);

    let change = "<texts><title>L&#252;fte &amp; D&#252;fte</title><description>d</description>\
                  <tags type=\"array\"/></texts>";
    let put = |body: &str| ask("PUT", &product).header("content-type", "application/xml").text(body);
    let changed = put(change).send_raw().await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert!(changed.text.contains("<title>Lüfte &amp; Düfte</title>"), "{}", changed.text);

    let bomb = "<!DOCTYPE a [<!ENTITY b \"bb\">]><texts><title>&b;</title></texts>";
    let refused = put(bomb).send_raw().await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.headers["content-type"], "application/problem+xml");
    assert!(refused.text.contains("<code>invalid_xml</code>"), "{}", refused.text);
}

#[tokio::test]
async fn what_nobody_can_show_is_refused_before_anything_is_done() {
    let (_assembly, shop) = shop().await;
    let hub = json!({"slug": "other", "title": "Other"});
    let asked = shop.rest.ask("POST", "/hubs").token(&shop.seller).header("accept", "text/html").json(&hub);
    asked.send().await.is(406, "not_acceptable");
    shop.rest.post(&shop.seller, "/hubs", hub).await.ok();
}

#[tokio::test]
async fn a_change_of_what_was_not_seen_is_refused() {
    let (_assembly, shop) = shop().await;
    let product = format!("/products/{}", shop.product);
    let seen = shop.rest.get(&shop.seller, &product).await;
    let tag = seen.headers["etag"].to_str().unwrap().to_owned();
    assert!(seen.headers["vary"].to_str().unwrap().contains("accept"));
    let again =
        shop.rest.ask("GET", &product).token(&shop.seller).header("if-none-match", &tag).send_raw().await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));

    let patch = |tag: &str, body: Value| {
        let asked = shop.rest.ask("PATCH", &product).token(&shop.seller).header("if-match", tag);
        asked.header("content-type", "application/merge-patch+json").text(body.to_string())
    };
    let first = patch(&tag, json!({"title": "Better air"})).send().await;
    let fresh = first.headers["etag"].to_str().unwrap().to_owned();
    let first = first.ok();
    assert_eq!((&first["title"], &first["description"]), (&json!("Better air"), &json!("Air quality")));
    patch(&tag, json!({"title": "Lost"})).send().await.is(412, "precondition_failed");
    patch("\"nonsense\"", json!({"title": "Lost"})).send().await.is(412, "precondition_failed");
    patch("*", json!({"description": "Any"})).send().await.ok();
    patch(&fresh, json!({"title": "Lost"})).send().await.is(412, "precondition_failed");
    let now = shop.rest.get(&shop.buyer, &product).await.ok();
    assert_eq!(
        (&now["product"]["title"], &now["product"]["description"]),
        (&json!("Better air"), &json!("Any"))
    );

    // Another one's view of the same record is good too; a stranger is told nothing of it.
    let tag = shop.hal_tag(&product).await;
    let asked = shop.rest.ask("PATCH", &product).token(&shop.buyer).header("if-match", &tag);
    let asked = asked.header("content-type", "application/merge-patch+json").text("{\"title\": \"Mine\"}");
    asked.send().await.is(403, "forbidden");
    patch(&tag, json!({"tags": null})).send().await.ok();
    patch("*", json!({"title": null})).send().await.is(400, "invalid_request");
    patch("*", json!({"slug": "b"})).send().await.is(422, "unchangeable");
    let plain = shop.rest.ask("PATCH", &product).token(&shop.seller).json(&json!({"title": "x"}));
    plain.send().await.is(415, "unsupported_media_type");
    let nothing_there = json!({"slug": "new", "title": "New"});
    let asked =
        shop.rest.ask("POST", "/hubs").token(&shop.seller).header("if-match", "*").json(&nothing_there);
    asked.send().await.is(412, "precondition_failed");
}

impl Shop {
    async fn hal_tag(&self, path: &str) -> String {
        let asked = self.rest.ask("GET", path).token(&self.buyer).header("accept", "application/hal+json");
        asked.send().await.headers["etag"].to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn head_and_options_tell_without_doing() {
    let (_assembly, shop) = shop().await;
    let product = format!("/products/{}", shop.product);
    let head = shop.rest.ask("HEAD", &product).send_raw().await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.headers["etag"], shop.rest.ask("GET", &product).send().await.headers["etag"]);
    let options = shop.rest.ask("OPTIONS", &product).send_raw().await;
    assert_eq!(options.status, 204);
    let allowed: BTreeSet<&str> = options.headers["allow"].to_str().unwrap().split(',').collect();
    assert_eq!(allowed, BTreeSet::from(["GET", "HEAD", "PATCH", "PUT"]));
}

#[test]
fn every_operation_is_declared_once_and_described() {
    let document = openapi();
    let mut names = BTreeSet::new();
    for operation in operations() {
        assert!(names.insert(operation.id), "{} is there twice", operation.id);
        let method = operation.method.as_str().to_ascii_lowercase();
        let described = &document["paths"][operation.path][&method];
        assert_eq!(described["operationId"], operation.id);
        let given = operation.path.matches('{').count();
        let told = described["parameters"].as_array().unwrap();
        assert_eq!(told.iter().filter(|one| one["in"] == "path").count(), given, "{}", operation.path);
    }
}

#[test]
fn the_description_in_the_repository_is_todays() {
    let today = format!("{:#}\n", openapi());
    kept("docs/openapi.json", &today);
}
