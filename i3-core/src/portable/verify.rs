//! Is what is stored whole in itself?

use std::fmt;

use serde::Serialize;

use super::{Contents, Part, PortError, Progress, Rows};
use crate::audit::{ChainReport, verify_chain};
use crate::store::{Digest, Index, Key, Kind, Row, Scan, Store, StoreError, StoreErrorKind, Value};

/// Something that cannot be as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
#[non_exhaustive]
pub enum Fault {
    /// A record that this program cannot read, or under another's key.
    Record {
        /// Which.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// An index that does not give what the records say, each record once and in order.
    Index {
        /// Of which collection.
        collection: &'static str,
        /// Its name.
        index: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A stream with a wrong number or link.
    Chain {
        /// Which.
        stream: String,
        /// At which entry.
        at: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record { key, what } => write!(f, "{key}: {what}"),
            Self::Index { collection, index, what } => write!(f, "index {collection}.{index}: {what}"),
            Self::Chain { stream, at } => write!(f, "{stream}: the chain is broken at entry {at}"),
        }
    }
}

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verification {
    /// Records that were read.
    pub records: u64,
    /// Entries of indexes that were compared with their records.
    pub indexed: u64,
    /// Every stream with its chain.
    pub chains: Vec<(String, ChainReport)>,
    /// What is wrong, the first [`Verification::SHOWN`] of it.
    pub faults: Vec<Fault>,
    /// How much is wrong in all.
    pub faulty: u64,
}

impl Verification {
    /// How many faults are kept at most.
    pub const SHOWN: usize = 100;

    fn fault(&mut self, fault: Fault) {
        self.faulty += 1;
        if self.faults.len() < Self::SHOWN {
            self.faults.push(fault);
        }
    }
}

/// Reads everything in a store, and compares it with itself: every record can be read and stands under its
/// own key; every index gives each record that has its values, once, in order and nothing else, both as a
/// whole and for each of its values; every stream's numbers and links follow from its entries.
///
/// Not seen are columns that are in no index: the contract gives no way to ask for them. Of a store
/// that is written to meanwhile, faults are hints.
pub async fn verify(
    store: &dyn Store,
    contents: &Contents,
    progress: &dyn Progress,
) -> Result<Verification, PortError> {
    store.prepare(contents.schema()).await?;
    super::refuse_unfinished(store).await?;
    let mut report = Verification::default();
    progress.begin("checking", None);
    for part in contents.parts() {
        let collection = part.collection();
        match collection.kind {
            Kind::Counters => {}
            Kind::Streams => {
                let mut streams = Rows::ids(store, collection);
                while let Some(Row::Stream { key, position, link }) = streams.next().await? {
                    chain(store, key, (position, link), &mut report).await?;
                    progress.advance(position);
                }
            }
            Kind::Records => {
                let indexed = records(store, part, &mut report, progress).await?;
                for (index, wanted) in collection.indexes.iter().zip(indexed) {
                    let checked = Checking { store, part, index, wanted }.run(&mut report).await?;
                    report.indexed = report.indexed.saturating_add(checked);
                    progress.advance(checked);
                }
            }
        }
    }
    Ok(report)
}

async fn chain(
    store: &dyn Store,
    stream: Key,
    end: (u64, Digest),
    report: &mut Verification,
) -> Result<(), StoreError> {
    let found = verify_chain(store, stream.clone()).await?;
    let broken = found.broken_at.or_else(|| {
        // The end that the store gives by itself must be that of the entries.
        ((found.entries, found.link) != end).then_some(found.entries.saturating_add(1))
    });
    if let Some(at) = broken {
        report.fault(Fault::Chain { stream: stream.to_string(), at });
    }
    report.chains.push((stream.to_string(), ChainReport { broken_at: broken, ..found }));
    Ok(())
}

/// Reads all records; gives for each index how many of them it must have.
async fn records(
    store: &dyn Store,
    part: &Part,
    report: &mut Verification,
    progress: &dyn Progress,
) -> Result<Vec<u64>, StoreError> {
    let mut indexed = vec![0; part.collection().indexes.len()];
    let mut rows = Rows::ids(store, part.collection());
    while let Some(Row::Record { key, body, .. }) = rows.next().await? {
        report.records += 1;
        progress.advance(1);
        match part.draft(&key, &body) {
            Ok(draft) => {
                for (count, index) in indexed.iter_mut().zip(part.collection().indexes) {
                    *count += u64::from(values(part, index, draft.values()).is_some());
                }
            }
            Err(error) => report.fault(Fault::Record { key: key.to_string(), what: with_causes(&error) }),
        }
    }
    Ok(indexed)
}

fn with_causes(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The values that a record has in an index, if it has them all.
fn values(part: &Part, index: &Index, all: &[Option<Value>]) -> Option<Vec<Value>> {
    index.columns.iter().map(|column| all.get(part.collection().column(column)?)?.clone()).collect()
}

struct Checking<'a> {
    store: &'a dyn Store,
    part: &'a Part,
    index: &'static Index,
    /// How many records must be in it.
    wanted: u64,
}

impl Checking<'_> {
    /// Walks the whole index. Beside it, for each value, goes a scan of that value alone, so that an entry
    /// which stands at the right place by chance, under a value that is not its record's, is found out.
    async fn run(&self, report: &mut Verification) -> Result<u64, StoreError> {
        let collection = self.part.collection();
        let mut fault = |what: String| {
            report.fault(Fault::Index { collection: collection.name, index: self.index.name, what });
        };
        let mut all = Rows::of(self.store, self.scan(Vec::new())?);
        let mut last: Option<(Vec<Value>, String)> = None;
        let mut alone: Option<Rows<'_>> = None;
        let mut found = 0;
        while let Some(Row::Record { key, body, version }) = all.next().await? {
            found += 1;
            let read = self.store.read(std::slice::from_ref(&key)).await?.pop().flatten();
            if read != Some(crate::store::Cell::Record { version, body: body.clone() }) {
                fault(format!("{key} is not what is stored under that key"));
            }
            // A body that cannot be read has been told of already.
            let Ok(draft) = self.part.draft(&key, &body) else { continue };
            let Some(values) = values(self.part, self.index, draft.values()) else {
                fault(format!("{key} has no value for it"));
                continue;
            };
            let place = (values, key.id().to_owned());
            if last.as_ref().is_some_and(|last| *last >= place) {
                fault(format!("{key} is out of order, or there twice"));
            }
            if last.as_ref().is_none_or(|last| last.0 != place.0) {
                if let Some(mut before) = alone.take()
                    && let Some(Row::Record { key, .. }) = before.next().await?
                {
                    fault(format!("{key} is found by a value that is not its own"));
                }
                alone = Some(Rows::of(self.store, self.scan(place.0.clone())?));
            }
            if let Some(alone) = &mut alone {
                match alone.next().await? {
                    Some(Row::Record { key: other, .. }) if other == key => {}
                    _ => fault(format!("{key} is not found by its own value")),
                }
            }
            last = Some(place);
        }
        if let Some(mut before) = alone
            && let Some(Row::Record { key, .. }) = before.next().await?
        {
            fault(format!("{key} is found by a value that is not its own"));
        }
        if found != self.wanted {
            fault(format!("it has {found} entries, its records say {}", self.wanted));
        }
        Ok(found)
    }

    fn scan(&self, equal: Vec<Value>) -> Result<Scan, StoreError> {
        Scan::index(self.part.collection(), self.index.name, equal).map_err(|error| {
            StoreError::new(StoreErrorKind::Unsupported, "the index cannot be walked").with_source(error)
        })
    }
}
