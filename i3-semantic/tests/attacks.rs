//! Queries that would take a process down or keep it busy: refused with a reason, or carried out by a worker that
//! dies of them, while this process keeps its memory and answers others.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::process::Command;
use std::sync::{Arc, Barrier, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use i3_semantic::graph::{Change, Graph, Revision, Snapshot};
use i3_semantic::ontology::Ontology;
use i3_semantic::oxigraph::model::vocab::rdf;
use i3_semantic::oxigraph::model::{Literal, NamedNode, Triple};
use i3_semantic::sparql::{
    Admitted, AnswerFormat, PoolOptions, QueryFailure, QueryRefused, Source, WorkerPool,
};
use i3_semantic::vocabulary as i3;

fn refused(query: &str) -> QueryRefused {
    match Admitted::read(query) {
        Err(refused) => refused,
        Ok(admitted) => panic!("admitted: {}", admitted.query()),
    }
}

struct Shared(Arc<RwLock<Graph>>);

impl Source for Shared {
    fn snapshot(&self) -> Snapshot {
        self.0.read().unwrap().snapshot()
    }

    fn since(&self, revision: Revision) -> Option<Vec<Arc<Change>>> {
        self.0.read().unwrap().since(revision)
    }
}

struct Server {
    graph: Arc<RwLock<Graph>>,
    pool: WorkerPool,
}

fn lamp(at: usize) -> (NamedNode, Vec<Triple>) {
    let lamp = NamedNode::new(format!("urn:x:lamp{at}")).unwrap();
    let facts = vec![
        Triple::new(lamp.clone(), rdf::TYPE, i3::ACTUATOR),
        Triple::new(lamp.clone(), i3::TITLE, Literal::new_simple_literal(format!("Lamp {at}"))),
        Triple::new(lamp.clone(), i3::TAG, Literal::new_simple_literal("light")),
        Triple::new(lamp.clone(), i3::SUPPORTS_PROTOCOL, i3::protocol("coap").unwrap()),
        Triple::new(lamp.clone(), i3::LOCATED_IN, NamedNode::new(format!("urn:x:room{}", at % 7)).unwrap()),
    ];
    (lamp, facts)
}

impl Server {
    fn with(objects: usize, options: PoolOptions) -> Self {
        let mut graph = Graph::new(Ontology::core());
        for at in 0..objects {
            let (lamp, facts) = lamp(at);
            graph.apply(&lamp, &facts).unwrap();
        }
        let graph = Arc::new(RwLock::new(graph));
        let worker = || Command::new(env!("CARGO_BIN_EXE_i3-sparql-worker"));
        let pool = WorkerPool::new(worker, Shared(graph.clone()), options);
        Self { graph, pool }
    }

    fn change(&self, change: impl FnOnce(&mut Graph)) {
        change(&mut self.graph.write().unwrap());
    }

    fn ask(&self, query: &str, format: AnswerFormat) -> Result<String, QueryFailure> {
        let admitted = Admitted::read(query).unwrap_or_else(|refused| panic!("{refused}: {query}"));
        let answer = self.pool.query(query, &admitted, format)?;
        Ok(String::from_utf8(answer.text).unwrap())
    }

    /// The answer, when a worker is free.
    fn answer(&self, query: &str) -> String {
        let begun = Instant::now();
        loop {
            match self.ask(query, AnswerFormat::Csv) {
                Ok(answer) => return answer.replace("\r\n", "\n"),
                // Where queries are given little time, a slow machine may not do with it.
                Err(QueryFailure::Busy | QueryFailure::TooSlow(_)) => {
                    assert!(begun.elapsed() < Duration::from_mins(5), "no answer: {query}");
                    thread::sleep(Duration::from_millis(20));
                }
                Err(failure) => panic!("{failure}: {query}"),
            }
        }
    }

    fn failure(&self, query: &str) -> QueryFailure {
        loop {
            match self.ask(query, AnswerFormat::Csv) {
                Err(QueryFailure::Busy) => thread::sleep(Duration::from_millis(20)),
                Err(failure) => return failure,
                Ok(answer) => panic!("answered {} bytes: {query}", answer.len()),
            }
        }
    }
}

fn options() -> PoolOptions {
    let mut options = PoolOptions::default();
    options.workers = 2;
    options.patience = Duration::from_mins(2);
    options.deadline = Duration::from_mins(2);
    options.memory = 256 * 1024 * 1024;
    options
}

const COUNT: &str = "SELECT (COUNT(*) AS ?n) { ?lamp a <urn:i3:ns:VirtualObject> }";

/// Memory of this process, in bytes.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

// What is refused before anything runs.

#[test]
fn brackets_too_deep_and_queries_too_long_are_refused() {
    for open in ["(", "{", "[", "( [", "{ {"] {
        for levels in [40, 600, 1_000, 4_000] {
            let query = format!("SELECT * {{ {} }}", open.repeat(levels));
            let refused = refused(&query);
            assert!(matches!(refused, QueryRefused::TooDeep | QueryRefused::TooLong), "{refused}");
        }
    }
    assert_eq!(refused(&format!("ASK {{ }} #{}", "x".repeat(9_000))), QueryRefused::TooLong);
    assert_eq!(refused(&format!("ASK {{ FILTER({}true) }}", "!".repeat(5_000))), QueryRefused::TooDeep);
}

#[test]
fn what_is_just_deep_enough_is_parsed_at_once() {
    for (open, close) in [("(", ")"), ("{", "}"), ("[ <urn:p> ", "]")] {
        let inside = 29;
        let (open, close) = (open.repeat(inside), close.repeat(inside));
        let query = match open.chars().next() {
            Some('(') => format!("ASK {{ FILTER({open}1{close}) }}"),
            Some('{') => format!("ASK {{ {open} ?s ?p ?o {close} }}"),
            _ => format!("ASK {{ ?s ?p {open} 1 {close} }}"),
        };
        let read = Admitted::read(&query);
        assert!(matches!(read, Ok(_) | Err(QueryRefused::TooMany { .. })), "{read:?}");
    }
}

#[test]
fn many_unions_long_lists_and_long_expressions_are_refused() {
    let unions = format!("ASK {{ {{ ?s ?p ?o }}{} }}", " UNION { ?s ?p ?o }".repeat(400));
    assert!(matches!(refused(&unions), QueryRefused::TooMany { .. }));
    let list = format!("ASK {{ ?s ?p ({}) }}", "1 ".repeat(2_000));
    assert!(matches!(refused(&list), QueryRefused::TooMany { what: "patterns", .. }));
    let nested = format!("ASK {{ ?s ?p {}{} }}", "(1 ".repeat(28), ")".repeat(28));
    assert!(matches!(refused(&nested), QueryRefused::TooMany { what: "patterns", .. }));
    let sum = format!("ASK {{ ?s ?p ?o FILTER(1{} > 1) }}", " + 1".repeat(1_900));
    assert!(matches!(refused(&sum), QueryRefused::TooMany { .. }));
    let path = format!("ASK {{ ?s <urn:p>{} ?o }}", "/<urn:p>".repeat(900));
    assert!(matches!(refused(&path), QueryRefused::TooMany { .. }));
    let values = format!("ASK {{ VALUES ?s {{ {} }} }}", "1 ".repeat(300));
    assert!(matches!(refused(&values), QueryRefused::TooMany { .. }));
}

#[test]
fn what_leaves_the_server_or_changes_something_is_refused() {
    assert_eq!(refused("SELECT * { SERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }"), QueryRefused::Service);
    assert_eq!(
        refused("SELECT * { ?s ?p ?o FILTER EXISTS { SERVICE ?s { ?s ?p ?o } } }"),
        QueryRefused::Service
    );
    assert_eq!(refused("SELECT * FROM <urn:g> { ?s ?p ?o }"), QueryRefused::Dataset);
    assert_eq!(refused("SELECT * FROM NAMED <urn:g> { ?s ?p ?o }"), QueryRefused::Dataset);
    for update in [
        "DELETE WHERE { ?s ?p ?o }",
        "INSERT DATA { <urn:a> <urn:b> <urn:c> }",
        "LOAD <http://127.0.0.1:1/>",
        "CLEAR ALL",
        "DROP ALL",
    ] {
        assert_eq!(refused(update), QueryRefused::Update, "{update}");
    }
    assert!(matches!(refused("ASK { ?s ?p"), QueryRefused::Syntax(_)));
    assert!(matches!(refused("SELECT (<urn:evil>(1) AS ?x) { }"), QueryRefused::Function(_)));
}

#[test]
fn every_row_with_every_row_is_refused() {
    for query in [
        "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }",
        "SELECT * { { ?a ?b ?c } { ?d ?e ?f } }",
        "SELECT * { ?a ?b ?c OPTIONAL { ?d ?e ?f } }",
        "SELECT * { ?a ?b ?c { SELECT ?d { ?d ?e ?a } } }",
        "SELECT * { ?a ?b ?c VALUES ?d { 1 2 } }",
        "ASK { [] ?p 1 . [] ?q 2 }",
        "SELECT * { ?a ?b ?c FILTER EXISTS { ?d ?e ?f . ?g ?h ?i } }",
    ] {
        assert_eq!(refused(query), QueryRefused::NotConnected, "{query}");
    }
    for query in [
        "SELECT * { ?a ?b ?c . ?c ?d ?e }",
        "SELECT * { { ?a ?b ?c } { ?d ?e ?f } { ?c ?g ?d } }",
        "SELECT * { ?a ?b ?c OPTIONAL { ?a ?e ?f } }",
        "SELECT * { ?a ?b ?c . <urn:s> <urn:p> <urn:o> }",
        "SELECT * { VALUES ?d { 1 2 } ?a ?b ?d }",
    ] {
        assert!(Admitted::read(query).is_ok(), "{query}");
    }
}

#[test]
fn paths_from_everywhere_to_everywhere_are_refused() {
    for query in [
        "SELECT * { ?a (!<urn:p>)* ?b }",
        "SELECT * { ?a (<urn:p>|<urn:q>)+ ?b }",
        "SELECT * { ?a (<urn:p>/<urn:q>)* ?b }",
        "SELECT * { <urn:a> (<urn:p>*/<urn:q>)* ?b }",
        "SELECT * { ?a ((<urn:p>*)*)* ?b }",
    ] {
        assert_eq!(refused(query), QueryRefused::OpenPath, "{query}");
    }
    for query in [
        "SELECT * { ?a <urn:p>* ?b }",
        "SELECT * { <urn:a> (!<urn:p>)* ?b }",
        "SELECT * { ?a (<urn:p>|^<urn:q>)+ <urn:b> }",
        "SELECT * { ?a <urn:p>/<urn:q>+ ?b }",
    ] {
        assert!(Admitted::read(query).is_ok(), "{query}");
    }
}

#[test]
fn text_that_doubles_again_and_again_is_refused() {
    let mut query = "SELECT * { BIND(\"xxxxxxxxxxxxxxxx\" AS ?v0)".to_owned();
    for at in 0..26 {
        write!(query, " BIND(CONCAT(?v{at}, ?v{at}) AS ?v{})", at + 1).unwrap();
    }
    query.push('}');
    assert_eq!(refused(&query), QueryRefused::Growth);
    let replaced = "SELECT * { ?s ?p ?a BIND(REPLACE(?a,'.','$0$0') AS ?b) BIND(REPLACE(?b,'.','$0$0') AS ?c) \
        BIND(ENCODE_FOR_URI(?c) AS ?d) }";
    assert_eq!(refused(replaced), QueryRefused::Growth);
    let many = format!("SELECT (CONCAT({}'') AS ?x) {{ }}", "'a',".repeat(100));
    assert!(matches!(refused(&many), QueryRefused::TooMany { .. }));
    assert!(Admitted::read("SELECT (CONCAT(STR(?s), ' ', ?p) AS ?x) { ?s <urn:p> ?p }").is_ok());
}

#[test]
fn an_escaped_code_point_hides_nothing() {
    assert_eq!(refused("SELECT * { \\u007B ?s ?p ?o } }"), QueryRefused::CodePointEscape);
}

// What runs.

#[test]
fn answers_come_in_every_format() {
    let server = Server::with(3, options());
    assert_eq!(server.answer(COUNT), "n\n3\n");
    let titles = "SELECT ?title { ?lamp <urn:i3:ns:title> ?title } ORDER BY ?title LIMIT 1";
    let json = server.ask(titles, AnswerFormat::Json).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.pointer("/results/bindings/0/title/value").unwrap(), "Lamp 0");
    assert_eq!(server.ask(titles, AnswerFormat::Tsv).unwrap(), "?title\n\"Lamp 0\"\n");
    let ask = "ASK { ?lamp <urn:i3:ns:supportsProtocol> <urn:i3:protocol:coap> }";
    let yes: serde_json::Value = serde_json::from_str(&server.ask(ask, AnswerFormat::Json).unwrap()).unwrap();
    assert_eq!(yes.pointer("/boolean").unwrap(), true);
    let describe = "DESCRIBE <urn:x:lamp1>";
    assert!(server.ask(describe, AnswerFormat::Turtle).unwrap().contains("i3:VirtualObject"));
    let json = server.ask(describe, AnswerFormat::JsonLd).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    assert_eq!(server.ask(describe, AnswerFormat::Csv), Err(QueryFailure::WrongFormat));
    assert_eq!(server.ask(ask, AnswerFormat::Turtle), Err(QueryFailure::WrongFormat));
    // Of each object its own graph, and all of them together by default.
    let graphs = "SELECT (COUNT(DISTINCT ?g) AS ?n) { GRAPH ?g { ?lamp a <urn:i3:ns:VirtualObject> } }";
    assert_eq!(server.answer(graphs), "n\n3\n");
}

