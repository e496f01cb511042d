//! Finding virtual objects: the typed discovery of the index, with documents, beside oxigraph's best SPARQL for the
//! same questions over the same facts; and what it costs to keep the index. See the package's README.

mod clock;
mod held;
mod peer;
mod questions;
mod report;
mod stored;
mod weight;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use i3_semantic::discovery::{Query, Sort};
use i3_semantic::ontology::Ontology;

use crate::shop::ShopError;
use crate::things::ontology;
use clock::{Asked, Noise, asked};
use held::Held;
use questions::{Texts, Typed, typed_questions, wide_questions};
use weight::{Part, weigh};

/// Measures discovery.
#[derive(Debug, Clone, Parser)]
#[command(name = "discovery", no_binary_name = true)]
struct Settings {
    /// How many objects.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    objects: u64,
    /// How often each question is asked; its time is the median.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,
    /// 5,000 objects and one round: to see that everything runs.
    #[arg(long)]
    quick: bool,
    /// Also writes the facts as N-Triples and the questions as SPARQL into this folder, for other engines.
    #[arg(long, value_name = "FOLDER")]
    export: Option<PathBuf>,
    /// Only one part of it.
    #[arg(long, value_name = "PART")]
    only: Option<Only>,
    /// For the bench's own child processes.
    #[arg(long, hide = true)]
    weigh: Option<weight::Part>,
    /// Cargo says it.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part that can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Making the index anew from a store.
    Rebuild,
    /// Adding a class to the ontology, and what others who ask notice of it.
    Adopt,
}

/// The bench: prints Markdown.
pub fn main() -> ExitCode {
    let mut settings = match Settings::try_parse_from(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(error) => error.exit(),
    };
    if settings.quick {
        (settings.objects, settings.rounds) = (5_000, 1);
    }
    crate::exit(run(&settings))
}

/// The figures of the questions to one index.
struct Answered {
    ids: Asked,
    pages: Asked,
    sorted: Asked,
}

