//! The bytes on their way to one socket, and the quota that they hold.

use std::sync::Arc;
use std::time::Instant;

use i3_core::usage::Miss;
use tokio::sync::Notify;

use crate::history::{Fared, History, Run};
use crate::limits::Claim;
use crate::meter::{GrantHandle, Lease};
use crate::shared::Shared;
use crate::stats::add;

/// About the most bytes that are put at a time, and what an idle client's buffer may keep. What came in one read goes out
/// in one write, though each message has become a little longer.
const BATCH_BYTES: usize = 96 * 1_024;
const KEPT: usize = 16 * 1_024;

/// What a buffer for a whole batch has beyond it, since the last message begins within the batch.
const SPARE: usize = 4 * 1_024;

/// Lets a buffer grow to a whole batch where, left to itself, it would double to nearly two. It may still double for a
/// message that is longer than [`SPARE`].
fn grow(bytes: &mut Vec<u8>) {
    let (length, capacity) = (bytes.len(), bytes.capacity());
    let whole = BATCH_BYTES + SPARE;
    if capacity - length < SPARE && (whole / 2..whole).contains(&capacity) {
        bytes.reserve_exact(whole - length);
    }
}

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

/// Messages that are passed over in their turn, with numbers that follow each other and for the same reason.
#[derive(Debug)]
struct Passed {
    /// How many frames come before them.
    after: usize,
    /// Where the first of them came from.
    source: Source,
    first: u64,
    last: u64,
    why: Miss,
}

/// Frames one after the other whose messages' numbers follow each other.
#[derive(Debug)]
struct Span {
    /// The first frame.
    at: usize,
    first: u64,
    last: u64,
    /// Whether they were sent before.
    again: bool,
}

impl Span {
    /// The place after the last of the frames.
    fn end(&self) -> usize {
        let more = usize::try_from(self.last.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.at.saturating_add(more).saturating_add(1)
    }

    /// The number of the message in this frame.
    fn number(&self, frame: usize) -> u64 {
        let more = u64::try_from(frame.saturating_sub(self.at)).unwrap_or(u64::MAX);
        self.first.saturating_add(more)
    }

    /// What of it is in the frames from one to before another.
    fn within(&self, from: usize, to: usize) -> Run {
        let fared = if self.again { Fared::Again } else { Fared::Delivered };
        let last = self.number(to.saturating_sub(1)).min(self.last);
        Run::whole(fared, self.number(from), last)
    }
}

/// The most of [`Passed`] that wait for the frames before them.
const MOST_PASSED: usize = 1_024;

/// What was taken back from an [`Outbox`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TakenBack {
    /// The first message of the feed among it: its place there, and its number.
    pub(super) first: Option<(u64, u64)>,
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
    /// The same frames by the numbers of their messages.
    spans: Vec<Span>,
    /// How many of the frames, which are the first, are free.
    free: usize,
    /// How many of the frames were begun.
    begun: usize,
    /// What is passed over once the frames before it are begun: what is taken back may yet be delivered.
    passed: Vec<Passed>,
    /// Where it is taken down which messages were delivered and passed over.
    history: Option<Arc<History>>,
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
            spans: Vec::new(),
            free: 0,
            begun: 0,
            passed: Vec::new(),
            history: None,
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

    /// Where it is to be taken down which messages are delivered and passed over.
    pub(super) fn remember_in(&mut self, history: &Arc<History>) {
        if !self.history.as_ref().is_some_and(|present| Arc::ptr_eq(present, history)) {
            self.history = Some(Arc::clone(history));
        }
    }

    /// Puts one frame that was reserved, with the message of this number.
    pub(super) fn put_frame(
        &mut self,
        source: Source,
        number: u64,
        has_id: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.span(number, false);
        grow(&mut self.bytes);
        self.frames.push(Frame { at: self.bytes.len(), what: What::Fresh(source, has_id) });
        write(&mut self.bytes);
    }

    /// Puts one frame that was sent before, with the message of this number. Only before all that are reserved.
    pub(super) fn put_again(&mut self, id: u16, number: u64, write: impl FnOnce(&mut Vec<u8>)) {
        self.span(number, true);
        grow(&mut self.bytes);
        self.frames.push(Frame { at: self.bytes.len(), what: What::Again(id) });
        self.free = self.frames.len();
        write(&mut self.bytes);
    }

    /// The next frame has the message of this number.
    fn span(&mut self, number: u64, again: bool) {
        match self.spans.last_mut() {
            Some(span) if span.last.wrapping_add(1) == number && span.again == again => span.last = number,
            _ => self.spans.push(Span { at: self.frames.len(), first: number, last: number, again }),
        }
    }

