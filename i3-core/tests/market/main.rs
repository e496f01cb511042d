//! The marketplace's commands over the reference store.

mod fixture;
mod idempotency;
mod leases;
mod random_traces;
mod rules;
