//! The Thing Description Directory over real sockets, assertion by assertion: `docs/wot-discovery.md`.

use std::net::SocketAddr;
use std::time::Duration;

use i3_marketplace::{AppState, Assembly, Knowledge, StoreUrl, router};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::process::Server;
use crate::support::{Asked, PASSWORD, Raw, Reply, Rest, assemble, config, patient, text};

pub(crate) const TD: &str = "application/td+json";
const PATCH: &str = "application/merge-patch+json";

/// A directory behind a socket, with somebody who has things.
pub(crate) struct House {
    assembly: Assembly,
    knowledge: Knowledge,
    address: SocketAddr,
    rest: Rest,
    pub(crate) owner: String,
}

impl House {
    pub(crate) async fn open() -> Self {
        let (assembly, _) = assemble(config(StoreUrl::Memory)).await;
        let program = env!("CARGO_BIN_EXE_i3-marketplace");
        let knowledge = Knowledge::open(assembly.market().clone(), program, patient()).await.unwrap();
        let app = router(AppState::from(&assembly).with_knowledge(knowledge.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let rest = Rest::Server(address);
        let (owner, _) = rest.register("owner", "provider").await;
        Self { assembly, knowledge, address, rest, owner }
    }

    pub(crate) fn ask<'a>(&'a self, method: &'a str, path: &str) -> Asked<'a> {
        self.rest.ask_at(method, path)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).send().await
    }

    pub(crate) async fn put(&self, document: &Value) -> Reply {
        let path = place(document["id"].as_str().unwrap());
        let asked = self.ask("PUT", &path).token(&self.owner).header("content-type", TD);
        asked.text(document.to_string()).send().await
    }

    pub(crate) async fn patch(&self, id: &str, patch: &Value) -> Reply {
        let path = place(id);
        let asked = self.ask("PATCH", &path).token(&self.owner).header("content-type", PATCH);
        asked.text(patch.to_string()).send().await
    }

    async fn listen(&self, path: &str, more: &str) -> Events {
        Events::open(self.address, path, more).await
    }
}

fn place(id: &str) -> String {
    format!("/things/{}", form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>())
}

pub(crate) fn lamp(id: &str) -> Value {
    json!({
        "@context": "https://www.w3.org/2022/wot/td/v1.1",
        "id": id,
        "title": format!("Lamp {id}"),
        "securityDefinitions": {"none": {"scheme": "nosec"}},
        "security": "none",
        "properties": {"on": {"type": "boolean", "forms": [{"href": "coap://192.0.2.1/on"}]}},
    })
}

fn anonymous() -> Value {
    let mut document = lamp("x:y");
    document.as_object_mut().unwrap().remove("id");
    document
}

/// A stream of server-sent events.
struct Events {
    lines: BufReader<TcpStream>,
    head: String,
}

impl Events {
    async fn open(address: SocketAddr, path: &str, more: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut events = Self { lines: BufReader::new(stream), head: String::new() };
        loop {
            let line = events.line().await;
            if line.is_empty() {
                return events;
            }
            events.head.push_str(&line.to_ascii_lowercase());
            events.head.push('\n');
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_mins(1), self.lines.read_line(&mut line));
        assert!(read.await.unwrap().unwrap() > 0, "the stream ended");
        line.trim_end().to_owned()
    }

    /// The next event: its type, its data, its id.
    async fn next(&mut self) -> (String, Value, String) {
        let (mut kind, mut data, mut id) = (String::new(), Value::Null, String::new());
        loop {
            let line = self.line().await;
            // The sizes of chunks are lines of their own.
            match line.split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut kind),
                Some(("data", value)) => data = serde_json::from_str(value).unwrap(),
                Some(("id", value)) => value.clone_into(&mut id),
                _ if line.is_empty() && !kind.is_empty() => return (kind, data, id),
                _ => {}
            }
        }
    }
}

#[track_caller]
pub(crate) fn has(reply: &Raw, status: u16, kind: &str) {
    assert_eq!((reply.status, reply.headers["content-type"].to_str().unwrap()), (status, kind), "{reply:?}");
}