    /// The number of the message in this frame.
    fn number(&self, frame: usize) -> u64 {
        let span = self.spans.get(self.spans.partition_point(|span| span.end() <= frame));
        span.map_or(0, |span| span.number(frame))
    }

    /// Passes over the message of this number, which is not to be delivered, in its turn. False if it has to wait until
    /// frames are written.
    pub(super) fn pass_over(&mut self, source: Source, number: u64, why: Miss) -> bool {
        let after = self.frames.len();
        if let Some(last) = self.passed.last_mut()
            && (last.after, last.why, last.last.wrapping_add(1)) == (after, why, number)
            && last.source != Source::Retained
        {
            last.last = number;
            return true;
        }
        if self.passed.len() >= MOST_PASSED {
            self.count_passed();
        }
        let has_room = self.passed.len() < MOST_PASSED;
        if has_room {
            self.passed.push(Passed { after, source, first: number, last: number, why });
        }
        has_room
    }

    /// Counts what was passed over before and between the frames that were begun.
    pub(super) fn count_passed(&mut self) {
        if self.passed.is_empty() {
            return;
        }
        let due = self.passed.partition_point(|passed| passed.after <= self.begun);
        if let (Some((grant, _)), Some(history)) = (&self.quota, &self.history) {
            let passed = self.passed.drain(..due);
            history.note(passed.map(|Passed { first, last, why, .. }| {
                let run = Run::whole(Fared::Missed(why), first, last);
                grant.missed(why, run.messages);
                run
            }));
        }
    }

    /// Takes down that these frames were begun.
    fn remember(&self, from: usize, to: usize) {
        let Some(history) = &self.history else { return };
        let spans =
            self.spans.get(self.spans.partition_point(|span| span.end() <= from)..).unwrap_or_default();
        let begun = spans.iter().take_while(|span| span.at < to);
        history.note(begun.map(|span| span.within(from, to)));
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
        // Before they are counted: what is known to be delivered is known by its number too.
        if begun > self.begun {
            self.remember(self.begun, begun);
        }
        add(&self.shared.counters.redelivered, u64::try_from(again).unwrap_or_default());
        if fresh > 0
            && let Some((grant, lease)) = &self.quota
        {
            grant.settle(lease, u64::try_from(fresh).unwrap_or_default());
        }
        self.begun = begun;
        self.count_passed();
        if self.is_empty() {
            self.bytes.clear();
            self.frames.clear();
            self.spans.clear();
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
        // What was passed over among them comes again as they do.
        for passed in self.passed.drain(..) {
            match passed.source {
                Source::Feed(place) => taken.first = taken.first.or(Some((place, passed.first))),
                Source::Retained => taken.retained = true,
            }
        }
        let mut count = 0;
        let mut fed = None;
        for (index, frame) in unwritten.iter().enumerate() {
            match frame.what {
                What::Again(id) => {
                    taken.again.push(id);
                    continue;
                }
                What::Fresh(Source::Feed(place), has_id) => {
                    fed.get_or_insert((place, self.begun + index));
                    taken.ids += usize::from(has_id);
                }
                What::Fresh(Source::Retained, has_id) => {
                    taken.retained = true;
                    taken.ids += usize::from(has_id);
                }
            }
            count += 1;
        }
        if let Some((place, frame)) = fed {
            let here = (place, self.number(frame));
            taken.first = Some(taken.first.map_or(here, |first| first.min(here)));
        }
        if let Some((_, lease)) = &self.quota {
            lease.unreserve(count);
        }
        add(&self.shared.counters.unwritten, count);
        // Control packets come before all frames, so they stay.
        self.bytes.truncate(first.at);
        self.frames.truncate(self.begun);
        self.spans.truncate(self.spans.partition_point(|span| span.at < self.begun));
        if let Some(last) = self.spans.last_mut() {
            last.last = last.number(self.begun.saturating_sub(1)).min(last.last);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_short_messages_has_a_buffer_of_its_size() {
        for message in [130, 1_000, 3_022, SPARE] {
            let mut bytes = Vec::new();
            while bytes.len() < BATCH_BYTES {
                grow(&mut bytes);
                bytes.extend(std::iter::repeat_n(0, message));
            }
            assert!(
                bytes.capacity() <= BATCH_BYTES + SPARE,
                "{} for messages of {message}",
                bytes.capacity()
            );
        }
    }
}
