//! Our own questions to the graph, as algebra: never as text, so no value can become syntax.

use super::Graph;
use oxigraph::model::{Literal, NamedNode, Term, Variable};
use oxigraph::sparql::{QueryEvaluationError, QueryResults, SparqlEvaluator};
use spargebra::Query;
use spargebra::algebra::{Expression, GraphPattern, OrderExpression};
use spargebra::term::{TermPattern, TriplePattern};

/// One thing that must hold of what is asked for: `?it predicate object`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The property.
    pub predicate: NamedNode,
    /// Its value.
    pub object: Term,
    /// How many things have it, as far as is known. It decides what is looked up first, and nothing else: oxigraph has
    /// no statistics, and the same query takes a hundred times longer in an unlucky order.
    pub rows: u64,
}

/// Which things have all that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conjunction {
    /// All of these must hold.
    pub wanted: Vec<Wanted>,
    /// The number by whose value the things are ordered, highest first; things without it are left out.
    pub highest: Option<NamedNode>,
    /// How many are wanted.
    pub limit: Option<usize>,
}

impl Conjunction {
    /// The query: the wanted patterns with the fewest rows first, distinct, ordered by IRI where nothing else orders.
    pub fn query(&self) -> Query {
        let it = Variable::new_unchecked("it");
        let value = Variable::new_unchecked("value");
        let mut wanted: Vec<_> = self.wanted.iter().collect();
        wanted.sort_by_key(|wanted| wanted.rows);
        let mut patterns: Vec<_> = wanted
            .into_iter()
            .map(|wanted| TriplePattern {
                subject: it.clone().into(),
                predicate: wanted.predicate.clone().into(),
                object: TermPattern::from(wanted.object.clone()),
            })
            .collect();
        let by_iri = OrderExpression::Asc(Expression::Variable(it.clone()));
        let mut order = vec![by_iri];
        if let Some(number) = &self.highest {
            patterns.push(TriplePattern {
                subject: it.clone().into(),
                predicate: number.clone().into(),
                object: value.clone().into(),
            });
            order.insert(0, OrderExpression::Desc(Expression::Variable(value)));
        }
        let ordered =
            GraphPattern::OrderBy { inner: Box::new(GraphPattern::Bgp { patterns }), expression: order };
        let found = GraphPattern::Distinct {
            inner: Box::new(GraphPattern::Project { inner: Box::new(ordered), variables: vec![it] }),
        };
        Query::Select {
            dataset: None,
            pattern: match self.limit {
                Some(limit) => GraphPattern::Slice { inner: Box::new(found), start: 0, length: Some(limit) },
                None => found,
            },
            base_iri: None,
        }
    }
}

impl Graph {
    /// The things that have all that is wanted. For questions that the server makes itself: it runs in this process,
    /// without a limit on time.
    ///
    /// # Errors
    ///
    /// Those of the evaluation.
    pub fn find(&self, conjunction: &Conjunction) -> Result<Vec<NamedNode>, QueryEvaluationError> {
        let mut prepared = SparqlEvaluator::new().for_query(conjunction.query());
        prepared.dataset_mut().set_default_graph_as_union();
        let mut found = Vec::new();
        if let QueryResults::Solutions(solutions) = prepared.on_store(&self.store).execute()? {
            for solution in solutions {
                if let Some(Term::NamedNode(it)) = solution?.get("it") {
                    found.push(it.clone());
                }
            }
        }
        Ok(found)
    }
}

impl Wanted {
    /// That `?it` has this literal text.
    pub fn text(predicate: impl Into<NamedNode>, text: &str, rows: u64) -> Self {
        Self { predicate: predicate.into(), object: Literal::new_simple_literal(text).into(), rows }
    }

    /// That `?it` is related to this.
    pub fn related(predicate: impl Into<NamedNode>, to: impl Into<NamedNode>, rows: u64) -> Self {
        Self { predicate: predicate.into(), object: to.into().into(), rows }
    }
}
