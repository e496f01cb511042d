//! Access tokens: JSON Web Tokens of the profile of RFC 9068.
//!
//! | part | rule |
//! |---|---|
//! | `alg` | `EdDSA`: the keys' own algorithm; the header never chooses one (RFC 8725, section 3.1) |
//! | `kid` | one of the server's keys that may have signed now |
//! | `typ` | `at+jwt` (RFC 9068, section 2.1), so that no other token passes as one |
//! | `crit` | refused if present (RFC 7515, section 4.1.11) |
//! | `iss`, `aud` | exactly the server's, each one string |
//! | `exp` | required, not passed |
//! | `iat` | required, before `exp` by at most [`MAX_ACCESS_LIFETIME`], not further ahead than [`MAX_SKEW`] |
//! | `nbf` | if present, not further ahead than that |
//! | `sub` | the user, or for a machine the client (RFC 9068, section 2.2) |
//! | `client_id`, `scope`, `jti` | required |
//!
//! RFC 9068, section 4 wishes for RS256 beside whatever else a server signs with. It is not offered: an RSA key cannot
//! be derived from the master key.

use std::collections::BTreeSet;
use std::sync::Arc;

use i3_core::id::{ClientId, FamilyId, UserId};
use i3_core::oauth::Scope;
use i3_core::time::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use super::keys::SigningKeys;
use super::settings::{MAX_ACCESS_LIFETIME, MAX_SKEW, Settings};
use crate::Secret;
use crate::verified::VerifiedTexts;

/// The longest access token, in bytes: room for all scopes that a client can have.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// What an access token says, if it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessToken {
    /// The family that it came of.
    pub family: FamilyId,
    /// Which client holds it.
    pub client: ClientId,
    /// For whom the client acts: who consented, or the machine's owner.
    pub user: UserId,
    /// Whether the client acts for its owner, without anybody at a browser.
    pub machine: bool,
    /// What it may do, at most: what the user may do is the policy's question all the same.
    pub scopes: BTreeSet<Scope>,
    /// When it was issued, in whole seconds.
    pub issued: Timestamp,
    /// From when on it is not good.
    pub until: Timestamp,
    /// Its number in the family.
    pub number: u32,
}

/// Why an access token is not good. A client is told `invalid_token` and no more (RFC 6750, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessTokenError {
    /// Not a signed token in compact form, too long, or a claim is missing, of the wrong type or there twice.
    #[error("the token cannot be read")]
    Malformed,
    /// It is no access token.
    #[error("the token is of another type")]
    Type,
    /// It names a critical extension.
    #[error("the token demands an extension")]
    Extension,
    /// Its `alg` is not that of the server's keys.
    #[error("the token's algorithm is not the server's")]
    Algorithm,
    /// Its `kid` is of no key that may have signed now.
    #[error("the token names no key of the server")]
    Key,
    /// That key did not make the signature.
    #[error("the token is not signed by the server")]
    Signature,
    /// It is another server's.
    #[error("the token is another server's")]
    Issuer,
    /// It is for another audience.
    #[error("the token is for another audience")]
    Audience,
    /// It is valid for too long, or ends before it begins.
    #[error("the token's lifetime is out of range")]
    Lifetime,
    /// It begins in the future.
    #[error("the token is not valid yet")]
    NotYet,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It was revoked, or its user or client was switched off.
    #[error("the token was revoked")]
    Revoked,
}

/// The claims, as they are written and read. A claim that is there twice does not deserialize, nor does an array
/// as `aud`.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    client_id: String,
    scope: String,
    iat: i64,
    exp: i64,
    jti: String,
    /// The machine's owner; only where `sub` is the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
}

/// Signs and checks access tokens.
#[derive(Debug)]
pub(super) struct AccessTokens {
    keys: SigningKeys,
    issuer: Arc<str>,
    audience: Arc<str>,
    /// By the SHA-256 of their text: a signature is checked once for each token, not once for each request.
    verified: VerifiedTexts<Arc<AccessToken>>,
}

impl AccessTokens {
    pub(super) fn new(keys: SigningKeys, settings: &Settings) -> Self {
        Self {
            keys,
            issuer: settings.issuer().into(),
            audience: settings.audience().into(),
            verified: VerifiedTexts::default(),
        }
    }

    pub(super) fn keys(&self) -> &SigningKeys {
        &self.keys
    }