#[tokio::test]
async fn the_directory_describes_itself_at_the_well_known_address() {
    let house = House::open().await;
    let raw = house.ask("GET", "/.well-known/wot").send_raw().await;
    has(&raw, 200, TD);
    let described: Value = serde_json::from_str(&raw.text).unwrap();
    assert_eq!(described["@type"], "ThingDirectory");
    assert_eq!(described["@context"][1], "https://www.w3.org/2022/wot/discovery");
    assert_eq!(described["actions"]["createThing"]["forms"][0]["href"], "things/{id}");
    let head = house.ask("HEAD", "/.well-known/wot").send_raw().await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    let json = house.ask("GET", "/.well-known/wot").header("accept", "application/json").send_raw().await;
    has(&json, 200, "application/json");
    house
        .ask("GET", "/.well-known/wot")
        .header("accept", "text/turtle")
        .send()
        .await
        .is(406, "not_acceptable");
}

#[tokio::test]
async fn a_description_with_an_id_is_put_and_can_be_had_again() {
    let house = House::open().await;
    let made = house.put(&lamp("urn:a")).await;
    assert_eq!(made.status, 201, "{made:?}");
    let raw = house.ask("GET", "/things/urn:a").send_raw().await;
    has(&raw, 200, TD);
    let shown: Value = serde_json::from_str(&raw.text).unwrap();
    assert_eq!((&shown["id"], &shown["title"]), (&json!("urn:a"), &json!("Lamp urn:a")));
    assert_eq!(
        shown["@context"],
        json!(["https://www.w3.org/2022/wot/td/v1.1", "https://www.w3.org/2022/wot/discovery"])
    );
    for member in ["created", "modified", "retrieved"] {
        assert!(text(&shown["registration"][member]).ends_with('Z'), "{shown}");
    }
    // The id may be an address, and the media type may be left out.
    let id = "https://things.example/lamp%20one?a=1&b#x";
    let asked = house.ask("PUT", &place(id)).token(&house.owner).text(lamp(id).to_string());
    assert_eq!(asked.send().await.status, 201);
    assert_eq!(house.get(&place(id)).await.ok()["id"], id);
    let posted = house.ask("POST", "/things").token(&house.owner).header("content-type", TD);
    let refused = posted.text(lamp("urn:b").to_string()).send().await;
    refused.is(400, "invalid_description");
    let other = house.ask("PUT", "/things/urn:b").token(&house.owner).header("content-type", TD);
    other.text(lamp("urn:c").to_string()).send().await.is(400, "invalid_description");
    house.get("/things/urn:b").await.is(404, "not_found");
}

#[tokio::test]
async fn a_description_without_an_id_gets_one_that_every_answer_has() {
    let house = House::open().await;
    let post = || {
        let asked = house.ask("POST", "/things").token(&house.owner).header("content-type", TD);
        asked.key("once").text(anonymous().to_string())
    };
    let made = post().send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let place = made.headers["location"].to_str().unwrap().to_owned();
    let shown = house.get(&place).await.ok();
    let id = text(&shown["id"]);
    let uuid = id.strip_prefix("urn:uuid:").unwrap();
    assert_eq!((uuid.len(), uuid.chars().nth(14)), (36, Some('4')), "{id}");
    assert_eq!(house.get("/things").await.ok()[0]["id"], json!(id));
    assert_eq!(house.get("/search/jsonpath?query=$[*].id").await.ok(), json!([id]));
}

#[tokio::test]
async fn a_description_is_replaced_patched_and_removed() {
    let house = House::open().await;
    house.put(&lamp("urn:a")).await;
    let mut other = lamp("urn:a");
    other["description"] = json!("In the hall");
    let replaced = house.put(&other).await;
    assert_eq!((replaced.status, replaced.body), (204, Value::Null));
    let change = json!({"title": "New", "description": null, "ex:more": {"a": 1}});
    assert_eq!(house.patch("urn:a", &change).await.status, 204);
    let shown = house.get("/things/urn:a").await.ok();
    assert_eq!((&shown["title"], shown.get("description")), (&json!("New"), None));
    assert_eq!(shown["ex:more"], json!({"a": 1}));
    house.patch("urn:a", &json!({"title": null})).await.is(400, "invalid_description");
    house.patch("urn:a", &json!({"id": "urn:b"})).await.is(400, "invalid_description");
    house.patch("urn:a", &json!([])).await.is(400, "invalid_description");
    house.patch("urn:nothing", &json!({})).await.is(404, "not_found");
    let wrong = house.ask("PATCH", "/things/urn:a").token(&house.owner).json(&json!({}));
    wrong.send().await.is(415, "unsupported_media_type");
    let remove = || house.ask("DELETE", "/things/urn:a").token(&house.owner);
    assert_eq!(remove().send().await.status, 204);
    house.get("/things/urn:a").await.is(404, "not_found");
    remove().send().await.is(404, "not_found");
}