#[test]
fn an_answer_has_a_thousand_rows_at_most() {
    let server = Server::with(300, options());
    for query in ["SELECT * { ?s ?p ?o }", "SELECT * { ?s ?p ?o } LIMIT 100000"] {
        assert_eq!(server.answer(query).lines().count(), 1_001, "{query}");
    }
}

#[test]
fn what_changed_before_a_query_is_in_its_answer() {
    let server = Server::with(2, options());
    assert_eq!(server.answer(COUNT), "n\n2\n");
    for round in 0..10 {
        let (extra, facts) = lamp(1_000 + round);
        server.change(|graph| graph.apply(&extra, &facts).unwrap());
        assert_eq!(server.answer(COUNT), "n\n3\n");
        server.change(|graph| graph.remove(&extra).unwrap());
        assert_eq!(server.answer(COUNT), "n\n2\n");
    }
}

#[test]
fn a_graph_put_in_place_of_another_is_all_that_is_seen() {
    let server = Server::with(2, options());
    assert_eq!(server.answer(COUNT), "n\n2\n");
    let turtle = "<urn:x:Dimmer> a <http://www.w3.org/2002/07/owl#Class> ;
        <http://www.w3.org/2002/07/owl#equivalentClass> <urn:i3:ns:Actuator> .";
    let mut graph = server.graph.write().unwrap();
    let next = graph.extended(graph.ontology().extend(turtle).unwrap()).unwrap();
    *graph = next;
    drop(graph);
    assert_eq!(server.answer("SELECT (COUNT(*) AS ?n) { ?lamp a <urn:x:Dimmer> }"), "n\n2\n");
}

