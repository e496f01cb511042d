//! A scenario with a failure at every call, one after the other.
//!
//! [`sweep`] runs a [`Scenario`] once undisturbed and notes the answer of each step, the calls that it makes,
//! and all that is stored after it. Then, for every step, every call of it and every fault that fits, it lets
//! that one call meet the fault, and demands:
//!
//! - the step answers as it did undisturbed, or with a typed failure: of the kind that was planned, and
//!   [`Applied::Unknown`] if and only if the outcome of a commit was lost;
//! - what is stored is what was stored before the step or after it, and nothing in between; before it, if the
//!   failure says that it was certainly not applied;
//! - the same step sent once more gives the undisturbed answer, and the store is what it was after it: one
//!   effect, not two, not none;
//! - the scenario's own invariants hold at each of these moments.
//!
//! Time and ids have to be the scenario's own, so that a step done again does the same.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;

use super::dump::dump;
use super::faults::{Call, FailsAs, Fault, FaultyStore, Plan};
use super::{Checked, Harness, Stop, ensure, ensure_eq};
use crate::store::{Applied, Schema, StoreError};

/// What is done to a store, in steps.
#[async_trait]
pub trait Scenario: Send + Sync {
    /// How many steps there are.
    fn steps(&self) -> usize;

    /// What the step does, for messages.
    fn describe(&self, step: usize) -> String;

    /// All that the scenario stores.
    fn schema(&self) -> Result<Schema, Stop>;

    /// Begins over a store that holds nothing.
    async fn begin(&self, store: Arc<FaultyStore>) -> Result<Box<dyn Play>, Stop>;
}

/// A scenario that is being played over one store.
#[async_trait]
pub trait Play: Send {
    /// Does this step and gives its answer in words; refusals are answers, failures of the store are errors.
    ///
    /// Every step has one effect: either all of it is stored, or nothing. Called again for the same step
    /// after a failure, or after its future was dropped.
    async fn step(&mut self, step: usize) -> Result<String, StoreError>;

    /// Makes sure that what must always hold does hold.
    async fn check(&mut self) -> Checked;
}

/// What one call meets, and what all calls after it meet until the step has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// What the call meets.
    pub fault: Fault,
    /// What the calls after it meet. Callers who try again by themselves overcome a single fault.
    pub then: Option<Fault>,
}

impl Trouble {
    /// Each fault once, and as the begin of something worse: the store stays down, no commit gets an answer,
    /// the store dies just after a commit or just before it.
    pub fn all() -> Vec<Self> {
        let dead = Some(Fault::Fails(FailsAs::Unavailable));
        let once = Fault::ALL.iter().map(|fault| Self { fault: *fault, then: None });
        let lasting = Fault::ALL.iter().filter_map(|fault| match fault {
            Fault::Fails(_) | Fault::LostBefore | Fault::LostAfter => {
                Some(Self { fault: *fault, then: Some(*fault) })
            }
            _ => None,
        });
        let dying = [Fault::LostBefore, Fault::LostAfter].map(|fault| Self { fault, then: dead });
        once.chain(lasting).chain(dying).collect()
    }
}

/// What [`sweep`] went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Steps with a trouble at one call.
    pub disturbed: u64,
    /// Those that answered all the same.
    pub answered: u64,
    /// Those that gave a failure.
    pub failed: u64,
    /// Those that had to be given up.
    pub given_up: u64,
}

/// The scenario undisturbed.
struct Undisturbed {
    /// How many calls each step makes, and of which kind.
    calls: Vec<Vec<Call>>,
    answers: Vec<String>,
    /// What is stored before the first step, and after each.
    stored: Vec<String>,
}

/// How a disturbed step ended.
enum Ended {
    Answered(String),
    Failed(StoreError),
    GivenUp,
}

/// Goes through every step, call and trouble; see the [module](self).
///
/// One fresh store serves for one trouble of each step, because a step that was disturbed and done again
/// leaves exactly what it would have left undisturbed.
pub async fn sweep(
    harness: &dyn Harness,
    scenario: &dyn Scenario,
    troubles: &[Trouble],
) -> Result<Swept, Stop> {
    let undisturbed = undisturbed(harness, scenario).await?;
    let mut ahead: Vec<Vec<(u64, Call, Trouble)>> = Vec::new();
    for calls in &undisturbed.calls {
        let at_call = |(at, call): (u64, &Call)| {
            let call = *call;
            let fit = troubles.iter().filter(move |trouble| trouble.fault.fits(call));
            fit.map(move |trouble| (at, call, *trouble)).collect::<Vec<_>>()
        };
        ahead.push((1..).zip(calls).flat_map(at_call).collect());
    }
    let mut swept = Swept::default();
    while ahead.iter().any(|troubles| !troubles.is_empty()) {
        let store = Arc::new(FaultyStore::new(harness.open().await?));
        let mut play = scenario.begin(store.clone()).await?;
        for (step, troubles) in ahead.iter_mut().enumerate() {
            let Some((at, call, trouble)) = troubles.pop() else {
                play.step(step).await?;
                continue;
            };
            let plan = Plan { then: trouble.then, ..Plan::at(at, trouble.fault) };
            let ended = disturbed(&mut *play, &store, scenario, &undisturbed, step, plan).await;
            match ended.map_err(|stop| {
                let what = scenario.describe(step);
                Stop::Broken(format!("step {step}, {what}, {trouble:?} at call {at} ({call:?}): {stop}"))
            })? {
                Ended::Answered(_) => swept.answered += 1,
                Ended::Failed(_) => swept.failed += 1,
                Ended::GivenUp => swept.given_up += 1,
            }
            swept.disturbed += 1;
        }
    }
    Ok(swept)
}

