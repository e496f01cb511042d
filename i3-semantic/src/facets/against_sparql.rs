//! The same questions to oxigraph: every answer of the index equals the answer of SPARQL over the same descriptions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oxigraph::model::{Literal, NamedNode, NamedNodeRef, Term, Variable};
use oxigraph::sparql::{QueryResults, SparqlEvaluator};
use oxigraph::store::Store;
use proptest::prelude::*;
use spargebra::algebra::{Expression, Function, GraphPattern, PropertyPathExpression};
use spargebra::term::{NamedNodePattern, TermPattern, TriplePattern};

use super::tests::{carried_out, classes, questions, steps};
use super::{Classes as _, distance};
use crate::description::{Description, Facet, Point, decimal, decimal_literal, facet_fact};
use crate::discovery::Query;
use crate::inference::infer;
use crate::text::{query_words, tokens};
use crate::vocabulary as i3;

/// Whether a text holds a word; oxigraph has nothing that knows words.
fn holds() -> NamedNode {
    NamedNode::new("urn:i3:test:holds").unwrap()
}

/// Metres between two points; SPARQL has no cosine.
fn metres() -> NamedNode {
    NamedNode::new("urn:i3:test:metres").unwrap()
}

/// Puts a pattern together.
struct Asking {
    pattern: GraphPattern,
    fresh: u32,
}

fn it() -> Variable {
    Variable::new("it").unwrap()
}

fn join(left: GraphPattern, right: GraphPattern) -> GraphPattern {
    GraphPattern::Join { left: Box::new(left), right: Box::new(right) }
}

fn triple(subject: &Variable, property: NamedNodeRef<'_>, object: impl Into<TermPattern>) -> TriplePattern {
    TriplePattern {
        subject: subject.clone().into(),
        predicate: NamedNodePattern::from(property.into_owned()),
        object: object.into(),
    }
}

fn number(literal: Literal) -> Expression {
    Expression::Literal(literal)
}

impl Asking {
    fn variable(&mut self) -> Variable {
        self.fresh += 1;
        Variable::new(format!("v{}", self.fresh)).unwrap()
    }

    fn and(&mut self, more: GraphPattern) {
        let so_far = std::mem::take(&mut self.pattern);
        self.pattern = join(so_far, more);
    }

    fn all(&mut self, patterns: Vec<TriplePattern>) {
        self.and(GraphPattern::Bgp { patterns });
    }

    fn only(&mut self, expr: Expression) {
        let inner = Box::new(std::mem::take(&mut self.pattern));
        self.pattern = GraphPattern::Filter { expr, inner };
    }

    fn any(&mut self, patterns: Vec<Vec<TriplePattern>>) {
        let alternatives = patterns.into_iter().map(|patterns| GraphPattern::Bgp { patterns });
        let any = alternatives
            .reduce(|left, right| GraphPattern::Union { left: Box::new(left), right: Box::new(right) });
        self.and(any.unwrap());
    }

