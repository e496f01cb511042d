//! What the demo prints: plain lines, with a little colour where somebody looks on.

use std::io::{self, IsTerminal, Write};

/// Where the demo prints.
pub(super) struct Screen<W> {
    out: W,
    colour: bool,
}

/// How a piece of text is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tone {
    /// A heading.
    Bold,
    /// Beside the point.
    Faint,
    /// As it should be.
    Good,
    /// As it should not be.
    Bad,
}

impl Tone {
    /// The parameters of the terminal's sequence (ECMA-48, 8.3.117).
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Bad => "31",
        }
    }
}

impl Screen<io::Stdout> {
    /// The standard output; in colour if it is a terminal and `NO_COLOR` (no-color.org) is not set.
    pub(super) fn stdout() -> Self {
        let out = io::stdout();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = out.is_terminal() && !refused;
        Self { out, colour }
    }
}

impl<W: Write> Screen<W> {
    fn toned(&self, tone: Tone, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text.to_owned() }
    }

    /// A heading, with an empty line before it.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.toned(Tone::Bold, text);
        writeln!(self.out, "\n{text}")
    }

    /// A line of progress: what it is about, and what happened.
    pub(super) fn step(&mut self, about: &str, text: &str) -> io::Result<()> {
        let about = self.toned(Tone::Faint, &format!("{about:<11}"));
        writeln!(self.out, "  {about} {text}")?;
        self.out.flush()
    }

    /// A line of the account, good or bad.
    pub(super) fn verdict(&mut self, good: bool, about: &str, text: &str) -> io::Result<()> {
        let (tone, mark) = if good { (Tone::Good, "ok") } else { (Tone::Bad, "NO") };
        let mark = self.toned(tone, mark);
        let about = self.toned(Tone::Faint, &format!("{about:<11}"));
        writeln!(self.out, "  {about} {mark}  {text}")
    }

    /// A table. The first column is flush left, the others flush right.
    pub(super) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(head.get(column).map(|cell| cell.chars().count())).max().unwrap_or(0)
        };
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::from(" ");
            for (column, cell) in cells.enumerate() {
                let width = width(column);
                let cell = if column == 0 { format!(" {cell:<width$}") } else { format!("  {cell:>width$}") };
                line.push_str(&cell);
            }
            line
        };
        let headline = self.toned(Tone::Faint, &line(&mut head.iter().copied()));
        writeln!(self.out, "{headline}")?;
        for row in rows {
            writeln!(self.out, "{}", line(&mut row.iter().map(String::as_str)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(colour: bool, show: impl Fn(&mut Screen<&mut Vec<u8>>)) -> String {
        let mut out = Vec::new();
        show(&mut Screen { out: &mut out, colour });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_of_a_table_line_up() {
        let rows = [vec!["Löss".to_owned(), "9".to_owned()], vec!["b".to_owned(), "12,000".to_owned()]];
        let text = shown(false, |screen| screen.table(&["order", "billed"], &rows).unwrap());
        assert_eq!(text, "  order  billed\n  Löss        9\n  b      12,000\n");
    }

    #[test]
    fn there_is_colour_only_when_it_is_wanted() {
        let verdict =
            |screen: &mut Screen<&mut Vec<u8>>| screen.verdict(true, "ledger", "sums to 0").unwrap();
        assert_eq!(shown(false, verdict), "  ledger      ok  sums to 0\n");
        assert!(shown(true, verdict).contains("\x1b[32mok\x1b[0m"));
    }
}
