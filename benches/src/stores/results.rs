//! What was measured.

use std::time::Duration;

use i3_core::store::Durability;

use super::calibration::Disk;
use crate::durable::Verdict;
use crate::rounds::{Summary, summarise};

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) round: usize,
    pub(super) value: f64,
    /// The time that half of the calls, and 99 of 100, stayed under.
    pub(super) times: Option<(Duration, Duration)>,
    /// The disk beside it.
    pub(super) disk: Option<Disk>,
}

/// All measurements of one configuration, one for each round.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) who: String,
    /// Zero where nobody calls.
    pub(super) callers: usize,
    /// Not a store, but what a store is held against.
    pub(super) yardstick: bool,
    pub(super) samples: Vec<Sample>,
}

impl Row {
    pub(super) fn summary(&self) -> Option<Summary> {
        self.middle(|sample| Some(sample.value))
    }

    pub(super) fn middle(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<Summary> {
        summarise(&self.samples.iter().filter_map(of).collect::<Vec<_>>())
    }

    pub(super) fn label(&self) -> String {
        match self.callers {
            0 => self.who.clone(),
            callers => format!("{} · {callers}", self.who),
        }
    }
}

/// All that was measured of one workload.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) unit: String,
    pub(super) rows: Vec<Row>,
}

/// A store under test.
#[derive(Debug, Clone)]
pub(super) struct Tested {
    pub(super) name: String,
    pub(super) durability: Durability,
    pub(super) version: Option<String>,
    /// The file system that it writes to.
    pub(super) disk: Option<String>,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Results {
    pub(super) tested: Vec<Tested>,
    pub(super) tables: Vec<Table>,
    /// What could not be measured, and why.
    pub(super) left_out: Vec<String>,
}

impl Results {
    /// Adds a measurement to the table of this name, which is made if there is none.
    pub(super) fn record(
        &mut self,
        (name, about, unit): (&'static str, &'static str, &str),
        (who, callers, yardstick): (&str, usize, bool),
        sample: Sample,
    ) {
        if !self.tables.iter().any(|table| table.name == name) {
            self.tables.push(Table { name, about, unit: unit.to_owned(), rows: Vec::new() });
        }
        let Some(table) = self.tables.iter_mut().find(|table| table.name == name) else { return };
        match table.rows.iter_mut().find(|row| row.who == who && row.callers == callers) {
            Some(row) => row.samples.push(sample),
            None => {
                table.rows.push(Row { who: who.to_owned(), callers, yardstick, samples: vec![sample] });
            }
        }
    }

    pub(super) fn row(&self, table: &str, who: &str, callers: usize) -> Option<&Row> {
        let table = self.tables.iter().find(|found| found.name == table)?;
        table.rows.iter().find(|row| row.who == who && row.callers == callers)
    }

    /// One configuration's value divided by another's in the same round: the middle and the ends.
    pub(super) fn ratio(&self, table: &str, of: (&str, usize), to: (&str, usize)) -> Option<Summary> {
        let (of, to) = (self.row(table, of.0, of.1)?, self.row(table, to.0, to.1)?);
        let ratios = of.samples.iter().filter_map(|sample| {
            let other = to.samples.iter().find(|other| other.round == sample.round)?;
            Some(sample.value / other.value)
        });
        summarise(&ratios.collect::<Vec<_>>())
    }

    /// Commits of one caller for each sync that the disk could do beside them: in the middle and at the ends.
    pub(super) fn per_sync(&self, who: &str, syncs: impl Fn(Disk) -> f64) -> Option<Summary> {
        self.row("purchase", who, 1)?.middle(|sample| Some(sample.value / syncs(sample.disk?)))
    }

    /// Whether what a single caller commits can be durable; `None` if it was not measured.
    pub(super) fn verdict(&self, who: &str) -> Option<Verdict> {
        Some(Verdict::of_single_caller(self.per_sync(who, Disk::fastest)?.median, 1.0))
    }

    /// Whether a store's figures may be called durable: it says so, it was held against the disk, and it
    /// did not beat it.
    pub(super) fn is_durable(&self, who: &str) -> bool {
        let says = self.tested.iter().any(|tested| {
            tested.name == who
                && tested.durability == Durability::PowerLoss
                && !tested.disk.as_deref().is_some_and(super::machine::is_memory)
        });
        says && matches!(self.verdict(who), Some(Verdict::Plausible { .. }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A store that says it survives a power loss, with these purchases and overwriting syncs a second
    /// in each round, by one caller and by 64.
    pub(in crate::stores) fn measured(name: &str, one: &[f64], many: &[f64], syncs: f64) -> Results {
        let mut results = Results::default();
        results.tested.push(Tested {
            name: name.to_owned(),
            durability: Durability::PowerLoss,
            version: None,
            disk: Some("ext4".to_owned()),
        });
        for (callers, values) in [(1, one), (64, many)] {
            for (round, value) in values.iter().enumerate() {
                let disk = Some(Disk { append: syncs / 2.0, overwrite: syncs });
                let times = Some((Duration::from_micros(900), Duration::from_millis(4)));
                let sample = Sample { round, value: *value, times, disk };
                results.record(("purchase", "buys", "purchases/s"), (name, callers, false), sample);
            }
        }
        results
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // The disk was ten times slower in the second round, for both.
        let results = measured("one", &[100.0, 10.0, 100.0], &[2_000.0, 200.0, 1_900.0], 1_000.0);
        let ratio = results.ratio("purchase", ("one", 64), ("one", 1)).unwrap();
        assert!((ratio.median - 20.0).abs() < 1e-9 && (ratio.min - 19.0).abs() < 1e-9);
        assert_eq!(results.ratio("purchase", ("one", 8), ("one", 1)), None);
    }

    #[test]
    fn a_store_that_beats_the_disk_is_not_called_durable() {
        assert!(measured("slow", &[900.0], &[], 1_000.0).is_durable("slow"));
        assert!(!measured("fast", &[9_000.0], &[], 1_000.0).is_durable("fast"));
    }

    #[test]
    fn a_store_in_memory_is_not_called_durable_whatever_it_says() {
        let mut results = measured("one", &[900.0], &[], 1_000.0);
        results.tested[0].disk = Some("tmpfs".to_owned());
        assert!(!results.is_durable("one"));
        results.tested[0].disk = Some("ext4".to_owned());
        results.tested[0].durability = Durability::ProcessCrash;
        assert!(!results.is_durable("one"));
    }

    #[test]
    fn a_store_that_was_not_held_against_the_disk_is_not_called_durable() {
        let mut results = measured("one", &[900.0], &[], 1_000.0);
        results.tables.clear();
        assert!(!results.is_durable("one"));
    }
}
