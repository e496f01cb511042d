//! The bytes on their way to one socket, and the quota that they hold.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use crate::limits::Claim;
use crate::meter::{GrantHandle, Lease};
use crate::shared::Shared;
use crate::stats::add;

/// About the most bytes that are put at a time, and what an idle client's buffer may keep.
const BATCH_BYTES: usize = 64 * 1_024;
const KEPT: usize = 16 * 1_024;

/// Where a frame's message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Its number in the feed.
    Feed(u64),
    /// It was retained.
    Retained,
}

/// One frame with a message.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// Where it starts in the buffer.
    at: usize,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Reserved; and whether it took a packet identifier.
    Fresh(Source, bool),
    /// Sent before, with this packet identifier: free.
    Again(u16),
}

/// What was taken back from an [`Outbox`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TakenBack {
    /// The first message of the feed among it.
    pub(super) first: Option<u64>,
    /// How many packet identifiers it held for the first time.
    pub(super) ids: usize,
    /// Whether the retained message was among it.
    pub(super) retained: bool,
    /// The packet identifiers of messages that were to be sent again.
    pub(super) again: Vec<u16>,
}

/// Bytes to write: control packets first, then messages sent again, then reserved frames.
///
/// A frame counts as delivered from the moment that its first byte is handed to the socket. All others go back,
/// however the connection ends.
#[derive(Debug)]
pub(super) struct Outbox {
    shared: Arc<Shared>,
    bytes: Vec<u8>,
    claim: Claim,
    written: usize,
    frames: Vec<Frame>,
    /// How many of the frames, which are the first, are free.
    free: usize,
    /// How many of the frames were begun.
    begun: usize,
    /// What the frames were reserved under.
    quota: Option<(Arc<GrantHandle>, Arc<Lease>)>,
}

impl Outbox {
    pub(super) fn new(shared: Arc<Shared>, wake: &Arc<Notify>) -> Self {
        let claim = shared.output.claim(wake);
        Self {
            shared,
            bytes: Vec::new(),
            claim,
            written: 0,
            frames: Vec::new(),
            free: 0,
            begun: 0,
            quota: None,
        }
    }

    /// Whether all has been written.
    pub(super) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// About how many bytes may be put in a batch. Any batch may have one message.
    pub(super) fn room(&mut self, now: Instant) -> usize {
        let most = BATCH_BYTES.max(self.bytes.capacity());
        if self.claim.cover(most, now) { BATCH_BYTES } else { 1 }
    }

    /// Counts what a batch turned out to need.
    pub(super) fn count(&mut self) {
        self.claim.owe(self.bytes.capacity());
    }

    /// Gives back the memory of a large batch, if nothing is to be written.
    pub(super) fn rest_from_work(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.count();
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Takes all bytes of `control`. Only while empty.
    pub(super) fn put_control(&mut self, control: &mut Vec<u8>) {
        self.bytes.append(control);
    }

    /// The quota under which frames are about to be put.
    pub(super) fn set_quota(&mut self, grant: &Arc<GrantHandle>, lease: &Arc<Lease>) {
        if !self.quota.as_ref().is_some_and(|(_, present)| Arc::ptr_eq(present, lease)) {
            self.quota = Some((Arc::clone(grant), Arc::clone(lease)));
        }
    }

    /// Puts one frame that was reserved.
    pub(super) fn put_frame(&mut self, source: Source, has_id: bool, write: impl FnOnce(&mut Vec<u8>)) {
        self.frames.push(Frame { at: self.bytes.len(), what: What::Fresh(source, has_id) });
        write(&mut self.bytes);
    }

    /// Puts one frame that was sent before. Only before all that are reserved.
    pub(super) fn put_again(&mut self, id: u16, write: impl FnOnce(&mut Vec<u8>)) {
        self.frames.push(Frame { at: self.bytes.len(), what: What::Again(id) });
        self.free = self.frames.len();
        write(&mut self.bytes);
    }

    /// So many bytes were handed to the socket.
    pub(super) fn wrote(&mut self, count: usize) {
        add(&self.shared.meters.written, u64::try_from(count).unwrap_or_default());
        self.written = self.written.saturating_add(count).min(self.bytes.len());
        let begun = if self.is_empty() {
            self.frames.len()
        } else {
            self.frames.partition_point(|frame| frame.at < self.written)
        };
        let again = begun.min(self.free).saturating_sub(self.begun);
        let fresh = begun.saturating_sub(self.begun.max(self.free));
        add(&self.shared.counters.redelivered, u64::try_from(again).unwrap_or_default());
        if fresh > 0
            && let Some((grant, lease)) = &self.quota
        {
            grant.settle(lease, u64::try_from(fresh).unwrap_or_default());
        }
        self.begun = begun;
        if self.is_empty() {
            self.bytes.clear();
            self.frames.clear();
            (self.written, self.begun, self.free) = (0, 0, 0);
            // One burst of large messages must not hold memory for ever.
            self.bytes.shrink_to(4 * BATCH_BYTES);
        }
    }

    /// Removes the frames of which nothing was written and gives their quota back.
    pub(super) fn take_back(&mut self) -> TakenBack {
        let unwritten = self.frames.get(self.begun..).unwrap_or_default();
        let Some(first) = unwritten.first() else { return TakenBack::default() };
        let mut taken = TakenBack::default();
        let mut count = 0;
        for frame in unwritten {
            match frame.what {
                What::Again(id) => {
                    taken.again.push(id);
                    continue;
                }
                What::Fresh(Source::Feed(number), has_id) => {
                    taken.first.get_or_insert(number);
                    taken.ids += usize::from(has_id);
                }
                What::Fresh(Source::Retained, has_id) => {
                    taken.retained = true;
                    taken.ids += usize::from(has_id);
                }
            }
            count += 1;
        }
        if let Some((_, lease)) = &self.quota {
            lease.unreserve(count);
        }
        add(&self.shared.counters.unwritten, count);
        // Control packets come before all frames, so they stay.
        self.bytes.truncate(first.at);
        self.frames.truncate(self.begun);
        self.free = self.free.min(self.begun);
        taken
    }

    /// Whether a part of a message, and not all of it, was written. Only after [`Self::take_back`].
    pub(super) fn is_within_frame(&self) -> bool {
        !self.is_empty() && !self.frames.is_empty()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.take_back();
    }
}
