//! What strangers and clients may use of this machine: connections per address, and memory.

mod addresses;
mod budget;

pub(crate) use addresses::Addresses;
pub(crate) use budget::{Budget, Claim, FREE};
