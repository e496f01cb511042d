//! The test-kit finds what it is for, and shows what it promises of the marketplace.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

mod crashing;
mod explains;
mod faulty_stores;
mod sweeping;
mod tenants;
mod traces;
