//! A look through a query's algebra: what would take the worker down or keep it busy for no answer is refused.

use super::{MAX_GROWTH, MAX_PATTERNS, MAX_ROWS, QueryRefused};
use spargebra::Query;
use spargebra::algebra::{
    AggregateExpression, AggregateFunction, Expression, Function, GraphPattern, OrderExpression,
    PropertyPathExpression,
};
use spargebra::term::{NamedNodePattern, TermPattern, TriplePattern, Variable};
use std::collections::{BTreeMap, BTreeSet};

const MAX_EXPRESSIONS: usize = 200;
const MAX_VALUES: usize = 200;
const MAX_ARGUMENTS: usize = 16;
const MAX_TEMPLATE: usize = 64;

/// Refuses or limits. The answer has at most [`MAX_ROWS`] rows.
pub(super) fn walk(query: Query) -> Result<Query, QueryRefused> {
    let mut walk = Walk::default();
    let (Query::Select { dataset, pattern, .. }
    | Query::Construct { dataset, pattern, .. }
    | Query::Describe { dataset, pattern, .. }
    | Query::Ask { dataset, pattern, .. }) = &query;
    if dataset.is_some() {
        return Err(QueryRefused::Dataset);
    }
    walk.pattern(pattern)?;
    if let Query::Construct { template, .. } = &query
        && template.len() > MAX_TEMPLATE
    {
        return Err(too_many("triples in the template", MAX_TEMPLATE));
    }
    Ok(match query {
        Query::Select { dataset, pattern, base_iri } => {
            Query::Select { dataset, pattern: limited(pattern), base_iri }
        }
        Query::Construct { template, dataset, pattern, base_iri } => {
            Query::Construct { template, dataset, pattern: limited(pattern), base_iri }
        }
        Query::Describe { dataset, pattern, base_iri } => {
            Query::Describe { dataset, pattern: limited(pattern), base_iri }
        }
        ask @ Query::Ask { .. } => ask,
    })
}

fn limited(pattern: GraphPattern) -> GraphPattern {
    match pattern {
        GraphPattern::Slice { inner, start, length } => {
            GraphPattern::Slice { inner, start, length: Some(length.unwrap_or(MAX_ROWS).min(MAX_ROWS)) }
        }
        pattern => GraphPattern::Slice { inner: Box::new(pattern), start: 0, length: Some(MAX_ROWS) },
    }
}

fn too_many(what: &'static str, limit: usize) -> QueryRefused {
    QueryRefused::TooMany { what, limit }
}

/// Names of variables and blank nodes: what patterns are connected by.
type Names = BTreeSet<String>;

/// What has been seen so far.
#[derive(Default)]
struct Walk {
    patterns: usize,
    expressions: usize,
    values: usize,
    unions: usize,
    /// How often a variable's text has been built out of built text.
    growth: BTreeMap<String, usize>,
}

