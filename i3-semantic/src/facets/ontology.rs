//! The ontology as the index asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oxigraph::model::vocab::rdf;
use oxigraph::model::{NamedNode, Term};

use super::{Classes, Impossible};
use crate::description::Description;
use crate::inference::infer;
use crate::ontology::Ontology;
use crate::vocabulary::NAMESPACE;

/// An ontology with the names of its classes ready to be looked up. What a description's types are is decided by the
/// same rules that fill the graph.
#[derive(Debug, Clone)]
pub struct OntologyClasses {
    ontology: Ontology,
    /// By IRI, and by the last part of it in lower case.
    names: BTreeMap<String, Arc<str>>,
}

/// The last part of an IRI.
fn last_part(iri: &str) -> &str {
    iri.rsplit(['#', '/', ':']).next().unwrap_or(iri)
}

impl OntologyClasses {
    /// The classes of an ontology. Where two classes have one last part, ours is called so, else the first by IRI.
    pub fn new(ontology: Ontology) -> Self {
        let mut iris: Vec<&str> = ontology.closure().classes().map(NamedNode::as_str).collect();
        iris.sort_by_key(|iri| (!iri.starts_with(NAMESPACE), *iri));
        let mut names: BTreeMap<String, Arc<str>> = BTreeMap::new();
        for iri in iris {
            let class: Arc<str> = iri.into();
            names.insert(iri.to_owned(), class.clone());
            names.entry(last_part(iri).to_lowercase()).or_insert(class);
        }
        Self { ontology, names }
    }

    /// The ontology.
    pub fn ontology(&self) -> &Ontology {
        &self.ontology
    }
}

impl Classes for OntologyClasses {
    fn types(&self, description: &Description) -> Result<BTreeSet<Arc<str>>, Impossible> {
        let inferred = infer(self.ontology.closure(), &description.facts())?;
        if let Some(contradiction) = inferred.contradictions.first() {
            return Err(contradiction.clone().into());
        }
        let thing = description.iri().into();
        let types = inferred.facts.iter().filter(|fact| fact.subject == thing && fact.predicate == rdf::TYPE);
        let known = |class: &str| self.names.get(class).cloned().unwrap_or_else(|| class.into());
        Ok(types
            .filter_map(|fact| match &fact.object {
                Term::NamedNode(class) => Some(known(class.as_str())),
                _ => None,
            })
            .collect())
    }

    fn named(&self, name: &str) -> Option<Arc<str>> {
        self.names.get(name).or_else(|| self.names.get(&name.to_lowercase())).cloned()
    }

    fn is_under(&self, class: &str, above: &str) -> bool {
        let supers = NamedNode::new(class)
            .map(|class| self.ontology.closure().supers(&class).iter().any(|found| found.as_str() == above));
        class == above || supers.unwrap_or(false)
    }
}