fn run(settings: &Settings) -> Result<(), ShopError> {
    let ontology = ontology().ok_or("the ontology of the bench is refused")?;
    if let Some(part) = settings.weigh {
        return weight::child(part, &ontology, settings.objects);
    }
    if settings.only == Some(Only::Rebuild) {
        let Rebuilt { objects, time } = stored::rebuilt(settings.objects)?;
        println!("{objects} objects rebuilt from a store: {:.3} s of processor time", time.as_secs_f64());
        return Ok(());
    }
    if settings.only == Some(Only::Adopt) {
        let adopted = stored::adopted(settings.objects)?;
        println!(
            "an extension of the ontology in force over {} objects: {:.3} s of processor time, {:.3} s by the clock; \
             meanwhile {} answers: p50 {:.4} ms by the clock, p99 {:.4}, longest {:.4}",
            settings.objects,
            adopted.time.as_secs_f64(),
            adopted.wall.as_secs_f64(),
            adopted.answers,
            adopted.meanwhile.share(50),
            adopted.meanwhile.share(99),
            adopted.meanwhile.share(100),
        );
        return Ok(());
    }
    let rounds = usize::from(settings.rounds);
    let objects = settings.objects;
    let mut noise = Noise::default();
    report::begin(objects, rounds);
    noise.sample();

    let memory = Memory { facets: weigh(Part::Facets, objects)?, graph: weigh(Part::Graph, objects)? };
    let small = Held::fill(&ontology, 1_000)?;
    let of_few = typed_questions(small.live(), 1_000);
    let wide = wide_questions(small.live(), &of_few);
    let wide_of_few = asked(&wide, rounds, |query| small.page(query));
    let of_few = asked(&of_few, rounds, |asked| small.page(&asked.query));
    drop(small);

    let mut held = Held::fill(&ontology, objects)?;
    noise.sample();
    report::kept(&held, memory);
    let typed = typed_questions(held.live(), objects);
    let ours = answered(&held, &typed, rounds);
    noise.sample();

    report::questions(objects);
    report::row("typed: class + protocol + method + tag, 20 ids and why", &ours.ids);
    report::row("typed, with 20 documents as they are stored", &ours.pages);
    let parsed = asked(&typed, rounds, |asked| held.parsed_page(&asked.query));
    report::row("typed, with 20 documents parsed and serialised", &parsed);
    report::row("typed, sorted by rating, with documents", &ours.sorted);
    let texts = Texts::new(objects);
    let page = |query: &Query| held.page(query);
    let rare = asked(&texts.rare, rounds, page);
    report::row("text: a word of one title in a thousand, with documents", &rare);
    let two = asked(&texts.two, rounds, page);
    report::row("text: two words of a title, with documents", &two);
    let frequent = asked(&texts.frequent, rounds, page);
    report::row("text: one frequent word, with documents", &frequent);
    let counted: Vec<Query> = typed.iter().filter_map(counting).collect();
    report::row("class alone, with counts of protocols and methods", &asked(&counted, rounds, page));
    report::row("typed, with documents, among 1,000 objects: fewer are found", &of_few);
    let wide = asked(&wide, rounds, page);
    report::row("full pages (class + protocol), with documents", &wide);
    report::row("full pages, among 1,000 objects", &wide_of_few);
    noise.sample();

    let again = held.insert_again(2_000.min(objects))?;
    let sparql = settings.export.as_deref().map(|folder| export(folder, &ontology, objects, &typed));
    sparql.transpose()?;
    let total: Vec<u64> = typed.iter().map(|asked| held.total(&asked.query)).collect();
    let inserted = held.inserted().clone();
    let filled = held.filled().as_secs_f64();
    drop(held);

    let store = peer::filled(&ontology, objects)?;
    let mut different = 0;
    for (asked, total) in typed.iter().zip(&total).take(50) {
        different += u32::from(peer::rows(&store, &asked.all())? != *total);
    }
    if different > 0 {
        return Err(format!("{different} of 50 answers are not SPARQL's").into());
    }
    let first: Vec<String> = typed.iter().map(Typed::first).collect();
    let theirs = asked(&first, 1, |query| peer::rows(&store, query).ok());
    let best: Vec<String> = typed.iter().map(Typed::best).collect();
    let best = asked(&best, 1, |query| peer::rows(&store, query).ok());
    report::row("oxigraph: class + protocol + method + tag, 20 ids", &theirs);
    report::row("oxigraph: sorted by rating, 20 ids", &best);
    drop(store);
    noise.sample();

    let rebuilt = stored::rebuilt(objects)?;
    noise.sample();
    report::costs(&[
        ("new, beside nine tenths of all", &inserted),
        ("there already, with another title", &again),
    ]);
    report::bars(
        objects,
        &report::Figures {
            page: &ours.pages,
            sorted: &ours.sorted,
            texts: [&rare, &two],
            theirs: &theirs,
            theirs_sorted: &best,
            wide: [&wide_of_few, &wide],
            memory,
            inserted: inserted.mean(),
            filled,
            rebuilt,
        },
    );
    report::end(&noise);
    Ok(())
}

fn answered(held: &Held, typed: &[Typed], rounds: usize) -> Answered {
    let sorted: Vec<Query> = typed.iter().map(|asked| asked.query.clone().sorted(Sort::Rating)).collect();
    Answered {
        ids: asked(typed, rounds, |asked| held.live().find(&asked.query)),
        pages: asked(typed, rounds, |asked| held.page(&asked.query)),
        sorted: asked(&sorted, rounds, |query| held.page(query)),
    }
}

/// The class of a question, with counts.
fn counting(asked: &Typed) -> Option<Query> {
    use i3_semantic::description::Facet;
    let kind = asked.query.clauses.first().cloned()?;
    let query = Query { clauses: vec![kind], ..Query::default() };
    Some(query.counting(&[Facet::Protocol, Facet::Method]))
}

/// Facts and questions for other engines.
fn export(folder: &Path, ontology: &Ontology, objects: u64, typed: &[Typed]) -> Result<(), ShopError> {
    std::fs::create_dir_all(folder)?;
    let mut facts = BufWriter::new(File::create(folder.join("facts.nt"))?);
    for number in 0..objects {
        for fact in peer::facts(ontology, number)? {
            writeln!(facts, "{fact} .")?;
        }
    }
    facts.flush()?;
    for (name, query) in [("first", Typed::first as fn(&Typed) -> String), ("best", Typed::best)] {
        let queries: Vec<String> = typed.iter().map(query).collect();
        std::fs::write(folder.join(format!("{name}.rq")), queries.join("\n"))?;
    }
    Ok(())
}

/// Bytes that came to be in memory.
#[derive(Debug, Clone, Copy)]
struct Memory {
    facets: u64,
    graph: u64,
}

/// So many objects were read from a store, described and put in, in so much processor time.
#[derive(Debug, Clone, Copy)]
struct Rebuilt {
    objects: u64,
    time: Duration,
}
