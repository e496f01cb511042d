//! An index that is read while it is written.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Answer;
use super::query::{FieldError, InvalidQuery, Query, Wrong};
use crate::description::{Description, Facet};
use crate::facets::{Analysed, Classes, FacetIndex, Impossible, digest_of};

/// A facet index over descriptions, read and written by many at once.
///
/// A description is analysed before the lock is taken; putting it in takes microseconds, and that is all that readers
/// wait for.
#[derive(Debug)]
pub struct Live {
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    classes: Arc<dyn Classes>,
    index: FacetIndex,
    position: u64,
}

/// What an index takes in and how much there is of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Things.
    pub things: usize,
    /// Values of facets.
    pub terms: usize,
    /// Words.
    pub words: usize,
}

impl Live {
    /// An empty index over this ontology.
    pub fn new(classes: Arc<dyn Classes>) -> Self {
        Self { state: RwLock::new(State { classes, index: FacetIndex::default(), position: 0 }) }
    }

    // A poisoned lock is taken all the same: no command of the index leaves it half done by unwinding, for none unwinds.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ontology.
    pub fn classes(&self) -> Arc<dyn Classes> {
        self.read().classes.clone()
    }

    /// Puts a thing in, in place of the one with its id. One that is impossible under the ontology is taken out.
    pub fn insert(&self, description: &Description) -> Result<(), Impossible> {
        let analysed = Analysed::of(description, &*self.classes());
        let mut state = self.write();
        match analysed {
            Ok(analysed) => state.index.insert(analysed),
            Err(impossible) => {
                state.index.remove(&description.id);
                return Err(impossible);
            }
        }
        Ok(())
    }

    /// Puts a thing in of which is known to which classes it belongs: all of them, by IRI, as
    /// [`Graph::types`](crate::graph::Graph::types) has them under the ontology of this index.
    pub fn insert_as<'a>(&self, description: &Description, types: impl IntoIterator<Item = &'a str>) {
        let analysed = Analysed::as_member(description, types.into_iter().map(Arc::from));
        self.write().index.insert(analysed);
    }

    /// Takes a thing out, and says whether it was there.
    pub fn remove(&self, id: &str) -> bool {
        self.write().index.remove(id)
    }

    /// Says up to which position of the outbox the index has followed. It never goes back.
    pub fn followed(&self, position: u64) {
        let mut state = self.write();
        state.position = state.position.max(position);
    }

    /// The position of the outbox up to which the index has followed.
    pub fn position(&self) -> u64 {
        self.read().position
    }

    /// Takes on another index with its ontology and position, whole; what was in this one is gone.
    pub fn replace(&self, other: Self) {
        let other = other.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *self.write(), other);
        // Freed without the lock.
        drop(old);
    }

    /// The ids of all things.
    pub fn ids(&self) -> BTreeSet<Arc<str>> {
        self.read().index.ids().cloned().collect()
    }

    /// How much there is.
    pub fn size(&self) -> Size {
        let state = self.read();
        let (terms, words) = state.index.vocabulary();
        Size { things: state.index.len(), terms, words }
    }

    /// A digest of all that the index answers from. Equal to [`digest_of_all`](Self::digest_of_all) of the same
    /// descriptions over the same ontology, and to no other.
    pub fn digest(&self) -> [u8; 32] {
        self.read().index.digest()
    }

    /// The digest that an index of these descriptions has, without one. Each id is expected once; what is impossible under
    /// the ontology does not count.
    pub fn digest_of_all<'a>(
        classes: &dyn Classes,
        descriptions: impl IntoIterator<Item = &'a Description>,
    ) -> [u8; 32] {
        let analysed =
            descriptions.into_iter().filter_map(|description| Analysed::of(description, classes).ok());
        digest_of(analysed.map(|analysed| (analysed.id.clone(), analysed.digest())).collect())
    }

    /// Answers a question.
    pub fn find(&self, query: &Query) -> Result<Answer, InvalidQuery> {
        query.check()?;
        let state = self.read();
        let resolved = resolved(query, &*state.classes)?;
        let found = state.index.search(resolved.as_ref().unwrap_or(query), &*state.classes);
        let next = found.next.map(|mut next| {
            next.mark = query.mark();
            next
        });
        Ok(Answer {
            hits: found.hits,
            total: found.total,
            next,
            facets: found.facets,
            position: state.position,
        })
    }
}

/// The question with every class named by its IRI.
fn resolved(query: &Query, classes: &dyn Classes) -> Result<Option<Query>, InvalidQuery> {
    if !query.clauses.iter().any(|clause| clause.facet == Facet::Kind) {
        return Ok(None);
    }
    let mut query = query.clone();
    for clause in query.clauses.iter_mut().filter(|clause| clause.facet == Facet::Kind) {
        for class in &mut clause.any_of {
            let Some(iri) = classes.named(class) else {
                let unknown = FieldError { field: "kind".to_owned(), wrong: Wrong::Class };
                return Err(InvalidQuery { fields: vec![unknown] });
            };
            *class = iri;
        }
    }
    Ok(Some(query))
}
