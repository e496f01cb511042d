//! What a broker shows to be believed.

use std::fmt;

use subtle::ConstantTimeEq;

/// The secret that brokers and this marketplace share. Compared in constant time, never shown.
#[derive(Clone)]
pub struct HookSecret(Box<str>);

/// A text that cannot be the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a secret for brokers: {} to {} letters, digits, `-`, `_` and `.` are expected",
    HookSecret::MIN,
    HookSecret::MAX
)]
pub struct InvalidSecret;

impl HookSecret {
    /// The shortest secret, in characters.
    pub const MIN: usize = 16;
    /// The longest secret, in characters.
    pub const MAX: usize = 256;

    /// A secret of characters that need no escaping in a path or a header.
    pub fn new(text: &str) -> Result<Self, InvalidSecret> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if plain && (Self::MIN..=Self::MAX).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidSecret)
        }
    }

    /// Whether this is the secret. Takes the same time for every text of its length.
    pub fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_and_plain_and_not_in_its_debug_output() {
        let secret = HookSecret::new("correct-horse-battery").unwrap();
        assert!(secret.is("correct-horse-battery") && !secret.is("correct-horse-batterx") && !secret.is(""));
        assert_eq!(format!("{secret:?}"), "HookSecret(…)");
        for bad in ["", "short", "correct horse battery", "correct/horse/battery", "correct-horse-bättery"] {
            assert_eq!(HookSecret::new(bad).unwrap_err(), InvalidSecret, "{bad}");
        }
        assert!(HookSecret::new(&"x".repeat(257)).is_err());
    }
}
