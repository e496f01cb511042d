//! Streams of products: sequence numbers, and what the messages are like.
//!
//! Every message of a product has a number that no other message of the product has or will have, whichever gate
//! takes it and whatever dies. A gate takes numbers from [`Streams`] in blocks, ahead of need; without the store it uses
//! up what it holds and then takes no messages ([`NoNumbers`]): it fails closed. What it measures as
//! messages pass, it reports every so often and at its end.
//!
//! A stream that nobody publishes to is reported, its numbers go back, and it is forgotten: memory is for products
//! in use.

mod look;
mod numbers;
mod product;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use i3_core::gate::{PublishRight, Streams};
use i3_core::id::ProductId;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use look::Pace;
pub(crate) use product::ProductStream;
use product::Site;
pub use schema::JsonSchemas;

/// There are no sequence numbers at the moment: try again soon. Nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are no sequence numbers at the moment")]
pub(crate) struct NoNumbers;

/// How many streams are reported at a time.
const AT_ONCE: usize = 32;

/// The streams of a gate.
#[derive(Debug)]
pub(crate) struct ProductStreams {
    site: Arc<Site>,
    all: Mutex<HashMap<ProductId, Arc<ProductStream>>>,
    closed: std::sync::atomic::AtomicBool,
}

impl ProductStreams {
    /// Without any stream yet. Takes numbers under the name `holder`.
    pub(crate) fn new(port: Arc<dyn Streams>, holder: String, runtime: Handle) -> Self {
        let site = Arc::new(Site { port, holder, runtime, pace: Pace::default() });
        Self { site, all: Mutex::default(), closed: false.into() }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ProductId, Arc<ProductStream>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream that a right is for.
    pub(crate) fn of(&self, right: &PublishRight) -> Arc<ProductStream> {
        let mut all = self.all();
        if let Some(stream) = all.get(&right.product) {
            return Arc::clone(stream);
        }
        let stream = ProductStream::new(right.product, Arc::clone(&self.site));
        if self.closed.load(std::sync::atomic::Ordering::Acquire) {
            stream.begin_closing(Duration::ZERO, true);
        }
        all.insert(right.product, Arc::clone(&stream));
        stream
    }

    /// Waits until there are `needed` numbers for the messages of a right, or for as long as the limit.
    pub(crate) async fn ready(
        &self,
        right: &PublishRight,
        needed: u64,
        limit: Duration,
    ) -> Result<(), NoNumbers> {
        let wait = async {
            loop {
                // Another one, once this one was given up.
                let stream = self.of(right);
                let changed = stream.changed();
                if stream.has(needed) {
                    return;
                }
                // Looked at again all the same, in case of a gate that is closing.
                let _ = tokio::time::timeout(product::FIRST_RETRY, changed).await;
            }
        };
        tokio::time::timeout(limit, wait).await.map_err(|_| NoNumbers)
    }

    /// Whether this number of the product's is held for a message that has not come yet.
    pub(crate) fn holds(&self, product: ProductId, number: u64) -> bool {
        let stream = self.all().get(&product).map(Arc::clone);
        stream.is_some_and(|stream| stream.holds(number))
    }

    /// How many streams are held.
    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    /// Reports all streams every so often, and gives up those that were not used for as long as `idle`, for as long as
    /// anybody holds them.
    pub(crate) fn keep(self: &Arc<Self>, every: Duration, idle: Duration) {
        let streams = Arc::downgrade(self);
        self.site.runtime.spawn(async move {
            let mut tick = tokio::time::interval(every.max(Duration::from_millis(1)));
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let Some(streams) = streams.upgrade() else { return };
                if streams.closed.load(std::sync::atomic::Ordering::Acquire) {
                    return;
                }
                streams.round(idle).await;
            }
        });
    }

    /// Reports all streams, and gives up the idle ones.
    async fn round(self: &Arc<Self>, idle: Duration) {
        let all: Vec<_> = self.all().iter().map(|(product, stream)| (*product, Arc::clone(stream))).collect();
        let mut tasks = JoinSet::new();
        for (product, stream) in all {
            if tasks.len() >= AT_ONCE {
                tasks.join_next().await;
            }
            let streams = Arc::clone(self);
            tasks.spawn_on(
                async move {
                    if let Err(error) = stream.report().await {
                        tracing::warn!(%product, %error, "a stream could not be reported");
                    } else if stream.begin_closing(idle, false) {
                        streams.give_up(product, &stream, Duration::ZERO).await;
                    }
                },
                &self.site.runtime,
            );
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn give_up(&self, product: ProductId, stream: &Arc<ProductStream>, limit: Duration) {
        if let Err(error) = stream.close(limit).await {
            tracing::warn!(%product, %error, "a stream was not closed in order");
        }
        // Not before its numbers are back: until then nobody asks for others.
        let mut all = self.all();
        // Another one may have been made since, if this one was given up twice.
        if all.get(&product).is_some_and(|known| Arc::ptr_eq(known, stream)) {
            all.remove(&product);
        }
        drop(all);
        stream.gone();
    }

    /// Takes no more messages, reports all streams and gives their numbers back. Each step of a stream waits no longer
    /// than the limit.
    pub(crate) async fn close(self: &Arc<Self>, limit: Duration) {
        self.closed.store(true, std::sync::atomic::Ordering::Release);
        let all: Vec<_> = self.all().iter().map(|(product, stream)| (*product, Arc::clone(stream))).collect();
        for (_, stream) in &all {
            stream.begin_closing(Duration::ZERO, true);
        }
        let mut tasks = JoinSet::new();
        for (product, stream) in all {
            if tasks.len() >= AT_ONCE {
                tasks.join_next().await;
            }
            let streams = Arc::clone(self);
            tasks.spawn_on(
                async move {
                    let give_up = streams.give_up(product, &stream, limit);
                    if tokio::time::timeout(limit * 2, give_up).await.is_err() {
                        tracing::error!(%product, "a stream was not closed in time: its numbers are skipped");
                    }
                },
                &self.site.runtime,
            );
        }
        while tasks.join_next().await.is_some() {}
    }
}
