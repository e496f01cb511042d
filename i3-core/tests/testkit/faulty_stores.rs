//! The test-kit notices stores that break the contract.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use i3_core::store::{
    Batch, By, Cell, Collection, CommitError, Cursor, Direction, Durability, DynStore, Key, MemoryStore, Op,
    Outcome, Page, Receipt, Revision, Row, Scan, Schema, Store, StoreError, Units, Value,
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
    /// Counters are read, then written, and another commit may come between.
    LosesUpdates,
    /// The index is read, then the records, and a commit may come between.
    ReadsRowsAgain,
    /// Its revision stays what it was.
    KeepsItsRevision,
}

impl Fault {
    /// Whether it shows when callers meet, and never to one alone.
    fn shows_together_only(self) -> bool {
        matches!(self, Self::LosesUpdates | Self::ReadsRowsAgain)
    }
}

const FAULTS: [Fault; 13] = [
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
    Fault::LosesUpdates,
    Fault::ReadsRowsAgain,
    Fault::KeepsItsRevision,
];

#[derive(Debug)]
struct Faulty {
    fault: Fault,
    store: MemoryStore,
}

impl Faulty {
    async fn units(&self, counters: &[Key]) -> Result<Vec<Units>, StoreError> {
        let cells = self.store.read(counters).await?;
        let units = |cell| if let Some(Cell::Counter(units)) = cell { units } else { Units::ZERO };
        Ok(cells.into_iter().map(units).collect())
    }
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
            (Fault::ReadsRowsAgain, By::Index { .. }) => {
                let mut page = self.store.scan(scan).await?;
                tokio::task::yield_now().await;
                for row in &mut page.rows {
                    if let Row::Record { key, version, body } = row
                        && let Some(Some(Cell::Record { version: now, body: new })) =
                            self.store.read(std::slice::from_ref(key)).await?.pop()
                    {
                        (*version, *body) = (now, new);
                    }
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
            Fault::LosesUpdates => {
                let counters = |op: &Op| matches!(op, Op::Adjust { .. }).then(|| op.key().clone());
                let keys: Vec<Key> = batch.ops().iter().filter_map(counters).collect();
                let seen = self.units(&keys).await?;
                tokio::task::yield_now().await;
                let now = self.units(&keys).await?;
                let mut ops = batch.ops().to_vec();
                for op in &mut ops {
                    if let Op::Adjust { counter, by, .. } = op {
                        let place = keys.iter().position(|key| key == counter).unwrap();
                        // What it would have made of the older number.
                        let late = by.plus(seen[place]).and_then(|sum| sum.plus(now[place].negated()));
                        *by = late.unwrap_or(*by);
                    }
                }
                self.store.commit(&Batch::of(ops).unwrap()).await
            }
            _ => self.store.commit(batch).await,
        }
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn revision(&self, collections: &[&Collection]) -> Option<Revision> {
        let of: &[&Collection] = if self.fault == Fault::KeepsItsRevision { &[] } else { collections };
        self.store.revision(of)
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        self.store.unnamed().await
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
        // The comparison prepares one revision only, its pages are small, and it keeps nothing.
        let unseen = [Fault::TakesAnyRevision, Fault::IgnoresCase, Fault::KeepsItsRevision];
        if unseen.contains(&fault) || fault.shows_together_only() {
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
        // Enough that chance never hides a fault; the first difference ends it.
        let found = trace::check(&backends, 1_000, |run| runtime.block_on(run));
        assert!(matches!(found, Err(Stop::Broken(_))), "{fault:?} is not noticed");
    }
}

#[tokio::test]
async fn faults_between_callers_are_found_by_the_cases_with_many() {
    let lost = [
        "a_counter_gives_what_it_has_and_no_more",
        "random_payments_have_one_order_that_explains_every_answer",
        "buyers_in_a_rush_get_one_order_for_each_key_and_the_books_balance",
    ];
    for (fault, cases) in [
        (Fault::LosesUpdates, &lost[..]),
        (Fault::ReadsRowsAgain, &["a_scan_beside_commits_shows_whole_records_in_order"]),
    ] {
        for case in cases {
            let found = conformance::run(case, &Stores(fault)).await;
            assert!(matches!(found, Err(Stop::Broken(_))), "`{case}` does not notice {fault:?}");
        }
        // And by nothing that one caller does alone.
        conformance::run("equal_rows_are_paged_by_id", &Stores(fault)).await.unwrap();
        conformance::run("a_fall_to_the_floor_is_allowed_and_below_it_refused", &Stores(fault))
            .await
            .unwrap();
    }
}

/// The second handle reads from what it once read.
struct Remembering(Mutex<MemoryStore>);

#[derive(Debug)]
struct Remembers(MemoryStore, Mutex<BTreeMap<Key, Option<Cell>>>);

#[async_trait]
impl Store for Remembers {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        self.0.prepare(schema).await
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        let found = self.0.read(keys).await?;
        let mut known = self.1.lock().unwrap();
        let cells = keys.iter().zip(found);
        Ok(cells.map(|(key, cell)| known.entry(key.clone()).or_insert(cell).clone()).collect())
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        self.0.scan(scan).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        self.1.lock().unwrap().clear();
        self.0.commit(batch).await
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        self.0.unnamed().await
    }
}

#[async_trait]
impl Harness for Remembering {
    async fn open(&self) -> Result<DynStore, Stop> {
        let store = MemoryStore::new();
        *self.0.lock().unwrap() = store.clone();
        Ok(Arc::new(store))
    }

    async fn second(&self) -> Result<Option<DynStore>, Stop> {
        Ok(Some(Arc::new(Remembers(self.0.lock().unwrap().clone(), Mutex::default()))))
    }
}

#[tokio::test]
async fn a_handle_that_does_not_see_the_other_ones_commits_is_found() {
    let report = conformance::run_all(&Remembering(Mutex::default())).await;
    let failed: Vec<&str> = report.failed.iter().map(|(name, _)| *name).collect();
    assert!(failed.contains(&"what_one_handle_commits_the_other_sees"), "{failed:?}");
    assert!(
        failed.iter().all(|name| name.contains("handle")),
        "one handle alone is as it should be: {failed:?}"
    );
}
