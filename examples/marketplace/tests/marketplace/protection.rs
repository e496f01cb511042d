//! Problems are all of one form, and every answer says what browsers need to know.

use std::path::Path;

use axum::Router;
use i3_marketplace::{AppState, Assembly, RestConfig, StoreUrl, problems, router, router_with};
use serde_json::json;

use crate::support::{Rest, Shop, assemble, config, kept};

async fn shop() -> (Assembly, Shop) {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    (assembly, Shop::open(rest, json!({"kind": "free"}), 500).await)
}

#[tokio::test]
async fn a_problem_says_what_where_and_which_request() {
    let (_assembly, shop) = shop().await;
    let offer = json!({"currency": "EUR", "plan": {"kind": "free"}, "term_seconds": "long"});
    let offers = format!("/products/{}/offers", shop.product);
    let reply = shop.rest.post(&shop.seller, &offers, offer).await;
    reply.is(400, "invalid_request");
    assert_eq!(reply.body["type"], "urn:i3:problem:invalid_request");
    assert_eq!(reply.body["title"], "Bad Request");
    assert_eq!(reply.body["errors"][0]["pointer"], "#/term_seconds");
    let number = reply.headers["x-request-id"].to_str().unwrap();
    assert_eq!(reply.body["instance"], format!("urn:i3:request:{number}"));
    let other = shop.rest.get(&shop.seller, "/nothing").await;
    other.is(404, "no_such_route");
    assert_ne!(other.body["instance"], reply.body["instance"]);

    let page = shop.rest.ask("GET", "/problems/wrong_state").send_raw().await;
    assert!(page.text.contains("409"), "{}", page.text);
    shop.rest.get(&shop.seller, "/problems/nonsense").await.is(404, "no_such_route");
}

#[tokio::test]
async fn packed_bodies_are_refused_before_they_are_read() {
    let (_assembly, shop) = shop().await;
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"] {
        let asked = shop.rest.ask("POST", "/hubs").token(&shop.seller).header("content-encoding", coding);
        let asked = asked.json(&json!({"slug": "b", "title": "B"}));
        asked.send().await.is(415, "unsupported_content_encoding");
    }
}

#[tokio::test]
async fn every_answer_says_what_browsers_need_to_know() {
    let (assembly, shop) = shop().await;
    for path in ["/products", "/nothing", "/docs", "/openapi.json", "/orders"] {
        let headers = shop.rest.ask("GET", path).send_raw().await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
        assert!(!headers.contains_key("strict-transport-security"), "it is not reached by TLS");
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
    drop(assembly);
    let mut tls = config(StoreUrl::Memory);
    tls.issuer = "https://shop.example".to_owned();
    let assembly = Assembly::open(tls).await.unwrap();
    let rest = Rest::Router(router(AppState::from(&assembly)));
    let headers = rest.ask("GET", "/products").send_raw().await.headers;
    assert_eq!(headers["strict-transport-security"], "max-age=31536000");
}

#[tokio::test]
async fn pages_of_the_origins_that_were_named_may_ask_and_no_others() {
    let (assembly, _) = shop().await;
    let allowed = RestConfig::default().with_origin("https://shop.example").unwrap();
    let rest = Rest::Router(router_with(AppState::from(&assembly), &allowed));
    let preflight = |origin: &'static str| {
        let asked = rest.ask("OPTIONS", "/hubs").header("origin", origin);
        asked
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,idempotency-key")
            .send_raw()
    };
    let answer = preflight("https://shop.example").await;
    assert_eq!(answer.headers["access-control-allow-origin"], "https://shop.example");
    assert!(answer.headers["access-control-allow-headers"].to_str().unwrap().contains("idempotency-key"));
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    assert!(!preflight("https://evil.example").await.headers.contains_key("access-control-allow-origin"));
    let asked = rest.ask("GET", "/products").header("origin", "https://shop.example").send_raw().await;
    assert!(asked.headers["access-control-expose-headers"].to_str().unwrap().contains("etag"));
}

#[tokio::test]
async fn the_interface_can_be_nested_anywhere() {
    let (assembly, shop) = shop().await;
    let nested = Router::new().nest("/market", router(AppState::from(&assembly)));
    let rest = Rest::Router(nested);
    let asked = rest.ask_at("GET", format!("/market/api/v1/products/{}", shop.product));
    let shown = asked.header("accept", "application/hal+json").send().await.ok();
    assert_eq!(shown["_links"]["self"]["href"], format!("/market/api/v1/products/{}", shop.product));
    let hub = json!({"slug": "b", "title": "B"});
    let made = rest.ask_at("POST", "/market/api/v1/hubs").token(&shop.seller).json(&hub).send().await;
    let place = made.headers["location"].to_str().unwrap().to_owned();
    assert!(place.starts_with("/market/api/v1/hubs/hub_"), "{place}");
    rest.ask_at("GET", place).send().await.ok();
}

#[test]
fn the_table_of_problems_in_the_repository_is_todays() {
    kept("docs/problems.md", &problems());
}

/// What stands between quotation marks and looks like a code, in lines that make problems.
fn named(file: &Path, mark: &str, codes: &mut Vec<String>) {
    let text = std::fs::read_to_string(file).unwrap();
    for part in text.split(mark).skip(1) {
        let Some(code) = part.split('"').nth(1) else { continue };
        if part.find('"').is_some_and(|place| place < 120)
            && code.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_')
        {
            codes.push(code.to_owned());
        }
    }
}

#[test]
fn every_code_that_the_sources_name_is_in_the_table() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut codes = Vec::new();
    let mut folders = vec![root.join("examples/marketplace/src/rest")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                named(&path, "Problem::new(", &mut codes);
                named(&path, "Self::new(StatusCode", &mut codes);
            }
        }
    }
    let refusals = std::fs::read_to_string(root.join("i3-core/src/market/refusal.rs")).unwrap();
    let refusals =
        refusals.split("pub const fn code").nth(1).unwrap().split("pub const fn kind").next().unwrap();
    codes.extend(refusals.split('"').skip(1).step_by(2).map(str::to_owned));
    assert!(codes.len() > 40, "{codes:?}");
    let table = problems();
    let missing: Vec<_> = codes.iter().filter(|code| !table.contains(&format!("| `{code}` |"))).collect();
    assert!(missing.is_empty(), "not in src/rest/problem/codes.rs: {missing:?}");
}
