//! The test-kit notices stores that break the contract.

use std::sync::Arc;

use async_trait::async_trait;
use i3_core::store::{
    Batch, By, Cell, CommitError, Cursor, Direction, Durability, DynStore, Key, MemoryStore, Op, Outcome,
    Page, Receipt, Row, Scan, Schema, Store, StoreError, Value,
};
use i3_core::testkit::trace::{self, Backend};
use i3_core::testkit::{Harness, Stop, conformance, model};

use crate::traces::MEMORY;

/// Ways to be wrong, each of which a real backend was or could easily be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Half a batch stays if its last operation is refused.
    AppliesUpToTheRefusal,
    /// Guards are not looked at.
    IgnoresGuards,
    /// A floor is for rises too.
    RefusesRisesBelowTheFloor,
    /// The index of the failing operation is always the first.
    NamesTheFirstOperation,
    /// A page that is full always promises another.
    PromisesAnEmptyPage,
    /// Prefixes do not tell upper from lower case, on pages of the usual size.
    IgnoresCase,
    /// Backward scans are forward scans.
    IgnoresDirection,
    /// A range includes its end.
    IncludesTheEnd,
    /// Absent keys are left out of the answer.
    LeavesOutAbsentKeys,
    /// Newer data are taken by an older program.
    TakesAnyRevision,
}

const FAULTS: [Fault; 10] = [
    Fault::AppliesUpToTheRefusal,
    Fault::IgnoresGuards,
    Fault::RefusesRisesBelowTheFloor,
    Fault::NamesTheFirstOperation,
    Fault::PromisesAnEmptyPage,
    Fault::IgnoresCase,
    Fault::IgnoresDirection,
    Fault::IncludesTheEnd,
    Fault::LeavesOutAbsentKeys,
    Fault::TakesAnyRevision,
];

#[derive(Debug)]
struct Faulty {
    fault: Fault,
    store: MemoryStore,
}

#[async_trait]
impl Store for Faulty {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        match self.store.prepare(schema).await {
            Err(_) if self.fault == Fault::TakesAnyRevision => Ok(()),
            other => other,
        }
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        let mut cells = self.store.read(keys).await?;
        if self.fault == Fault::LeavesOutAbsentKeys && cells.len() > 1 {
            cells.retain(Option::is_some);
        }
        Ok(cells)
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        let forward = || rebuilt(scan, scan.by_what().clone(), Direction::Forward);
        match (self.fault, scan.by_what()) {
            (Fault::IgnoresDirection, _) => self.store.scan(&forward()).await,
            (Fault::IgnoresCase, By::Id { prefix }) if scan.rows() == 100 => {
                let mut page = self.store.scan(&Scan::ids(scan.collection()).limit(1_000)).await?;
                page.rows.retain(|row| match row {
                    Row::Record { key, .. } | Row::Counter { key, .. } | Row::Stream { key, .. } => {
                        key.id().to_lowercase().starts_with(&prefix.to_lowercase())
                    }
                    Row::Entry { .. } => true,
                });
                Ok(page)
            }
            (Fault::IncludesTheEnd, By::Index { index, equal, from, until: Some(Value::Int(until)) }) => {
                let wider = By::Index {
                    index,
                    equal: equal.clone(),
                    from: from.clone(),
                    until: Some(until.saturating_add(1).into()),
                };
                self.store.scan(&rebuilt(scan, wider, scan.direction())).await
            }
            (Fault::PromisesAnEmptyPage, By::Id { .. }) => {
                let mut page = self.store.scan(scan).await?;
                if let (true, Some(Row::Record { key, .. })) =
                    (page.rows.len() == scan.rows(), page.rows.last())
                {
                    page.next = Some(Cursor::after_id(key.id()));
                }
                Ok(page)
            }
            _ => self.store.scan(scan).await,
        }
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        match self.fault {
            Fault::IgnoresGuards => {
                let ops: Vec<Op> =
                    batch.ops().iter().filter(|op| !matches!(op, Op::Require { .. })).cloned().collect();
                let mut rest = match Batch::of(ops) {
                    Ok(rest) => self.store.commit(&rest).await?.outcomes.into_iter(),
                    Err(_) => Vec::new().into_iter(),
                };
                let held = |op: &Op| matches!(op, Op::Require { .. });
                let outcomes =
                    batch.ops().iter().map(|op| if held(op) { Outcome::Held } else { rest.next().unwrap() });
                Ok(Receipt { outcomes: outcomes.collect() })
            }
            Fault::AppliesUpToTheRefusal => {
                let answer = self.store.commit(batch).await;
                if let Err(CommitError::Stale { op, .. } | CommitError::Floor { op, .. }) = &answer
                    && let Ok(part) = Batch::of(batch.ops()[..*op].to_vec())
                {
                    self.store.commit(&part).await?;
                }
                answer
            }
            Fault::NamesTheFirstOperation => self.store.commit(batch).await.map_err(|error| match error {
                CommitError::Stale { key, .. } => CommitError::Stale { op: 0, key },
                other => other,
            }),
            Fault::RefusesRisesBelowTheFloor => {
                for (op, what) in batch.ops().iter().enumerate() {
                    if let Op::Adjust { counter, by, floor } = what
                        && let Some(Some(Cell::Counter(now))) =
                            self.store.read(std::slice::from_ref(counter)).await?.pop()
                        && now.plus(*by).is_ok_and(|next| next < *floor)
                    {
                        return Err(CommitError::Floor { op, key: counter.clone(), now });
                    }
                }
                self.store.commit(batch).await
            }
            _ => self.store.commit(batch).await,
        }
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }
}

