//! Trying again what another's commit or a lost connection stopped.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// How often something is tried again.
const AGAIN: u32 = 7;
/// The longest first pause; each following one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(4);

/// Counts tries, with a longer random pause before each: seven more within half a second at most.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    made: u32,
}

impl Retry {
    /// None made so far.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Waits before another try. False if there have been enough.
    pub(crate) async fn another(&mut self) -> bool {
        let Some(longest) = self.next() else { return false };
        // Hash keys are random: enough for two processes not to meet again and again.
        let random = RandomState::new().build_hasher().finish() % 1024;
        let pause = longest.saturating_mul(u32::try_from(random).unwrap_or(0)) / 1024;
        tokio::time::sleep(pause).await;
        true
    }

    /// The longest pause before the next try; none if there have been enough.
    fn next(&mut self) -> Option<Duration> {
        if self.made == AGAIN {
            return None;
        }
        let longest = FIRST_PAUSE.saturating_mul(1 << self.made);
        self.made += 1;
        Some(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_half_a_second_at_most_in_all() {
        let mut retry = Retry::new();
        let pauses: Vec<Duration> = std::iter::from_fn(|| retry.next()).collect();
        assert_eq!(pauses.len(), usize::try_from(AGAIN).unwrap());
        assert!(pauses.is_sorted_by(|one, next| one < next), "{pauses:?}");
        assert!(pauses.iter().sum::<Duration>() < Duration::from_millis(520), "{pauses:?}");
    }

    #[tokio::test]
    async fn there_are_so_many_tries_and_no_more() {
        let mut retry = Retry::new();
        let mut tries = 0;
        while retry.another().await {
            tries += 1;
        }
        assert_eq!(tries, AGAIN);
        assert!(!retry.another().await);
    }
}