#[test]
fn a_query_without_end_is_killed_and_others_are_answered_meanwhile() {
    let mut options = options();
    options.deadline = Duration::from_secs(2);
    let server = Server::with(400, options);
    assert_eq!(server.answer(COUNT), "n\n400\n");
    let before = memory();
    let endless = [
        // Every row with every row, through one value in common.
        "SELECT (COUNT(*) AS ?n) { ?a ?p ?x . ?b ?q ?x . ?c ?r ?x . ?d ?s ?x }",
        "SELECT * { ?a <urn:i3:ns:tag> ?x . ?b <urn:i3:ns:tag> ?x . ?c <urn:i3:ns:tag> ?x } ORDER BY ?a ?b ?c",
    ];
    thread::scope(|scope| {
        for query in endless {
            scope.spawn(|| {
                let failure = server.failure(query);
                assert!(matches!(failure, QueryFailure::TooSlow(_) | QueryFailure::TooMuch), "{failure}");
            });
        }
    });
    // Workers are there again.
    assert_eq!(server.answer(COUNT), "n\n400\n");
    assert_eq!(server.answer(COUNT), "n\n400\n");
    assert!(memory() < before + 64 * 1024 * 1024);
}

#[test]
fn a_query_that_takes_all_memory_ends_its_worker_only() {
    let mut options = options();
    options.memory = 64 * 1024 * 1024;
    options.deadline = Duration::from_mins(5);
    let server = Server::with(400, options);
    let before = memory();
    let failure = server.failure(
        "SELECT (GROUP_CONCAT(STR(?o); separator=\"                                                              \") AS ?all)
         { ?a <urn:i3:ns:tag> ?x . ?b <urn:i3:ns:tag> ?x . ?b ?p ?o }",
    );
    assert_eq!(failure, QueryFailure::TooMuch);
    assert_eq!(server.answer(COUNT), "n\n400\n");
    assert!(memory() < before + 64 * 1024 * 1024);
}