#[tokio::test]
async fn only_the_owner_changes_a_description_and_an_administrator_may_remove_it() {
    let house = House::open().await;
    house.put(&lamp("urn:a")).await;
    let (other, _) = house.rest.register("other", "provider").await;
    let (admin, _) = house.rest.sign_in("admin").await;
    let tries =
        [("PUT", TD, lamp("urn:a")), ("PATCH", PATCH, json!({"title": "Mine"})), ("DELETE", TD, json!(null))];
    for (method, kind, body) in &tries {
        let asked =
            |method| house.ask(method, "/things/urn:a").header("content-type", *kind).text(body.to_string());
        let reply = asked(method).send().await;
        reply.is(401, "authentication_required");
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
        asked(method).token(&other).send().await.is(403, "forbidden");
    }
    let post = house.ask("POST", "/things").header("content-type", TD).text(anonymous().to_string());
    post.send().await.is(401, "authentication_required");
    let removed = house.ask("DELETE", "/things/urn:a").token(&admin).send().await;
    assert_eq!(removed.status, 204, "{removed:?}");
    let audit = house.rest.get(&admin, "/audit?limit=200").await.ok().to_string();
    assert!(audit.contains("put_thing") && audit.contains("remove_thing"), "{audit}");
}

#[tokio::test]
async fn what_is_private_is_in_no_answer_to_others() {
    let house = House::open().await;
    house.put(&lamp("urn:open")).await;
    let mut heard = house.listen("/events", "").await;
    let put = house.ask("PUT", "/things/urn:secret?visibility=private").token(&house.owner);
    let put = put.header("content-type", TD).text(lamp("urn:secret").to_string()).send().await;
    assert_eq!(put.status, 201);
    let (other, _) = house.rest.register("other", "provider").await;
    for token in [None, Some(&other)] {
        let ask = |path: &'static str| {
            let asked = house.ask("GET", path);
            token.map_or_else(|| house.ask("GET", path), |token| asked.token(token))
        };
        ask("/things/urn:secret").send().await.is(404, "not_found");
        assert_eq!(ask("/things?format=collection").send().await.ok()["total"], 1);
        assert_eq!(ask("/search/jsonpath?query=$..id").send().await.ok(), json!(["urn:open"]));
    }
    let delete = house.ask("DELETE", "/things/urn:secret").token(&other).send().await;
    delete.is(404, "not_found");
    let own = house.ask("GET", "/things?format=collection").token(&house.owner).send().await.ok();
    assert_eq!(own["total"], 2);
    // Who listens hears of what comes after it, and not of it.
    house.put(&lamp("urn:z")).await;
    assert_eq!(heard.next().await.1["id"], "urn:z");
}

#[tokio::test]
async fn a_change_depends_on_what_was_seen_if_it_says_so() {
    let house = House::open().await;
    house.put(&lamp("urn:a")).await;
    let seen = house.get("/things/urn:a").await.headers["etag"].to_str().unwrap().to_owned();
    let put = |condition: &'static str, tag: &str| {
        let asked = house.ask("PUT", "/things/urn:a").token(&house.owner).header("content-type", TD);
        asked.header(condition, tag).text(lamp("urn:a").to_string())
    };
    put("if-none-match", "*").send().await.is(412, "precondition_failed");
    assert_eq!(put("if-match", &seen).send().await.status, 204);
    put("if-match", &seen).send().await.is(412, "precondition_failed");
    let gone = house.ask("DELETE", "/things/urn:a").token(&house.owner).header("if-match", seen);
    gone.send().await.is(412, "precondition_failed");
    let fresh = house.get("/things/urn:a").await.headers["etag"].to_str().unwrap().to_owned();
    let gone = house.ask("DELETE", "/things/urn:a").token(&house.owner).header("if-match", fresh);
    assert_eq!(gone.send().await.status, 204);
    put("if-match", "*").send().await.is(412, "precondition_failed");
}

