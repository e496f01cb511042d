//! The marketplace's commands over the reference store.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod accounts;
mod clients;
mod copies;
mod everything;
mod explain;
mod files;
mod fixture;
mod follow;
mod golden;
mod idempotency;
mod leases;
mod moves;
mod notices;
mod objects;
mod ontology;
mod ordered;
mod random_traces;
mod roles;
mod rules;
mod sizes;
mod streams;
mod things;
mod workshop;
