//! What follows from objects about others, and over chains: counted by how many say so.

use super::terms::{Fact, Iri, Places, Value};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

#[derive(Debug, Default)]
struct Count {
    /// How many say so.
    count: u32,
    /// Whether the object that it is about says it itself. Then it is in that one's graph.
    at_home: bool,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Shared(HashMap<Iri, HashMap<(Iri, Value), Count, Places>, Places>);

/// Facts that a change touched, with whether they were in the default graph before.
#[derive(Debug, Default)]
pub(super) struct Touched(HashMap<Fact, bool, Places>);

impl Shared {
    fn get(&self, fact: &Fact) -> Option<&Count> {
        self.0.get(&fact.subject)?.get(&(fact.predicate.clone(), fact.object.clone()))
    }

    /// Whether it is in the default graph: somebody says it, but not who it is about.
    fn is_seen(&self, fact: &Fact) -> bool {
        self.get(fact).is_some_and(|count| !count.at_home)
    }

    /// That somebody says a fact. Whether who it is about says it too is asked only if it is not known.
    pub(super) fn more(&mut self, fact: &Fact, touched: &mut Touched, at_home: impl FnOnce(&Fact) -> bool) {
        touched.before(fact, self);
        let values = self.0.entry(fact.subject.clone()).or_default();
        match values.entry((fact.predicate.clone(), fact.object.clone())) {
            Entry::Occupied(mut known) => known.get_mut().count = known.get().count.saturating_add(1),
            Entry::Vacant(new) => drop(new.insert(Count { count: 1, at_home: at_home(fact) })),
        }
    }

    /// That somebody says a fact no more.
    pub(super) fn less(&mut self, fact: &Fact, touched: &mut Touched) {
        touched.before(fact, self);
        let Some(values) = self.0.get_mut(&fact.subject) else { return };
        if let Entry::Occupied(mut known) = values.entry((fact.predicate.clone(), fact.object.clone())) {
            known.get_mut().count = known.get().count.saturating_sub(1);
            if known.get().count == 0 {
                known.remove();
            }
        }
        if values.is_empty() {
            self.0.remove(&fact.subject);
        }
    }

    /// That who a fact is about says it from now on, or no more.
    pub(super) fn settle(&mut self, fact: &Fact, at_home: bool, touched: &mut Touched) {
        if self.0.contains_key(&fact.subject) {
            touched.before(fact, self);
            let values = self.0.get_mut(&fact.subject);
            let known =
                values.and_then(|values| values.get_mut(&(fact.predicate.clone(), fact.object.clone())));
            if let Some(known) = known {
                known.at_home = at_home;
            }
        }
    }

    /// The default graph.
    pub(super) fn seen(&self) -> impl Iterator<Item = Fact> {
        self.0.keys().flat_map(|subject| self.about(subject))
    }

    /// What the default graph has about this.
    pub(super) fn about(&self, subject: &Iri) -> impl Iterator<Item = Fact> {
        let found = self.0.get_key_value(subject).into_iter();
        found.flat_map(|(subject, values)| {
            values.iter().filter(|(_, count)| !count.at_home).map(|((predicate, object), _)| Fact {
                subject: subject.clone(),
                predicate: predicate.clone(),
                object: object.clone(),
            })
        })
    }
}

impl Touched {
    fn before(&mut self, fact: &Fact, shared: &Shared) {
        if !self.0.contains_key(fact) {
            self.0.insert(fact.clone(), shared.is_seen(fact));
        }
    }

    /// The facts that came into the default graph (`true`), and those that left it.
    pub(super) fn changed(self, shared: &Shared) -> impl Iterator<Item = (Fact, bool)> {
        self.0.into_iter().filter_map(|(fact, before)| {
            let now = shared.is_seen(&fact);
            (now != before).then_some((fact, now))
        })
    }
}
