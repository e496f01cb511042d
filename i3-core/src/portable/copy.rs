//! From one store into another.

use super::batches::Batches;
use super::{
    Contents, FillingKind, Part, PortError, Progress, Rows, StoreDigest, begin, digest, ends, finish,
};
use crate::store::{Body, Digest, Key, Op, Row, Store, StoreError, StoreErrorKind, Units, Version};

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// What both stores hold.
    pub digest: StoreDigest,
    /// Whether an earlier copy that was not finished was gone on with.
    pub resumed: bool,
    /// Collections of the source that stayed behind because the contents do not name them.
    pub left_behind: Vec<String>,
}

/// Copies everything from `source` into an empty `target`, or goes on with a copy that was not finished, and
/// reads all of it again to prove that both hold the same. Bodies are kept to the byte, and streams get the
/// links that they have in the source.
///
/// Stopped at any moment, the source is as it was, and a marketplace refuses the target until a copy from
/// the same source has finished. A copy that goes on compares what is there with what shall be there, so it
/// may also go on after the source has changed.
///
/// The source must be at rest, which this can notice but not bring about: it takes the source's digest,
/// copies, and compares with the target's digest. If they are equal, every row was the same when the digest
/// was taken and when it was copied, so the target holds what the source held in the moment between. If
/// they are not, or any stream has grown since, the answer is [`PortError::SourceChanged`], and the target
/// stays unfinished.
pub async fn copy(
    source: &dyn Store,
    target: &dyn Store,
    contents: &Contents,
    progress: &dyn Progress,
) -> Result<Copied, PortError> {
    source.prepare(contents.schema()).await?;
    super::refuse_unfinished(source).await?;
    let resumed = begin(target, contents, FillingKind::Copy).await?;
    let before = ends(source, contents).await?;
    progress.begin("reading the source", None);
    let wanted = digest(source, contents, progress).await?;
    progress.begin("copying", Some(wanted.rows()));
    let mut batches = Batches::into(target);
    for part in contents.parts() {
        Copying { source, target, part, progress }.run(&mut batches).await?;
    }
    batches.flush().await?;
    progress.begin("reading the target", Some(wanted.rows()));
    let found = digest(target, contents, progress).await?;
    if ends(source, contents).await? != before {
        return Err(PortError::SourceChanged);
    }
    if found != wanted {
        // Whose fault it is, a second look at the source tells.
        if digest(source, contents, &()).await? != wanted {
            return Err(PortError::SourceChanged);
        }
        return Err(PortError::Differs { collections: wanted.differences(&found, |_| true) });
    }
    finish(target).await?;
    Ok(Copied { digest: found, resumed, left_behind: source.unnamed().await? })
}

/// One collection on its way.
struct Copying<'a> {
    source: &'a dyn Store,
    target: &'a dyn Store,
    part: &'a Part,
    progress: &'a dyn Progress,
}

