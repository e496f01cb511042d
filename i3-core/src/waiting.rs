//! What waits to be written, as much as fits: for who takes something down without keeping anybody waiting.
//!
//! Who answers requests [pushes](Waiting::push) and goes on; one task writes what waits, now and then. What does not fit is
//! counted, and lost: a flood neither slows an answer nor takes more memory.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A queue with room for so much. What is in it is lost when the process is killed.
#[derive(Debug)]
pub struct Waiting<T> {
    capacity: usize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// Each with how many were lost just before it.
    taken: VecDeque<(u64, T)>,
    /// Lost since the last that was taken.
    lost_since: u64,
    lost: u64,
}

impl<T> Waiting<T> {
    /// With room for so many, one at least.
    pub fn new(capacity: usize) -> Self {
        let state = State { taken: VecDeque::new(), lost_since: 0, lost: 0 };
        Self { capacity: capacity.max(1), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it, or counts it. Never waits for a store.
    pub fn push(&self, item: T) {
        let mut state = self.state();
        if state.taken.len() >= self.capacity {
            state.lost_since = state.lost_since.saturating_add(1);
            state.lost = state.lost.saturating_add(1);
            return;
        }
        let lost = std::mem::take(&mut state.lost_since);
        state.taken.push_back((lost, item));
    }

    /// Drops the oldest that wait: they were written.
    pub fn drop_first(&self, count: usize) {
        let mut state = self.state();
        let count = count.min(state.taken.len());
        state.taken.drain(..count);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.state().taken.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were lost since the last that was taken: the next one that is taken tells of them.
    pub fn untold(&self) -> u64 {
        self.state().lost_since
    }

    /// How many did not fit, ever.
    pub fn lost(&self) -> u64 {
        self.state().lost
    }
}

impl<T: Clone> Waiting<T> {
    /// The oldest that wait, at most so many, each with how many were lost just before it. They stay until they are
    /// [dropped](Self::drop_first): who writes does so from one task.
    pub fn first(&self, most: usize) -> Vec<(u64, T)> {
        self.state().taken.iter().take(most).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_told_with_the_next_that_does() {
        let queue = Waiting::new(2);
        for number in 0..5 {
            queue.push(number);
        }
        assert_eq!((queue.len(), queue.lost(), queue.untold()), (2, 3, 3));
        assert_eq!(queue.first(1), [(0, 0)]);
        queue.drop_first(1);
        queue.push(5);
        assert_eq!(queue.untold(), 0);
        assert_eq!(queue.first(9), [(0, 1), (3, 5)]);
        queue.drop_first(9);
        assert!(queue.is_empty());
        assert_eq!(queue.lost(), 3);
    }
}
