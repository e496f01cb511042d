//! How far a long task has come: a bar on a terminal, lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use i3_core::portable::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Where the length of a step is not known, lines come this far apart.
const PAUSE: Duration = Duration::from_secs(5);

/// Progress on standard error.
#[derive(Debug)]
pub(super) struct Shown {
    bar: Option<ProgressBar>,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    step: String,
    done: u64,
    total: Option<u64>,
    /// What was said last, in tenths of the total.
    tenths: u64,
    said: Instant,
}

impl Shown {
    pub(super) fn on_stderr() -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::no_length);
        let lines = Lines { step: String::new(), done: 0, total: None, tenths: 0, said: Instant::now() };
        Self { bar, lines: Mutex::new(lines) }
    }

    /// Nothing is shown any more.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.end();
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress for Shown {
    fn begin(&self, step: &str, rows: Option<u64>) {
        if let Some(bar) = &self.bar {
            bar.reset();
            if let Some(rows) = rows {
                bar.set_style(style("{msg} {wide_bar} {human_pos}/{human_len} rows, {eta} left"));
                bar.set_length(rows);
            } else {
                bar.set_style(style("{msg} {spinner} {human_pos} rows, {elapsed}"));
                bar.unset_length();
            }
            bar.set_message(step.to_owned());
            return;
        }
        match rows {
            Some(rows) => say(&format!("{step}: {rows} rows")),
            None => say(step),
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        *lines = Lines { step: step.to_owned(), done: 0, total: rows, tenths: 0, said: Instant::now() };
    }

    fn advance(&self, rows: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(rows);
            return;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.done = lines.done.saturating_add(rows);
        match lines.total {
            Some(total) => {
                let tenths = lines.done.saturating_mul(10).checked_div(total).unwrap_or(0).min(10);
                if tenths > lines.tenths {
                    lines.tenths = tenths;
                    say(&format!("{}: {}%", lines.step, tenths * 10));
                }
            }
            None if lines.said.elapsed() >= PAUSE => {
                lines.said = Instant::now();
                say(&format!("{}: {} rows", lines.step, lines.done));
            }
            None => {}
        }
    }
}
