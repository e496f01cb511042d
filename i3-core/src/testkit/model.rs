//! Random commands against the reference model and a backend, which must answer alike.
//!
//! Keys come from a small pool, so that commands meet. Versions are named by what they are to the caller
//! (the present one, the one before, none that was ever given) and compared by their place in each
//! store's own history, because their numbers mean nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::dump::{dump, index_check};
use super::sample::{COUNTERS, ITEM, ITEMS, Item, STREAMS, foreign_version, key, schema, units};
use super::{Checked, Harness, Run, Stop, asked, ensure_eq};
use crate::store::{
    Batch, Body, Cell, Collection, CommitError, Draft, DynStore, Entity, Key, MemoryStore, Op, Outcome, Row,
    Scan, Value, Version,
};

/// How many sequences [`check`] runs, in place of the number that it was called with.
pub const CASES: &str = "I3_MODEL_CASES";

/// Which version an operation expects.
#[derive(Debug, Clone, Copy)]
enum Expect {
    Present,
    Before,
    Foreign,
}

#[derive(Debug, Clone)]
enum Step {
    Create(Item),
    CreatePlain(u8, String),
    Replace(Expect, Item),
    Remove(Expect, u8),
    Require(Expect, u8),
    Adjust(u8, i64, i64),
    Append(u8, String),
}

#[derive(Debug, Clone)]
enum Look {
    Ids { of: u8, prefix: String },
    Index { index: usize, equal: usize, values: Box<Item>, from: Option<Box<Item>>, until: Option<Box<Item>> },
    Entries(u8),
}

#[derive(Debug, Clone)]
enum Command {
    Commit(Vec<Step>),
    Read(Vec<(u8, u8)>),
    Scan { look: Look, backward: bool, limit: usize },
}

const IDS: [&str; 7] = ["a", "A", "a_", "a%", "ab", "b", "~"];
const TEXTS: [&str; 8] = ["", "a", "A", "ab", "é", "'", "😀", " a"];
const NUMBERS: [i64; 6] = [i64::MIN, -1, 0, 1, 300, i64::MAX];

fn id(place: u8) -> &'static str {
    IDS.iter().cycle().nth(usize::from(place)).copied().unwrap_or("a")
}

