//! The sequence numbers that a gate holds of one product, and when it wants more. No I/O.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use i3_core::stream::{SequenceBlock, StreamHead};

/// What a product begins with: little is skipped after a crash.
const SMALLEST: u64 = 64;
const LARGEST: u64 = StreamHead::MAX_BLOCK;

/// Blocks that last shorter than this grow, blocks that last longer than [`SLOW`] shrink.
const FAST: Duration = Duration::from_secs(2);
const SLOW: Duration = Duration::from_secs(30);

/// Numbers to hand out, lowest first.
#[derive(Debug)]
pub(super) struct Numbers {
    /// None is empty, and none begins where the one before it ends.
    held: VecDeque<SequenceBlock>,
    chunk: u64,
    asked: bool,
    filled: Option<Instant>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { held: VecDeque::new(), chunk: SMALLEST, asked: false, filled: None }
    }
}

impl Numbers {
    /// How many there are.
    pub(super) fn left(&self) -> u64 {
        self.held.iter().fold(0, |sum, block| sum.saturating_add(block.count()))
    }

    /// Whether this one is there.
    pub(super) fn has(&self, number: u64) -> bool {
        self.held.iter().any(|block| (block.first..block.end).contains(&number))
    }

    /// The numbers, in order, without taking them.
    pub(super) fn ahead(&self) -> impl Iterator<Item = u64> + use<> {
        self.held.clone().into_iter().flat_map(|block| block.first..block.end)
    }

    /// Takes up to `count` of the next numbers that have no gap between them.
    pub(super) fn take_run(&mut self, count: u64) -> Option<SequenceBlock> {
        let front = self.held.front_mut()?;
        let end = front.first.saturating_add(count).min(front.end);
        let run = SequenceBlock { first: front.first, end };
        front.first = end;
        if front.count() == 0 {
            self.held.pop_front();
        }
        Some(run)
    }

    /// How many to ask for, if it is time to and nobody does already; whoever gets an answer asks. `needed` are wanted
    /// at once.
    pub(super) fn ask(&mut self, needed: u64) -> Option<u64> {
        let left = self.left();
        if self.asked || (left >= needed && left > self.chunk / 2) {
            return None;
        }
        self.asked = true;
        Some(self.chunk.max(needed.saturating_mul(2)))
    }

    /// Whether somebody asks at the moment.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    /// What came of asking.
    pub(super) fn answered(&mut self, block: Option<SequenceBlock>, now: Instant) {
        self.asked = false;
        let Some(block) = block else { return };
        if let Some(before) = self.filled.replace(now) {
            let lasted = now.saturating_duration_since(before);
            if lasted < FAST {
                self.chunk = self.chunk.saturating_mul(2).min(LARGEST);
            } else if lasted > SLOW {
                self.chunk = (self.chunk / 2).max(SMALLEST);
            }
        }
        match self.held.back_mut() {
            Some(last) if last.end == block.first => last.end = block.end,
            _ => self.held.push_back(block),
        }
    }

    /// Holds nothing any more; the last block, which may be given back.
    pub(super) fn give_up(&mut self) -> Option<SequenceBlock> {
        self.held.drain(..).next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn block(first: u64, end: u64) -> SequenceBlock {
        SequenceBlock { first, end }
    }

    fn at(seconds: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now) + Duration::from_secs(seconds)
    }

    #[test]
    fn numbers_are_asked_for_ahead_of_need_and_once() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.ask(1), Some(64));
        assert_eq!(numbers.ask(1), None, "it is asked already");
        numbers.answered(Some(block(1, 65)), at(0));
        assert_eq!(numbers.ask(1), None, "there are enough");
        assert_eq!(numbers.take_run(32), Some(block(1, 33)));
        assert_eq!(numbers.ask(0), Some(64), "half of them are used");
        numbers.answered(None, at(0));
        assert_eq!(numbers.ask(1_000), Some(2_000), "so many are needed at once");
    }

    #[test]
    fn a_gap_between_blocks_ends_a_run() {
        let mut numbers = Numbers::default();
        numbers.answered(Some(block(1, 5)), at(0));
        numbers.answered(Some(block(5, 9)), at(0));
        numbers.answered(Some(block(20, 30)), at(0));
        assert_eq!(numbers.ahead().collect::<Vec<_>>(), (1..9).chain(20..30).collect::<Vec<_>>());
        assert_eq!((numbers.take_run(100), numbers.take_run(3)), (Some(block(1, 9)), Some(block(20, 23))));
        assert_eq!(numbers.left(), 7);
        assert_eq!(numbers.give_up(), Some(block(23, 30)));
        assert_eq!((numbers.left(), numbers.take_run(1), numbers.give_up()), (0, None, None));
    }

    #[test]
    fn blocks_grow_while_they_last_shortly_and_shrink_again() {
        let mut numbers = Numbers::default();
        for second in 0..10 {
            numbers.answered(None, at(second));
            numbers.answered(Some(block(second * 100 + 1, second * 100 + 2)), at(second));
        }
        assert_eq!(numbers.chunk, 64 << 9);
        numbers.answered(Some(block(5_000, 5_001)), at(100));
        assert_eq!(numbers.chunk, 64 << 8);
        for _ in 0..100 {
            numbers.answered(Some(block(1, 2)), at(101));
        }
        assert_eq!(numbers.chunk, LARGEST);
    }
}
