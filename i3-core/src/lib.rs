//! Domain model, storage contract and commands of the I3 IoT data marketplace.

pub mod access;
pub mod gate;
pub mod id;
pub mod money;
pub mod name;
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod time;
