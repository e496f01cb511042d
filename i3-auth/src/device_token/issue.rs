//! The device's half: signing tokens.

use std::fmt;
use std::time::Duration;

use i3_core::device::KeyAlgorithm;
use i3_core::time::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use super::key::name;
use crate::Secret;

/// What a device says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims<'a> {
    /// The marketplace's audience.
    pub audience: &'a str,
    /// The device's authentication id.
    pub subject: &'a str,
    /// The present time, as the device knows it. Written in whole seconds.
    pub issued: Timestamp,
    /// How long the token shall be good. More than [`MAX_LIFETIME`](super::MAX_LIFETIME) is not accepted.
    pub lifetime: Duration,
}

/// A device's private key. Never needed by the marketplace.
pub struct DevicePrivateKey {
    algorithm: KeyAlgorithm,
    jws: Algorithm,
    encoding: EncodingKey,
}

impl fmt::Debug for DevicePrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DevicePrivateKey({})", name(self.algorithm))
    }
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The text is no private key that a device can have.
    #[error("an RSA, P-256 or Ed25519 `PRIVATE KEY` in PEM form (PKCS #8) is expected")]
    Key,
    /// The key does not sign: it is damaged, or of a size or on a curve that is not supported.
    #[error("the token could not be signed with this key")]
    Signing,
}

impl DevicePrivateKey {
    /// The key in this PEM text (PKCS #8, RFC 5958), as `openssl genpkey` prints it. The algorithm follows
    /// from the key.
    pub fn from_pem(text: &str) -> Result<Self, IssueError> {
        super::settle_on_provider();
        let text = text.as_bytes();
        let (algorithm, jws, encoding) = if let Ok(key) = EncodingKey::from_ed_pem(text) {
            (KeyAlgorithm::EdDsa, Algorithm::EdDSA, key)
        } else if let Ok(key) = EncodingKey::from_ec_pem(text) {
            (KeyAlgorithm::Es256, Algorithm::ES256, key)
        } else {
            let key = EncodingKey::from_rsa_pem(text).map_err(|_| IssueError::Key)?;
            (KeyAlgorithm::Rs256, Algorithm::RS256, key)
        };
        Ok(Self { algorithm, jws, encoding })
    }

    /// What it signs with.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }
}

/// Signs a token for logging in as a device.
pub fn issue(claims: &Claims<'_>, key: &DevicePrivateKey) -> Result<Secret, IssueError> {
    #[derive(Serialize)]
    struct Written<'a> {
        aud: &'a str,
        sub: &'a str,
        iat: i64,
        exp: i64,
    }
    let written = Written {
        aud: claims.audience,
        sub: claims.subject,
        iat: claims.issued.seconds(),
        exp: claims.issued.plus(claims.lifetime).seconds(),
    };
    let header = Header::new(key.jws);
    encode(&header, &written, &key.encoding).map(Secret::new).map_err(|_| IssueError::Signing)
}
