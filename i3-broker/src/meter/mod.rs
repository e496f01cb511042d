//! Quota: leases as atomics, and the task that keeps them filled.

mod grant;
mod keeper;
mod lease;
mod missed;

pub(crate) use grant::{GrantHandle, Grants, Phase, Stop};
pub(crate) use lease::{Lease, Reserve};
