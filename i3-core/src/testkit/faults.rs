//! A store that fails as planned.
//!
//! [`FaultyStore`] stands before any store, counts the calls, and does to the planned one what networks,
//! disks and servers do: fail before anything happened, lose the answer of a commit that was applied or of one
//! that was not, be overtaken, be slow, or never answer. It uses no time and no randomness: the same plan over
//! the same calls gives the same failures. [`sweep`](super::sweep) goes through all plans of a scenario.

use std::cmp::Ordering;
use std::future::{pending, poll_fn};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;

use crate::store::{
    Batch, Cell, Collection, CommitError, Durability, DynStore, Key, Op, Page, Receipt, Revision, Scan,
    Schema, Store, StoreError, StoreErrorKind,
};

/// A kind of call. [`prepare`](Store::prepare) is neither counted nor disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// [`Store::read`].
    Read,
    /// [`Store::scan`].
    Scan,
    /// [`Store::commit`].
    Commit,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// It fails, and certainly does nothing ([`Applied::No`](crate::store::Applied::No)).
    Fails(FailsAs),
    /// A commit is not applied, and says that it does not know.
    LostBefore,
    /// A commit is applied, and says that it does not know.
    LostAfter,
    /// A commit is not applied: its first guarded operation was overtaken, as by another process.
    Overtaken,
    /// Nothing is done, and no answer ever comes: the caller has to give up (drop the future).
    SilentBefore,
    /// The call is carried out, and no answer ever comes.
    SilentAfter,
    /// The call begins when its task was polled so many times more; others go first.
    Slow(u32),
}

/// The kinds of [`Fault::Fails`] that a caller may meet at any call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailsAs {
    /// [`StoreErrorKind::Unavailable`].
    Unavailable,
    /// [`StoreErrorKind::Busy`].
    Busy,
    /// [`StoreErrorKind::Corrupt`].
    Corrupt,
}

impl FailsAs {
    /// The store's word for it.
    pub const fn kind(self) -> StoreErrorKind {
        match self {
            Self::Unavailable => StoreErrorKind::Unavailable,
            Self::Busy => StoreErrorKind::Busy,
            Self::Corrupt => StoreErrorKind::Corrupt,
        }
    }
}

impl Fault {
    /// Every fault, each kind of failure and one slowness.
    pub const ALL: &'static [Self] = &[
        Self::Fails(FailsAs::Unavailable),
        Self::Fails(FailsAs::Busy),
        Self::Fails(FailsAs::Corrupt),
        Self::LostBefore,
        Self::LostAfter,
        Self::Overtaken,
        Self::SilentBefore,
        Self::SilentAfter,
        Self::Slow(3),
    ];

    /// Whether it can happen to this kind of call. Only a commit can be lost or overtaken.
    pub const fn fits(self, call: Call) -> bool {
        match self {
            Self::LostBefore | Self::LostAfter | Self::Overtaken => matches!(call, Call::Commit),
            Self::Fails(_) | Self::SilentBefore | Self::SilentAfter | Self::Slow(_) => true,
        }
    }

    /// Whether the caller's attempt ends with it, so that another attempt begins from nothing.
    const fn ends_the_attempt(self) -> bool {
        !matches!(self, Self::Overtaken | Self::Slow(_))
    }
}

/// Which call meets which fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What happens.
    pub fault: Fault,
    /// Only calls of this kind are counted; all if absent.
    pub of: Option<Call>,
    /// To the how-manyeth of them from now on; the first is 1.
    pub at: u64,
    /// What happens to all calls after it that this fits, until [`FaultyStore::disarm`]: a server that took a
    /// commit and died is [`Fault::LostAfter`], then [`Fault::Fails`].
    pub then: Option<Fault>,
}

impl Plan {
    /// This fault at the `at`-th call of any kind, once.
    pub const fn at(at: u64, fault: Fault) -> Self {
        Self { fault, of: None, at, then: None }
    }

    /// Counting only calls of this kind.
    pub const fn of(mut self, call: Call) -> Self {
        self.of = Some(call);
        self
    }

    /// With this fault for all calls after it.
    pub const fn then(mut self, fault: Fault) -> Self {
        self.then = Some(fault);
        self
    }
}

#[derive(Debug, Default)]
struct Script {
    calls: Vec<Call>,
    plan: Option<Plan>,
    /// Calls that the plan counted.
    counted: u64,
    met: u64,
    ended: u64,
    silent: bool,
}

/// A store that hands every call to another one, except what its plan says.
#[derive(Debug)]
pub struct FaultyStore {
    inner: DynStore,
    script: Mutex<Script>,
}

