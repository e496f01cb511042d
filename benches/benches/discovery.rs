//! Finding virtual objects: the typed discovery of the facet index, with the documents, beside oxigraph's best SPARQL for
//! the same questions over the same descriptions.
//!
//! All figures are processor time of the one thread that asks, so that other work on the machine does not count. The
//! data and the questions are the same in every run; see `i3_benches::things`.
//!
//! ```text
//! cargo bench -p i3-benches --bench discovery                # 100,000 objects
//! cargo bench -p i3-benches --bench discovery -- 10000       # so many
//! ```

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use i3_benches::things::{Numbers, asked_class, document, ontology, thing};
use i3_semantic::description::{Description, Facet, facet_fact};
use i3_semantic::discovery::{Live, Query, Sort};
use i3_semantic::facets::OntologyClasses;
use i3_semantic::graph::Graph;
use i3_semantic::inference::infer;
use i3_semantic::oxigraph::model::GraphName;
use i3_semantic::oxigraph::sparql::{QueryResults, SparqlEvaluator};
use i3_semantic::oxigraph::store::Store;
use rustix::time::{ClockId, clock_gettime};

type Failure = Box<dyn std::error::Error>;

const QUESTIONS: u64 = 400;

/// How long this thread has been on a processor.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// The processor time of each of these, sorted.
fn measured<T, R>(asked: &[T], mut answer: impl FnMut(&T) -> R) -> Vec<Duration> {
    let mut times: Vec<Duration> = asked
        .iter()
        .map(|asked| {
            let before = processor();
            let answered = black_box(answer(asked));
            let time = processor().saturating_sub(before);
            drop(answered);
            time
        })
        .collect();
    times.sort();
    times
}

