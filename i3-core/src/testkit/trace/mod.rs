//! One trace of marketplace commands and queries over several stores, which must answer alike.
//!
//! A [`Trace`] is plain data. Its steps choose among few things, so that commands meet: names are taken, keys
//! are used again (for the same request and for others), people do what they may not, quotas and balances run
//! out, time passes, and the store is closed and opened again in between. Ids and time are the trace's own, so
//! two stores that do the same give the same bytes: [`compare`] demands equal answers, refusals, pages with
//! their cursors, announced changes of access, and at the end books that balance and equal dumps.
//!
//! [`check`] does this with random traces, and says the smallest that shows a difference. `Arc<Trace>` is also
//! a [`Scenario`], for faults at every call; [`tour`] is a trace in which every command succeeds.

mod accounts;
mod analytics;
mod house;
mod known;
mod look;
mod objects;
mod ontology;
mod random;
mod rush;
mod selling;
mod step;
mod tour;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

pub use analytics::AnalyticsAct;
pub use objects::ObjectAct;
pub use random::{opening, steps, traces};
pub use rush::rush;
pub use step::{Act, Choice, KeyUse, Look, Step, Trace, Who};
pub use tour::tour;
pub use world::World;

use super::dump::dump;
use super::faults::FaultyStore;
use super::sweep::{Play, Scenario, difference};
use super::{Checked, Harness, Run, Stop, asked, ensure};
use crate::market;
use crate::store::{Durability, DynStore, Schema, StoreError};

/// How many random traces [`check`] runs, in place of the number that it was called with.
pub const CASES: &str = "I3_TRACE_CASES";
/// Random steps of a trace, at most.
const STEPS: usize = 60;

/// A backend by its name.
#[derive(Clone, Copy)]
pub struct Backend<'a> {
    /// What to call it in messages.
    pub name: &'a str,
    /// What opens its stores.
    pub harness: &'a dyn Harness,
}

impl fmt::Debug for Backend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What traces did, to tell a thorough run from an empty one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Traces.
    pub traces: u64,
    /// How often each command was carried out.
    pub done: BTreeMap<String, u64>,
    /// How often each command was refused, with the code.
    pub refused: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds what other traces did.
    pub fn add(&mut self, other: Self) {
        self.traces += other.traces;
        for (what, count) in other.done {
            *self.done.entry(what).or_default() += count;
        }
        for (what, count) in other.refused {
            *self.refused.entry(what).or_default() += count;
        }
    }

    fn count(&mut self, answer: &str) {
        let first = answer.split([':', '\n']).next().unwrap_or_default();
        let is_name =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if is_name(first) {
            *self.done.entry(first.to_owned()).or_default() += 1;
        } else if let Some((name, code)) = first.split_once(" refused, ")
            && is_name(name)
        {
            *self.refused.entry(format!("{name} {code}")).or_default() += 1;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} traces, {} commands of {} kinds carried out, {} refused in {} ways",
            self.traces,
            self.done.values().sum::<u64>(),
            self.done.len(),
            self.refused.values().sum::<u64>(),
            self.refused.len()
        )
    }
}

