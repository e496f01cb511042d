//! What is printed.

use super::clock::{Asked, Noise, Times, milliseconds};
use super::held::Held;
use super::{Memory, Rebuilt};
use crate::stores::{describe, load};

/// What is held against what is promised.
pub(super) struct Figures<'a> {
    pub(super) page: &'a Asked,
    pub(super) sorted: &'a Asked,
    pub(super) texts: [&'a Asked; 2],
    pub(super) theirs: &'a Asked,
    pub(super) theirs_sorted: &'a Asked,
    /// Full pages among a thousand, and among all.
    pub(super) wide: [&'a Asked; 2],
    pub(super) memory: Memory,
    pub(super) inserted: f64,
    pub(super) filled: f64,
    pub(super) rebuilt: Rebuilt,
}

fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^52")]
    let bytes = bytes as f64;
    bytes / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "numbers of objects are far below 2^52")]
fn real(number: u64) -> f64 {
    number as f64
}

pub(super) fn begin(objects: u64, rounds: usize) {
    for (name, what) in describe() {
        println!("- {name}: {what}");
    }
    println!("- load before: {}", load().unwrap_or_default());
    println!("- {objects} objects; each question asked {rounds} times");
}

pub(super) fn kept(held: &Held, memory: Memory) {
    let (size, triples) = (held.size(), held.triples());
    println!("- {} terms, {} words; {triples} triples with what follows", size.terms, size.words);
    println!(
        "- in memory: facet side {:.0} MB, graph {:.0} MB ({:.0} bytes a triple)",
        megabytes(memory.facets),
        megabytes(memory.graph),
        real(memory.graph) / real(u64::try_from(triples).unwrap_or(1)).max(1.0),
    );
}

pub(super) fn questions(objects: u64) {
    println!("\nMilliseconds of processor time among {objects} objects:\n");
    println!("| question | p50 | p90 | p99 | p99 of single answers |");
    println!("| --- | ---: | ---: | ---: | ---: |");
}

pub(super) fn row(title: &str, asked: &Asked) {
    let [half, most, nearly] = [50, 90, 99].map(|per_cent| asked.questions.share(per_cent));
    println!("| {title} | {half:.4} | {most:.4} | {nearly:.4} | {:.4} |", asked.answers.share(99));
}

pub(super) fn costs(held: &[(&str, &Times)]) {
    println!("\nMilliseconds of processor time for one object, in index and graph, with inference:\n");
    println!("| object | mean | p50 | p90 | p99 |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (title, times) in held {
        let [half, most, nearly] = [50, 90, 99].map(|per_cent| times.share(per_cent));
        println!("| {title} | {:.4} | {half:.4} | {most:.4} | {nearly:.4} |", times.mean());
    }
}

pub(super) fn bars(objects: u64, figures: &Figures<'_>) {
    println!("\n| promise | | found | |");
    println!("| --- | ---: | ---: | --- |");
    let most = |what: &str, bar: f64, found: f64| {
        let met = if found <= bar { "met" } else { "**not met**" };
        println!("| {what} | ≤ {bar} | {found:.3} | {met} |");
    };
    let least = |what: &str, bar: f64, found: f64| {
        let met = if found >= bar { "met" } else { "**not met**" };
        println!("| {what} | ≥ {bar} | {found:.0} | {met} |");
    };
    let share = |asked: &Asked, per_cent| asked.questions.share(per_cent);
    most("typed page with documents: p50, ms", 0.05, share(figures.page, 50));
    most("typed page with documents: p99, ms", 0.25, share(figures.page, 99));
    most("sorted by rating: p50, ms", 0.05, share(figures.sorted, 50));
    most("sorted by rating: p99, ms", 0.25, share(figures.sorted, 99));
    for (what, text) in ["a rare word", "two words of a title"].into_iter().zip(figures.texts) {
        most(&format!("text, {what}: p50, ms"), 0.05, share(text, 50));
    }
    for (what, ours, theirs) in
        [("typed", figures.page, figures.theirs), ("sorted by rating", figures.sorted, figures.theirs_sorted)]
    {
        for per_cent in [50, 99] {
            let ratio = share(theirs, per_cent) / share(ours, per_cent).max(1e-6);
            least(&format!("{what}: times as fast as oxigraph, p{per_cent}"), 20.0, ratio);
        }
    }
    most("an object into index and graph, mean, ms", 0.15, figures.inserted);
    let scale = 100_000.0 / real(objects);
    most("100,000 objects into index and graph, s", 12.0, figures.filled * scale);
    let scale = 100_000.0 / real(figures.rebuilt.objects);
    let seconds = milliseconds(figures.rebuilt.time) / 1e3;
    most("100,000 objects rebuilt from a store, s", 12.0, seconds * scale);
    let scale = 100_000.0 / real(objects);
    most("facet side for 100,000, MB", 50.0, megabytes(figures.memory.facets) * scale);
    let whole = megabytes(figures.memory.facets.saturating_add(figures.memory.graph));
    most("whole index for 100,000, MB", 1_000.0, whole * scale);
    let [few, all] = figures.wide.map(|asked| share(asked, 50));
    most(&format!("p50 of a full page from 1,000 to {objects} objects, times"), 3.0, all / few.max(1e-6));
}

pub(super) fn end(noise: &Noise) {
    println!("\n- noise: {}", noise.told());
    println!("- load after: {}", load().unwrap_or_default());
}
