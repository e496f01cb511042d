//! SPARQL of strangers.
//!
//! A query is looked through ([`Admitted::read`]) and then carried out in a process of its own ([`WorkerPool`]), which has
//! a limit on its memory and is killed when its time is up. Neither alone is enough: evaluation cannot be
//! cancelled from within, and a query that overflows the stack or the memory takes its process with it.
//!
//! What is accepted: SELECT, ASK, CONSTRUCT and DESCRIBE of SPARQL 1.1 over the public graph, up to the limits here.
//! The default graph is the union of all graphs. What is not: updates, SERVICE, FROM, functions of others.

mod answer;
mod guard;
mod pool;
mod refusal;
mod scan;
mod walk;
pub mod worker;

pub use answer::{AnswerFormat, MAX_ANSWER, service_description};
pub use guard::Admitted;
pub use pool::{Answer, PoolOptions, QueryFailure, Source, WorkerPool};
pub use refusal::QueryRefused;

/// Longest query.
pub const MAX_BYTES: usize = 8 * 1024;
/// Deepest nesting of brackets.
pub const MAX_DEPTH: usize = 32;
/// Most triple patterns and steps of paths.
pub const MAX_PATTERNS: usize = 24;
/// Most rows of an answer, and most rows that CONSTRUCT and DESCRIBE are made of.
pub const MAX_ROWS: usize = 1_000;
/// How often text may be built out of built text.
pub const MAX_GROWTH: usize = 2;
