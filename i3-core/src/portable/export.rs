//! A store as lines of JSON.

use std::collections::BTreeMap;
use std::io::Write;

use super::digest::{Tally, total};
use super::line::{End, FORMAT, Line};
use super::{CollectionDigest, Contents, Part, PortError, Progress, Rows, StoreDigest, ends};
use crate::store::{Key, Row, Store};

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// What the lines say.
    pub digest: StoreDigest,
    /// How many lines there are between the first and the last.
    pub rows: u64,
    /// Collections of secrets, with the numbers of their records, that are not in the export.
    pub left_out: BTreeMap<String, u64>,
    /// Collections that are not in it because the contents do not name them.
    pub left_behind: Vec<String>,
}

/// Writes everything in a store but its secrets: a first line with the format, a line for each record,
/// counter and entry, and a last line with the digest, by which an importer knows that nothing is missing or
/// changed. Bodies are kept to the byte.
///
/// The store must be at rest. If a stream grew meanwhile, the answer is [`PortError::SourceChanged`] and the
/// last line is missing; a change that no stream tells of goes unnoticed here.
pub async fn export(
    source: &dyn Store,
    contents: &Contents,
    out: &mut (dyn Write + Send),
    progress: &dyn Progress,
) -> Result<Exported, PortError> {
    source.prepare(contents.schema()).await?;
    super::refuse_unfinished(source).await?;
    let before = ends(source, contents).await?;
    let revision = contents.schema().revision();
    let mut lines = Lines { out, rows: 0, progress };
    lines.write(&Line { i3_export: Some(FORMAT), revision: Some(revision), ..Line::default() })?;
    progress.begin("exporting", None);
    let mut collections = Vec::new();
    let mut left_out = BTreeMap::new();
    for part in contents.parts() {
        if part.is_secret() {
            let count = count(source, part).await?;
            if count > 0 {
                left_out.insert(part.collection().name.to_owned(), count);
            }
        } else {
            collections.extend(lines.part(source, part).await?);
        }
    }
    if ends(source, contents).await? != before {
        return Err(PortError::SourceChanged);
    }
    let (digest, rows) = (total(collections), lines.rows);
    let end = End { rows, digest: digest.total(), left_out: left_out.clone() };
    lines.write(&Line { end: Some(end), ..Line::default() })?;
    lines.out.flush()?;
    Ok(Exported { digest, rows, left_out, left_behind: source.unnamed().await? })
}

async fn count(source: &dyn Store, part: &Part) -> Result<u64, PortError> {
    let mut rows = Rows::ids(source, part.collection());
    let mut count = 0;
    while rows.next().await?.is_some() {
        count += 1;
    }
    Ok(count)
}

struct Lines<'a> {
    out: &'a mut (dyn Write + Send),
    /// Without the first one.
    rows: u64,
    progress: &'a dyn Progress,
}

impl Lines<'_> {
    fn write(&mut self, line: &Line) -> Result<(), PortError> {
        let mut text = serde_json::to_vec(line).map_err(std::io::Error::from)?;
        text.push(b'\n');
        Ok(self.out.write_all(&text)?)
    }

    fn row(&mut self, line: &Line) -> Result<(), PortError> {
        self.rows += 1;
        self.progress.advance(1);
        self.write(line)
    }

    async fn part(&mut self, source: &dyn Store, part: &Part) -> Result<Option<CollectionDigest>, PortError> {
        let mut tally = Tally::of(*part);
        let mut rows = Rows::ids(source, part.collection());
        while let Some(row) = rows.next().await? {
            match row {
                Row::Record { key, body, .. } => {
                    tally.record(&key, body.as_str())?;
                    self.row(&at(&key).with_body(body.as_str()))?;
                }
                Row::Counter { key, units } => {
                    tally.counter(&key, units)?;
                    self.row(&Line { units: Some(units), ..at(&key) })?;
                }
                Row::Stream { key, .. } => {
                    tally.stream(&key)?;
                    let mut entries = Rows::entries(source, key.clone(), 0)?;
                    while let Some(Row::Entry { position, body, link }) = entries.next().await? {
                        tally.entry(position, &link, body.as_str());
                        let line = Line { position: Some(position), link: Some(link), ..at(&key) };
                        self.row(&line.with_body(body.as_str()))?;
                    }
                }
                Row::Entry { .. } => {}
            }
        }
        Ok(tally.done())
    }
}

fn at(key: &Key) -> Line {
    Line {
        collection: Some(key.collection().name.to_owned()),
        key: Some(key.id().to_owned()),
        ..Line::default()
    }
}