#[tokio::test]
async fn lists_come_in_pages_that_lead_to_one_another() {
    let house = House::open().await;
    for name in ["urn:b", "urn:B", "urn:é", "urn:a", "urn:c"] {
        house.put(&lamp(name)).await;
    }
    let all = house.ask("GET", "/things").send_raw().await;
    has(&all, 200, "application/ld+json");
    let ids = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|thing| text(&thing["id"])).collect()
    };
    assert_eq!(ids(&serde_json::from_str(&all.text).unwrap()), ["urn:B", "urn:a", "urn:b", "urn:c", "urn:é"]);
    let links = |reply: &Reply| -> Vec<String> {
        reply.headers.get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect()
    };
    let (mut path, mut found, mut canonical) = ("/things?limit=2".to_owned(), Vec::new(), Vec::new());
    loop {
        let page = house.get(&path).await;
        let links = links(&page);
        found.extend(ids(&page.ok()));
        canonical.push(links.last().unwrap().clone());
        let Some(next) = links.iter().find(|link| link.ends_with("rel=\"next\"")) else { break };
        assert!(next.contains("limit=2") && next.contains("offset="), "{next}");
        path = next.trim_start_matches('<').split('>').next().unwrap().to_owned();
    }
    assert_eq!(found, ["urn:B", "urn:a", "urn:b", "urn:c", "urn:é"]);
    canonical.dedup();
    assert_eq!(canonical.len(), 1, "{canonical:?}");
    assert!(canonical[0].starts_with("</things>; rel=\"canonical\"; etag=\""), "{canonical:?}");
    house.put(&lamp("urn:d")).await;
    assert_ne!(links(&house.get("/things?limit=2").await).last(), canonical.last());

    let page = house.get("/things?limit=1&format=collection&sort_by=title&sort_order=desc").await.ok();
    assert_eq!((&page["@type"], &page["total"]), (&json!("ThingCollection"), &json!(6)));
    assert_eq!(page["@context"], "https://www.w3.org/2022/wot/discovery");
    assert_eq!(ids(&page["members"]), ["urn:é"]);
    let next = "/things?offset=1&limit=1&format=collection&sort_by=title&sort_order=desc";
    assert_eq!(page["next"], next);
    assert_eq!(ids(&house.get(next).await.ok()["members"]), ["urn:d"]);
    for wrong in ["limit=0", "limit=x", "offset=-1", "format=xml", "sort_by=base", "sort_order=up", "page=1"]
    {
        house.get(&format!("/things?{wrong}")).await.is(400, "invalid_request");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_methods_that_are_not_there_are_refused() {
    let house = House::open().await;
    house.put(&lamp("urn:a")).await;
    for path in ["/things", "/things/urn:a", "/.well-known/wot", "/search/jsonpath?query=$[*]", "/events"] {
        let head = house.ask("HEAD", path).send_raw().await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        assert!(head.headers.contains_key("content-type"));
    }
    house.ask("PATCH", "/things").send().await.is(405, "method_not_allowed");
    house.ask("POST", "/search/jsonpath").send().await.is(405, "method_not_allowed");
    house.get("/search/xpath?query=x").await.is(404, "no_such_route");
}

#[tokio::test]
async fn what_is_wrong_with_a_description_is_told_by_its_fields() {
    let house = House::open().await;
    let mut bad = lamp("urn:a");
    bad.as_object_mut().unwrap().remove("security");
    bad["properties"]["on"]["forms"][0]["href"] = json!(5);
    bad["properties"]["온도"] = json!({"forms": [{"href": 5}]});
    bad["registration"] = json!({"expires": "tomorrow"});
    let reply = house.put(&bad).await;
    reply.is(400, "invalid_description");
    assert_eq!(reply.body["title"], "Bad Request");
    let errors = reply.body["validationErrors"].as_array().unwrap();
    let fields: Vec<&str> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    for field in
        ["(root)", "properties.on.forms.0.href", "properties.온도.forms.0.href", "registration.expires"]
    {
        assert!(fields.contains(&field), "{field}: {reply:?}");
    }
    assert!(errors.iter().all(|error| error["description"].is_string()));
    house.get("/things/urn:a").await.is(404, "not_found");
}

#[tokio::test]
async fn hostile_descriptions_are_data_or_a_clear_refusal() {
    let house = House::open().await;
    let put = async |body: String| {
        let asked = house.ask("PUT", "/things/urn:a").token(&house.owner).header("content-type", TD);
        asked.text(body).send().await
    };
    let mut many = lamp("urn:a");
    let one = json!({"forms": [{"href": "a"}]});
    many["properties"] = (0..10_000).map(|number| (format!("p{number}"), one.clone())).collect();
    put(many.to_string()).await.is(413, "body_too_large");
    let mut long = lamp("urn:a");
    long["description"] = json!("x".repeat(1_000_000));
    put(long.to_string()).await.is(413, "body_too_large");
    long["description"] = json!("x".repeat(50_000));
    put(long.to_string()).await.is(413, "body_too_large");
    for open in ["[", "{\"a\":"] {
        let deep = lamp("urn:a").to_string().replacen('{', &format!("{{\"x\":{},", open.repeat(5_000)), 1);
        put(deep).await.is(400, "invalid_json");
    }
    let plain = lamp("urn:a").to_string();
    for (from, to) in [
        ("\"Lamp", "\"\\ud800 Lamp"),
        ("\"Lamp", "\"\\udc00\\ud800 Lamp"),
        ("{\"@context\"", "{\"id\":\"urn:b\",\"@context\""),
        ("boolean\"", "boolean\",}"),
    ] {
        let body = plain.replacen(from, to, 1);
        assert_ne!(body, plain);
        put(body).await.is(400, "invalid_json");
    }
    assert_eq!(house.get("/things").await.ok(), json!([]));
    for id in ["urn:a b", "urn:a\u{202e}b", "no-scheme", "urn:\n", "urn:\"a\"", "urn:<a>", "urn:a\\"] {
        house.put(&lamp(id)).await.is(400, "invalid_description");
    }
    // Texts that mean something elsewhere are texts.
    for (number, hostile) in [
        "\"> <urn:x> <urn:y> . } DROP ALL",
        "\\u007B ${x} {{y}}",
        "'; DELETE FROM things; --",
        "$[?@.id]",
        "\u{fffe}",
    ]
    .iter()
    .enumerate()
    {
        let id = format!("urn:hostile:{number}:{{}}'$&;%00");
        let mut document = lamp(&id);
        document["title"] = json!(hostile);
        document["properties"][hostile] = document["properties"]["on"].clone();
        assert_eq!(house.put(&document).await.status, 201, "{hostile}");
        let shown = house.get(&place(&id)).await.ok();
        assert_eq!((&shown["id"], &shown["title"]), (&json!(id), &json!(hostile)));
        assert_eq!(shown["properties"], document["properties"]);
        let query = format!("$[?@.title == {}].id", json!(hostile));
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("query", &query).finish();
        assert_eq!(house.get(&format!("/search/jsonpath?{query}")).await.ok(), json!([id]), "{hostile}");
    }
}

#[tokio::test]
async fn a_jsonpath_query_finds_descriptions_and_parts_of_them() {
    let house = House::open().await;
    for name in ["urn:a", "urn:b"] {
        house.put(&lamp(name)).await;
    }
    let found = house.ask("GET", "/search/jsonpath?query=$[?@.title=='Lamp%20urn:a'].properties.on.type");
    let found = found.send_raw().await;
    has(&found, 200, "application/json");
    assert_eq!(found.text, "[\"boolean\"]");
    assert_eq!(house.get("/search/jsonpath?query=$[*]").await.ok().as_array().unwrap().len(), 2);
    house.get("/search/jsonpath").await.is(400, "invalid_request");
    house.get("/search/jsonpath?query=$[").await.is(400, "malformed_query");
    house.get("/search/jsonpath?query=$[0]").await.is(400, "query_refused");
    house
        .get(&format!("/search/jsonpath?query=$[?@.a=='{}']", "x".repeat(5_000)))
        .await
        .is(400, "query_refused");
}

#[tokio::test]
async fn events_are_told_as_they_happen_and_again_to_who_comes_back() {
    let house = House::open().await;
    let mut all = house.listen("/events", "").await;
    assert!(all.head.starts_with("http/1.1 200") && all.head.contains("content-type: text/event-stream"));
    let mut deleted = house.listen("/events/thing_deleted?diff=true", "").await;
    house.put(&lamp("urn:a")).await;
    let (kind, data, first) = all.next().await;
    assert_eq!((kind.as_str(), data), ("thing_created", json!({"id": "urn:a"})));
    house.patch("urn:a", &json!({"title": "New"})).await;
    assert_eq!(all.next().await.0, "thing_updated");
    house.ask("DELETE", "/things/urn:a").token(&house.owner).send().await.ok();
    let (kind, data, last) = all.next().await;
    assert_eq!((kind.as_str(), data), ("thing_deleted", json!({"id": "urn:a"})));
    assert_eq!(deleted.next().await, ("thing_deleted".to_owned(), json!({"id": "urn:a"}), last.clone()));

    let mut back = house.listen("/events", &format!("last-event-id: {first}\r\n")).await;
    assert_eq!(back.next().await.0, "thing_updated");
    assert_eq!(back.next().await.2, last);
    house.get("/events/thing_moved").await.is(404, "no_such_route");
    house.get("/events?diff=perhaps").await.is(400, "invalid_request");
    house.ask("GET", "/events").header("last-event-id", "x").send().await.is(400, "invalid_request");
}

#[tokio::test]
async fn events_with_diff_have_the_whole_or_what_changed() {
    let house = House::open().await;
    let mut events = house.listen("/events?diff=true", "").await;
    let mut document = lamp("urn:a");
    document["description"] = json!("In the hall");
    house.put(&document).await;
    let (kind, whole, _) = events.next().await;
    assert_eq!((kind.as_str(), &whole["properties"]), ("thing_created", &document["properties"]));
    assert!(whole["registration"]["created"].is_string());
    house.patch("urn:a", &json!({"title": "New", "description": null})).await;
    let (kind, mut change, _) = events.next().await;
    change.as_object_mut().unwrap().remove("registration");
    let expected = json!({"id": "urn:a", "title": "New", "description": null});
    assert_eq!((kind.as_str(), change), ("thing_updated", expected));
}

#[tokio::test]
async fn who_loses_sight_of_a_description_is_told_that_it_is_gone() {
    let house = House::open().await;
    house.put(&lamp("urn:a")).await;
    let mut events = house.listen("/events", "").await;
    let hidden = house.ask("PATCH", "/things/urn:a?visibility=private").token(&house.owner);
    hidden.header("content-type", PATCH).text("{}").send().await.ok();
    assert_eq!(events.next().await.0, "thing_deleted");
}

#[tokio::test]
async fn a_registration_says_until_when_it_holds_and_is_renewed_by_an_empty_patch() {
    let house = House::open().await;
    let mut document = lamp("urn:a");
    document["registration"] =
        json!({"ttl": 3600, "expires": "2001-01-01T00:00:00Z", "created": "2001-01-01T00:00:00Z"});
    house.put(&document).await;
    let first = house.get("/things/urn:a").await.ok()["registration"].clone();
    assert_eq!(first["ttl"], 3600);
    assert!(text(&first["expires"]) > text(&first["retrieved"]) && text(&first["created"]).as_str() > "2002");
    assert_eq!(house.patch("urn:a", &json!({})).await.status, 204);
    let second = house.get("/things/urn:a").await.ok()["registration"].clone();
    assert!(text(&second["expires"]) > text(&first["expires"]), "{first} {second}");
    // The end that a client says counts if there is no time to live.
    let end = json!({"registration": {"ttl": null, "expires": "2001-01-01T00:00:00+01:00"}});
    assert_eq!(house.patch("urn:a", &end).await.status, 204);
    assert_eq!(house.get("/things/urn:a").await.ok()["registration"]["expires"], "2000-12-31T23:00:00Z");
    assert_eq!(house.knowledge.directory.purge().await.unwrap(), 1);
    house.get("/things/urn:a").await.is(404, "not_found");
    assert_eq!(house.assembly.market().purge_things(i3_core::access::Actor::System).await.unwrap(), 0);
}

#[tokio::test]
async fn descriptions_survive_kill_9_and_end_by_themselves_when_their_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("market.sqlite").display());
    let server = Server::start(folder.path(), &store, &[]);
    let rest = server.rest();
    let user = json!({"name": "owner", "roles": ["provider"], "password": PASSWORD});
    rest.ask("POST", "/users").json(&user).send().await.ok();
    let (owner, _) = rest.sign_in("owner").await;
    let put = async |rest: &Rest, document: &Value| {
        let path = place(document["id"].as_str().unwrap());
        let asked = rest.ask_at("PUT", path).token(&owner).header("content-type", TD);
        asked.text(document.to_string()).send().await.ok();
    };
    put(&rest, &lamp("urn:a")).await;
    server.kill();
    let server = Server::start(folder.path(), &store, &[]);
    let rest = server.rest();
    assert_eq!(rest.ask_at("GET", "/things/urn:a").send().await.ok()["title"], "Lamp urn:a");
    let mut short = lamp("urn:short");
    short["registration"] = json!({"ttl": 0.5});
    put(&rest, &short).await;
    while rest.ask_at("GET", "/things/urn:short").send().await.status != 404 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rest.ask_at("GET", "/things/urn:a").send().await.ok();
    server.end();
}