fn items() -> impl Strategy<Value = Item> {
    let text = || proptest::option::weighted(0.8, proptest::sample::select(&TEXTS));
    let number = || proptest::option::weighted(0.8, proptest::sample::select(&NUMBERS));
    (0..7_u8, text(), number(), text(), number(), "[a-z\"\\\\]{0,12}").prop_map(
        |(place, owner, at, tag, order, note)| {
            let (owner, tag) = (owner.map(str::to_owned), tag.map(str::to_owned));
            Item { id: id(place).to_owned(), owner, at, tag, order, note }
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let expect =
        || prop_oneof![6 => Just(Expect::Present), 1 => Just(Expect::Before), 1 => Just(Expect::Foreign)];
    let by = prop_oneof![8 => -20_i64..20, 1 => Just(1_i64 << 60), 1 => Just(-(1_i64 << 60))];
    let floor = prop_oneof![4 => Just(0_i64), 2 => -30_i64..30, 1 => Just(-(1_i64 << 60))];
    prop_oneof![
        4 => items().prop_map(Step::Create),
        1 => (0..7_u8, "[a-z]{0,6}").prop_map(|(place, text)| Step::CreatePlain(place, text)),
        4 => (expect(), items()).prop_map(|(expect, item)| Step::Replace(expect, item)),
        2 => (expect(), 0..7_u8).prop_map(|(expect, place)| Step::Remove(expect, place)),
        1 => (expect(), 0..7_u8).prop_map(|(expect, place)| Step::Require(expect, place)),
        3 => (0..3_u8, by, floor).prop_map(|(place, by, floor)| Step::Adjust(place, by, floor)),
        2 => (0..2_u8, "[a-z]{0,6}").prop_map(|(place, text)| Step::Append(place, text)),
    ]
}

fn looks() -> impl Strategy<Value = Look> {
    let boxed = || items().prop_map(Box::new);
    prop_oneof![
        2 => (0..4_u8, "[aA_%b]{0,2}").prop_map(|(of, prefix)| Look::Ids { of, prefix }),
        4 => (0..ITEMS.indexes.len(), 0..5_usize, boxed(), proptest::option::of(boxed()), proptest::option::of(boxed()))
            .prop_map(|(index, equal, values, from, until)| Look::Index { index, equal, values, from, until }),
        1 => (0..2_u8).prop_map(Look::Entries),
    ]
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        6 => proptest::collection::vec(steps(), 1..7).prop_map(Command::Commit),
        1 => proptest::collection::vec((0..4_u8, 0..7_u8), 0..6).prop_map(Command::Read),
        3 => (looks(), any::<bool>(), 1..6_usize)
            .prop_map(|(look, backward, limit)| Command::Scan { look, backward, limit }),
    ];
    proptest::collection::vec(command, 1..40)
}

/// Runs so many random sequences of commands, each on a fresh store of the harness and on the model. On a
/// difference, the answer is the smallest sequence that shows it.
///
/// `block_on` runs a future to its end: `|run| runtime.block_on(run)`. The environment
/// variable `I3_MODEL_CASES` overrides the number of sequences.
pub fn check(harness: &dyn Harness, cases: u32, block_on: impl Fn(Run<'_>) -> Checked) -> Checked {
    let config =
        Config { cases: asked(CASES).unwrap_or(cases), failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&commands(), |commands| {
            block_on(Box::pin(compare(harness, commands)))
                .map_err(|stop| TestCaseError::fail(stop.to_string()))
        })
        .map_err(Stop::from)
}

async fn compare(harness: &dyn Harness, commands: Vec<Command>) -> Checked {
    let mut model = Side::new(std::sync::Arc::new(MemoryStore::new()));
    let mut backend = Side::new(harness.open().await?);
    for side in [&model, &backend] {
        side.store.prepare(&schema()?).await?;
    }
    for command in commands {
        let wanted = model.answer(&command).await?;
        let found = backend.answer(&command).await?;
        if found != wanted {
            return Err(Stop::broken(format_args!("{command:?}\n gives {found}\n not   {wanted}")));
        }
    }
    index_check::<Item>(&*backend.store).await?;
    ensure_eq!(dump(&*backend.store, &schema()?).await?, dump(&*model.store, &schema()?).await?);
    Ok(())
}

/// A store, with every version that it gave to a key, in order.
struct Side {
    store: DynStore,
    history: BTreeMap<Key, Vec<Version>>,
}

impl Side {
    fn new(store: DynStore) -> Self {
        Self { store, history: BTreeMap::new() }
    }

    fn expected(&self, key: &Key, expect: Expect) -> Result<Version, Stop> {
        let mut versions = self.history.get(key).into_iter().flatten().rev();
        let found = match expect {
            Expect::Present => versions.next(),
            Expect::Before => versions.nth(1),
            Expect::Foreign => None,
        };
        found.copied().map_or_else(foreign_version, Ok)
    }

    /// The operations, at most one for each record and counter.
    fn batch(&self, steps: &[Step]) -> Result<Batch, Stop> {
        let mut ops: Vec<Op> = Vec::new();
        for step in steps {
            let op = self.op(step)?;
            if matches!(op, Op::Append { .. }) || ops.iter().all(|earlier| earlier.key() != op.key()) {
                ops.push(op);
            }
        }
        Ok(Batch::of(ops)?)
    }

    fn op(&self, step: &Step) -> Result<Op, Stop> {
        Ok(match step {
            Step::Create(item) => Op::Create(item.draft()?),
            Step::CreatePlain(place, text) => {
                Op::Create(Draft::new(&ITEM, id(*place), Vec::new(), text.as_str())?)
            }
            Step::Replace(expect, item) => {
                let with = item.draft()?;
                Op::Replace { expect: self.expected(with.key(), *expect)?, with }
            }
            Step::Remove(expect, place) => {
                let key = key(&ITEMS, id(*place))?;
                Op::Remove { expect: self.expected(&key, *expect)?, key }
            }
            Step::Require(expect, place) => {
                let key = key(&ITEMS, id(*place))?;
                Op::Require { expect: self.expected(&key, *expect)?, key }
            }
            Step::Adjust(place, by, floor) => {
                Op::Adjust { counter: key(&COUNTERS, id(*place))?, by: units(*by)?, floor: units(*floor)? }
            }
            Step::Append(place, text) => {
                Op::Append { stream: key(&STREAMS, id(*place))?, body: Body::new(text.as_str())? }
            }
        })
    }

    /// What the store answers, in words that two stores share.
    async fn answer(&mut self, command: &Command) -> Result<String, Stop> {
        match command {
            Command::Commit(steps) => {
                let batch = self.batch(steps)?;
                match self.store.commit(&batch).await {
                    Ok(receipt) => {
                        let mut words = Vec::new();
                        for (op, outcome) in batch.ops().iter().zip(receipt.outcomes) {
                            words.push(match outcome {
                                Outcome::Written(version) => self.given(op.key(), version)?,
                                other => format!("{other:?}"),
                            });
                        }
                        Ok(words.join(", "))
                    }
                    Err(CommitError::Store(error)) => {
                        Ok(format!("{:?}, {:?}", error.kind(), error.applied()))
                    }
                    Err(refusal) => Ok(format!("{refusal:?}")),
                }
            }
            Command::Read(keys) => {
                let keys = keys.iter().map(|(of, place)| key(collection(*of), id(*place)));
                let keys = keys.collect::<Result<Vec<_>, Stop>>()?;
                let mut words = Vec::new();
                for (key, cell) in keys.iter().zip(self.store.read(&keys).await?) {
                    words.push(match cell {
                        Some(Cell::Record { version, body }) => {
                            format!("{key} {} {}", self.place(key, version), body.as_str())
                        }
                        other => format!("{key} {other:?}"),
                    });
                }
                Ok(words.join(", "))
            }
            Command::Scan { look, backward, limit } => {
                let scan = scan(look)?.limit(*limit);
                self.scan(if *backward { scan.backward() } else { scan }).await
            }
        }
    }

    async fn scan(&self, scan: Scan) -> Result<String, Stop> {
        let mut words = Vec::new();
        let mut scan = scan;
        loop {
            let page = self.store.scan(&scan).await?;
            words.push(format!("page of {}", page.rows.len()));
            for row in page.rows {
                words.push(match row {
                    Row::Record { key, version, body } => {
                        format!("{key} {} {}", self.place(&key, version), body.as_str())
                    }
                    Row::Entry { position, body, link } => format!("{position} {link} {}", body.as_str()),
                    other => format!("{other:?}"),
                });
            }
            let Some(next) = page.next else { return Ok(words.join("\n")) };
            scan = scan.after(next)?;
        }
    }

    /// Notes a version that the store gave; it must be one that it never gave to this key before.
    fn given(&mut self, key: &Key, version: Version) -> Result<String, Stop> {
        let versions = self.history.entry(key.clone()).or_default();
        if versions.contains(&version) {
            return Err(Stop::broken(format_args!("{key} was given a version twice")));
        }
        versions.push(version);
        Ok(format!("version {}", versions.len()))
    }

    fn place(&self, key: &Key, version: Version) -> String {
        match self.history.get(key).into_iter().flatten().position(|other| *other == version) {
            Some(place) => format!("version {}", place + 1),
            None => "a version that no commit gave".to_owned(),
        }
    }
}

fn collection(of: u8) -> &'static Collection {
    match of {
        0 => &ITEMS,
        1 => &ITEM,
        2 => &COUNTERS,
        _ => &STREAMS,
    }
}

fn scan(look: &Look) -> Result<Scan, Stop> {
    match look {
        Look::Ids { of, prefix } => Ok(Scan::prefix(collection(*of), prefix.as_str())),
        Look::Entries(place) => Ok(Scan::entries(key(&STREAMS, id(*place))?)?),
        Look::Index { index, equal, values, from, until } => {
            let Some(index) = ITEMS.indexes.get(*index) else { return Ok(Scan::ids(&ITEMS)) };
            let value = |item: &Item, column: &str| -> Option<Value> {
                item.values().get(ITEMS.column(column)?)?.clone()
            };
            let leading = index.columns.iter().take(*equal).map_while(|column| value(values, column));
            let leading: Vec<Value> = leading.collect();
            let next = index.columns.get(leading.len());
            let scan = Scan::index(&ITEMS, index.name, leading)?;
            let Some(next) = next else { return Ok(scan) };
            let bound = |item: &Option<Box<Item>>| item.as_deref().and_then(|item| value(item, next));
            Ok(scan.range(bound(from), bound(until))?)
        }
    }
}
