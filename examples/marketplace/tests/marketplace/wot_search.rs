//! Semantic search in the Thing Description Directory over real sockets: `docs/wot-discovery.md`, section 7.3.2.3.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Raw;
use crate::wot::{House, TD, has, lamp};

const PREFIX: &str = "PREFIX td: <https://www.w3.org/2019/wot/td#> \
    PREFIX hctl: <https://www.w3.org/2019/wot/hypermedia#> ";

fn encoded(query: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("query", &format!("{PREFIX}{query}")).finish()
}

impl House {
    /// The answer by GET, once a worker has time.
    async fn sparql(&self, query: &str, accept: Option<&str>) -> Raw {
        loop {
            let asked = self.ask("GET", &format!("/search/sparql?{}", encoded(query)));
            let asked = match accept {
                Some(accept) => asked.header("accept", accept),
                None => asked,
            };
            let reply = asked.send_raw().await;
            if reply.status != 503 {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Changes nothing but who sees it.
    async fn show(&self, id: &str, to: &str) {
        let asked = self.ask("PATCH", &format!("/things/{id}?visibility={to}")).token(&self.owner);
        let asked = asked.header("content-type", "application/merge-patch+json").text("{}".to_owned());
        assert_eq!(asked.send().await.status, 204);
    }

    async fn titles(&self) -> Vec<String> {
        let found = self.sparql("SELECT ?title { ?thing td:title ?title } ORDER BY ?title", None).await;
        has(&found, 200, "application/json");
        let found: Value = serde_json::from_str(&found.text).unwrap();
        let rows = found["results"]["bindings"].as_array().unwrap();
        rows.iter().map(|row| row["title"]["value"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_select_or_ask_query_is_answered_in_json() {
    let house = House::open().await;
    assert_eq!(house.titles().await, [""; 0]);
    house.put(&lamp("urn:a")).await;
    house.put(&lamp("urn:b")).await;
    assert_eq!(house.titles().await, ["Lamp urn:a", "Lamp urn:b"]);
    let by_form = "ASK { GRAPH <urn:a> { <urn:a> a td:Thing ; td:hasPropertyAffordance [ td:name \"on\" ; \
        td:hasForm [ hctl:hasTarget ?address ] ] } FILTER(STRSTARTS(STR(?address), \"coap:\")) }";
    let yes = house.sparql(by_form, Some("*/*")).await;
    has(&yes, 200, "application/json");
    assert_eq!(serde_json::from_str::<Value>(&yes.text).unwrap()["boolean"], true);
    let head = house.ask("HEAD", &format!("/search/sparql?{}", encoded(by_form))).send_raw().await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    // Who knows the narrower name, or another format, gets it.
    for kind in ["application/sparql-results+json", "text/csv; charset=utf-8"] {
        let found = house.sparql("SELECT ?t { ?t a td:Thing }", kind.split(';').next()).await;
        has(&found, 200, kind);
    }
}

#[tokio::test]
async fn a_construct_or_describe_query_is_answered_in_json_ld() {
    let house = House::open().await;
    house.put(&lamp("urn:a")).await;
    for query in ["CONSTRUCT { ?t td:title ?title } WHERE { ?t td:title ?title }", "DESCRIBE <urn:a>"] {
        let found = house.sparql(query, None).await;
        has(&found, 200, "application/ld+json");
        assert!(found.text.contains("urn:a") && found.text.contains("Lamp urn:a"), "{}", found.text);
        let found = house.sparql(query, Some("text/turtle")).await;
        has(&found, 200, "text/turtle; charset=utf-8");
    }
}

#[tokio::test]
async fn a_query_can_be_posted_as_it_is_or_as_a_form() {
    let house = House::open().await;
    house.put(&lamp("urn:a")).await;
    house.titles().await;
    let query = "ASK { ?thing a td:Thing }";
    for (kind, body) in [
        ("application/sparql-query", format!("{PREFIX}{query}")),
        ("application/x-www-form-urlencoded", encoded(query)),
    ] {
        let asked = house.ask("POST", "/search/sparql").header("content-type", kind).text(body);
        assert_eq!(asked.send().await.ok()["boolean"], true, "{kind}");
    }
    let asked =
        house.ask("POST", "/search/sparql").header("content-type", "text/plain").text(query.to_owned());
    asked.send().await.is(415, "unsupported_media_type");
}

#[tokio::test]
async fn what_is_no_query_for_the_directory_is_refused_with_400() {
    let house = House::open().await;
    house.put(&lamp("urn:a")).await;
    for (query, code) in [
        ("INSERT DATA { <urn:a> <urn:b> <urn:c> }", "query_refused"),
        ("DROP ALL", "query_refused"),
        ("SELECT", "malformed_query"),
        ("SELECT ?t { SERVICE <http://elsewhere.example/sparql> { ?t a td:Thing } }", "query_refused"),
        ("SELECT ?t FROM <urn:a> { ?t a td:Thing }", "query_refused"),
        ("SELECT ?x { ?a ?b ?c . ?x ?y ?z }", "query_refused"),
    ] {
        house.get(&format!("/search/sparql?{}", encoded(query))).await.is(400, code);
    }
    house.get("/search/sparql").await.is(400, "malformed_query");
    house.get("/search/sparql?update=DROP+ALL").await.is(400, "query_refused");
    let update = house.ask("POST", "/search/sparql").header("content-type", "application/sparql-update");
    update.text("DROP ALL".to_owned()).send().await.is(400, "query_refused");
    assert_eq!(house.titles().await, ["Lamp urn:a"]);
}

#[tokio::test]
async fn what_is_private_changed_or_gone_is_found_by_nobody_once_that_is_told() {
    let house = House::open().await;
    house.put(&lamp("urn:a")).await;
    let secret = house.ask("PUT", "/things/urn:secret?visibility=private").token(&house.owner);
    let secret = secret.header("content-type", TD).text(lamp("urn:secret").to_string());
    assert_eq!(secret.send().await.status, 201);
    assert_eq!(house.titles().await, ["Lamp urn:a"]);
    let any = "SELECT ?s { { ?s ?p <urn:secret> } UNION { <urn:secret> ?p ?s } UNION { GRAPH <urn:secret> { ?s ?p ?o } } }";
    for token in [None, Some(house.owner.clone())] {
        let asked = house.ask("GET", &format!("/search/sparql?{}", encoded(any)));
        let asked = token.iter().fold(asked, |asked, token| asked.token(token));
        assert_eq!(asked.send().await.ok()["results"]["bindings"], json!([]));
    }
    // What only came to be seen, what says something else, and what is gone.
    house.show("urn:secret", "public").await;
    assert_eq!(house.titles().await, ["Lamp urn:a", "Lamp urn:secret"]);
    assert_eq!(house.patch("urn:a", &json!({"title": "Another"})).await.status, 204);
    assert_eq!(house.titles().await, ["Another", "Lamp urn:secret"]);
    house.show("urn:secret", "private").await;
    assert_eq!(house.titles().await, ["Another"]);
    let gone = house.ask("DELETE", "/things/urn:a").token(&house.owner).send().await;
    assert_eq!(gone.status, 204);
    assert_eq!(house.titles().await, [""; 0]);
    let left = house.sparql("ASK { ?s ?p ?o }", None).await;
    assert_eq!(
        serde_json::from_str::<Value>(&left.text).unwrap()["boolean"],
        false,
        "parts without names go too"
    );
}

#[tokio::test]
async fn the_marketplaces_graph_and_the_directorys_are_two() {
    let house = House::open().await;
    house.put(&lamp("urn:a")).await;
    assert_eq!(house.titles().await, ["Lamp urn:a"]);
    let of_market =
        house.get(&format!("/api/v1/sparql?{}", encoded("ASK { ?thing a td:Thing ; td:title ?t }"))).await;
    assert_eq!(of_market.ok()["boolean"], false);
    let ontology = house.sparql("ASK { GRAPH <urn:i3:ontology> { ?s ?p ?o } }", None).await;
    assert_eq!(serde_json::from_str::<Value>(&ontology.text).unwrap()["boolean"], false);
}
