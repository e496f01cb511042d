//! The packets of the gate, by themselves and beside two other codecs.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod answers;
mod cost;
mod differences;
mod proto;
mod rmqtt;
mod seen;
mod stream;
mod strict;
mod writer;
