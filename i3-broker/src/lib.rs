//! The MQTT gate of the I3 IoT data marketplace.

mod config;
mod connection;
mod gate;
pub mod log;
mod message;
mod meter;
mod revoke;
mod session;
mod shared;
mod signal;
mod stats;
#[cfg(test)]
mod tests;
pub mod wire;

pub use config::{GateConfig, GateError};
pub use gate::Gate;
pub use message::{InvalidMessage, Message};
pub use shared::Ports;
pub use stats::GateStats;