/// The same scan through something else, or the other way.
fn rebuilt(scan: &Scan, by: By, direction: Direction) -> Scan {
    let mut other = match by {
        By::Id { prefix } => Scan::prefix(scan.collection(), prefix),
        By::Entries { stream } => Scan::entries(stream).unwrap(),
        By::Index { index, equal, from, until } => {
            let whole = Scan::index(scan.collection(), index.name, equal).unwrap();
            if from.is_some() || until.is_some() { whole.range(from, until).unwrap() } else { whole }
        }
    };
    if direction == Direction::Backward {
        other = other.backward();
    }
    if let Some(cursor) = scan.cursor() {
        other = other.after(cursor.clone()).unwrap();
    }
    other.limit(scan.rows())
}

struct Stores(Fault);

#[async_trait]
impl Harness for Stores {
    async fn open(&self) -> Result<DynStore, Stop> {
        Ok(Arc::new(Faulty { fault: self.0, store: MemoryStore::new() }))
    }
}

#[tokio::test]
async fn conformance_fails_for_every_faulty_store() {
    for fault in FAULTS {
        let report = conformance::run_all(&Stores(fault)).await;
        assert!(!report.failed.is_empty(), "{fault:?} is not noticed");
        assert!(!report.passed.is_empty(), "{fault:?} breaks everything, so nothing is shown");
    }
}

#[test]
fn the_comparison_with_the_model_fails_for_faulty_stores() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for fault in FAULTS {
        // The comparison prepares one revision only, and its pages are small.
        if matches!(fault, Fault::TakesAnyRevision | Fault::IgnoresCase) {
            continue;
        }
        let found = model::check(&Stores(fault), 512, |run| runtime.block_on(run));
        assert!(matches!(found, Err(Stop::Broken(_))), "{fault:?} is not noticed");
    }
}

#[test]
fn the_comparison_of_traces_fails_for_faulty_stores() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // The others are wrong about what the marketplace asks for only when callers meet, or not at all.
    for fault in [
        Fault::AppliesUpToTheRefusal,
        Fault::PromisesAnEmptyPage,
        Fault::IgnoresDirection,
        Fault::LeavesOutAbsentKeys,
    ] {
        let faulty = Stores(fault);
        let backends = [MEMORY, Backend { name: "faulty", harness: &faulty }];
        let found = trace::check(&backends, 48, |run| runtime.block_on(run));
        assert!(matches!(found, Err(Stop::Broken(_))), "{fault:?} is not noticed");
    }
}
