//! What is public in a real SPARQL 1.1 server elsewhere: oxigraph's own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::process::{Server, free_address};
use crate::support::text;

const PATIENCE: Duration = Duration::from_mins(2);

/// A server with its data in a folder, at an address that it comes back to.
struct Oxigraph {
    child: Child,
    address: SocketAddr,
}

impl Drop for Oxigraph {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Oxigraph {
    /// `None` if there is no such program.
    fn start(folder: &Path, address: SocketAddr) -> Option<Self> {
        let child = Command::new("oxigraph")
            .args(["serve", "--union-default-graph", "--bind", &address.to_string(), "--location"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "oxigraph is not installed");
            eprintln!("SKIPPED: there is no program `oxigraph` (pip install oxigraph)");
            return None;
        };
        let this = Self { child, address };
        until("oxigraph answers", || TcpStream::connect(address).is_ok());
        Some(this)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Posts over a connection of its own, and gives the status and the body.
fn post(address: SocketAddr, path: &str, kind: &str, accept: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(
        stream,
        "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: {kind}\r\nAccept: {accept}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { joined(body)? } else { body.to_owned() };
    Some((head.split(' ').nth(1)?.parse().ok()?, body))
}

/// A body without the lengths of its chunks.
fn joined(chunks: &str) -> Option<String> {
    let (mut rest, mut body) = (chunks, String::new());
    loop {
        let (length, after) = rest.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.push_str(after.get(..length)?);
        rest = after.get(length + 2..)?;
    }
}

fn ask(address: SocketAddr, path: &str, query: &str) -> Option<Vec<String>> {
    let (status, body) = post(address, path, "application/sparql-query", "text/csv", query)?;
    let mut lines: Vec<String> = body.lines().map(str::to_owned).collect();
    lines.sort();
    (status == 200).then_some(lines)
}

/// About things, what follows of them, others and the ontology.
const QUESTIONS: [&str; 6] = [
    "SELECT ?a ?title WHERE { ?a a <urn:i3:ns:Actuator> ; <urn:i3:ns:title> ?title }",
    "SELECT ?a ?class WHERE { ?a <urn:i3:ns:title> ?title ; a ?class }",
    "SELECT ?a ?p ?o WHERE { ?a a <urn:i3:ns:VirtualObject> ; ?p ?o }",
    "SELECT ?platform ?p ?o WHERE { ?a <urn:i3:ns:onPlatform> ?platform . ?platform ?p ?o }",
    "SELECT ?a WHERE { ?a <urn:i3:ns:locatedIn> <urn:i3:place:kr> }",
    "SELECT ?class ?above WHERE { ?class <http://www.w3.org/2000/01/rdf-schema#subClassOf> ?above }",
];

/// Waits until the store elsewhere answers as the server's own endpoint does, with this many actuators.
fn same(server: &Server, there: &Oxigraph, actuators: usize) {
    let mut last = String::new();
    let begun = Instant::now();
    loop {
        let differs = QUESTIONS.iter().find_map(|query| {
            // Either may have no time for it at the moment.
            let here = ask(server.http(), "/api/v1/sparql", query);
            let there = ask(there.address, "/query", query);
            (here.is_none() || there != here).then(|| format!("{query}\nhere {here:?}\nthere {there:?}"))
        });
        let Some(differs) = differs else { break };
        last = differs;
        assert!(begun.elapsed() < PATIENCE, "never the same: {last}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let found = ask(there.address, "/query", QUESTIONS[0]).unwrap();
    assert_eq!(found.len(), actuators + 1, "{found:?} {last}");
}

struct House<'a> {
    server: &'a Server,
    admin: String,
}

impl<'a> House<'a> {
    async fn of(server: &'a Server) -> Self {
        let (admin, _) = server.rest().sign_in("admin").await;
        Self { server, admin }
    }

    async fn publish(&self, title: &str) -> String {
        let object = json!({
            "kind": "actuator", "title": title, "body": title, "submit": true, "protocols": ["coap"],
            "platforms": ["Raspberry Pi"], "methods": [{"name": "BlueOn", "description": title}],
            "location": {"place": "KR/Jeju", "point": {"lat": 33.5, "lon": 126.57}},
        });
        text(&self.server.rest().post(&self.admin, "/virtual_objects", object).await.ok()["id"])
    }

    async fn withdraw(&self, object: &str) {
        let rest = self.server.rest();
        let asked = rest.ask("DELETE", format!("/virtual_objects/{object}")).token(&self.admin);
        assert_eq!(asked.send().await.status, 204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sparql_server_elsewhere_answers_as_the_index_does_whatever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let free = free_address();
    let data = folder.path().join("oxigraph");
    let Some(there) = Oxigraph::start(&data, free) else { return };
    let place = folder.path().join("market");
    let store = format!("sqlite:{}", folder.path().join("market.sqlite").display());
    let (update, query) = (there.url("update"), there.url("query"));
    let more = ["--sparql-update-url", &update, "--sparql-query-url", &query];
    let start = || Server::start(&place, &store, &more);

    let server = start();
    let house = House::of(&server).await;
    let lamp = house.publish("Lamp").await;
    // Neither ends what it is in, in whichever place.
    house.publish("\" } } ; DROP ALL ; INSERT DATA { <urn:a> <urn:b> 1 } # 램프 \\\" '\u{1f4a1}").await;
    house.publish("<urn:i3:thing:x> . } GRAPH <urn:i3:projection> {").await;
    same(&server, &there, 3);
    assert_eq!(ask(there.address, "/query", "SELECT * { <urn:a> ?p ?o }").unwrap().len(), 1, "only the head");
    house.withdraw(&lamp).await;
    same(&server, &there, 2);

    // kill -9 of who follows, with something that may not be there yet.
    let gone = house.publish("Not for long").await;
    house.publish("Fan").await;
    house.withdraw(&gone).await;
    drop(house);
    server.kill();
    let server = start();
    let house = House::of(&server).await;
    same(&server, &there, 3);

    // The store is gone for a while, and the marketplace goes on.
    drop(there);
    let while_gone = house.publish("While it was gone").await;
    let there = Oxigraph::start(&data, free).unwrap();
    same(&server, &there, 4);
    house.withdraw(&while_gone).await;

    // Who looks after it has lost everything.
    drop(there);
    let there = Oxigraph::start(&folder.path().join("empty"), free).unwrap();
    same(&server, &there, 3);

    let turtle = "<urn:x:Doer> a <http://www.w3.org/2002/07/owl#Class> . <urn:i3:ns:Actuator> \
        <http://www.w3.org/2000/01/rdf-schema#subClassOf> <urn:x:Doer> .";
    let said = json!({"turtle": turtle});
    server.rest().put(&house.admin, "/ontology/extension", said).await.ok();
    same(&server, &there, 3);
    let doers = ask(there.address, "/query", "SELECT ?a { ?a a <urn:x:Doer> }").unwrap();
    assert_eq!(doers.len(), 4, "{doers:?}");
    // Other people's graphs are theirs.
    let theirs = "INSERT DATA { GRAPH <urn:somebody:else> { <urn:a> <urn:b> 1 } }";
    let (status, _) = post(there.address, "/update", "application/sparql-update", "*/*", theirs).unwrap();
    assert_eq!(status, 204);
    house.publish("Another").await;
    let ours = ask(there.address, "/query", "SELECT ?o { GRAPH <urn:somebody:else> { <urn:a> ?p ?o } }");
    assert_eq!(ours.unwrap().len(), 2);
    server.end();
}