/// Runs so many random traces, each over a fresh store of every backend; the environment variable
/// `I3_TRACE_CASES` overrides the number. The first backend is what the others are compared with. On a
/// difference, the answer is the smallest trace found that shows it.
///
/// `block_on` runs a future to its end: `|run| runtime.block_on(run)`.
pub fn check(
    backends: &[Backend<'_>],
    cases: u32,
    block_on: impl Fn(Run<'_>) -> Checked,
) -> Result<Tally, Stop> {
    let config = Config {
        cases: asked(CASES).unwrap_or(cases),
        failure_persistence: None,
        // Each try opens all the stores again.
        max_shrink_iters: 200,
        ..Config::default()
    };
    let tally = Mutex::new(Tally::default());
    TestRunner::new(config).run(&traces(STEPS), |trace| {
        let tally = &tally;
        block_on(Box::pin(async move {
            let found = compare(backends, &trace).await?;
            tally.lock().unwrap_or_else(PoisonError::into_inner).add(found);
            Ok(())
        }))
        .map_err(|stop| TestCaseError::fail(stop.to_string()))
    })?;
    Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// One backend on its way through a trace.
struct Side<'a> {
    backend: Backend<'a>,
    world: World,
    store: Option<DynStore>,
}

impl Side<'_> {
    /// Closes the store and opens it again, if that keeps what it holds.
    async fn reopen(&mut self) -> Checked {
        let Some(store) = self.store.take() else { return Ok(()) };
        if store.durability() == Durability::Memory {
            self.store = Some(store);
            return Ok(());
        }
        self.world.close();
        drop(store);
        let Some(store) = self.backend.harness.reopen().await? else {
            return Err(Stop::broken("the store is durable, and its harness cannot open it again"));
        };
        self.world.reopen(store.clone()).await?;
        self.store = Some(store);
        Ok(())
    }
}

/// Runs one trace over a fresh store of every backend and compares everything; see the [module](self).
pub async fn compare(backends: &[Backend<'_>], trace: &Trace) -> Result<Tally, Stop> {
    let mut sides = Vec::new();
    for backend in backends {
        let store = backend.harness.open().await?;
        let world = World::open(store.clone(), trace.approval, None).await?;
        sides.push(Side { backend: *backend, world, store: Some(store) });
    }
    let mut tally = Tally { traces: 1, ..Tally::default() };
    for (number, step) in trace.steps.iter().enumerate() {
        let mut wanted: Option<String> = None;
        for side in &mut sides {
            let name = side.backend.name;
            let at =
                |what: &dyn fmt::Display| Stop::Broken(format!("{name}, step {number}, {step:?}: {what}"));
            if step.act == Act::Reopen {
                side.reopen().await.map_err(|stop| at(&stop))?;
            }
            let answer =
                side.world.step(&trace.steps, number).await.map_err(|error| at(&Stop::from(error)))?;
            match &wanted {
                None => wanted = Some(answer),
                Some(wanted) if *wanted == answer => {}
                Some(wanted) => return Err(at(&format_args!("\n gives {answer}\n not   {wanted}"))),
            }
        }
        tally.count(&wanted.unwrap_or_default());
    }
    let schema = schema()?;
    let mut wanted: Option<String> = None;
    for side in &sides {
        let name = side.backend.name;
        side.world.check().await.map_err(|stop| Stop::Broken(format!("{name}: {stop}")))?;
        let stored = dump(side.world.market()?.store(), &schema).await?;
        match &wanted {
            None => wanted = Some(stored),
            Some(wanted) => {
                ensure!(stored == *wanted, "{name} holds something else: {}", difference(&stored, wanted));
            }
        }
    }
    Ok(tally)
}

fn schema() -> Result<Schema, Stop> {
    Ok(market::schema(&[])?)
}

#[async_trait]
impl Scenario for Arc<Trace> {
    fn steps(&self) -> usize {
        self.steps.len()
    }

    fn describe(&self, step: usize) -> String {
        format!("{:?}", self.steps.get(step))
    }

    fn schema(&self) -> Result<Schema, Stop> {
        schema()
    }

    async fn begin(&self, store: Arc<FaultyStore>) -> Result<Box<dyn Play>, Stop> {
        let world = World::open(store.clone(), self.approval, Some(store)).await?;
        Ok(Box::new(Playing { world, trace: self.clone() }))
    }
}

struct Playing {
    world: World,
    trace: Arc<Trace>,
}

#[async_trait]
impl Play for Playing {
    async fn step(&mut self, step: usize) -> Result<String, StoreError> {
        self.world.step(&self.trace.steps, step).await
    }

    async fn check(&mut self) -> Checked {
        self.world.check().await
    }
}
