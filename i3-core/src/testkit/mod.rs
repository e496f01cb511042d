//! Proofs for storage backends: what every [`Store`](crate::store::Store) must do, as programs.
//!
//! For whoever writes or changes a backend. Compiled with the feature `testkit` only, and not covered by
//! semantic versioning: a new case is how a gap in the contract is closed.
//!
//! - [`conformance`]: one list of cases, as tests ([`conformance_tests!`](crate::conformance_tests)) or as
//!   one call ([`conformance::run_all`]).
//! - [`model`]: random batches, reads and scans against [`MemoryStore`](crate::store::MemoryStore) and the
//!   backend, which must answer alike.
//! - [`trace`]: random commands of the marketplace over several backends, which must answer alike.
//! - [`faults`]: a store that fails as planned; [`sweep`]: a scenario with a failure at every call.
//! - [`crash`]: a child process that is killed while it commits, and what must be found afterwards.
//! - [`dump`](dump::dump): everything in a store as one text; [`dump::index_check`]: indexes against what
//!   the records say.
//!
//! A backend gives a [`Harness`], which opens empty stores. Nothing here needs a certain async runtime.
//!
//! `docs/backends.md` in the repository goes through all of it with a small real backend.

pub mod conformance;
pub mod crash;
pub mod dump;
pub mod faults;
pub mod model;
pub mod sample;
pub mod sweep;
pub mod trace;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::panic::Location;
use std::pin::Pin;
use std::task::Poll;

use async_trait::async_trait;

use crate::store::DynStore;

/// Opens stores of one backend.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A store without any data, not prepared. Each call gives another one.
    async fn open(&self) -> Result<DynStore, Stop>;

    /// The store that was opened last, opened once more; the caller has dropped all its handles. `None`
    /// from backends that keep nothing.
    async fn reopen(&self) -> Result<Option<DynStore>, Stop> {
        Ok(None)
    }

    /// Another handle over the store that was opened last, as another process would have it, while the first
    /// is still in use. `None` from backends that one handle at a time may have open.
    async fn second(&self) -> Result<Option<DynStore>, Stop> {
        Ok(None)
    }
}

/// Why a check ended early.
pub enum Stop {
    /// It asks for something that the backend does not promise.
    NotApplicable(&'static str),
    /// The store did what it must not, or failed.
    Broken(String),
}

impl Stop {
    /// A broken promise, with the place in the source that found it.
    #[track_caller]
    pub fn broken(what: impl fmt::Display) -> Self {
        Self::Broken(format!("{what} ({})", Location::caller()))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplicable(why) => write!(f, "not applicable: {why}"),
            Self::Broken(what) => f.write_str(what),
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// `Stop` itself is no `Error`, so that every error turns into it with `?`.
impl<E: std::error::Error> From<E> for Stop {
    #[track_caller]
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Self::broken(text)
    }
}

/// What a check answers.
pub type Checked = Result<(), Stop>;

/// A future in a box, for runs on the caller's runtime.
pub type Run<'a, T = Checked> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Drives all futures together in the present task and gives their answers in order.
async fn join_all<T>(mut runs: Vec<Run<'_, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = Vec::new();
    answers.resize_with(runs.len(), || None);
    poll_fn(|context| {
        let mut pending = false;
        for (run, answer) in runs.iter_mut().zip(&mut answers) {
            if answer.is_none() {
                match run.as_mut().poll(context) {
                    Poll::Ready(value) => *answer = Some(value),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    answers.into_iter().flatten().collect()
}

/// Writes a line to standard error that test harnesses do not hold back: for the build's log.
pub fn announce(line: &str) {
    // Nobody to tell if standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The number in an environment variable, if there is one.
fn asked(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Ends a check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::testkit::Stop::broken(format_args!($($what)+)));
        }
    };
}

/// Ends a check unless both sides are equal.
macro_rules! ensure_eq {
    ($found:expr, $wanted:expr) => {
        match (&$found, &$wanted) {
            (found, wanted) => {
                $crate::testkit::ensure!(
                    *found == *wanted,
                    "{} is {found:?}, not {wanted:?}",
                    stringify!($found)
                )
            }
        }
    };
}

pub(crate) use {ensure, ensure_eq};
