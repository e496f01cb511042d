//! The client against a marketplace, over sockets.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod behaviour;
#[cfg(feature = "cli")]
mod command_line;
mod every_operation;
mod support;
#[cfg(feature = "tls")]
mod tls;
