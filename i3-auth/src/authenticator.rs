//! Who connects to the gate, and who logs in as a person.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use i3_core::device::{Credential, CredentialKind, Device, DeviceState};
use i3_core::gate::{Admission, Authenticator, Login, LoginError, Principal};
use i3_core::hub::HubState;
use i3_core::id::{CredentialId, OrderId};
use i3_core::market::{MarketError, Marketplace};
use i3_core::name::{AuthId, Slug};
use i3_core::order::OrderState;
use i3_core::secret::SecretHash;
use i3_core::store::{StoreError, StoreErrorKind};
use i3_core::time::Timestamp;
use i3_core::user::{User, UserState};

use crate::broker_password::BrokerPasswords;
use crate::device_token::{DevicePublicKey, Expect, MAX_SKEW, looks_like_token, verify};
use crate::password::{Attempt, PasswordError, Passwords};
use crate::verified::VerifiedTexts;

/// Checks logins against the marketplace's records.
///
/// At the gate (as [`Authenticator`]) the user name says who wants in:
///
/// - **A device's login** (`{hub}.{device}`): the password is a [device token](crate::device_token) if it
///   [looks like one](looks_like_token), else a password. Device and hub have to be active, and the
///   credential good at this time. The connection ends when the token or the credential does.
/// - **An order's id** (`ord_…`): the password is the order's [broker password](BrokerPasswords). Order and
///   buyer have to be active. The connection ends with the order's term. What may be received is
///   the grant's question, which the gate asks.
///
/// Every other name, and everything that is not good, gets [`LoginError::Refused`] and no reason. For a
/// device's name with a password, an unknown name takes a hash as a known one does. What remains to be
/// measured from outside is the time of two more reads of the store, and of a signature check.
///
/// Guesses at passwords are limited by name and peer, see [`Passwords`]; device tokens and broker passwords
/// (160 bits) are not, since they cannot be guessed: a guess costs a read and a signature check or an HMAC.
#[derive(Debug, Clone)]
pub struct MarketAuthenticator {
    market: Marketplace,
    passwords: Arc<Passwords>,
    orders: BrokerPasswords,
    audience: Arc<str>,
    skew: Duration,
    /// Until when device tokens are good whose signature was checked: a fleet that reconnects brings the same ones.
    verified: Arc<VerifiedTexts<Timestamp>>,
}

