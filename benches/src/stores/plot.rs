//! A plot of all figures: bars with their ends, one panel for each workload, on a logarithmic scale.

use std::fmt::Write as _;

use super::report::number;
use super::results::{Results, Row, Table};
use crate::rounds::Summary;

const WIDTH: f64 = 860.0;
const LABELS: f64 = 190.0;
const VALUES: f64 = 110.0;
const LINE: f64 = 18.0;
const HEAD: f64 = 46.0;

/// Colours that are told apart on light and on dark ground; the text follows the reader's scheme.
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#1f2328}.h{font-weight:600;font-size:14px}\
.s{fill:#59636e}.g{stroke:#8b949e;stroke-opacity:.35}.b{fill:#2f81c7}.y{fill:#b7791f}.e{stroke:#1f2328;stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.e{stroke:#e6edf3}.b{fill:#388bd4}.y{fill:#c98b2b}}";

/// The plot. What must be said of all figures stands above them.
pub(super) fn svg(results: &Results, note: Option<&str>) -> Result<String, std::fmt::Error> {
    let mut body = String::new();
    let mut y = 12.0;
    if let Some(note) = note {
        y += 16.0;
        writeln!(body, "<text x=\"12\" y=\"{y}\" class=\"h\">{}</text>", escape(note))?;
    }
    for table in &results.tables {
        y = panel(&mut body, table, y)?;
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{:.0}\" viewBox=\"0 0 {WIDTH} {:.0}\" \
         role=\"img\" aria-label=\"Figures of all stores\">\n<style>{STYLE}</style>\n{body}</svg>\n",
        y + 30.0,
        y + 30.0
    ))
}

fn panel(body: &mut String, table: &Table, top: f64) -> Result<f64, std::fmt::Error> {
    let rows: Vec<(&Row, Summary)> =
        table.rows.iter().filter_map(|row| Some((row, row.summary()?))).collect();
    let positive =
        rows.iter().flat_map(|(_, summary)| [summary.min, summary.max]).filter(|value| *value > 0.0);
    let (low, high) =
        positive.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return Ok(top);
    }
    // Whole decades, from below half of the least, so that its bar is seen.
    let from = (low / 2.0).log10().floor();
    let to = high.log10().ceil().max(from + 1.0);
    let across = WIDTH - LABELS - VALUES;
    let at = |value: f64| LABELS + across * ((value.log10() - from) / (to - from)).clamp(0.0, 1.0);

    let title = format!("{} ({}, logarithmic)", table.name, table.unit);
    writeln!(body, "<text x=\"12\" y=\"{:.0}\" class=\"h\">{}</text>", top + 26.0, escape(&title))?;
    let first = top + HEAD;
    let bottom = rows.iter().fold(first, |y, _| y + LINE);
    let mut decade = from;
    while decade <= to {
        let x = at(10_f64.powf(decade));
        writeln!(
            body,
            "<line class=\"g\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.0}\" y2=\"{bottom:.0}\"/>",
            first - 4.0
        )?;
        let mark = number(10_f64.powf(decade));
        writeln!(
            body,
            "<text class=\"s\" x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{mark}</text>",
            bottom + 14.0
        )?;
        decade += 1.0;
    }
    let mut y = first;
    for (row, summary) in rows {
        let class = if row.yardstick { "y" } else { "b" };
        let (middle, least, most) = (at(summary.median), at(summary.min), at(summary.max));
        writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{LABELS}\" y=\"{:.0}\" width=\"{:.1}\" height=\"12\" rx=\"2\"/>\
             <line class=\"e\" x1=\"{least:.1}\" x2=\"{most:.1}\" y1=\"{:.0}\" y2=\"{:.0}\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            LABELS - 8.0,
            y + 10.0,
            escape(&row.label()),
            y,
            (middle - LABELS).max(1.0),
            y + 6.0,
            y + 6.0,
            most.max(middle) + 6.0,
            y + 10.0,
            number(summary.median),
        )?;
        y += LINE;
    }
    Ok(bottom + 24.0)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::measured;
    use super::*;

    fn widths(svg: &str) -> Vec<f64> {
        svg.lines()
            .filter_map(|line| line.split_once("<rect")?.1.split_once("width=\"")?.1.split_once('"'))
            .map(|(width, _)| width.parse().unwrap())
            .collect()
    }

    #[test]
    fn a_hundred_times_as_much_is_two_decades_longer() {
        let svg = svg(&measured("one", &[100.0], &[10_000.0], 1_000.0), None).unwrap();
        let [one, many] = widths(&svg)[..] else { panic!("{svg}") };
        // From 10 to 10,000.
        let decade = (WIDTH - LABELS - VALUES) / 3.0;
        assert!((many - one - 2.0 * decade).abs() < 1.0, "{one} and {many} where a decade is {decade}");
    }

    #[test]
    fn names_are_escaped_and_a_simulated_run_says_so() {
        let svg = svg(&measured("a<b", &[100.0], &[], 1_000.0), Some("simulated")).unwrap();
        assert!(svg.contains("a&lt;b · 1") && !svg.contains("a<b"));
        assert!(svg.contains(">simulated</text>"));
        assert!(svg.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn nothing_measured_is_an_empty_plot() {
        assert!(widths(&svg(&Results::default(), None).unwrap()).is_empty());
    }
}
