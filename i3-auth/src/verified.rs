//! Signatures that were good a moment ago.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use sha2::{Digest, Sha256};

/// Signed texts that are remembered at most.
const MOST: usize = 10_000;

/// Remembers what verified texts say, so that a text that comes again costs a hash instead of a signature
/// check.
///
/// Texts are kept as digests only. A text is remembered together with whatever its verification relied on (the
/// key, whose it is): if any of that changes, it is not known. Whether it is still in time is for the caller to
/// check, each time.
pub(crate) struct VerifiedTexts<T>(RwLock<HashMap<[u8; 32], T>>);

impl<T> fmt::Debug for VerifiedTexts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedTexts").finish_non_exhaustive()
    }
}

impl<T> Default for VerifiedTexts<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T: Clone> VerifiedTexts<T> {
    /// What this text says, if it was verified under these conditions.
    pub(crate) fn recall(&self, parts: &[&[u8]]) -> Option<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&digest(parts)).cloned()
    }

    /// Remembers what a text says. When there are too many, those that are no longer `good` are forgotten, or, if
    /// all are good, all of them.
    pub(crate) fn remember(&self, parts: &[&[u8]], says: T, good: impl Fn(&T) -> bool) {
        let mut verified = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MOST {
            verified.retain(|_, says| good(says));
        }
        if verified.len() >= MOST {
            verified.clear();
        }
        verified.insert(digest(parts), says);
    }
}

#[cfg(test)]
impl<T> VerifiedTexts<T> {
    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap().len()
    }
}

/// Each part is preceded by its length, so that no two lists of parts are one.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_under_the_conditions_that_it_was_verified_under() {
        let texts = VerifiedTexts::default();
        texts.remember(&[b"key", b"text"], 7, |_| true);
        assert_eq!(texts.recall(&[b"key", b"text"]), Some(7));
        for other in [[&b"ke"[..], b"ytext"], [b"key", b"texT"], [b"kez", b"text"], [b"", b"keytext"]] {
            assert_eq!(texts.recall(&other), None);
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_good_stays_as_long_as_it_fits() {
        let texts = VerifiedTexts::default();
        for number in 0..MOST {
            texts.remember(&[&number.to_be_bytes()], number, |_| true);
        }
        texts.remember(&[b"one more"], MOST, |number| number % 2 == 0);
        assert_eq!(texts.len(), MOST / 2 + 1);
        assert_eq!(texts.recall(&[&2_usize.to_be_bytes()]), Some(2));
        assert_eq!(texts.recall(&[&3_usize.to_be_bytes()]), None);
        for number in 0..2 * MOST {
            texts.remember(&[&number.to_be_bytes()], number, |_| true);
            assert!(texts.len() <= MOST);
        }
    }
}
