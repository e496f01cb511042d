//! Domain model, storage contract and commands of the I3 IoT data marketplace.

pub mod access;
pub mod audit;
pub mod device;
pub mod gate;
pub mod grant;
pub mod hub;
pub mod id;
pub mod ledger;
pub mod market;
pub mod money;
pub mod name;
pub mod offer;
pub mod order;
pub mod outbox;
pub mod product;
pub mod rating;
pub mod reservation;
pub mod secret;
pub mod statement;
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod time;
pub mod usage;
pub mod user;