impl FaultyStore {
    /// A store without a plan.
    pub fn new(inner: DynStore) -> Self {
        Self { inner, script: Mutex::default() }
    }

    /// The store behind it, which never fails by plan.
    pub fn inner(&self) -> &DynStore {
        &self.inner
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows this plan from now on, in place of any other.
    pub fn arm(&self, plan: Plan) {
        let mut script = self.script();
        (script.plan, script.counted, script.met, script.silent) = (Some(plan), 0, 0, false);
    }

    /// Follows no plan any more.
    pub fn disarm(&self) {
        let mut script = self.script();
        (script.plan, script.silent) = (None, false);
    }

    /// The calls since the last time this was asked, in order.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.script().calls)
    }

    /// How many calls have met a fault of the present plan.
    pub fn met(&self) -> u64 {
        self.script().met
    }

    /// How many attempts of callers a fault has ended, under all plans. Sources of ids that shall give the
    /// same ids to the next attempt begin again when this rises.
    pub fn ended_attempts(&self) -> u64 {
        self.script().ended
    }

    /// Whether a call was made that will never be answered.
    pub fn is_silent(&self) -> bool {
        self.script().silent
    }

    /// Counts a call, and says what shall happen to it.
    fn meet(&self, call: Call) -> Option<Fault> {
        let mut script = self.script();
        script.calls.push(call);
        let plan = script.plan.filter(|plan| plan.of.is_none_or(|of| of == call))?;
        script.counted += 1;
        let fault = match script.counted.cmp(&plan.at) {
            Ordering::Less => None,
            Ordering::Equal => Some(plan.fault),
            Ordering::Greater => plan.then,
        };
        let fault = fault.filter(|fault| fault.fits(call))?;
        script.met += 1;
        script.ended += u64::from(fault.ends_the_attempt());
        Some(fault)
    }

    async fn never<T>(&self) -> T {
        self.script().silent = true;
        pending().await
    }
}

fn failed(as_what: FailsAs) -> StoreError {
    StoreError::new(as_what.kind(), "the store failed as planned")
}

fn lost() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the answer was lost as planned").outcome_unknown()
}

/// Gives way to other tasks so many times.
async fn wait(mut polls: u32) {
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(());
        }
        polls -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The first operation that another commit could have overtaken.
fn overtaken(batch: &Batch) -> Option<CommitError> {
    let guarded = |op: &Op| !matches!(op, Op::Adjust { .. } | Op::Append { .. });
    let op = batch.ops().iter().position(guarded)?;
    let key = batch.ops().get(op)?.key().clone();
    Some(CommitError::Stale { op, key })
}

#[async_trait]
impl Store for FaultyStore {
    async fn prepare(&self, schema: &Schema) -> Result<(), StoreError> {
        self.inner.prepare(schema).await
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Cell>>, StoreError> {
        match self.meet(Call::Read) {
            Some(Fault::Fails(as_what)) => return Err(failed(as_what)),
            Some(Fault::SilentBefore | Fault::SilentAfter) => return self.never().await,
            Some(Fault::Slow(polls)) => wait(polls).await,
            _ => {}
        }
        self.inner.read(keys).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        match self.meet(Call::Scan) {
            Some(Fault::Fails(as_what)) => return Err(failed(as_what)),
            Some(Fault::SilentBefore | Fault::SilentAfter) => return self.never().await,
            Some(Fault::Slow(polls)) => wait(polls).await,
            _ => {}
        }
        self.inner.scan(scan).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, CommitError> {
        let fault = self.meet(Call::Commit);
        match fault {
            Some(Fault::Fails(as_what)) => return Err(failed(as_what).into()),
            Some(Fault::LostBefore) => return Err(lost().into()),
            Some(Fault::SilentBefore) => return self.never().await,
            Some(Fault::Overtaken) => {
                if let Some(stale) = overtaken(batch) {
                    return Err(stale);
                }
            }
            Some(Fault::Slow(polls)) => wait(polls).await,
            Some(Fault::LostAfter | Fault::SilentAfter) | None => {}
        }
        let answer = self.inner.commit(batch).await;
        match fault {
            Some(Fault::LostAfter) => answer.and_then(|_| Err(lost().into())),
            Some(Fault::SilentAfter) => self.never().await,
            _ => answer,
        }
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn revision(&self, collections: &[&Collection]) -> Option<Revision> {
        self.inner.revision(collections)
    }

    async fn unnamed(&self) -> Result<Vec<String>, StoreError> {
        self.inner.unnamed().await
    }
}