#[test]
fn an_answer_that_is_too_long_is_refused() {
    let server = Server::with(400, options());
    let long = "x".repeat(2_000);
    let query = format!(
        "SELECT (CONCAT(STR(?a),'{long}') AS ?b) (CONCAT(?b,?b,?b,?b,?b,?b,?b,?b) AS ?c) {{ ?a ?p ?o }}"
    );
    assert_eq!(server.failure(&query), QueryFailure::TooLarge);
    assert_eq!(server.answer(COUNT), "n\n400\n");
}

#[test]
fn who_comes_when_all_are_busy_and_enough_wait_is_told_so_at_once() {
    let mut options = options();
    options.workers = 1;
    options.waiting = 1;
    options.deadline = Duration::from_secs(4);
    let server = Server::with(400, options);
    server.answer(COUNT);
    let endless = "SELECT (COUNT(*) AS ?n) { ?a ?p ?x . ?b ?q ?x . ?c ?r ?x . ?d ?s ?x }";
    let (mut busy, mut ended) = (0, 0);
    let together = Barrier::new(6);
    let ask = || {
        together.wait();
        server.ask(endless, AnswerFormat::Csv).unwrap_err()
    };
    thread::scope(|scope| {
        let asked: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        for failure in asked {
            match failure.join().unwrap() {
                QueryFailure::Busy => busy += 1,
                QueryFailure::TooSlow(_) => ended += 1,
                other => panic!("{other}"),
            }
        }
    });
    assert!(busy >= 4, "{busy} busy, {ended} ended");
    assert!(ended >= 1, "{busy} busy, {ended} ended");
    assert_eq!(server.answer(COUNT), "n\n400\n");
}

#[test]
fn without_a_worker_program_the_endpoint_says_so() {
    let graph = Arc::new(RwLock::new(Graph::new(Ontology::core())));
    let mut options = options();
    options.patience = Duration::from_millis(500);
    let pool = WorkerPool::new(|| Command::new("/nowhere/at/all"), Shared(graph), options);
    let admitted = Admitted::read("ASK { }").unwrap();
    loop {
        match pool.query("ASK { }", &admitted, AnswerFormat::Json) {
            Err(QueryFailure::Unavailable(_)) => break,
            Err(QueryFailure::Busy) => {}
            other => panic!("{other:?}"),
        }
    }
}
