//! Hashes of secrets. The secrets themselves never reach this crate.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The hash of a password, as text in the PHC format. Opaque here; made and checked by `i3-auth`.
///
/// Never shown by `Debug`, and left out of fingerprints and audit entries.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash(String);

impl SecretHash {
    /// Wraps a PHC string.
    pub fn new(phc: impl Into<String>) -> Self {
        Self(phc.into())
    }

    /// The PHC string, for the one who checks passwords.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}
