//! Lines of JSON into a store.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};

use super::batches::Batches;
use super::line::{End, FORMAT, LINE_BYTES, Line};
use super::{Contents, FillingKind, PortError, Progress, StoreDigest, begin, digest, finish};
use crate::store::{Body, Key, Kind, Op, Store, Units};

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// What the store holds now.
    pub digest: StoreDigest,
    /// Collections of secrets that the export left out, with the numbers of their records.
    pub left_out: BTreeMap<String, u64>,
}

/// Fills an empty store with the lines of an [`export`](super::export()), and reads it again to prove that it
/// holds what the last line says. Whatever is wrong with the lines, a marketplace refuses the store
/// unless the import has finished.
///
/// What the export left out is missing: people without a hash cannot log in until their password is set
/// anew, and devices need new credentials in place of passwords. Whatever is derived from the marketplace's
/// master key (broker passwords, API tokens) stays good if the key is taken along.
pub async fn import(
    target: &dyn Store,
    contents: &Contents,
    lines: &mut (dyn BufRead + Send),
    progress: &dyn Progress,
) -> Result<Imported, PortError> {
    let mut reader = Reader { lines, number: 0 };
    let known = contents.schema().revision();
    let first = reader.next()?.ok_or(PortError::Truncated { line: 0 })?;
    let (Some(format), Some(revision)) = (first.i3_export, first.revision) else {
        return Err(reader.wrong("not the first line of an export"));
    };
    if format > FORMAT {
        return Err(PortError::Newer { what: "format", found: format, known: FORMAT });
    }
    if revision > known {
        return Err(PortError::Newer { what: "revision", found: revision, known });
    }
    if (format, revision) != (FORMAT, known) {
        return Err(reader.wrong("an export of an older version, which this one cannot read"));
    }
    begin(target, contents, FillingKind::Import).await?;

    progress.begin("importing", None);
    let mut batches = Batches::into(target);
    let mut rows: u64 = 0;
    let end = loop {
        let Some(line) = reader.next()? else {
            return Err(PortError::Truncated { line: reader.number });
        };
        match line.end {
            Some(end) => break end,
            None => reader.store(&mut batches, contents, &line).await?,
        }
        rows += 1;
        progress.advance(1);
    };
    if reader.next()?.is_some() {
        return Err(reader.wrong("it comes after the last line"));
    }
    let End { rows: said, digest: wanted, left_out } = end;
    if rows != said {
        return Err(PortError::Tampered);
    }
    batches.flush().await?;
    progress.begin("reading the target", Some(rows));
    let found = digest(target, contents, progress).await?;
    if found.total() != wanted {
        return Err(PortError::Tampered);
    }
    finish(target).await?;
    Ok(Imported { digest: found, left_out })
}

struct Reader<'a> {
    lines: &'a mut (dyn BufRead + Send),
    /// Of the line that was read last, from one.
    number: u64,
}

impl Reader<'_> {
    fn wrong(&self, what: impl Into<String>) -> PortError {
        PortError::Line { line: self.number, what: what.into() }
    }

    /// The next line; none at the end.
    fn next(&mut self) -> Result<Option<Line>, PortError> {
        let mut text = Vec::new();
        let read = self.lines.take(LINE_BYTES).read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if text.last() != Some(&b'\n') {
            let long = u64::try_from(read).is_ok_and(|read| read == LINE_BYTES);
            return Err(if long {
                self.wrong(format!("a line has at most {LINE_BYTES} bytes"))
            } else {
                PortError::Truncated { line: self.number }
            });
        }
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| self.wrong(format!("not a line of an export: {error}")))
    }

    async fn store(
        &self,
        batches: &mut Batches<'_>,
        contents: &Contents,
        line: &Line,
    ) -> Result<(), PortError> {
        let (Some(name), Some(id)) = (&line.collection, &line.key) else {
            return Err(self.wrong("neither a row nor the last line"));
        };
        let part = contents
            .part(name)
            .filter(|part| !part.is_secret())
            .ok_or_else(|| self.wrong(format!("nothing is imported into `{name}`")))?;
        let key = Key::new(part.collection(), id.as_str()).map_err(|error| self.wrong(error.to_string()))?;
        let body = line.body().map(Body::new).transpose().map_err(|error| self.wrong(error.to_string()))?;
        match (part.collection().kind, body, line.units, line.position, line.link) {
            (Kind::Records, Some(body), None, None, None) => {
                let draft = part.draft(&key, &body).map_err(|error| self.wrong(error.to_string()))?;
                batches.create(draft).await?;
            }
            (Kind::Counters, None, Some(by), None, None) => {
                batches.op(Op::Adjust { counter: key, by, floor: Units::MIN }).await?;
            }
            (Kind::Streams, Some(body), None, Some(position), Some(link)) => {
                batches.append(&key, position, link, body).await?;
            }
            _ => return Err(self.wrong(format!("not a row of `{name}`"))),
        }
        Ok(())
    }
}
