//! What can be set on the command line of the benches that run in rounds.

use std::time::Duration;

/// What to measure, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Only what has this in its title.
    pub only: Option<String>,
    /// How many interleaved rounds.
    pub rounds: usize,
    /// How long one measurement counts.
    pub measure: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { only: None, rounds: 5, measure: Duration::from_secs(2) }
    }
}

/// A command line that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; the options are --quick, --rounds NUMBER, --seconds NUMBER, --only TEXT")]
pub struct OptionsError(String);

impl Options {
    /// Whether what has this title is to be measured.
    pub fn wants(&self, title: &str) -> bool {
        self.only.as_ref().is_none_or(|only| title.contains(only.as_str()))
    }

    /// Reads the arguments after the program's name: `--rounds NUMBER`, `--seconds NUMBER`, or `--quick`
    /// for one short round, and `--only TEXT` to leave out what has not this text in its title. Cargo's own `--bench` is passed over.
    ///
    /// # Errors
    /// An unknown argument, a missing value, or a value out of range.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if argument == "--only" {
                let text = arguments.next().ok_or_else(|| OptionsError("--only needs a text".to_owned()))?;
                options.only = Some(text);
                continue;
            }
            let mut value = || {
                let value = arguments.next().and_then(|text| text.parse::<f64>().ok());
                value
                    .filter(|value| (0.05..=600.0).contains(value))
                    .ok_or_else(|| OptionsError(format!("{argument} needs a number from 0.05 to 600")))
            };
            match argument.as_str() {
                "--bench" => {}
                "--quick" => (options.rounds, options.measure) = (1, Duration::from_millis(500)),
                "--seconds" => options.measure = Duration::from_secs_f64(value()?),
                "--rounds" => {
                    let rounds = value()?;
                    options.rounds =
                        (1..=600_u16).find(|round| f64::from(*round) >= rounds).map_or(1, usize::from);
                }
                _ => return Err(OptionsError(format!("unknown argument {argument}"))),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, OptionsError> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn rounds_and_seconds_can_be_set() {
        let expected = Options { only: None, rounds: 7, measure: Duration::from_millis(1500) };
        assert_eq!(parse("--rounds 7 --seconds 1.5 --bench"), Ok(expected));
        assert_eq!(parse("--bench"), Ok(Options::default()));
        let some = parse("--only logins").unwrap();
        assert!(some.wants("logins/s") && !some.wants("latency") && Options::default().wants("latency"));
        assert_eq!(parse("--quick --seconds 1").map(|options| options.rounds), Ok(1));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "--round 3",
            "--rounds",
            "--rounds many",
            "--seconds 0",
            "--seconds nan",
            "--rounds -1",
            "--only",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