impl Copying<'_> {
    /// Walks both in the order of keys, and brings the target in line.
    async fn run(&self, batches: &mut Batches<'_>) -> Result<(), PortError> {
        let collection = self.part.collection();
        let mut wanted = Rows::ids(self.source, collection);
        let mut present = Rows::ids(self.target, collection);
        let mut there = present.next().await?;
        while let Some(row) = wanted.next().await? {
            let key = key_of(&row)?.clone();
            while let Some(extra) = there.take_if(|there| key_of(there).is_ok_and(|other| *other < key)) {
                drop_row(batches, extra).await?;
                there = present.next().await?;
            }
            let old = there.take_if(|there| key_of(there).is_ok_and(|other| *other == key));
            if old.is_some() {
                there = present.next().await?;
            }
            match row {
                Row::Record { key, body, .. } => self.record(batches, key, body, old).await?,
                Row::Counter { key, units } => set_counter(batches, key, old, units).await?,
                Row::Stream { key, position, .. } => self.stream(batches, key, position, old).await?,
                Row::Entry { .. } => {}
            }
            self.progress.advance(1);
        }
        while let Some(extra) = there {
            drop_row(batches, extra).await?;
            there = present.next().await?;
        }
        Ok(())
    }

    async fn record(
        &self,
        batches: &mut Batches<'_>,
        key: Key,
        body: Body,
        old: Option<Row>,
    ) -> Result<(), PortError> {
        match old {
            Some(Row::Record { body: old, .. }) if old == body => {}
            Some(Row::Record { version, .. }) => {
                let with = self.part.draft(&key, &body)?;
                batches.op(Op::Replace { expect: version, with }).await?;
            }
            _ => batches.create(self.part.draft(&key, &body)?).await?,
        }
        Ok(())
    }

    /// Appends what is missing, if what is there is the stream's beginning.
    async fn stream(
        &self,
        batches: &mut Batches<'_>,
        key: Key,
        end: u64,
        old: Option<Row>,
    ) -> Result<(), PortError> {
        let (mut position, mut link) = (0, Digest::START);
        if let Some(Row::Stream { position: at, link: last, .. }) = old {
            let same = at <= end && link_at(self.source, &key, at).await? == Some(last);
            if !same {
                return Err(PortError::Diverged { stream: key });
            }
            (position, link) = (at, last);
            self.progress.advance(at);
        }
        let mut entries = Rows::entries(self.source, key.clone(), position)?;
        while let Some(Row::Entry { position: at, body, link: next }) = entries.next().await? {
            if at != position + 1 || next != Digest::link(&link, at, body.as_str()) {
                let message = format!("{key}: entry {at} of the source does not follow from those before it");
                return Err(StoreError::new(StoreErrorKind::Corrupt, message).into());
            }
            (position, link) = (at, next);
            batches.append(&key, at, next, body).await?;
            self.progress.advance(1);
        }
        Ok(())
    }
}

fn key_of(row: &Row) -> Result<&Key, StoreError> {
    match row {
        Row::Record { key, .. } | Row::Counter { key, .. } | Row::Stream { key, .. } => Ok(key),
        Row::Entry { .. } => Err(StoreError::new(StoreErrorKind::Corrupt, "an entry in a scan of ids")),
    }
}

async fn link_at(store: &dyn Store, stream: &Key, position: u64) -> Result<Option<Digest>, StoreError> {
    let mut rows = Rows::entries(store, stream.clone(), position.saturating_sub(1))?;
    Ok(match rows.next().await? {
        Some(Row::Entry { position: at, link, .. }) if at == position => Some(link),
        _ => None,
    })
}

/// Takes away what the source does not have.
async fn drop_row(batches: &mut Batches<'_>, row: Row) -> Result<(), PortError> {
    match row {
        Row::Record { key, version, .. } => remove(batches, key, version).await,
        Row::Counter { key, units } => set_counter_by(batches, key, units.negated()).await,
        Row::Stream { key, .. } => Err(PortError::Diverged { stream: key }),
        Row::Entry { .. } => Ok(()),
    }
}

async fn remove(batches: &mut Batches<'_>, key: Key, expect: Version) -> Result<(), PortError> {
    Ok(batches.op(Op::Remove { key, expect }).await?)
}

async fn set_counter(
    batches: &mut Batches<'_>,
    key: Key,
    old: Option<Row>,
    units: Units,
) -> Result<(), PortError> {
    let old = match old {
        Some(Row::Counter { units, .. }) => units,
        _ => Units::ZERO,
    };
    if old == units {
        return Ok(());
    }
    if let Ok(by) = units.plus(old.negated()) {
        return set_counter_by(batches, key, by).await;
    }
    // From one end of the range to the other, in two steps.
    set_counter_by(batches, key.clone(), old.negated()).await?;
    batches.flush().await?;
    set_counter_by(batches, key, units).await
}

async fn set_counter_by(batches: &mut Batches<'_>, counter: Key, by: Units) -> Result<(), PortError> {
    Ok(batches.op(Op::Adjust { counter, by, floor: Units::MIN }).await?)
}
