//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Measures stores side by side.
#[derive(Debug, Clone, Parser)]
#[command(name = "stores", no_binary_name = true)]
pub(super) struct Settings {
    /// A store to measure: memory, sqlite, sled, redb, postgres, mariadb, one that the bench registers, or a
    /// URL: sqlite:FOLDER, sled:FOLDER, redb:FOLDER, postgres://..., mysql://... Repeat for more; all
    /// if absent.
    #[arg(long = "backend", value_name = "NAME|URL")]
    pub(super) backends: Vec<String>,
    /// A workload to run: purchase, metering, access, page, open, bytes. Repeat for more; all if absent.
    #[arg(long = "workload", value_name = "NAME")]
    pub(super) workloads: Vec<String>,
    /// Interleaved rounds; the tables give the median and the ends.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) rounds: u16,
    /// Seconds of one measurement.
    #[arg(long, default_value = "1.5", value_parser = seconds)]
    pub(super) seconds: Duration,
    /// Orders in the store in which access, page, open and bytes are measured.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(64..=10_000_000))]
    pub(super) orders: u32,
    /// One short round in a small store: to see that everything runs, not to compare.
    #[arg(long)]
    pub(super) quick: bool,
    /// SIMULATED: every sync of a store inside this process takes at least so many milliseconds. Servers
    /// are left out.
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    pub(super) sync_floor: Option<Duration>,
    /// Where stores.md, stores.csv and stores.svg are written (stores-simulated.* with --sync-floor);
    /// `stores` in the target folder if absent.
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    /// Cargo says it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("a number from {least} to {most} is expected")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    number(text, 0.05, 600.0).map(Duration::from_secs_f64)
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    number(text, 0.1, 1_000.0).map(|number| Duration::from_secs_f64(number / 1e3))
}

impl Settings {
    pub(super) fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds.into() }
    }

    pub(super) fn measure(&self) -> Duration {
        if self.quick { Duration::from_millis(300) } else { self.seconds }
    }

    pub(super) fn orders(&self) -> usize {
        if self.quick { 500 } else { usize::try_from(self.orders).unwrap_or(usize::MAX) }
    }

    /// Whether a workload was asked for.
    pub(super) fn wants(&self, workload: &str) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|named| named == workload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings, clap::Error> {
        Settings::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn what_is_not_named_is_measured_too() {
        let settings = parse("--rounds 3 --seconds 0.5 --bench").unwrap();
        assert!(settings.wants("purchase") && settings.backends.is_empty());
        assert_eq!((settings.rounds(), settings.measure()), (3, Duration::from_millis(500)));
        let settings = parse("--workload page --backend sled --backend memory --sync-floor 5").unwrap();
        assert!(settings.wants("page") && !settings.wants("purchase"));
        assert_eq!(settings.sync_floor, Some(Duration::from_millis(5)));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in
            ["--rounds 0", "--seconds nan", "--seconds 0", "--sync-floor -1", "--round 3", "--orders 1"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
