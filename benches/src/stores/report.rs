//! Tables for people (Markdown) and for programs (CSV).

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use i3_core::store::Durability;

use super::bars::bars;
use super::calibration::Disk;
use super::results::{Results, Row, Table};
use super::settings::Settings;
use super::{machine, plot};
use crate::rounds::Summary;
use crate::shop::ShopError;

/// Prints everything, and writes it.
pub(super) fn deliver(
    settings: &Settings,
    scratch: &Path,
    about: &[(&'static str, String)],
    results: &Results,
) -> Result<(), ShopError> {
    let name = if settings.sync_floor.is_some() { "stores-simulated" } else { "stores" };
    let folder = settings.out.clone().unwrap_or_else(|| scratch.join("../stores"));
    std::fs::create_dir_all(&folder)?;
    let text = markdown(settings, about, results, &format!("{name}.svg"))?;
    print!("{text}");
    std::fs::write(folder.join(format!("{name}.md")), &text)?;
    std::fs::write(folder.join(format!("{name}.csv")), csv(settings, about, results)?)?;
    std::fs::write(folder.join(format!("{name}.svg")), plot::svg(results, simulated(settings).as_deref())?)?;
    let folder = folder.canonicalize()?;
    eprintln!("written: {name}.md, {name}.csv and {name}.svg in {}", folder.display());
    Ok(())
}

/// What must be said wherever a figure of a simulated disk is shown.
fn simulated(settings: &Settings) -> Option<String> {
    let floor = settings.sync_floor?;
    Some(format!("simulated: a sync takes at least {} ms", floor.as_secs_f64() * 1e3))
}

/// A number with about three digits that mean something, in groups of thousands.
pub(super) fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        let digits = if value.abs() < 10.0 { 2 } else { 1 };
        return format!("{value:.digits$}");
    }
    let whole = format!("{value:.0}");
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1e3 { format!("{} µs", number(micros)) } else { format!("{} ms", number(micros / 1e3)) }
}

fn ends(summary: Summary) -> String {
    format!("{} … {}", number(summary.min), number(summary.max))
}

