//! What is answered from memory is what would be answered anew.

use i3_marketplace::{AppState, Assembly, StoreUrl, router};
use serde_json::{Value, json};

use crate::support::{Raw, Rest, Shop, assemble, config, deliver, stores, text};

/// A server's interface that has answered before, and one that never has.
struct Two<'a> {
    assembly: &'a Assembly,
    shop: &'a Shop,
}

impl Two<'_> {
    async fn ask(rest: &Rest, path: &str, format: &'static str, token: Option<&str>) -> Raw {
        let asked = rest.ask("GET", path).header("accept", format);
        match token {
            Some(token) => asked.token(token).send_raw().await,
            None => asked.send_raw().await,
        }
    }

    /// Asserts that both answer the same to everybody, and gives how many answers there were with a body.
    async fn agree(&self, after: &str, object: &str) {
        let product = format!("/products/{}", self.shop.product);
        let by_hub = format!("/products?hub={}", self.shop.hub);
        let paths = [
            "/products",
            "/products?sort=oldest&limit=1",
            &by_hub,
            &product,
            "/virtual_objects",
            "/virtual_objects?tag=air",
            "/virtual_objects?form=node",
            "/virtual_objects?state=deprecated",
            "/virtual_objects?state=draft",
            object,
        ];
        let fresh = Rest::Router(router(AppState::from(self.assembly)));
        for path in paths {
            for format in ["application/json", "application/xml", "application/hal+json"] {
                for token in [None, Some(&self.shop.seller), Some(&self.shop.buyer), Some(&self.shop.admin)] {
                    let token = token.map(String::as_str);
                    let old = Self::ask(&self.shop.rest, path, format, token).await;
                    let again = Self::ask(&self.shop.rest, path, format, token).await;
                    let new = Self::ask(&fresh, path, format, token).await;
                    for kept in [&old, &again] {
                        let about = format!("{path} as {format} after {after}");
                        assert_eq!(told(kept), told(&new), "{about}");
                        for header in ["etag", "content-type", "link", "cache-control", "vary"] {
                            assert_eq!(
                                kept.headers.get(header),
                                new.headers.get(header),
                                "{header} of {about}"
                            );
                        }
                        assert_eq!(kept.headers.len(), new.headers.len(), "{about}");
                    }
                }
            }
        }
    }
}

/// What is told without the request's number.
fn told(answer: &Raw) -> (u16, String) {
    let number = answer.headers["x-request-id"].to_str().unwrap();
    (answer.status, answer.text.replace(number, ""))
}

#[tokio::test]
async fn whatever_changes_no_answer_is_older_than_the_change() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        let (assembly, rest) = assemble(config(store)).await;
        let shop = Shop::open(rest, json!({"kind": "free"}), 0).await;
        let two = Two { assembly: &assembly, shop: &shop };
        let Shop { rest, seller, buyer, product, .. } = &shop;
        let product = format!("/products/{product}");
        let object = json!({"kind": "sensor", "title": "Air", "tags": ["air"]});
        let object = rest.post(seller, "/virtual_objects", object).await.ok();
        let object = format!("/virtual_objects/{}", text(&object["id"]));
        two.agree("the draft", &object).await;

        let patched = |path: String, patch: Value| async move {
            let asked = rest.ask("PATCH", path).token(seller);
            let asked = asked.header("content-type", "application/merge-patch+json");
            asked.text(patch.to_string()).send().await.ok()
        };
        let moved = |path: &str, state: &str| {
            let path = format!("{path}/state");
            let state = json!({"state": state});
            async move { rest.put(seller, path, state).await.ok() }
        };
        moved(&object, "submitted").await;
        two.agree("publishing", &object).await;
        patched(object.clone(), json!({"title": "Better air"})).await;
        two.agree("another title", &object).await;
        patched(product.clone(), json!({"title": "Cleaner air"})).await;
        two.agree("the product's other title", &object).await;
        let (order, _) = shop.buy().await;
        deliver(&assembly, &order, 1).await;
        rest.put(buyer, format!("/orders/{order}/rating"), json!({"stars": 4})).await.ok();
        two.agree("a rating", &object).await;
        let listed = rest.get(buyer, "/products").await.ok();
        assert_eq!(listed["items"][0]["score"], json!({"ratings": 1, "stars": 4}));
        moved(&product, "paused").await;
        two.agree("a pause", &object).await;
        assert_eq!(rest.get(buyer, "/products").await.ok()["items"], json!([]));
        moved(&product, "listed").await;
        moved(&object, "deprecated").await;
        two.agree("what is deprecated", &object).await;
        rest.ask("DELETE", &object).token(seller).send().await;
        two.agree("what is removed", &object).await;
    }
}

#[tokio::test]
async fn who_may_not_ask_is_told_nothing_that_others_were_told() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest, json!({"kind": "free"}), 0).await;
    let product = format!("/products/{}", shop.product);
    for path in ["/products", product.as_str(), "/virtual_objects"] {
        shop.rest.get(&shop.buyer, path).await.ok();
        shop.rest.get("i3_token_that_nobody_has", path).await.is(401, "invalid_token");
    }
    // A draft is shown to its hub alone, however often the hub looked at it.
    let draft = json!({"slug": "water", "title": "Water", "description": "", "devices": [shop.device]});
    let draft = shop.rest.post(&shop.seller, format!("/hubs/{}/products", shop.hub), draft).await.ok();
    let draft = format!("/products/{}", text(&draft["id"]));
    for _ in 0..3 {
        shop.rest.get(&shop.seller, &draft).await.ok();
        shop.rest.get(&shop.buyer, &draft).await.is(404, "not_found");
    }
}

#[tokio::test]
async fn what_was_asked_for_without_its_body_first_has_it_later() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest, json!({"kind": "free"}), 0).await;
    for path in ["/products".to_owned(), format!("/products/{}", shop.product), "/virtual_objects".to_owned()]
    {
        let head = shop.rest.ask("HEAD", &path).token(&shop.buyer).send_raw().await;
        for _ in 0..2 {
            let whole = shop.rest.get(&shop.buyer, &path).await;
            assert_eq!(whole.headers["etag"], head.headers["etag"], "{path}");
            assert!(whole.ok().is_object(), "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_known_to_the_client_is_not_sent_again_from_memory_either() {
    let (_assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let shop = Shop::open(rest, json!({"kind": "free"}), 0).await;
    for _ in 0..2 {
        let first = shop.rest.get(&shop.buyer, "/products").await;
        let tag = first.headers["etag"].to_str().unwrap().to_owned();
        let asked = || shop.rest.ask("GET", "/products").token(&shop.buyer);
        let again = asked().header("if-none-match", tag.clone()).send_raw().await;
        assert_eq!(
            (again.status, again.text.as_str(), &again.headers["etag"]),
            (304, "", &first.headers["etag"])
        );
        assert_eq!(asked().header("if-match", "\"other\"").send().await.status, 412);
        let head = shop.rest.ask("HEAD", "/products").token(&shop.buyer).send_raw().await;
        assert_eq!((head.status, &head.headers["etag"]), (200, &first.headers["etag"]));
    }
}