    /// That a part of it has a value.
    fn part(&mut self, of: NamedNodeRef<'_>, values: &[(NamedNodeRef<'_>, Term)]) -> Vec<TriplePattern> {
        let part = self.variable();
        let mut patterns = vec![triple(&it(), of, part.clone())];
        patterns.extend(values.iter().map(|(property, value)| triple(&part, *property, value.clone())));
        patterns
    }

    fn value(&mut self, facet: Facet, value: &str) -> Vec<TriplePattern> {
        let value = if facet == Facet::Kind { classes().named(value).unwrap() } else { value.into() };
        let (property, value) = facet_fact(facet, &value).unwrap();
        match facet {
            Facet::Method => self.part(i3::PERFORMS, &[(property, value)]),
            Facet::Attribute | Facet::Unit => self.part(i3::HAS_ATTRIBUTE, &[(property, value)]),
            _ => vec![triple(&it(), property, value)],
        }
    }

    fn number_of(&mut self, of: NamedNodeRef<'_>, property: NamedNodeRef<'_>) -> Variable {
        let (part, value) = (self.variable(), self.variable());
        self.all(vec![triple(&it(), of, part.clone()), triple(&part, property, value.clone())]);
        value
    }

    fn word(&mut self, word: &str) {
        let text = self.variable();
        let direct = |property: NamedNodeRef<'_>| PropertyPathExpression::from(property.into_owned());
        let of_part = |part: NamedNodeRef<'_>| {
            PropertyPathExpression::Sequence(Box::new(direct(part)), Box::new(direct(i3::NAME)))
        };
        let paths = [i3::TITLE, i3::DESCRIPTION, i3::TAG, i3::MODEL].map(direct);
        let paths = paths.into_iter().chain([i3::PERFORMS, i3::HAS_ATTRIBUTE].map(of_part));
        let path = paths
            .reduce(|one, two| PropertyPathExpression::Alternative(Box::new(one), Box::new(two)))
            .unwrap();
        let texts = GraphPattern::Path { subject: it().into(), path, object: text.clone().into() };
        let expr = Expression::FunctionCall(
            Function::Custom(holds()),
            vec![Expression::Variable(text), Literal::from(word).into()],
        );
        let inner = Box::new(texts);
        self.only(Expression::Exists(Box::new(GraphPattern::Filter { expr, inner })));
    }

    /// The question as algebra.
    fn of(query: &Query) -> GraphPattern {
        let mut asking = Self { pattern: GraphPattern::default(), fresh: 0 };
        let created = asking.variable();
        // The most selective first, and what everything has last.
        for clause in &query.clauses {
            let any = clause.any_of.iter().map(|value| asking.value(clause.facet, value)).collect();
            asking.any(any);
        }
        for any_of in &query.attributes {
            let mut any = Vec::new();
            for attribute in any_of {
                let mut values = vec![(i3::NAME, Term::from(Literal::from(&*attribute.name)))];
                values.extend(attribute.unit.iter().map(|unit| (i3::UNIT, Literal::from(&**unit).into())));
                any.push(asking.part(i3::HAS_ATTRIBUTE, &values));
            }
            asking.any(any);
        }
        if let Some(most) = query.max_price {
            let (offer, price) = (asking.variable(), asking.variable());
            asking.all(vec![
                triple(&it(), i3::HAS_OFFER, offer.clone()),
                triple(&offer, i3::CURRENCY, Literal::from(most.currency.to_string())),
                triple(&offer, i3::PRICE, price.clone()),
            ]);
            let nanos = i64::try_from(most.per_message.nanos()).unwrap();
            let most = number(decimal_literal(nanos, 9));
            asking.only(Expression::LessOrEqual(Box::new(Expression::Variable(price)), Box::new(most)));
        }
        if let Some(tenths) = query.min_rating {
            let value = asking.number_of(i3::HAS_RATING, i3::RATING_VALUE);
            let least = number(decimal_literal(tenths.into(), 1));
            asking.only(Expression::GreaterOrEqual(Box::new(Expression::Variable(value)), Box::new(least)));
        }
        if let Some(share) = query.min_quality {
            let value = asking.number_of(i3::HAS_QUALITY, i3::QUALITY_SCORE);
            let least = number(decimal_literal(share.into(), 3));
            asking.only(Expression::GreaterOrEqual(Box::new(Expression::Variable(value)), Box::new(least)));
        }
        if let Some(near) = query.near {
            let (north, east) = (asking.variable(), asking.variable());
            asking.all(vec![
                triple(&it(), i3::LATITUDE, north.clone()),
                triple(&it(), i3::LONGITUDE, east.clone()),
            ]);
            let arguments = vec![
                Expression::Variable(north),
                Expression::Variable(east),
                number(decimal_literal(near.centre.latitude().into(), 6)),
                number(decimal_literal(near.centre.longitude().into(), 6)),
            ];
            let far = Expression::FunctionCall(Function::Custom(metres()), arguments);
            let most = number(Literal::from(f64::from(near.metres)));
            asking.only(Expression::LessOrEqual(Box::new(far), Box::new(most)));
        }
        asking.all(vec![triple(&it(), i3::CREATED, created)]);
        for word in query.text.iter().flat_map(|text| query_words(text)) {
            asking.word(&word);
        }
        let inner = Box::new(asking.pattern);
        GraphPattern::Distinct { inner: Box::new(GraphPattern::Project { inner, variables: vec![it()] }) }
    }
}

fn store_of<'a>(things: impl IntoIterator<Item = &'a Description>) -> Store {
    let store = Store::new().unwrap();
    for thing in things {
        let inferred = infer(classes().ontology().closure(), &thing.facts()).unwrap();
        let quads =
            inferred.facts.into_iter().map(|fact| fact.in_graph(oxigraph::model::GraphName::DefaultGraph));
        store.extend(quads).unwrap();
    }
    store
}

fn text_of(term: &Term) -> Option<&str> {
    match term {
        Term::Literal(literal) => Some(literal.value()),
        _ => None,
    }
}

fn asked(store: &Store, query: &Query) -> BTreeSet<String> {
    let pattern = Asking::of(query);
    let query = spargebra::Query::Select { dataset: None, pattern, base_iri: None };
    let evaluator = SparqlEvaluator::new()
        .with_custom_function(holds(), |arguments| {
            let [text, word] = arguments else { return None };
            Some(
                Literal::from(
                    tokens(text_of(text)?).iter().any(|token| Some(token.as_str()) == text_of(word)),
                )
                .into(),
            )
        })
        .with_custom_function(metres(), |arguments| {
            let micros = |term: &Term| i32::try_from(decimal(text_of(term)?, 6)?).ok();
            let [north, east, other_north, other_east] = arguments else { return None };
            let one = Point::from_micros(micros(north)?, micros(east)?).ok()?;
            let other = Point::from_micros(micros(other_north)?, micros(other_east)?).ok()?;
            Some(Literal::from(distance(one, other)).into())
        });
    let QueryResults::Solutions(found) = evaluator.for_query(query).on_store(store).execute().unwrap() else {
        panic!("a question has solutions");
    };
    found.map(|solution| solution.unwrap().get("it").unwrap().to_string()).collect()
}

proptest! {
    #[test]
    fn the_index_and_sparql_give_the_same_answer(steps in steps(), query in questions()) {
        let (live, held) = carried_out(steps);
        let store = store_of(held.values());
        let query = Query { limit: Query::MAX_LIMIT, ..query };
        let found = live.find(&query).unwrap();
        let ids: BTreeMap<Arc<str>, String> =
            held.values().map(|thing| (thing.id.clone(), thing.iri().to_string())).collect();
        let found: BTreeSet<String> = found.hits.iter().map(|hit| ids[&hit.id].clone()).collect();
        prop_assert_eq!(found, asked(&store, &query));
    }
}
