//! Classes that are known by which is under which, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Classes;
use crate::description::{Description, Facet};

/// A hierarchy of classes, closed: an ontology of subclasses alone.
#[derive(Debug, Clone, Default)]
pub struct Hierarchy {
    /// Of each class, itself and all above it.
    above: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    names: BTreeMap<Arc<str>, Arc<str>>,
}

/// The last part of an IRI.
fn last_part(iri: &str) -> &str {
    iri.rsplit(['#', '/', ':']).next().unwrap_or(iri)
}

impl Hierarchy {
    /// The hierarchy of these pairs of a class and one above it. Classes that are above each other are the same.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut direct: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for (class, above) in pairs {
            direct.entry(class.into()).or_default().insert(above.into());
            direct.entry(above.into()).or_default();
        }
        let mut hierarchy = Self::default();
        for class in direct.keys() {
            let mut all = BTreeSet::from([class.clone()]);
            let mut ahead = vec![class.clone()];
            while let Some(next) = ahead.pop() {
                for above in direct.get(&next).into_iter().flatten() {
                    if all.insert(above.clone()) {
                        ahead.push(above.clone());
                    }
                }
            }
            hierarchy.above.insert(class.clone(), all);
            hierarchy.names.entry(last_part(class).to_lowercase().into()).or_insert_with(|| class.clone());
        }
        hierarchy
    }
}

impl Classes for Hierarchy {
    fn types(&self, description: &Description) -> BTreeSet<Arc<str>> {
        let mut types = BTreeSet::new();
        for class in description.said(Facet::Kind) {
            types.insert(class.clone());
            types.extend(self.above.get(class).into_iter().flatten().cloned());
        }
        types
    }

    fn named(&self, name: &str) -> Option<Arc<str>> {
        let exact = self.above.get_key_value(name).map(|(iri, _)| iri);
        exact.or_else(|| self.names.get(name.to_lowercase().as_str())).cloned()
    }

    fn is_under(&self, class: &str, above: &str) -> bool {
        class == above || self.above.get(class).is_some_and(|all| all.contains(above))
    }
}