fn share(times: &[Duration], per_cent: usize) -> f64 {
    let at = times.len().saturating_sub(1) * per_cent / 100;
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

fn row(title: &str, times: &[Duration]) -> f64 {
    let [half, most, nearly] = [50, 90, 99].map(|per_cent| share(times, per_cent));
    println!("{title:<66} {half:>9.4} {most:>9.4} {nearly:>9.4}");
    half
}

/// A question and, for SPARQL, its values with how many things have each.
struct Asked {
    query: Query,
    sparql: String,
}

/// What a question asks for, drawn from a thing, so that at least that is found.
fn drawn(thing: &Description, turn: u64) -> Option<[(Facet, String); 4]> {
    let one = |facet| thing.said(facet).next().map(ToString::to_string);
    Some([
        (Facet::Kind, asked_class(&one(Facet::Kind)?, turn)),
        (Facet::Protocol, one(Facet::Protocol)?),
        (Facet::Method, one(Facet::Method)?),
        (Facet::Tag, one(Facet::Tag)?),
    ])
}

/// The question to the index and, with the most selective pattern first, to oxigraph.
fn asked(live: &Live, thing: &Description, turn: u64) -> Option<Asked> {
    let mut query = Query::default();
    let mut patterns = Vec::new();
    for (facet, value) in drawn(thing, turn)? {
        let alone = Query::default().having(facet, &[&value]).ok()?;
        let rows = live.find(&alone).ok()?.total;
        let (property, term) = facet_fact(facet, &value)?;
        patterns.push((
            rows,
            match facet {
                Facet::Method => format!("?it <urn:i3:ns:performs> ?method . ?method {property} {term} ."),
                _ => format!("?it {property} {term} ."),
            },
        ));
        query = query.having(facet, &[&value]).ok()?;
    }
    patterns.sort();
    let patterns: Vec<String> = patterns.into_iter().map(|(_, pattern)| pattern).collect();
    Some(Asked { query, sparql: patterns.join(" ") })
}

/// Asks the index and has each document parsed and written again, as an answer would.
fn page(live: &Live, documents: &HashMap<Arc<str>, String>, query: &Query) -> usize {
    let Ok(answer) = live.find(query) else { return 0 };
    let mut page: Vec<serde_json::Value> = Vec::with_capacity(answer.hits.len());
    for hit in &answer.hits {
        if let Some(document) = documents.get(&hit.id).and_then(|text| serde_json::from_str(text).ok()) {
            page.push(document);
        }
    }
    serde_json::to_string(&page).map_or(0, |text| text.len())
}

fn sparql(store: &Store, query: &str) -> Result<u64, Failure> {
    let prepared = SparqlEvaluator::new().parse_query(query)?;
    let mut found = 0;
    if let QueryResults::Solutions(solutions) = prepared.on_store(store).execute()? {
        for solution in solutions {
            black_box(solution?);
            found += 1;
        }
    }
    Ok(found)
}

fn resident() -> u64 {
    i3_benches::memory::resident(std::process::id()).unwrap_or(0) / 1_000_000
}

/// The questions of one size, asked of the index. The half time of a page of typed discovery.
fn index(objects: u64) -> Result<(Live, Vec<Asked>, f64), Failure> {
    let ontology = ontology().ok_or("the ontology of the bench is refused")?;
    let classes = Arc::new(OntologyClasses::new(ontology));
    let before = resident();
    let started = processor();
    let live = Live::new(classes);
    for number in 0..objects {
        live.insert(&thing(number))?;
    }
    let filled = processor().saturating_sub(started);
    let grown = resident().saturating_sub(before);
    let size = live.size();
    println!("\n{objects} objects, {} terms, {} words", size.things.max(size.terms), size.words);
    println!("filled in {:.2} s, descriptions made up included; {grown} MB", filled.as_secs_f64());
    let documents: HashMap<Arc<str>, String> =
        (0..objects).map(thing).map(|thing| (thing.id.clone(), document(&thing))).collect();

    let mut numbers = Numbers::new(7);
    let mut questions = Vec::new();
    for turn in 0..QUESTIONS {
        questions.extend(asked(&live, &thing(numbers.below(objects)), turn));
    }
    println!("{:<66} {:>9} {:>9} {:>9}", "ms of processor time", "p50", "p90", "p99");
    // Once without being counted.
    for question in &questions {
        black_box(page(&live, &documents, &question.query));
    }
    let ids = measured(&questions, |asked| live.find(&asked.query));
    row("class with subclasses + protocol + method + tag, 20 ids and why", &ids);
    let pages = measured(&questions, |asked| page(&live, &documents, &asked.query));
    let half = row("the same with 20 documents parsed and serialised", &pages);
    let sorted: Vec<Query> = questions.iter().map(|asked| asked.query.clone().sorted(Sort::Rating)).collect();
    row("the same sorted by rating", &measured(&sorted, |query| page(&live, &documents, query)));
    let rare: Vec<Query> = (0..QUESTIONS)
        .map(|_| Query::default().with_text(numbers.below(1_000.min(objects)).to_string()))
        .collect();
    row("a word in one title of a thousand, 20 ids and why", &measured(&rare, |query| live.find(query)));
    row("the same with documents", &measured(&rare, |query| page(&live, &documents, query)));
    let common: Vec<Query> = ["Smart Blue", "indoor", "blue lamp", "fan"]
        .iter()
        .cycle()
        .take(usize::try_from(QUESTIONS)?)
        .map(|text| Query::default().with_text(*text))
        .collect();
    row("frequent words, 20 ids and why", &measured(&common, |query| live.find(query)));
    let counted: Vec<Query> = questions
        .iter()
        .filter_map(|asked| asked.query.clauses.first().cloned())
        .map(|kind| {
            let query = Query { clauses: vec![kind], ..Query::default() };
            query.counting(&[Facet::Protocol, Facet::Method])
        })
        .collect();
    row(
        "class alone, counts of the first protocols and methods",
        &measured(&counted, |query| live.find(query)),
    );

    let things: Vec<Description> = (0..2_000.min(objects)).map(thing).collect();
    let again = measured(&things, |thing| live.insert(thing));
    row("a thing taken out and put in again, classes inferred", &again);
    Ok((live, questions, half))
}

fn main() -> Result<(), Failure> {
    let objects = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100_000_u64);
    let (_, _, small) = index(1_000)?;
    let (live, questions, large) = index(objects)?;
    println!("\nfrom 1,000 to {objects} objects the p50 of a page grows {:.2} times", large / small);

    let ontology = ontology().ok_or("the ontology of the bench is refused")?;
    let store = Store::new()?;
    let mut loader = store.bulk_loader();
    for number in 0..objects {
        let facts = infer(ontology.closure(), &thing(number).facts())?.facts;
        loader.load_quads(facts.into_iter().map(|fact| fact.in_graph(GraphName::DefaultGraph)))?;
    }
    loader.commit()?;
    println!("\noxigraph, {} triples with what follows, the most selective pattern first", store.len()?);
    let mut different = 0;
    for asked in questions.iter().take(20) {
        let all = format!("SELECT DISTINCT ?it WHERE {{ {} }}", asked.sparql);
        if sparql(&store, &all)? != live.find(&asked.query)?.total {
            different += 1;
        }
    }
    println!("{different} of 20 answers differ in number");
    let limited: Vec<String> =
        questions.iter().map(|asked| format!("SELECT ?it WHERE {{ {} }} LIMIT 20", asked.sparql)).collect();
    let times = measured(&limited, |query| sparql(&store, query));
    let theirs = row("class + protocol + method + tag, 20 ids, text parsed", &times);
    let times = measured(&questions, |asked| live.find(&asked.query));
    let ours = share(&times, 50);
    println!("the index answers {:.0} times as fast at p50, total and reasons included", theirs / ours);
    let sorted: Vec<String> = questions
        .iter()
        .map(|asked| {
            format!(
                "SELECT ?it WHERE {{ {} ?it <urn:i3:ns:hasRating> ?r . ?r <urn:i3:ns:ratingValue> ?v }} \
                 ORDER BY DESC(?v) LIMIT 20",
                asked.sparql
            )
        })
        .collect();
    row("the same sorted by rating", &measured(&sorted, |query| sparql(&store, query)));
    drop(store);

    let mut graph = Graph::new(ontology)?;
    let things: Vec<Description> = (0..20_000.min(objects)).map(thing).collect();
    let both = measured(&things, |thing| {
        let change = graph.apply(&thing.iri(), &thing.facts());
        (change, live.insert(thing))
    });
    println!();
    row("one object into graph and index, with inference", &both);
    Ok(())
}
