//! The shape of a workload.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use super::workloads;
use crate::shop::{Shop, ShopError};

/// One call of a workload: given the caller's number and the number of its call, both from zero.
pub(super) type Call =
    Arc<dyn Fn(usize, u64) -> Pin<Box<dyn Future<Output = Result<(), ShopError>> + Send>> + Send + Sync>;

/// What a workload runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// A shop without orders, made for this round.
    Fresh,
    /// A shop that was filled with orders, opened again for this round.
    Filled,
}

/// Work that callers do over and over, each waiting for the answer before the next call.
#[async_trait]
pub(super) trait Workload: fmt::Debug + Send + Sync {
    /// Its name on the command line and in the tables.
    fn name(&self) -> &'static str;

    /// What one call does, in a sentence.
    fn about(&self) -> &'static str;

    /// What is counted, in the plural: `purchases`.
    fn counts(&self) -> &'static str;

    /// With how many callers it is measured.
    fn callers(&self) -> &'static [usize];

    /// What it runs in.
    fn ground(&self) -> Ground;

    /// Whether every call commits: then the disk's sync rate is measured beside it.
    fn commits(&self) -> bool;

    /// Whatever the callers need before the clock starts. `run` is different for every run in a shop.
    async fn prepare(&self, shop: &Shop, callers: usize, run: &str) -> Result<Call, ShopError>;
}

/// All workloads.
pub(super) fn all() -> Vec<Box<dyn Workload>> {
    vec![
        Box::new(workloads::Purchase),
        Box::new(workloads::Metering),
        Box::new(workloads::Access),
        Box::new(workloads::Page),
    ]
}

/// Filling a shop, the name under which its open time and its bytes are asked for, and what they are.
pub(super) const OPEN: &str = "open";
/// See [`OPEN`].
pub(super) const BYTES: &str = "bytes";
