//! The text that Prometheus reads: exposition format 0.0.4.

use std::fmt::{Display, Write as _};

use super::tally::{BOUNDS, Distribution, Label, Tally};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics as text, one family after the other.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    pub(super) fn text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        debug_assert!(!help.contains(['\\', '\n']) && help.is_ascii());
        // Writing to a string does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            debug_assert!(!text.contains(['\\', '\n', '"']));
            let _ = write!(self.0, "{}{label}=\"{text}\"", if place == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// Something that only grows. The name ends in `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// Something that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// Something that only grows, by the values of a label.
    pub(super) fn tally<L: Label>(&mut self, name: &str, help: &str, label: &str, tally: &Tally<L>) {
        self.family(name, "counter", help);
        for (value, count) in tally.read() {
            self.sample(name, &[(label, value.text())], count);
        }
    }

    /// The same of counts that are kept elsewhere. Nothing if there are none.
    pub(super) fn counters(&mut self, name: &str, help: &str, label: &str, counts: &[(&'static str, u64)]) {
        self.by_label(name, "counter", help, label, counts);
    }

    /// Gauges by the values of a label.
    pub(super) fn gauges(&mut self, name: &str, help: &str, label: &str, values: &[(&'static str, u64)]) {
        self.by_label(name, "gauge", help, label, values);
    }

    fn by_label(&mut self, name: &str, kind: &str, help: &str, label: &str, values: &[(&'static str, u64)]) {
        if values.is_empty() {
            return;
        }
        self.family(name, kind, help);
        for (value, count) in values {
            self.sample(name, &[(label, value)], count);
        }
    }

    /// Durations. The name ends in `_seconds`.
    pub(super) fn histogram(&mut self, name: &str, help: &str, distribution: &Distribution) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for ((_, bound), count) in BOUNDS.iter().zip(&distribution.at_most) {
            self.sample(&bucket, &[("le", bound)], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], distribution.count);
        self.sample(&format!("{name}_sum"), &[], distribution.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), &[], distribution.count);
    }
}
