//! The rules of a commit, once for all backends that decide outside of their engine.
//!
//! A backend with one committing thread gathers waiting batches, asks a [`Group`] to apply each in turn
//! over the states it read, writes the group's [`Change`]s in one engine transaction with one sync, and
//! answers all callers. A batch that is refused leaves no trace in the group.

use std::collections::BTreeMap;

use super::{Batch, Body, CommitError, Digest, Draft, Key, Op, Outcome, Receipt, StoreError, Units, Version};

/// What preconditions are checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing is stored under the key.
    Absent,
    /// A record of this version.
    Record(Version),
    /// A counter.
    Counter(Units),
    /// A stream with its last entry's number and link.
    Stream {
        /// The number.
        position: u64,
        /// The link.
        link: Digest,
    },
}

/// What a group does to one key, all its batches taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Store this record under this version, whether or not one was there before.
    Put {
        /// What to store.
        draft: Draft,
        /// Its version.
        version: Version,
    },
    /// Remove the record if there is one.
    Remove,
    /// The counter holds this now.
    Set(Units),
    /// Add these entries, numbered onwards from `first`.
    Append {
        /// The number of the first.
        first: u64,
        /// The entries with their links.
        entries: Vec<(Body, Digest)>,
    },
}

#[derive(Debug)]
struct Pending {
    state: State,
    change: Change,
}

/// Batches that are to be written together.
#[derive(Debug, Default)]
pub struct Group {
    pending: BTreeMap<Key, Pending>,
}

impl Group {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Applies a batch over this group and, below it, what is stored (`stored` answers for a key).
    ///
    /// `version` is given to every record that the batch writes; the backend must not have given it
    /// before. If the answer is an error the group is unchanged.
    pub fn apply(
        &mut self,
        batch: &Batch,
        version: Version,
        mut stored: impl FnMut(&Key) -> Result<State, StoreError>,
    ) -> Result<Receipt, CommitError> {
        let mut staged: BTreeMap<Key, Pending> = BTreeMap::new();
        let mut outcomes = Vec::with_capacity(batch.ops().len());
        for (place, op) in batch.ops().iter().enumerate() {
            let key = op.key();
            let state = match staged.get(key).or_else(|| self.pending.get(key)) {
                Some(pending) => pending.state,
                None => stored(key)?,
            };
            let (outcome, pending) = step(place, op, state, version)?;
            outcomes.push(outcome);
            match (pending, staged.get_mut(key)) {
                (None, _) => {}
                (Some(next), Some(earlier)) => earlier.follow(next),
                (Some(next), None) => {
                    staged.insert(key.clone(), next);
                }
            }
        }
        for (key, next) in staged {
            match self.pending.get_mut(&key) {
                Some(earlier) => earlier.follow(next),
                None => {
                    self.pending.insert(key, next);
                }
            }
        }
        Ok(Receipt { outcomes })
    }

    /// The changes to write, in the order of their keys.
    pub fn into_changes(self) -> impl Iterator<Item = (Key, Change)> {
        self.pending.into_iter().map(|(key, pending)| (key, pending.change))
    }
}

impl Pending {
    /// Makes `next` the state, keeping entries that were appended before.
    fn follow(&mut self, next: Self) {
        self.state = next.state;
        match (&mut self.change, next.change) {
            (Change::Append { entries, .. }, Change::Append { entries: more, .. }) => entries.extend(more),
            (change, next) => *change = next,
        }
    }
}

/// One operation over one state.
fn step(
    op: usize,
    what: &Op,
    state: State,
    version: Version,
) -> Result<(Outcome, Option<Pending>), CommitError> {
    let stale = || CommitError::Stale { op, key: what.key().clone() };
    let put = |draft: &Draft| {
        let change = Change::Put { draft: draft.clone(), version };
        (Outcome::Written(version), Some(Pending { state: State::Record(version), change }))
    };
    match (what, state) {
        (Op::Create(draft), State::Absent) => Ok(put(draft)),
        (Op::Replace { expect, with }, State::Record(present)) if present == *expect => Ok(put(with)),
        (Op::Remove { expect, .. }, State::Record(present)) if present == *expect => {
            Ok((Outcome::Removed, Some(Pending { state: State::Absent, change: Change::Remove })))
        }
        (Op::Require { expect, .. }, State::Record(present)) if present == *expect => {
            Ok((Outcome::Held, None))
        }
        (Op::Create(_) | Op::Replace { .. } | Op::Remove { .. } | Op::Require { .. }, _) => Err(stale()),
        (Op::Adjust { counter, by, floor }, _) => {
            let now = match state {
                State::Counter(units) => units,
                _ => Units::ZERO,
            };
            let next = now.plus(*by).map_err(|_| CommitError::Range { op, key: counter.clone(), now })?;
            if *by < Units::ZERO && next < *floor {
                return Err(CommitError::Floor { op, key: counter.clone(), now });
            }
            let pending = Pending { state: State::Counter(next), change: Change::Set(next) };
            Ok((Outcome::Adjusted(next), Some(pending)))
        }
        (Op::Append { body, .. }, _) => {
            let (last, before) = match state {
                State::Stream { position, link } => (position, link),
                _ => (0, Digest::START),
            };
            let position = last.saturating_add(1);
            let link = Digest::link(&before, position, body.as_str());
            let change = Change::Append { first: position, entries: vec![(body.clone(), link)] };
            let pending = Pending { state: State::Stream { position, link }, change };
            Ok((Outcome::Appended { position, link }, Some(pending)))
        }
    }
}