    /// Signs a token. `None` if the cryptography fails.
    pub(super) fn sign(&self, token: &AccessToken) -> Option<Secret> {
        let ring = self.keys.at(token.issued)?;
        let key = ring.active(token.issued)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(key.kid.to_string());
        let subject = if token.machine { token.client.to_string() } else { token.user.to_string() };
        let claims = Claims {
            iss: self.issuer.to_string(),
            sub: subject,
            aud: self.audience.to_string(),
            client_id: token.client.to_string(),
            scope: scope_text(&token.scopes),
            iat: token.issued.seconds(),
            exp: token.until.seconds(),
            jti: format!("{}.{}", token.family, token.number),
            owner: token.machine.then(|| token.user.to_string()),
            nbf: None,
        };
        encode(&header, &claims, &key.encoding).ok().map(Secret::new)
    }

    /// What a token says, if it is good. Asks nobody: whether it was revoked is another question. A token that was
    /// verified a moment ago costs one hash.
    pub(super) fn verify(&self, text: &str, now: Timestamp) -> Result<Arc<AccessToken>, AccessTokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(AccessTokenError::Malformed);
        }
        let parts = [text.as_bytes()];
        if let Some(token) = self.verified.recall(&parts) {
            return check_times(&token, now).map(|()| token);
        }
        let token = Arc::new(self.verify_anew(text, now)?);
        self.verified.remember(&parts, token.clone(), |token| now < token.until);
        Ok(token)
    }

    pub(super) fn verify_anew(&self, text: &str, now: Timestamp) -> Result<AccessToken, AccessTokenError> {
        let header = decode_header(text).map_err(|error| match error.kind() {
            // JSON, but not a header: as a rule one with an algorithm that is not even known, such as `none`.
            ErrorKind::Json(error) if error.is_data() => AccessTokenError::Algorithm,
            _ => AccessTokenError::Malformed,
        })?;
        if header.crit.is_some() {
            return Err(AccessTokenError::Extension);
        }
        if header.alg != Algorithm::EdDSA {
            return Err(AccessTokenError::Algorithm);
        }
        // A media type: case does not matter, and `application/` may be left out (RFC 7515, section 4.1.9).
        let typ = header.typ.unwrap_or_default().to_ascii_lowercase();
        if typ.strip_prefix("application/").unwrap_or(&typ) != "at+jwt" {
            return Err(AccessTokenError::Type);
        }
        let ring = self.keys.at(now).ok_or(AccessTokenError::Key)?;
        let key = header.kid.and_then(|kid| ring.verifying(&kid, now)).ok_or(AccessTokenError::Key)?;
        // Times and names are checked below: this library would ask the machine for the time.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let claims = match decode::<Claims>(text, &key.decoding, &validation) {
            Ok(token) => token.claims,
            Err(error) => {
                return Err(match error.kind() {
                    ErrorKind::InvalidSignature => AccessTokenError::Signature,
                    _ => AccessTokenError::Malformed,
                });
            }
        };
        if claims.iss != *self.issuer {
            return Err(AccessTokenError::Issuer);
        }
        if claims.aud != *self.audience {
            return Err(AccessTokenError::Audience);
        }
        let token = read(&claims).ok_or(AccessTokenError::Malformed)?;
        if token.until <= token.issued || token.until > token.issued.plus(MAX_ACCESS_LIFETIME) {
            return Err(AccessTokenError::Lifetime);
        }
        if let Some(not_before) = claims.nbf
            && time(not_before).ok_or(AccessTokenError::Malformed)? > now.plus(MAX_SKEW)
        {
            return Err(AccessTokenError::NotYet);
        }
        check_times(&token, now)?;
        Ok(token)
    }
}

fn check_times(token: &AccessToken, now: Timestamp) -> Result<(), AccessTokenError> {
    if token.issued > now.plus(MAX_SKEW) {
        return Err(AccessTokenError::NotYet);
    }
    if now >= token.until {
        return Err(AccessTokenError::Expired);
    }
    Ok(())
}

fn read(claims: &Claims) -> Option<AccessToken> {
    let client: ClientId = claims.client_id.parse().ok()?;
    let (user, machine) = match &claims.owner {
        None => (claims.sub.parse().ok()?, false),
        Some(owner) if claims.sub == claims.client_id => (owner.parse().ok()?, true),
        Some(_) => return None,
    };
    let (family, number) = claims.jti.split_once('.')?;
    let scopes: Result<_, _> = claims.scope.split(' ').map(str::parse).collect();
    Some(AccessToken {
        family: family.parse().ok()?,
        client,
        user,
        machine,
        scopes: scopes.ok()?,
        issued: time(claims.iat)?,
        until: time(claims.exp)?,
        number: number.parse().ok()?,
    })
}

fn time(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_micros(seconds.checked_mul(1_000_000)?).ok()
}

/// Scopes as one text (RFC 6749, section 3.3).
pub(super) fn scope_text(scopes: &BTreeSet<Scope>) -> String {
    let mut text = String::new();
    for scope in scopes {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(scope.as_str());
    }
    text
}

#[cfg(test)]
mod tests;
