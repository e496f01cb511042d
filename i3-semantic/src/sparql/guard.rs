//! From text to a query that may run.

use super::{QueryRefused, scan, walk};
use spargebra::{Query, SparqlParser};
use std::thread;

/// Room for the parser: 8 KiB of nothing but brackets would fit, though the scan lets no such thing through.
const STACK: usize = 64 * 1024 * 1024;

/// A query that was looked through. It has a limit, and reads only what is in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    query: Query,
}

impl Admitted {
    /// Looks `text` through, in this order: its size, how deep its brackets are, its grammar, and what it would do.
    ///
    /// # Errors
    ///
    /// [`QueryRefused`] says what is not accepted.
    pub fn read(text: &str) -> Result<Self, QueryRefused> {
        scan::scan(text)?;
        thread::scope(|scope| {
            let parse = || {
                let query = SparqlParser::new().parse_query(text).map_err(|error| {
                    // An update is no query; whoever sends one should know that from the answer.
                    match SparqlParser::new().parse_update(text) {
                        Ok(_) => QueryRefused::Update,
                        Err(_) => QueryRefused::Syntax(error.to_string()),
                    }
                })?;
                Ok(Self { query: walk::walk(query)? })
            };
            let thread = thread::Builder::new().name("sparql".to_owned()).stack_size(STACK);
            match thread.spawn_scoped(scope, parse).map(thread::ScopedJoinHandle::join) {
                Ok(Ok(read)) => read,
                Ok(Err(_)) => Err(QueryRefused::Syntax("the parser gave up".to_owned())),
                Err(_) => Err(QueryRefused::Syntax("no room to parse it now".to_owned())),
            }
        })
    }

    /// The query, with its limit.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Whether the answer is triples: CONSTRUCT and DESCRIBE.
    pub fn is_graph(&self) -> bool {
        matches!(self.query, Query::Construct { .. } | Query::Describe { .. })
    }
}
