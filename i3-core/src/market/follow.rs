//! Changes of access that other processes made over the same store.
//!
//! A process tells its own gate of its own commands before they return. Of other processes' commands it
//! learns from the outbox, which every process over the store writes.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::{MarketError, Marketplace};
use crate::outbox;
use crate::store::{Cell, limits};

/// The positions of the outbox whose changes this process has announced itself. Kept only while
/// somebody follows.
#[derive(Debug, Default)]
pub(super) struct Announced(Mutex<Option<BTreeSet<u64>>>);

impl Announced {
    fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(BTreeSet::new());
    }

    pub(super) fn note(&self, position: u64) {
        if let Some(positions) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            positions.insert(position);
        }
    }

    /// Whether this process announced the position; it is forgotten.
    fn take(&self, position: u64) -> bool {
        let mut announced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        announced.as_mut().is_some_and(|positions| positions.remove(&position))
    }
}

/// Follows what other processes do over the same store; see [`Marketplace::follow`].
#[derive(Debug)]
pub struct Follower {
    market: Marketplace,
    position: u64,
}

impl Marketplace {
    /// Begins to follow the changes of access that other processes make from now on. A marketplace has one
    /// follower at a time: a second takes the first one's place in telling own changes from others'.
    pub async fn follow(&self) -> Result<Follower, MarketError> {
        self.announced.begin();
        Ok(Follower { market: self.clone(), position: self.outbox_position().await? })
    }

    /// The position of the last event in the outbox; 0 if nothing ever happened.
    pub async fn outbox_position(&self) -> Result<u64, MarketError> {
        let stream = outbox::stream()?;
        Ok(match self.store.read(std::slice::from_ref(&stream)).await?.pop().flatten() {
            Some(Cell::Stream { position, .. }) => position,
            _ => 0,
        })
    }
}

impl Follower {
    /// Announces to this process's listeners what others changed since the last call, in the order of
    /// commit, and returns how many changes that were. Call it often: a revocation made elsewhere takes
    /// effect here with the next call. After an error nothing is lost: the next call goes on from the same
    /// place.
    pub async fn catch_up(&mut self) -> Result<usize, MarketError> {
        let mut told = 0;
        loop {
            let events = self.market.numbered_events(self.position, limits::PAGE_ROWS).await?;
            let full = events.len() == limits::PAGE_ROWS;
            for event in events {
                self.position = event.position;
                if !self.market.announced.take(event.position) && !event.entry.access.is_empty() {
                    self.market.announce(&event.entry.access).await;
                    told += event.entry.access.len();
                }
            }
            if !full {
                return Ok(told);
            }
        }
    }
}