fn markdown(
    settings: &Settings,
    about: &[(&'static str, String)],
    results: &Results,
    plot: &str,
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let note = simulated(settings);
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    writeln!(text, "<!-- Generated; do not edit. -->\n")?;
    writeln!(text, "`cargo bench -p i3-benches --bench stores -- {}`\n", arguments.join(" "))?;
    if let Some(note) = &note {
        writeln!(text, "**{note}.** These figures say what would be on such a disk, not what was.\n")?;
    }
    for (name, what) in about {
        writeln!(text, "- {name}: {what}")?;
    }
    let measure = settings.measure().as_secs_f64();
    writeln!(
        text,
        "- {} rounds of {measure} s, {} orders in the filled stores",
        settings.rounds(),
        settings.orders()
    )?;
    for what in &results.left_out {
        writeln!(text, "- LEFT OUT: {what}")?;
    }
    writeln!(text, "\n![All figures]({plot})")?;
    durability(&mut text, results, note.as_deref())?;
    promises(&mut text, results, note.as_deref())?;
    for table in &results.tables {
        write_table(&mut text, table, note.as_deref())?;
    }
    Ok(text)
}

fn durability(text: &mut String, results: &Results, note: Option<&str>) -> std::fmt::Result {
    writeln!(text, "\n### Durability and the disk\n")?;
    if let Some(note) = note {
        writeln!(text, "*{note}*\n")?;
    }
    writeln!(
        text,
        "| store | a commit survives | disk | appending syncs/s | overwriting syncs/s | commits per sync, one caller | so |"
    )?;
    writeln!(text, "| --- | --- | --- | ---: | ---: | ---: | --- |")?;
    for tested in &results.tested {
        let name = &tested.name;
        let version = tested.version.as_ref().map_or_else(String::new, |version| format!(" ({version})"));
        let syncs = |of: fn(Disk) -> f64| {
            let row = results.row("purchase", name, 1);
            let found = row.and_then(|row| row.middle(|sample| Some(of(sample.disk?))));
            found
                .map_or_else(|| "-".to_owned(), |found| format!("{} ({})", number(found.median), ends(found)))
        };
        let verdict = if tested.durability != Durability::PowerLoss {
            "not durable, and says so".to_owned()
        } else if let Some(memory) = tested.disk.as_deref().filter(|disk| machine::is_memory(disk)) {
            format!("**NOT DURABLE**: {memory} is memory")
        } else {
            match results.verdict(name) {
                Some(_) if results.is_durable(name) => "as a disk can do".to_owned(),
                Some(_) => "**NOT SHOWN TO BE DURABLE**: faster than the disk".to_owned(),
                None => "not held against the disk".to_owned(),
            }
        };
        let per_sync = |of: fn(Disk) -> f64| results.per_sync(name, of).map(|found| number(found.median));
        let per_sync = match (per_sync(|disk| disk.append), per_sync(|disk| disk.overwrite)) {
            (Some(append), Some(overwrite)) => format!("{append} / {overwrite}"),
            _ => "-".to_owned(),
        };
        writeln!(
            text,
            "| {name}{version} | {} | {} | {} | {} | {per_sync} | {verdict} |",
            tested.durability,
            tested.disk.as_deref().unwrap_or("none"),
            syncs(|disk| disk.append),
            syncs(|disk| disk.overwrite),
        )?;
    }
    Ok(())
}

fn promises(text: &mut String, results: &Results, note: Option<&str>) -> std::fmt::Result {
    let bars = bars(results);
    if bars.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n### Promises\n")?;
    if let Some(note) = note {
        writeln!(text, "*{note}*\n")?;
    }
    writeln!(text, "Ratios are of the same round; given are the median and the ends over the rounds.\n")?;
    writeln!(text, "| promise | at least | found | min … max | |\n| --- | ---: | ---: | ---: | --- |")?;
    for bar in bars {
        let met = match (bar.is_met(), bar.durable) {
            (true, _) => "met",
            (false, true) => "**not met**",
            (false, false) => "**not met**: not shown to be durable",
        };
        let found = number(bar.found.median);
        writeln!(
            text,
            "| {} | {} | {found} | {} | {met} |",
            bar.what,
            number(bar.at_least),
            ends(bar.found)
        )?;
    }
    Ok(())
}

fn write_table(text: &mut String, table: &Table, note: Option<&str>) -> std::fmt::Result {
    writeln!(text, "\n### {}\n\nMeasured: {}. In {}.", table.name, table.about, table.unit)?;
    if let Some(note) = note {
        writeln!(text, "*{note}*")?;
    }
    let called = table.rows.iter().any(|row| row.callers > 0);
    let on_disk = table.rows.iter().any(|row| row.samples.iter().any(|sample| sample.disk.is_some()));
    let mut columns = Vec::new();
    if called {
        columns.push("callers");
    }
    columns.extend([table.unit.as_str(), "min … max"]);
    if called {
        columns.extend(["to one caller", "p50", "p99"]);
    }
    if on_disk {
        columns.extend(["per appending sync", "per overwriting sync"]);
    }
    writeln!(text, "\n| store | {} |", columns.join(" | "))?;
    writeln!(text, "| --- |{}", " ---: |".repeat(columns.len()))?;
    for row in &table.rows {
        let Some(summary) = row.summary() else { continue };
        let name = if row.yardstick { format!("*{}*", row.who) } else { row.who.clone() };
        write!(text, "| {name} |")?;
        if called {
            write!(text, " {} |", row.callers)?;
        }
        write!(text, " {} | {} |", number(summary.median), ends(summary))?;
        if called {
            let one = table.rows.iter().find(|one| one.who == row.who && one.callers == 1);
            let gain = one.and_then(Row::summary).map(|one| number(summary.median / one.median));
            write!(text, " {} |", gain.unwrap_or_else(|| "-".to_owned()))?;
            for of in [|times: (Duration, Duration)| times.0, |times: (Duration, Duration)| times.1] {
                let middle = row.middle(|sample| Some(of(sample.times?).as_secs_f64()));
                let shown = middle.map(|middle| time(Duration::from_secs_f64(middle.median)));
                write!(text, " {} |", shown.unwrap_or_else(|| "-".to_owned()))?;
            }
        }
        if on_disk {
            for of in [|disk: Disk| disk.append, |disk: Disk| disk.overwrite] {
                let middle = row.middle(|sample| Some(sample.value / of(sample.disk?)));
                let shown = middle.map(|middle| number(middle.median));
                write!(text, " {} |", shown.unwrap_or_else(|| "-".to_owned()))?;
            }
        }
        writeln!(text)?;
    }
    Ok(())
}

/// Every measurement in a line.
fn csv(
    settings: &Settings,
    about: &[(&'static str, String)],
    results: &Results,
) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "date,commit,simulated_sync_ms,workload,store,yardstick,survives,durable,callers,round,value,unit,p50_us,p99_us,\
         appending_syncs_per_s,overwriting_syncs_per_s\n",
    );
    let of = |name: &str| about.iter().find(|(found, _)| *found == name).map_or("", |(_, what)| what);
    let floor = settings.sync_floor.map(|floor| floor.as_secs_f64() * 1e3);
    let optional = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for table in &results.tables {
        for row in &table.rows {
            let tested = results.tested.iter().find(|tested| tested.name == row.who);
            for sample in &row.samples {
                let micros = |time: Option<Duration>| optional(time.map(|time| time.as_secs_f64() * 1e6));
                writeln!(
                    text,
                    "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}",
                    of("date"),
                    field(of("commit")),
                    optional(floor),
                    table.name,
                    field(&row.who),
                    row.yardstick,
                    tested.map(|tested| tested.durability.to_string()).unwrap_or_default(),
                    if row.yardstick { String::new() } else { results.is_durable(&row.who).to_string() },
                    row.callers,
                    sample.round + 1,
                    sample.value,
                    table.unit,
                    micros(sample.times.map(|times| times.0)),
                    micros(sample.times.map(|times| times.1)),
                    optional(sample.disk.map(|disk| disk.append)),
                    optional(sample.disk.map(|disk| disk.overwrite)),
                )?;
            }
        }
    }
    Ok(text)
}

/// RFC 4180.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::results::tests::measured;
    use super::*;

    fn settings(line: &str) -> Settings {
        Settings::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn every_table_of_a_simulated_run_says_so_and_no_real_one_does() {
        let results = measured("sqlite", &[190.0; 3], &[3_000.0; 3], 200.0);
        let text = markdown(&settings("--sync-floor 5"), &[], &results, "a.svg").unwrap();
        for part in text.split("\n### ").skip(1) {
            assert!(part.contains("simulated: a sync takes at least 5 ms"), "{part}");
        }
        let text = markdown(&settings(""), &[], &results, "a.svg").unwrap();
        assert!(!text.contains("simulated"));
        let lines = csv(&settings("--sync-floor 5"), &[], &results).unwrap();
        assert!(lines.lines().skip(1).all(|line| line.split(',').nth(2) == Some("5")), "{lines}");
    }

    #[test]
    fn a_store_that_beats_the_disk_is_marked_in_both_tables() {
        let results = measured("sqlite", &[4_000.0; 3], &[70_000.0; 3], 200.0);
        let text = markdown(&settings(""), &[], &results, "a.svg").unwrap();
        assert!(text.contains("NOT SHOWN TO BE DURABLE"), "{text}");
        assert!(text.contains("**not met**: not shown to be durable"), "{text}");
        let lines = csv(&settings(""), &[], &results).unwrap();
        assert!(lines.lines().skip(1).all(|line| line.contains("power loss,false")), "{lines}");
    }

    #[test]
    fn every_line_of_the_csv_has_the_fields_that_its_head_names() {
        let results = measured("sqlite:/a,b", &[1.0], &[], 1.0);
        let about = [("date", "2026".to_owned()), ("commit", "c".to_owned())];
        let lines = csv(&settings(""), &about, &results).unwrap();
        let fields = lines.lines().next().unwrap().split(',').count();
        assert_eq!(lines.lines().nth(1).unwrap().replace("\"sqlite:/a,b\"", "x").split(',').count(), fields);
    }

    #[test]
    fn numbers_are_as_exact_as_they_are_meant() {
        let cases = [
            (0.123, "0.12"),
            (12.34, "12.3"),
            (100.4, "100"),
            (1_234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(time(Duration::from_micros(1_250)), "1.25 ms");
    }
}
