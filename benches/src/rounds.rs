//! Interleaved rounds: every configuration is measured once in each round, so that what else the machine
//! does at the time weighs on all of them alike, and medians and their ratios can be compared.

use std::fmt;
use std::time::Duration;

/// The rates of several configurations, measured in the same rounds.
#[derive(Debug, Clone, Default)]
pub struct Rounds {
    rows: Vec<(String, Vec<f64>)>,
}

/// The middle and the ends of some rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The rate in the middle; the mean of the two middle ones if their number is even.
    pub median: f64,
    /// The lowest rate.
    pub min: f64,
    /// The highest rate.
    pub max: f64,
    /// How many rates there were.
    pub rounds: usize,
}

impl Rounds {
    /// No rates yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the rate of a configuration in the present round. Rows are shown in the order in which they
    /// are first recorded.
    pub fn record(&mut self, row: &str, rate: f64) {
        match self.rows.iter_mut().find(|(name, _)| name == row) {
            Some((_, rates)) => rates.push(rate),
            None => self.rows.push((row.to_owned(), vec![rate])),
        }
    }

    /// The rates of a configuration in short, if it was measured.
    pub fn summary(&self, row: &str) -> Option<Summary> {
        let (_, rates) = self.rows.iter().find(|(name, _)| name == row)?;
        summarise(rates)
    }

    /// The median of one configuration divided by that of another, if both were measured.
    pub fn ratio(&self, of: &str, to: &str) -> Option<f64> {
        Some(self.summary(of)?.median / self.summary(to)?.median)
    }

    /// A table of all rows, with each median's ratio to the median of `reference`.
    pub fn table<'a>(&'a self, title: &'a str, unit: &'a str, reference: &'a str) -> impl fmt::Display + 'a {
        Table { rounds: self, title, unit, reference }
    }
}

struct Table<'a> {
    rounds: &'a Rounds,
    title: &'a str,
    unit: &'a str,
    reference: &'a str,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, title, unit, reference } = self;
        writeln!(f, "{title} ({unit}; ratio to {reference})")?;
        writeln!(
            f,
            "  {:<34} {:>12} {:>12} {:>12} {:>7} {:>8}",
            "configuration", "median", "min", "max", "rounds", "ratio"
        )?;
        for (name, rates) in &rounds.rows {
            let Some(Summary { median, min, max, rounds: count }) = summarise(rates) else { continue };
            write!(f, "  {name:<34} {median:>12.0} {min:>12.0} {max:>12.0} {count:>7}")?;
            match rounds.ratio(name, reference) {
                Some(ratio) => writeln!(f, " {ratio:>8.2}")?,
                None => writeln!(f, " {:>8}", "-")?,
            }
        }
        Ok(())
    }
}

/// Some rates in short; `None` if there are none.
pub(crate) fn summarise(rates: &[f64]) -> Option<Summary> {
    let mut sorted = rates.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(Summary { median: f64::midpoint(lower, upper), min, max, rounds: sorted.len() })
}

/// The time that `percent` of 100 of the times stay under or equal; zero if there are none. The times are
/// sorted already.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank.min(last)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_outlier() {
        let mut rounds = Rounds::new();
        for (one, other) in [(100.0, 50.0), (102.0, 51.0), (5.0, 49.0)] {
            rounds.record("one", one);
            rounds.record("other", other);
        }
        let expected = Summary { median: 100.0, min: 5.0, max: 102.0, rounds: 3 };
        assert_eq!(rounds.summary("one"), Some(expected));
        assert_eq!(rounds.ratio("one", "other"), Some(2.0));
        assert_eq!(rounds.ratio("one", "unheard"), None);
    }

    #[test]
    fn an_even_number_of_rounds_has_the_mean_of_the_middle() {
        let mut rounds = Rounds::new();
        for rate in [4.0, 1.0, 2.0, 100.0] {
            rounds.record("row", rate);
        }
        assert_eq!(rounds.summary("row").map(|summary| summary.median), Some(3.0));
    }

    #[test]
    fn the_table_names_every_row_and_its_ratio() {
        let mut rounds = Rounds::new();
        rounds.record("slow", 10.0);
        rounds.record("fast", 75.0);
        let table = rounds.table("title", "messages/s", "slow").to_string();
        assert!(table.lines().any(|line| line.contains("fast") && line.ends_with("7.50")), "{table}");
        assert!(table.lines().any(|line| line.contains("slow") && line.ends_with("1.00")), "{table}");
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(100));
        assert_eq!(percentile(&times, 99), Duration::from_millis(198));
        assert_eq!(percentile(&times[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