impl MarketAuthenticator {
    /// Checks logins to this marketplace. Device tokens have to be for this audience.
    pub fn new(
        market: Marketplace,
        passwords: Arc<Passwords>,
        orders: BrokerPasswords,
        audience: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            market,
            passwords,
            orders,
            audience: audience.into(),
            skew: MAX_SKEW,
            verified: Arc::default(),
        }
    }

    /// How much a device's clock may differ: [`MAX_SKEW`] at most, and if this is not called.
    pub fn with_skew(mut self, skew: Duration) -> Self {
        self.skew = skew.min(MAX_SKEW);
        self.verified = Arc::default();
        self
    }

    /// The user of this name and password, active or not: what an inactive user may do is the policy's
    /// question. An unknown name takes as long as a known one, but for two reads of the store.
    pub async fn user(&self, name: &str, password: &[u8], peer: Option<IpAddr>) -> Result<User, LoginError> {
        Ok(self.confirm(name, password, peer).await?.0)
    }

    /// As [`user`](Self::user), with the hash that the password fits: for who is about to set another.
    pub async fn confirm(
        &self,
        name: &str,
        password: &[u8],
        peer: Option<IpAddr>,
    ) -> Result<(User, SecretHash), LoginError> {
        let name: Slug = name.parse().map_err(|_| LoginError::Refused)?;
        let (user, secret) = match self.market.login(&name).await.map_err(failed)? {
            Some((user, secret)) => (Some(user), secret),
            None => (None, None),
        };
        let hash = secret.as_ref().map(|secret| &secret.hash);
        let attempt = Attempt { name: &format!("user:{name}"), peer, password, hashes: hash.as_slice() };
        match (self.passwords.check(attempt).await.map_err(unchecked)?, user, secret) {
            (Some(_), Some(user), Some(secret)) => Ok((user, secret.hash)),
            _ => Err(LoginError::Refused),
        }
    }

    async fn order(&self, id: OrderId, password: &[u8]) -> Result<Admission, LoginError> {
        let found = self.market.order_login(id).await.map_err(failed)?;
        // Computed for an unknown order too.
        let generation = found.as_ref().map_or(0, |(order, _)| order.password_generation);
        let right = self.orders.verify(id, generation, password);
        let Some((order, buyer)) = found.filter(|_| right) else { return Err(LoginError::Refused) };
        let until = order.terms.until;
        let over = until.is_some_and(|until| until <= self.market.now());
        if order.state != OrderState::Active || buyer.state != UserState::Active || over {
            return Err(LoginError::Refused);
        }
        let principal = Principal::Order { order: id, buyer: buyer.id };
        Ok(Admission { principal, credential: None, until })
    }

    /// The device of this name if it may connect now.
    async fn active_device(&self, name: &AuthId) -> Result<Option<Device>, LoginError> {
        let found = self.market.device_login(name).await.map_err(failed)?;
        Ok(found.and_then(|(device, hub)| {
            (device.state == DeviceState::Active && hub.state == HubState::Active).then_some(device)
        }))
    }

    async fn device_by_token(&self, name: &AuthId, token: &[u8]) -> Result<Admission, LoginError> {
        let token = std::str::from_utf8(token).map_err(|_| LoginError::Refused)?;
        let device = self.active_device(name).await?.ok_or(LoginError::Refused)?;
        let now = self.market.now();
        let (credential, until) = self.signer(name, token, &device, now).ok_or(LoginError::Refused)?;
        let mut admission = admission(&device, credential);
        admission.until = Some(credential.not_after.map_or(until, |end| end.min(until)));
        Ok(admission)
    }

    /// All that a token's verification relies on, but for the time and the skew.
    fn conditions<'a>(&'a self, name: &'a AuthId, pem: &'a str, token: &'a str) -> [&'a [u8]; 4] {
        [self.audience.as_bytes(), name.as_str().as_bytes(), pem.as_bytes(), token.as_bytes()]
    }

    /// The credential whose key signed this token, and until when the token is good.
    fn signer<'d>(
        &self,
        name: &AuthId,
        token: &str,
        device: &'d Device,
        now: Timestamp,
    ) -> Option<(&'d Credential, Timestamp)> {
        let keys = || {
            good(device, now).filter_map(|credential| match &credential.kind {
                CredentialKind::PublicKey { algorithm, pem } => Some((credential, *algorithm, pem)),
                _ => None,
            })
        };
        for (credential, _, pem) in keys() {
            if let Some(until) = self.verified.recall(&self.conditions(name, pem, token)) {
                return (now < until).then_some((credential, until));
            }
        }
        // A key that cannot be read is no key. They are checked when they are registered.
        let (keys, signers): (Vec<_>, Vec<_>) = keys()
            .filter_map(|(credential, algorithm, pem)| {
                Some((DevicePublicKey::from_pem(Some(algorithm), pem).ok()?, (credential, pem)))
            })
            .unzip();
        let expect = Expect { audience: &self.audience, subject: name.as_str(), skew: self.skew };
        let verified = verify(token, &keys, &expect, now).ok()?;
        let (credential, pem) = signers.get(verified.key)?;
        self.verified.remember(&self.conditions(name, pem, token), verified.until, |until| now < *until);
        Some((credential, verified.until))
    }

    async fn device_by_password(
        &self,
        name: &AuthId,
        password: &[u8],
        peer: Option<IpAddr>,
    ) -> Result<Admission, LoginError> {
        let device = self.active_device(name).await?;
        let secrets = match &device {
            Some(device) => self.market.device_secrets(device).await.map_err(failed)?,
            None => Vec::new(),
        };
        let now = self.market.now();
        let (hashes, ids): (Vec<_>, Vec<CredentialId>) = device
            .iter()
            .flat_map(|device| good(device, now))
            .filter_map(|credential| {
                let secret = secrets.iter().find(|secret| secret.credential == credential.id)?;
                Some((&secret.hash, credential.id))
            })
            .unzip();
        let attempt = Attempt { name: &format!("device:{name}"), peer, password, hashes: &hashes };
        let place = self.passwords.check(attempt).await.map_err(unchecked)?.ok_or(LoginError::Refused)?;
        let id = ids.get(place).ok_or(LoginError::Refused)?;
        // The check may have waited seconds for its turn: what it began with may be gone.
        let device = self.active_device(name).await?.ok_or(LoginError::Refused)?;
        let credential = good(&device, self.market.now()).find(|credential| credential.id == *id);
        credential.map(|credential| admission(&device, credential)).ok_or(LoginError::Refused)
    }
}

/// The credentials that are good, newest first: so the latest ones are among those that are tried.
fn good(device: &Device, now: Timestamp) -> impl Iterator<Item = &Credential> {
    device.credentials.iter().rev().filter(move |credential| credential.is_good(now))
}

fn admission(device: &Device, credential: &Credential) -> Admission {
    Admission {
        principal: Principal::Device { device: device.id, hub: device.hub },
        credential: Some(credential.id),
        until: credential.not_after,
    }
}

fn failed(error: MarketError) -> LoginError {
    LoginError::Store(match error {
        MarketError::Store(error) => error,
        other => StoreError::new(StoreErrorKind::Unavailable, "the login could not be looked up")
            .with_source(other),
    })
}

fn unchecked(error: PasswordError) -> LoginError {
    match error {
        PasswordError::Busy | PasswordError::Failed => LoginError::Busy,
        other => LoginError::Store(
            StoreError::new(StoreErrorKind::Corrupt, "a stored password cannot be checked")
                .with_source(other),
        ),
    }
}

#[async_trait]
impl Authenticator for MarketAuthenticator {
    async fn authenticate(&self, login: Login<'_>) -> Result<Admission, LoginError> {
        let (Some(name), Some(password)) = (login.username, login.password) else {
            return Err(LoginError::Refused);
        };
        if let Ok(order) = name.parse::<OrderId>() {
            return self.order(order, password).await;
        }
        // A name that no device can have needs no uniform work: the form of names is no secret.
        let name: AuthId = name.parse().map_err(|_| LoginError::Refused)?;
        if looks_like_token(password) {
            self.device_by_token(&name, password).await
        } else {
            self.device_by_password(&name, password, login.peer).await
        }
    }
}

#[cfg(test)]
mod tests;