impl Walk {
    /// Looks at a pattern; gives the names that it binds.
    fn pattern(&mut self, pattern: &GraphPattern) -> Result<Names, QueryRefused> {
        match pattern {
            GraphPattern::Bgp { .. } | GraphPattern::Path { .. } | GraphPattern::Join { .. } => {
                let mut parts = Vec::new();
                self.parts(pattern, &mut parts)?;
                connected(&parts)?;
                Ok(parts.into_iter().flatten().collect())
            }
            GraphPattern::LeftJoin { left, right, expression } => {
                let left = self.pattern(left)?;
                let right = self.pattern(right)?;
                if let Some(expression) = expression {
                    self.expression(expression)?;
                }
                joined(left, right)
            }
            GraphPattern::Lateral { left, right } => {
                let left = self.pattern(left)?;
                let right = self.pattern(right)?;
                joined(left, right)
            }
            GraphPattern::Minus { left, right } => {
                let left = self.pattern(left)?;
                let right = self.pattern(right)?;
                joined(left.clone(), right)?;
                Ok(left)
            }
            GraphPattern::Union { left, right } => {
                self.unions += 1;
                if self.unions > MAX_PATTERNS {
                    return Err(too_many("UNIONs", MAX_PATTERNS));
                }
                let mut names = self.pattern(left)?;
                names.extend(self.pattern(right)?);
                Ok(names)
            }
            GraphPattern::Filter { expr, inner } => {
                let names = self.pattern(inner)?;
                self.expression(expr)?;
                Ok(names)
            }
            GraphPattern::Graph { name, inner } => {
                let mut names = self.pattern(inner)?;
                if let NamedNodePattern::Variable(variable) = name {
                    names.insert(variable.as_str().to_owned());
                }
                Ok(names)
            }
            GraphPattern::Extend { inner, variable, expression } => {
                let mut names = self.pattern(inner)?;
                let growth = self.expression(expression)?;
                self.grow(variable, growth)?;
                names.insert(variable.as_str().to_owned());
                Ok(names)
            }
            GraphPattern::Values { variables, bindings } => {
                self.values = self.values.saturating_add(bindings.len());
                if self.values > MAX_VALUES {
                    return Err(too_many("rows of VALUES", MAX_VALUES));
                }
                Ok(variables.iter().map(|name| name.as_str().to_owned()).collect())
            }
            GraphPattern::OrderBy { inner, expression } => {
                let names = self.pattern(inner)?;
                for order in expression {
                    let (OrderExpression::Asc(expression) | OrderExpression::Desc(expression)) = order;
                    self.expression(expression)?;
                }
                Ok(names)
            }
            GraphPattern::Project { inner, variables } => {
                self.pattern(inner)?;
                Ok(variables.iter().map(|name| name.as_str().to_owned()).collect())
            }
            GraphPattern::Distinct { inner }
            | GraphPattern::Reduced { inner }
            | GraphPattern::Slice { inner, .. } => self.pattern(inner),
            GraphPattern::Group { inner, variables, aggregates } => {
                self.pattern(inner)?;
                let mut names: Names = variables.iter().map(|name| name.as_str().to_owned()).collect();
                for (variable, aggregate) in aggregates {
                    let growth = self.aggregate(aggregate)?;
                    self.grow(variable, growth)?;
                    names.insert(variable.as_str().to_owned());
                }
                Ok(names)
            }
            GraphPattern::Service { .. } => Err(QueryRefused::Service),
        }
    }

    /// The parts that a join brings together, each with its names.
    fn parts(&mut self, pattern: &GraphPattern, parts: &mut Vec<Names>) -> Result<(), QueryRefused> {
        match pattern {
            GraphPattern::Join { left, right } => {
                self.parts(left, parts)?;
                self.parts(right, parts)
            }
            GraphPattern::Bgp { patterns } => {
                for pattern in patterns {
                    self.one_more()?;
                    parts.push(triple(pattern));
                }
                Ok(())
            }
            GraphPattern::Path { subject, path, object } => {
                let bound = is_bound(subject) || is_bound(object);
                self.path(path, bound, false)?;
                parts.push([name(subject), name(object)].into_iter().flatten().collect());
                Ok(())
            }
            other => {
                parts.push(self.pattern(other)?);
                Ok(())
            }
        }
    }

