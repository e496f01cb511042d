//! Passwords that were right a moment ago.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use i3_core::id::NoEntropy;
use i3_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::mac::mac;

/// Remembers for a short time which password fitted which hash, so that a fleet that reconnects at once is
/// not hashed at once.
///
/// Neither passwords nor plain digests of them are kept: entries are HMACs under a key that this process
/// makes and never shows. The hash (with its random salt) is part of what is remembered, so a changed
/// password is a miss at once, and an entry for one credential says nothing of another. A hit is not a
/// login: whether the credential still counts is for the caller to look up each time.
pub(crate) struct Remembered {
    key: Zeroizing<[u8; 32]>,
    lifetime: Duration,
    most: usize,
    until: HashMap<[u8; 32], Timestamp>,
    oldest_first: VecDeque<[u8; 32]>,
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").field("entries", &self.until.len()).finish_non_exhaustive()
    }
}

impl Remembered {
    /// Remembers nothing yet; later at most `most` successes for `lifetime` each. A lifetime or a number of
    /// zero remembers nothing ever.
    pub(crate) fn new(lifetime: Duration, most: usize) -> Result<Self, NoEntropy> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(|_| NoEntropy)?;
        Ok(Self { key, lifetime, most, until: HashMap::new(), oldest_first: VecDeque::new() })
    }

    /// Whether this password fitted this hash within the lifetime before `now`.
    pub(crate) fn knows(&self, hash: &str, password: &[u8], now: Timestamp) -> bool {
        self.until.get(&self.entry(hash, password)).is_some_and(|until| {
            // The second half is for a clock that was set back: no entry lives longer than its lifetime.
            now < *until && until.since(now) <= self.lifetime
        })
    }

    /// Remembers that this password fitted this hash at `now`.
    pub(crate) fn remember(&mut self, hash: &str, password: &[u8], now: Timestamp) {
        let entry = self.entry(hash, password);
        while let Some(oldest) = self.oldest_first.front() {
            let expired = self.until.get(oldest).is_none_or(|until| *until <= now);
            if !expired && (self.until.len() < self.most || self.until.contains_key(&entry)) {
                break;
            }
            self.until.remove(oldest);
            self.oldest_first.pop_front();
        }
        if self.most == 0 || self.lifetime.is_zero() {
            return;
        }
        if self.until.insert(entry, now.plus(self.lifetime)).is_none() {
            self.oldest_first.push_back(entry);
        }
    }

    fn entry(&self, hash: &str, password: &[u8]) -> [u8; 32] {
        mac(&self.key, "i3 remembered login", &[hash.as_bytes(), password])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    fn minute() -> Remembered {
        Remembered::new(Duration::from_mins(1), 3).unwrap()
    }

    #[test]
    fn a_success_is_known_until_its_lifetime_ends() {
        let mut cache = minute();
        cache.remember("hash", b"secret", at(0));
        assert!(cache.knows("hash", b"secret", at(59)));
        assert!(!cache.knows("hash", b"secret", at(60)));
        assert!(!cache.knows("hash", b"Secret", at(1)));
        assert!(!cache.knows("other hash", b"secret", at(1)), "a changed password is a miss");
        assert!(!cache.knows("has", b"hsecret", at(1)), "the cut between hash and password matters");
    }

    #[test]
    fn a_clock_set_back_does_not_lengthen_an_entry() {
        let mut cache = minute();
        cache.remember("hash", b"secret", at(1_000));
        assert!(!cache.knows("hash", b"secret", at(10)));
    }

    #[test]
    fn the_oldest_makes_room_for_the_newest() {
        let mut cache = minute();
        for (second, hash) in ["a", "b", "c", "c", "d"].iter().zip(0..).map(|(hash, second)| (second, hash)) {
            cache.remember(hash, b"secret", at(second));
            assert!(cache.until.len() <= 3);
        }
        assert!(!cache.knows("a", b"secret", at(5)));
        for hash in ["b", "c", "d"] {
            assert!(cache.knows(hash, b"secret", at(5)), "{hash}");
        }
        cache.remember("e", b"secret", at(1_000));
        assert_eq!(cache.until.len(), 1, "expired entries are swept");
    }

    #[test]
    fn a_lifetime_of_zero_remembers_nothing() {
        let mut cache = Remembered::new(Duration::ZERO, 3).unwrap();
        cache.remember("hash", b"secret", at(0));
        assert!(!cache.knows("hash", b"secret", at(0)));
        assert_eq!(cache.until.len(), 0);
    }

    #[test]
    fn nothing_of_a_password_is_in_the_debug_output() {
        let mut cache = minute();
        cache.remember("hash", b"secret", at(0));
        assert_eq!(format!("{cache:?}"), "Remembered { entries: 1, .. }");
    }
}
