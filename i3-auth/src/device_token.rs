//! Tokens with which devices log in: JSON Web Tokens (RFC 7519) signed by the device's own key.
//!
//! The marketplace holds only public keys. A device signs a short-lived token and presents it as its MQTT
//! password; [`verify`] is the marketplace's half, [`issue()`] the device's.
//!
//! What makes a token good:
//!
//! | part | rule |
//! |---|---|
//! | signature | by a key that is registered for the device, with *that key's* algorithm: RS256, ES256 (RFC 7518) or `EdDSA` with Ed25519 (RFC 8037); at most [`MAX_KEYS`] keys are tried |
//! | `alg` | must equal the key's algorithm and never chooses one (RFC 8725, section 3.1) |
//! | `aud` | exactly the marketplace's audience, one string: an array is refused |
//! | `sub` | the device's authentication id |
//! | `iat` | required, whole seconds, not further ahead than the skew |
//! | `exp` | required, whole seconds, after `iat` by at most [`MAX_LIFETIME`] (and the skew), not passed by more than the skew |
//! | `nbf` | if present, not further ahead than the skew (RFC 7519, section 4.1.5) |
//! | `crit` | refused if present: no extension is understood (RFC 7515, section 4.1.11) |
//! | `kid`, `jku`, `jwk`, `x5u`, `x5c` | never looked at |
//! | all of it | at most [`MAX_TOKEN_BYTES`], none of the claims above twice |
//!
//! Not offered: a list of used tokens. A token is good until it expires for whoever has it, so connect over
//! TLS, and keep tokens short.

mod issue;
mod key;

use std::time::Duration;

use i3_core::time::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;

pub use issue::{Claims, DevicePrivateKey, IssueError, issue};
pub use key::{DevicePublicKey, KeyError, MAX_PEM_BYTES};

/// The longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// Keys that are tried at most; further ones are not looked at.
pub const MAX_KEYS: usize = 8;

/// The longest time from `iat` to `exp`.
pub const MAX_LIFETIME: Duration = Duration::from_hours(24);

/// The most that clocks may differ.
pub const MAX_SKEW: Duration = Duration::from_mins(10);

/// What a token must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect<'a> {
    /// The marketplace's audience.
    pub audience: &'a str,
    /// The device's authentication id.
    pub subject: &'a str,
    /// How much the device's clock may differ; more than [`MAX_SKEW`] is taken as that.
    pub skew: Duration,
}

/// A token that is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The place of the key that signed it.
    pub key: usize,
    /// When it ends: `exp` and the skew.
    pub until: Timestamp,
}

/// Why a token is not good. For the operator's log: a stranger is told none of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is too long")]
    TooLong,
    /// Not a signed token in compact form, or a claim is of the wrong type or there twice.
    #[error("the token cannot be read")]
    Malformed,
    /// It names a critical extension.
    #[error("the token demands an extension")]
    Extension,
    /// Its `alg` is not that of any of the keys.
    #[error("the token's algorithm is not that of a registered key")]
    Algorithm,
    /// No key of its algorithm made the signature.
    #[error("the token is not signed by a registered key")]
    Signature,
    /// A claim is missing.
    #[error("the token lacks `{0}`")]
    Missing(&'static str),
    /// It is for another audience.
    #[error("the token is for another audience")]
    Audience,
    /// It is another device's.
    #[error("the token is another device's")]
    Subject,
    /// It is valid for too long, or ends before it begins.
    #[error("the token's lifetime is not between zero and 24 hours")]
    Lifetime,
    /// It begins in the future.
    #[error("the token is not valid yet")]
    NotYet,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
}

/// Whether a password is to be taken as a token: it has the shape of a signed token in compact form (RFC
/// 7515, section 3.1), whose header begins with `{"`. A password of this shape would never be tried as one.
pub fn looks_like_token(password: &[u8]) -> bool {
    let mut parts = password.split(|byte| *byte == b'.');
    let plain = |part: Option<&[u8]>| {
        part.is_some_and(|part| {
            !part.is_empty() && part.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
    };
    password.starts_with(b"eyJ")
        && plain(parts.next())
        && plain(parts.next())
        && plain(parts.next())
        && parts.next().is_none()
}

/// Makes sure that the cryptography is the one that this crate was built with: were another version of it
/// compiled in by somebody else's choice of features, `jsonwebtoken` would panic instead of choosing.
pub(crate) fn settle_on_provider() {
    // Refused if the program chose one before: then that is the one.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// The claims that count. A claim that is there twice does not deserialize, nor does an array as `aud`.
#[derive(Deserialize)]
struct Presented {
    aud: Option<String>,
    sub: Option<String>,
    iat: Option<i64>,
    exp: Option<i64>,
    nbf: Option<i64>,
}

/// Checks a token against the keys that count for the device now. Pure: the time is a parameter.
///
/// The signature is checked before any claim is read.
pub fn verify(
    token: &str,
    keys: &[DevicePublicKey],
    expect: &Expect<'_>,
    now: Timestamp,
) -> Result<Verified, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    let header = decode_header(token).map_err(|error| match error.kind() {
        // JSON, but not a header: as a rule one with an algorithm that is not even known, such as `none`.
        ErrorKind::Json(error) if error.is_data() => TokenError::Algorithm,
        _ => TokenError::Malformed,
    })?;
    if header.crit.is_some() {
        return Err(TokenError::Extension);
    }
    let mut refusal = TokenError::Algorithm;
    for (place, key) in keys.iter().take(MAX_KEYS).enumerate() {
        if key.jws() != header.alg {
            continue;
        }
        // Times and names are checked below: this library would ask the machine for the time.
        let mut validation = Validation::new(key.jws());
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        match decode::<Presented>(token, key.decoding(), &validation) {
            Ok(token) => {
                let until = check(&token.claims, expect, now)?;
                return Ok(Verified { key: place, until });
            }
            Err(error) => match error.kind() {
                ErrorKind::InvalidSignature => refusal = TokenError::Signature,
                // The signature is no base 64; or it is good, and then the claims were read.
                _ => return Err(TokenError::Malformed),
            },
        }
    }
    Err(refusal)
}

fn check(claims: &Presented, expect: &Expect<'_>, now: Timestamp) -> Result<Timestamp, TokenError> {
    let skew = expect.skew.min(MAX_SKEW);
    let audience = claims.aud.as_deref().ok_or(TokenError::Missing("aud"))?;
    let subject = claims.sub.as_deref().ok_or(TokenError::Missing("sub"))?;
    let issued = time(claims.iat.ok_or(TokenError::Missing("iat"))?)?;
    let expires = time(claims.exp.ok_or(TokenError::Missing("exp"))?)?;
    let not_before = claims.nbf.map(time).transpose()?;
    if audience != expect.audience {
        return Err(TokenError::Audience);
    }
    if subject != expect.subject {
        return Err(TokenError::Subject);
    }
    if expires <= issued || expires > issued.plus(MAX_LIFETIME).plus(skew) {
        return Err(TokenError::Lifetime);
    }
    let ahead = now.plus(skew);
    if issued > ahead || not_before.is_some_and(|not_before| not_before > ahead) {
        return Err(TokenError::NotYet);
    }
    let until = expires.plus(skew);
    if now >= until {
        return Err(TokenError::Expired);
    }
    Ok(until)
}

fn time(seconds: i64) -> Result<Timestamp, TokenError> {
    let micros = seconds.checked_mul(1_000_000).ok_or(TokenError::Malformed)?;
    Timestamp::from_micros(micros).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests;
