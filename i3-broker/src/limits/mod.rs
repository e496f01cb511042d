//! What strangers and clients may use of this machine: connections per address, logins, and memory.

mod addresses;
mod budget;
mod pace;

pub(crate) use addresses::Addresses;
pub(crate) use budget::{Budget, Claim, FREE};
pub(crate) use pace::Pace;
