//! What a dialect does, and the part of a commit that it need not do: deciding.

use std::collections::HashMap;

use async_trait::async_trait;
use i3_core::store::{
    Batch, Collection, CommitError, Durability, Group, Key, Receipt, Schema, State, Version,
};

use super::{Catalog, Failure, Found};

/// The committing side of a dialect: one connection, which it opens again when it was lost. It lives in the
/// writer's thread.
#[async_trait]
pub(crate) trait Engine: Send + 'static {
    /// Creates what the schema names and is missing, refuses what contradicts it. Is called again when its
    /// failure is worth another try.
    async fn prepare(&mut self, schema: &Schema) -> Result<(), Failure>;

    /// Applies the batches in their order and commits those that are accepted: one try. All keys are of
    /// the catalog.
    async fn commit_group(&mut self, catalog: &Catalog, batches: &[&Batch]) -> Result<Answers, GroupError>;

    /// What a commit survives, as the server said when the engine was opened.
    fn durability(&self) -> Durability;

    /// Ends the connection.
    async fn close(self) -> Result<(), Failure>;
}

/// What became of a group's batches, in their order.
pub(crate) type Answers = Vec<Result<Receipt, CommitError>>;

/// Why a group was not committed.
#[derive(Debug)]
pub(crate) enum GroupError {
    /// Certainly nothing was written. If the failure is worth [`another try`](Failure::again), it is made.
    Before(Failure),
    /// The connection was lost when the commit was under way: the batches that were accepted here may have
    /// been committed or not.
    Unknown(Failure, Answers),
}

impl<F: Into<Failure>> From<F> for GroupError {
    fn from(failure: F) -> Self {
        Self::Before(failure.into())
    }
}

/// The states of a group's keys, as they were when the clock stood at some number.
#[derive(Debug)]
pub(crate) struct Stored {
    states: Vec<HashMap<String, State>>,
}

impl Stored {
    /// Nothing is stored, for a catalog.
    pub(crate) fn nothing(catalog: &Catalog) -> Self {
        Self { states: vec![HashMap::new(); catalog.collections().len()] }
    }

    /// This row was found.
    pub(crate) fn found(&mut self, catalog: &Catalog, row: Found) -> Result<(), Failure> {
        let collection: Option<&&Collection> = catalog.collections().get(row.place);
        if let (Some(collection), Some(states)) = (collection, self.states.get_mut(row.place)) {
            let state = row.state(collection.kind)?;
            states.insert(row.id, state);
        }
        Ok(())
    }

    /// Whether there was something under this key.
    pub(crate) fn has(&self, catalog: &Catalog, key: &Key) -> Result<bool, Failure> {
        Ok(self.of(catalog, key)? != State::Absent)
    }

    fn of(&self, catalog: &Catalog, key: &Key) -> Result<State, Failure> {
        let place = catalog.place(key.collection())?;
        Ok(self.states.get(place).and_then(|states| states.get(key.id())).copied().unwrap_or(State::Absent))
    }
}

/// What a group of batches comes to.
#[derive(Debug)]
pub(crate) struct Decided {
    /// What to tell, once `group` is committed.
    pub(crate) answers: Answers,
    /// What to write; it may be empty.
    pub(crate) group: Group,
    /// What the clock shows then.
    pub(crate) clock: u64,
}

/// Applies batches over what is stored.
pub(crate) fn decide(
    catalog: &Catalog,
    clock: u64,
    stored: &Stored,
    batches: &[&Batch],
) -> Result<Decided, Failure> {
    let mut group = Group::new();
    let mut clock = clock;
    let mut answers = Vec::with_capacity(batches.len());
    for batch in batches {
        let next = clock + 1;
        let version = Version::from_number(next).ok_or_else(|| Failure::corrupt("no versions are left"))?;
        let answer = group.apply(batch, version, |key| Ok(stored.of(catalog, key)?));
        if answer.is_ok() {
            clock = next;
        }
        answers.push(answer);
    }
    Ok(Decided { answers, group, clock })
}
