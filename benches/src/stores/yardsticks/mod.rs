//! What stores are held against: the same work without I3, on the same server and disk, in the same rounds.

mod by_hand;
mod pgbench;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub(super) use by_hand::ByHand;
pub(super) use pgbench::PgBench;

use crate::callers::Calls;
use crate::shop::ShopError;

/// Something that does what a store does, measured right after the store.
#[async_trait]
pub trait Yardstick: fmt::Debug + Send + Sync {
    /// Its name in the tables.
    fn name(&self) -> &'static str;

    /// The workload that it does.
    fn workload(&self) -> &'static str;

    /// With how many connections it is measured beside so many callers of the store; `None` if it is not.
    fn beside(&self, callers: usize) -> Option<usize>;

    /// Forgets what the last round left.
    async fn fresh(&self) -> Result<(), ShopError>;

    /// Does the work over these connections for about this time.
    async fn measure(&self, connections: usize, time: Duration) -> Result<Calls, ShopError>;
}
