//! SPARQL over HTTP, with the program itself as the worker process.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use i3_core::access::Actor;
use i3_core::id::VirtualObjectId;
use i3_core::market::{CreateObject, MoveObject, RegisterUser};
use i3_core::role::RoleName;
use i3_core::virtual_object::{Content, ObjectState};
use i3_marketplace::{AppState, Assembly, AssemblyConfig, Knowledge, StoreUrl, router};
use i3_semantic::sparql::PoolOptions;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::patient;

struct Server {
    assembly: Assembly,
    maker: Actor,
    app: Router,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.json()["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
    }
}

impl Server {
    async fn open(options: PoolOptions) -> Self {
        let assembly = Assembly::open(market()).await.unwrap();
        let register = RegisterUser {
            name: "maker".parse().unwrap(),
            display: "Maker".parse().unwrap(),
            email: None,
            roles: [RoleName::ADMINISTRATOR].into(),
            profile: i3_core::user::Profile::default(),
            invitation: None,
            password: None,
        };
        let maker = assembly.market().execute(Actor::System, None, &register).await.unwrap().id;
        let program = env!("CARGO_BIN_EXE_i3-marketplace");
        let knowledge = Knowledge::open(assembly.market().clone(), program, options).await.unwrap();
        let app = router(AppState::from(&assembly).with_knowledge(knowledge));
        Self { assembly, maker: Actor::User(maker), app }
    }

