//! The marketplace's commands over the reference store.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod accounts;
mod analytics;
mod clients;
mod copies;
mod everything;
mod explain;
mod explain_message;
mod files;
mod fixture;
mod follow;
mod golden;
mod halves;
mod idempotency;
mod leases;
mod lists;
mod moves;
mod notices;
mod objects;
mod ontology;
mod ordered;
mod random_traces;
mod recommendations;
mod revisions;
mod roles;
mod rules;
mod sizes;
mod states;
mod streams;
mod things;
mod workshop;
mod wrapped;
