//! The marketplace from outside: through its router, over its sockets, and as a process.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod access_table;
mod accounts;
mod analytics;
mod brokers;
mod catalogue;
mod configuration;
mod crash;
mod delivery;
mod denials;
mod discover;
mod dynsec;
mod everything;
mod explain;
mod killed;
mod mail;
mod metrics;
mod mqtt;
mod oauth;
mod object_files;
mod object_things;
mod objects;
mod ontology;
mod ordered_object;
mod patches;
mod process;
mod protection;
mod purchase;
mod refusals;
mod replays;
mod representation;
mod roles;
mod scopes;
mod shared_store;
mod soak;
mod sparql;
mod sparql_store;
mod story;
mod strangers;
mod streams;
mod support;
#[cfg(unix)]
mod tls;
mod upstream;
mod wot;
mod wot_search;
