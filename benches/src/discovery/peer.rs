//! oxigraph alone, over the same facts.

use std::hint::black_box;

use i3_semantic::inference::infer;
use i3_semantic::ontology::Ontology;
use i3_semantic::oxigraph::model::{GraphName, Triple};
use i3_semantic::oxigraph::sparql::{QueryResults, SparqlEvaluator};
use i3_semantic::oxigraph::store::Store;

use crate::shop::ShopError;
use crate::things::thing;

/// The facts of an object, with what follows.
pub(super) fn facts(ontology: &Ontology, number: u64) -> Result<Vec<Triple>, ShopError> {
    Ok(infer(ontology.closure(), &thing(number).facts())?.facts.into_iter().collect())
}

/// A store of oxigraph with so many objects.
pub(super) fn filled(ontology: &Ontology, objects: u64) -> Result<Store, ShopError> {
    let store = Store::new()?;
    let mut loader = store.bulk_loader();
    for number in 0..objects {
        let facts = facts(ontology, number)?;
        loader.load_quads(facts.into_iter().map(|fact| fact.in_graph(GraphName::DefaultGraph)))?;
    }
    loader.commit()?;
    Ok(store)
}

/// How many rows a query has.
pub(super) fn rows(store: &Store, query: &str) -> Result<u64, ShopError> {
    let prepared = SparqlEvaluator::new().parse_query(query)?;
    let mut found = 0;
    if let QueryResults::Solutions(solutions) = prepared.on_store(store).execute()? {
        for solution in solutions {
            black_box(solution?);
            found += 1;
        }
    }
    Ok(found)
}