async fn undisturbed(harness: &dyn Harness, scenario: &dyn Scenario) -> Result<Undisturbed, Stop> {
    let schema = scenario.schema()?;
    let store = Arc::new(FaultyStore::new(harness.open().await?));
    let mut play = scenario.begin(store.clone()).await?;
    let mut noted = Undisturbed { calls: Vec::new(), answers: Vec::new(), stored: Vec::new() };
    noted.stored.push(dump(&**store.inner(), &schema).await?);
    for step in 0..scenario.steps() {
        store.take_calls();
        let answer = play.step(step).await.map_err(|error| {
            Stop::broken(format_args!("undisturbed, {} fails: {error}", scenario.describe(step)))
        })?;
        noted.answers.push(answer);
        noted.calls.push(store.take_calls());
        noted.stored.push(dump(&**store.inner(), &schema).await?);
        play.check().await?;
    }
    Ok(noted)
}

/// One step with one trouble, and then done again.
async fn disturbed(
    play: &mut dyn Play,
    store: &FaultyStore,
    scenario: &dyn Scenario,
    undisturbed: &Undisturbed,
    step: usize,
    plan: Plan,
) -> Result<Ended, Stop> {
    let schema = scenario.schema()?;
    let (Some(before), Some(after), Some(answer)) =
        (undisturbed.stored.get(step), undisturbed.stored.get(step + 1), undisturbed.answers.get(step))
    else {
        return Err(Stop::broken("there is no such step"));
    };

    store.arm(plan);
    let ended = step_or_silence(play, step, store).await;
    ensure!(store.met() > 0, "the fault was not met: the scenario does not do the same again");
    store.disarm();
    let stored = dump(&**store.inner(), &schema).await?;
    match &ended {
        Ended::Answered(given) => {
            ensure_eq!(given, answer);
            ensure!(stored == *after, "it answered, and what is stored is not what it should be");
        }
        Ended::Failed(error) => {
            let lost = matches!(plan.fault, Fault::LostBefore | Fault::LostAfter);
            let wanted = match plan.fault {
                Fault::Fails(as_what) => Some(as_what.kind()),
                _ if lost => Some(error.kind()),
                _ => None,
            };
            ensure!(wanted == Some(error.kind()), "it failed with {error:?}");
            ensure!((error.applied() == Applied::Unknown) == lost, "it failed with {error:?}");
            let whole = stored == *before || (lost && stored == *after);
            ensure!(whole, "it failed, and what is stored is neither what was there before it nor all of it");
        }
        Ended::GivenUp => {
            let whole = stored == *before || stored == *after;
            ensure!(whole, "it was given up, and half of it is stored");
        }
    }
    play.check().await?;

    let again = play.step(step).await?;
    ensure!(again == *answer, "done again it answers {again}, not {answer}");
    let stored = dump(&**store.inner(), &schema).await?;
    ensure!(stored == *after, "done again, its effect is not that of once: {}", difference(&stored, after));
    play.check().await?;
    Ok(ended)
}

/// Runs a step until it answers, or until the store will never answer it; then the future is dropped, as a
/// caller does who gives up. The step must not leave its task.
async fn step_or_silence(play: &mut dyn Play, step: usize, store: &FaultyStore) -> Ended {
    let mut run = play.step(step);
    poll_fn(|context| match run.as_mut().poll(context) {
        Poll::Ready(Ok(answer)) => Poll::Ready(Ended::Answered(answer)),
        Poll::Ready(Err(error)) => Poll::Ready(Ended::Failed(error)),
        Poll::Pending if store.is_silent() => Poll::Ready(Ended::GivenUp),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// The first line in which two dumps differ.
pub(super) fn difference(found: &str, wanted: &str) -> String {
    let (mut found, mut wanted) = (found.lines(), wanted.lines());
    loop {
        match (found.next(), wanted.next()) {
            (None, None) => return "none".to_owned(),
            (found, wanted) if found != wanted => {
                return format!("`{}` for `{}`", found.unwrap_or("nothing"), wanted.unwrap_or("nothing"));
            }
            _ => {}
        }
    }
}
