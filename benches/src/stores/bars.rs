//! What is promised about the stores, held against what was measured.

use super::calibration::Disk;
use super::named::ONE_BY_ONE;
use super::results::Results;
use crate::rounds::Summary;

/// A promise and what was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    pub(super) what: String,
    pub(super) at_least: f64,
    pub(super) found: Summary,
    /// Whether what is compared may be called durable.
    pub(super) durable: bool,
}

impl Bar {
    pub(super) fn is_met(&self) -> bool {
        self.durable && self.found.median >= self.at_least
    }
}

/// A ratio of two rows of one table.
struct Ratio {
    table: &'static str,
    of: (&'static str, usize),
    to: (&'static str, usize),
    at_least: f64,
    what: &'static str,
}

const RATIOS: [Ratio; 7] = [
    Ratio {
        table: "purchase",
        of: ("sqlite", 64),
        to: ("sqlite", 1),
        at_least: 15.0,
        what: "SQLite: 64 durable callers to one",
    },
    Ratio {
        table: "purchase",
        of: ("sled", 64),
        to: ("sled", 1),
        at_least: 15.0,
        what: "sled: 64 durable callers to one",
    },
    Ratio {
        table: "purchase",
        of: ("postgres", 1),
        to: (PGBENCH, 1),
        at_least: 0.8,
        what: "PostgreSQL: one caller to one connection of pgbench",
    },
    Ratio {
        table: "purchase",
        of: ("postgres", 8),
        to: (PGBENCH, 8),
        at_least: 0.8,
        what: "PostgreSQL: 8 callers to 8 connections of pgbench",
    },
    Ratio {
        table: "purchase",
        of: ("postgres", 64),
        to: (PGBENCH, 32),
        at_least: 2.0,
        what: "PostgreSQL: 64 callers to 32 connections of pgbench",
    },
    Ratio {
        table: "purchase",
        of: ("mariadb", 8),
        to: (BY_HAND, 8),
        at_least: 0.9,
        what: "MariaDB: 8 callers to 8 connections with statements by hand",
    },
    Ratio {
        table: "access",
        of: ("sqlite", 1),
        to: (ONE_BY_ONE, 1),
        at_least: 3.0,
        what: "SQLite: access checks to one query for each record",
    },
];

/// The names of the yardsticks.
pub(super) const PGBENCH: &str = "pgbench";
/// See [`PGBENCH`].
pub(super) const BY_HAND: &str = "mariadb by hand";

/// Commits of one caller per appending sync that SQLite is promised to make.
const PER_SYNC: f64 = 0.8;

/// All promises whose parts were measured.
pub(super) fn bars(results: &Results) -> Vec<Bar> {
    let mut bars = Vec::new();
    for ratio in RATIOS {
        let Some(found) = results.ratio(ratio.table, ratio.of, ratio.to) else { continue };
        bars.push(Bar {
            what: ratio.what.to_owned(),
            at_least: ratio.at_least,
            found,
            // Nothing is committed there.
            durable: ratio.table == "access" || results.is_durable(ratio.of.0),
        });
    }
    if let Some(found) = results.per_sync("sqlite", |disk: Disk| disk.append) {
        let what = "SQLite: commits of one caller for each appending sync".to_owned();
        bars.push(Bar { what, at_least: PER_SYNC, found, durable: results.is_durable("sqlite") });
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::measured;
    use super::*;

    #[test]
    fn a_bar_is_met_by_the_median_of_a_durable_store_alone() {
        let met = |results: &Results| bars(results).first().map(Bar::is_met);
        assert_eq!(met(&measured("sqlite", &[200.0; 3], &[2_900.0, 3_200.0, 3_300.0], 250.0)), Some(true));
        assert_eq!(met(&measured("sqlite", &[200.0; 3], &[2_900.0, 2_900.0, 3_300.0], 250.0)), Some(false));
        let beats_the_disk = measured("sqlite", &[200.0; 3], &[3_200.0; 3], 20.0);
        assert_eq!(met(&beats_the_disk), Some(false));
    }

    #[test]
    fn what_was_not_measured_is_no_bar() {
        assert_eq!(bars(&Results::default()), []);
        let one = bars(&measured("sqlite", &[200.0], &[], 400.0));
        assert_eq!(one.len(), 1, "commits per sync alone: {one:?}");
        assert!(one[0].is_met(), "200 commits at 200 appending syncs");
    }
}