    async fn lamp(&self, title: &str) -> VirtualObjectId {
        let content: Content = serde_json::from_value(json!({
            "kind": "actuator", "title": title, "model": "led", "protocols": ["coap"],
            "methods": [{"name": "BlueOn"}], "resources": ["coap://129.21.121.1"],
        }))
        .unwrap();
        let create = CreateObject { content, hub: None, submit: true };
        self.assembly.market().execute(self.maker, None, &create).await.unwrap().object.id
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Reply { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    async fn get(&self, parameters: &str, accept: &str) -> Reply {
        let uri = format!("/api/v1/sparql{parameters}");
        self.send(Request::get(uri).header("accept", accept).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, kind: &str, accept: &str, body: impl Into<String>) -> Reply {
        let request = Request::post("/api/v1/sparql").header("content-type", kind).header("accept", accept);
        self.send(request.body(Body::from(body.into())).unwrap()).await
    }

    /// The answer, once a worker has time.
    async fn ask(&self, query: &str, accept: &str) -> Reply {
        loop {
            let reply = self.post("application/sparql-query", accept, query).await;
            if reply.status != 503 {
                return reply;
            }
            assert_eq!(reply.headers["retry-after"], "1");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn titles(&self) -> String {
        let query =
            "SELECT ?title { ?it a <urn:i3:ns:VirtualObject> ; <urn:i3:ns:title> ?title } ORDER BY ?title";
        let reply = self.ask(query, "text/csv").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.text.replace("\r\n", "\n")
    }
}

fn market() -> AssemblyConfig {
    let mut config = AssemblyConfig::new(StoreUrl::Memory);
    "https://market.example".clone_into(&mut config.issuer);
    config
}

fn encoded(query: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish()
}

#[tokio::test]
async fn what_is_listed_is_found_with_what_follows_from_it_and_what_is_withdrawn_is_not() {
    let server = Server::open(patient()).await;
    assert_eq!(server.titles().await, "title\n");
    let lamp = server.lamp("A lamp").await;
    server.lamp("Another \"lamp\" . } DROP ALL").await;
    assert_eq!(server.titles().await, "title\nA lamp\n\"Another \"\"lamp\"\" . } DROP ALL\"\n");
    let gone = MoveObject { object: lamp, to: ObjectState::Removed, expect: None, remark: None };
    server.assembly.market().execute(server.maker, None, &gone).await.unwrap();
    assert_eq!(server.titles().await, "title\n\"Another \"\"lamp\"\" . } DROP ALL\"\n");
}

#[tokio::test]
async fn a_query_comes_in_three_ways_and_the_answer_in_the_format_that_is_wanted() {
    let server = Server::open(patient()).await;
    server.lamp("A lamp").await;
    let ask = "ASK { ?it <urn:i3:ns:supportsProtocol> <urn:i3:protocol:coap> }";
    assert_eq!(server.ask(ask, "*/*").await.json()["boolean"], true);
    let by_get = server.get(&format!("?{}", encoded(ask)), "application/sparql-results+json").await;
    assert_eq!(by_get.headers["content-type"], "application/sparql-results+json");
    let form = server.post("application/x-www-form-urlencoded", "application/json", encoded(ask)).await;
    assert_eq!((by_get.json(), form.status), (form.json(), 200));
    let describe = "CONSTRUCT { ?it a ?class } WHERE { ?it a ?class , <urn:i3:ns:Actuator> }";
    let turtle = server.ask(describe, "text/turtle").await;
    assert_eq!(turtle.headers["content-type"], "text/turtle; charset=utf-8");
    assert!(turtle.text.contains("sosa:Actuator"), "{}", turtle.text);
    let json = server.ask(describe, "application/ld+json").await;
    assert!(json.text.contains("urn:i3:ns:VirtualObject"), "{}", json.text);
    server.ask(describe, "text/csv").await.is(406, "not_acceptable");
    server.ask(ask, "text/turtle").await.is(406, "not_acceptable");
}

#[tokio::test]
async fn without_a_query_the_endpoint_describes_itself_and_the_ontology_is_there() {
    let server = Server::open(patient()).await;
    let described = server.get("", "*/*").await;
    assert_eq!(described.status, 200);
    assert!(described.text.contains("https://market.example/api/v1/sparql"), "{}", described.text);
    let json = server.get("", "application/ld+json").await;
    assert!(json.text.contains("SPARQL11Query"), "{}", json.text);
    let request = Request::get("/api/v1/ontology").body(Body::empty()).unwrap();
    let ontology = server.send(request).await;
    assert_eq!(ontology.headers["content-type"], "text/turtle; charset=utf-8");
    assert!(ontology.text.contains("i3:VirtualObject"), "{}", ontology.text);
    let known = ontology.headers["etag"].clone();
    let request = Request::get("/api/v1/ontology").header("if-none-match", known).body(Body::empty());
    assert_eq!(server.send(request.unwrap()).await.status, 304);
}

#[tokio::test]
async fn what_is_not_accepted_is_told_why() {
    let server = Server::open(patient()).await;
    for (query, code) in [
        ("SELECT", "malformed_query"),
        ("DROP ALL", "query_refused"),
        ("SELECT * { SERVICE <http://127.0.0.1:1> { ?s ?p ?o } }", "query_refused"),
        ("SELECT * { ?a ?b ?c . ?d ?e ?f }", "query_refused"),
    ] {
        server.ask(query, "*/*").await.is(400, code);
    }
    server.ask(&format!("ASK {{ {} }}", "{".repeat(5_000)), "*/*").await.is(400, "query_refused");
    let long = format!("ASK {{ }} #{}", "x".repeat(20_000));
    server.ask(&long, "*/*").await.is(400, "query_refused");
    server.post("text/plain", "*/*", "ASK { }").await.is(415, "unsupported_media_type");
    server.post("application/sparql-update", "*/*", "DROP ALL").await.is(400, "query_refused");
    server.post("application/x-www-form-urlencoded", "*/*", "x=1").await.is(400, "malformed_query");
    let dataset = format!("?{}&default-graph-uri=urn:x", encoded("ASK { }"));
    server.get(&dataset, "*/*").await.is(400, "query_refused");
    let too_long = server.post("application/sparql-query", "*/*", "x".repeat(200_000)).await;
    assert_eq!(too_long.status, 413);
}

/// The allocator of the program sets address space aside: that must not help a query.
#[tokio::test]
async fn a_query_that_takes_all_memory_or_time_ends_its_process_and_others_are_answered_meanwhile() {
    let mut options = patient();
    options.memory = 128 * 1024 * 1024;
    // Memory is what it is to run out of, however slow the machine is.
    options.deadline = Duration::from_mins(10);
    let server = Server::open(options).await;
    server.lamp("A lamp").await;
    assert_eq!(server.titles().await, "title\nA lamp\n");
    // The ontology alone is enough to fill any memory with.
    let greedy = "SELECT ?a ?b ?c ?d { ?a a ?x . ?b a ?x . ?c a ?x . ?d a ?x } ORDER BY ?a ?d ?c ?b";
    let (failed, answered) = tokio::join!(server.ask(greedy, "*/*"), async {
        for _ in 0..5 {
            assert_eq!(server.titles().await, "title\nA lamp\n");
        }
    });
    let () = answered;
    failed.is(422, "query_too_large");
    assert_eq!(server.titles().await, "title\nA lamp\n");
}

#[tokio::test]
async fn the_program_answers_sparql_and_discovery_with_its_own_processes() {
    let folder = tempfile::tempdir().unwrap();
    let server = crate::process::Server::start(folder.path(), "memory:", &[]);
    let rest = server.rest();
    let query = encoded("ASK { <urn:i3:ns:Actuator> ?p ?o }");
    loop {
        let reply = rest.ask("GET", format!("/sparql?{query}")).send().await;
        if reply.status != 503 {
            assert_eq!(reply.headers["x-content-type-options"], "nosniff");
            assert_eq!(reply.ok()["boolean"], true);
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rest.ask("GET", "/discover?kind=Actuator").send().await.ok()["total"], 0);
}
