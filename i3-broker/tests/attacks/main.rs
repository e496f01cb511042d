//! The attacks that a gate in front of paid data must stand, over real sockets. The numbers are those of the list
//! of attacks that the gate was designed against (`docs/mqtt-conformance.md` says where each is); every test ends
//! by showing that the gate still serves an honest client and that what was delivered is what was metered.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod abuse;
mod aliases;
mod charging;
mod client;
#[path = "../conformance/mod.rs"]
mod conformance;
mod crash;
mod credentials;
mod exactly_once;
mod flood;
mod growth;
mod identity;
mod market;
mod outage;
mod packets;
mod persistence;
#[cfg(feature = "upstream")]
mod proxy;
mod revocation;
mod scene;
mod shop;
mod topics;
mod transports;
mod wills;