    fn one_more(&mut self) -> Result<(), QueryRefused> {
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            return Err(too_many("patterns", MAX_PATTERNS));
        }
        Ok(())
    }

    fn path(&mut self, path: &PropertyPathExpression, bound: bool, within: bool) -> Result<(), QueryRefused> {
        match path {
            PropertyPathExpression::NamedNode(_) => self.one_more(),
            PropertyPathExpression::NegatedPropertySet(_) => {
                self.one_more()?;
                if within && !bound { Err(QueryRefused::OpenPath) } else { Ok(()) }
            }
            PropertyPathExpression::Reverse(inner) | PropertyPathExpression::ZeroOrOne(inner) => {
                self.path(inner, bound, within)
            }
            PropertyPathExpression::Sequence(a, b) | PropertyPathExpression::Alternative(a, b) => {
                // Open at both ends, only a property by name may go on and on.
                if within && !bound {
                    return Err(QueryRefused::OpenPath);
                }
                self.path(a, bound, within)?;
                self.path(b, bound, within)
            }
            PropertyPathExpression::ZeroOrMore(inner) | PropertyPathExpression::OneOrMore(inner) => {
                if within {
                    return Err(QueryRefused::OpenPath);
                }
                self.path(inner, bound, true)
            }
        }
    }

    /// Looks at an expression; gives how often text is built out of built text in it.
    fn expression(&mut self, expression: &Expression) -> Result<usize, QueryRefused> {
        self.expressions += 1;
        if self.expressions > MAX_EXPRESSIONS {
            return Err(too_many("parts of expressions", MAX_EXPRESSIONS));
        }
        let growth = match expression {
            Expression::NamedNode(_) | Expression::Literal(_) | Expression::Bound(_) => 0,
            Expression::Variable(variable) => self.growth.get(variable.as_str()).copied().unwrap_or(0),
            Expression::Or(a, b)
            | Expression::And(a, b)
            | Expression::Equal(a, b)
            | Expression::SameTerm(a, b)
            | Expression::Greater(a, b)
            | Expression::GreaterOrEqual(a, b)
            | Expression::Less(a, b)
            | Expression::LessOrEqual(a, b)
            | Expression::Add(a, b)
            | Expression::Subtract(a, b)
            | Expression::Multiply(a, b)
            | Expression::Divide(a, b) => self.expression(a)?.max(self.expression(b)?),
            Expression::UnaryPlus(a) | Expression::UnaryMinus(a) | Expression::Not(a) => {
                self.expression(a)?
            }
            Expression::Exists(pattern) => {
                self.pattern(pattern)?;
                0
            }
            Expression::In(a, list) => self.all(list)?.max(self.expression(a)?),
            Expression::If(a, b, c) => {
                self.expression(a)?;
                self.expression(b)?.max(self.expression(c)?)
            }
            Expression::Coalesce(list) => self.all(list)?,
            Expression::FunctionCall(function, arguments) => {
                if arguments.len() > MAX_ARGUMENTS {
                    return Err(too_many("arguments of a function", MAX_ARGUMENTS));
                }
                if let Function::Custom(name) = function
                    && !name.as_str().starts_with("http://www.w3.org/2001/XMLSchema#")
                {
                    return Err(QueryRefused::Function(name.as_str().to_owned()));
                }
                let grows = matches!(function, Function::Concat | Function::Replace | Function::EncodeForUri);
                self.all(arguments)?.saturating_add(usize::from(grows))
            }
        };
        if growth > MAX_GROWTH {
            return Err(QueryRefused::Growth);
        }
        Ok(growth)
    }

    fn all(&mut self, list: &[Expression]) -> Result<usize, QueryRefused> {
        let mut most = 0;
        for expression in list {
            most = self.expression(expression)?.max(most);
        }
        Ok(most)
    }

    fn aggregate(&mut self, aggregate: &AggregateExpression) -> Result<usize, QueryRefused> {
        match aggregate {
            AggregateExpression::CountSolutions { .. } => Ok(0),
            AggregateExpression::FunctionCall { name, expr, .. } => {
                if let AggregateFunction::Custom(name) = name {
                    return Err(QueryRefused::Function(name.as_str().to_owned()));
                }
                let growth = self.expression(expr)?;
                let grows = matches!(name, AggregateFunction::GroupConcat { .. });
                Ok(growth.saturating_add(usize::from(grows)))
            }
        }
    }

    fn grow(&mut self, variable: &Variable, growth: usize) -> Result<(), QueryRefused> {
        if growth > MAX_GROWTH {
            return Err(QueryRefused::Growth);
        }
        let known = self.growth.entry(variable.as_str().to_owned()).or_default();
        *known = growth.max(*known);
        Ok(())
    }
}

fn name(term: &TermPattern) -> Option<String> {
    match term {
        TermPattern::Variable(variable) => Some(variable.as_str().to_owned()),
        // No variable's name has a colon.
        TermPattern::BlankNode(node) => Some(format!("_:{}", node.as_str())),
        TermPattern::NamedNode(_) | TermPattern::Literal(_) => None,
    }
}

fn is_bound(term: &TermPattern) -> bool {
    matches!(term, TermPattern::NamedNode(_) | TermPattern::Literal(_))
}

fn triple(pattern: &TriplePattern) -> Names {
    let predicate = match &pattern.predicate {
        NamedNodePattern::Variable(variable) => Some(variable.as_str().to_owned()),
        NamedNodePattern::NamedNode(_) => None,
    };
    let ends = [name(&pattern.subject), name(&pattern.object), predicate];
    ends.into_iter().flatten().collect()
}

/// Both sides' names, if they share one or one side has none.
fn joined(left: Names, right: Names) -> Result<Names, QueryRefused> {
    connected(&[left.clone(), right.clone()])?;
    Ok(left.into_iter().chain(right).collect())
}

/// Every part that has names is linked to every other by names in common.
fn connected(parts: &[Names]) -> Result<(), QueryRefused> {
    let mut open: Vec<&Names> = parts.iter().filter(|names| !names.is_empty()).collect();
    let Some(first) = open.pop() else { return Ok(()) };
    let mut linked: BTreeSet<&String> = first.iter().collect();
    loop {
        let before = open.len();
        open.retain(|names| {
            let apart = names.iter().all(|name| !linked.contains(name));
            if !apart {
                linked.extend(names.iter());
            }
            apart
        });
        if open.is_empty() {
            return Ok(());
        }
        if open.len() == before {
            return Err(QueryRefused::NotConnected);
        }
    }
}
