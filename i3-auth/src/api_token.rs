//! Tokens with which people's programs use the marketplace's API.

use std::sync::Arc;
use std::time::Duration;

use i3_core::id::{IdSource, TokenId, UserId};
use i3_core::name::Label;
use i3_core::store::{
    Collection, Column, Decision, DynStore, Entity, Halt, Index, Kind, Refused, Scan, StoreError,
    StoreErrorKind, StoreExt, Tx, Value,
};
use i3_core::time::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::mac::short_text;
use crate::{MasterKey, Secret};

/// Where API tokens are kept.
pub static API_TOKENS: Collection = Collection {
    name: "api_tokens",
    kind: Kind::Records,
    about: "tokens with which people's programs use the API",
    columns: &[Column::text("user"), Column::int("expires")],
    indexes: &[Index { name: "by_user", columns: &["user"] }],
};

/// Tokens that one user may have that are neither expired nor revoked.
pub const MAX_TOKENS: usize = 50;

/// The record of a token. The token itself is derived from the id, not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its id; part of the token's text.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserId,
    /// What the user calls it.
    pub label: Label,
    /// When it was issued.
    pub created: Timestamp,
    /// From when on it is not accepted any more.
    pub expires: Timestamp,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl ApiToken {
    /// Whether it is accepted at this time.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.expires
    }
}

impl Entity for ApiToken {
    type Id = TokenId;

    fn collection() -> &'static Collection {
        &API_TOKENS
    }

    fn id(&self) -> TokenId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        vec![Some(self.user.to_string().into()), Some(self.expires.micros().into())]
    }
}

/// A token that was not accepted, or not issued, or not revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiTokenError {
    /// The token is not good: unknown, forged, expired and revoked ones are not told apart. When revoking:
    /// there is no such token of this user's.
    #[error("the token is not accepted")]
    Refused,
    /// The user has [`MAX_TOKENS`] already.
    #[error("a user has at most {MAX_TOKENS} tokens: revoke one")]
    TooMany,
    /// The store failed.
    #[error("the tokens could not be looked up or changed")]
    Store(#[from] StoreError),
}

impl From<Refused<()>> for ApiTokenError {
    fn from(refused: Refused<()>) -> Self {
        match refused {
            Refused::Refusal(()) => Self::Refused,
            Refused::Conflict => {
                Self::Store(StoreError::new(StoreErrorKind::Busy, "the token keeps being changed"))
            }
            Refused::Store(error) => Self::Store(error),
        }
    }
}

/// Issues, recognizes and revokes API tokens.
///
/// A token is `i3_`, its id, `_` and the first 160 bits of HMAC-SHA256 under the master key over the label
/// `i3 api token` and the id, in lower-case base 32. A copy of the store lets nobody in, and a forged token
/// is recognized without asking the store.
///
/// A token says who the user is, nothing of the user's state or rights: ask the policy as after any login.
#[derive(Debug, Clone)]
pub struct ApiTokens {
    store: DynStore,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    master: MasterKey,
}

impl ApiTokens {
    /// The tokens in this store under this key. The store's schema has to have [`API_TOKENS`].
    pub fn new(store: DynStore, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>, master: &MasterKey) -> Self {
        Self { store, clock, ids, master: master.clone() }
    }

    /// Issues a token. Its text is given here and never again.
    ///
    /// [`MAX_TOKENS`] is checked before the token is stored: calls at the same time may pass it together.
    pub async fn issue(
        &self,
        user: UserId,
        label: Label,
        lifetime: Duration,
    ) -> Result<(ApiToken, Secret), ApiTokenError> {
        let now = self.clock.now();
        if self.list(user).await?.iter().filter(|token| token.is_good(now)).count() >= MAX_TOKENS {
            return Err(ApiTokenError::TooMany);
        }
        let issue = Issue { user, label, expires: now.plus(lifetime) };
        let token = self.store.transact(now, &*self.ids, &issue).await?;
        let text = Secret::new(format!("i3_{}_{}", token.id, self.seal(token.id).expose()));
        Ok((token, text))
    }

    /// Whose token this is.
    pub async fn authenticate(&self, text: &str) -> Result<UserId, ApiTokenError> {
        let (id, seal) = text
            .strip_prefix("i3_")
            .and_then(|rest| rest.rsplit_once('_'))
            .and_then(|(id, seal)| Some((id.parse::<TokenId>().ok()?, seal)))
            .ok_or(ApiTokenError::Refused)?;
        if !bool::from(self.seal(id).expose().as_bytes().ct_eq(seal.as_bytes())) {
            return Err(ApiTokenError::Refused);
        }
        match self.store.get::<ApiToken>(&id).await? {
            Some(token) if token.entity.is_good(self.clock.now()) => Ok(token.entity.user),
            _ => Err(ApiTokenError::Refused),
        }
    }

    /// Revokes a token of this user's. Revoking again changes nothing.
    pub async fn revoke(&self, token: TokenId, user: UserId) -> Result<ApiToken, ApiTokenError> {
        Ok(self.store.transact(self.clock.now(), &*self.ids, &Revoke { token, user }).await?)
    }

    /// All tokens that were ever issued to this user, oldest first.
    pub async fn list(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError> {
        let scan = Scan::index(&API_TOKENS, "by_user", vec![user.to_string().into()]).map_err(|error| {
            StoreError::new(StoreErrorKind::Unsupported, "tokens cannot be listed by user").with_source(error)
        })?;
        self.store.all(scan).await
    }

    fn seal(&self, id: TokenId) -> Secret {
        Secret::new(short_text(&self.master.mac("i3 api token", &[id.to_string().as_bytes()])))
    }
}

struct Issue {
    user: UserId,
    label: Label,
    expires: Timestamp,
}

impl Decision for Issue {
    type Done = ApiToken;
    type Refusal = ();

    fn decide(&self, tx: &mut Tx<'_, ()>) -> Result<ApiToken, Halt<()>> {
        let token = ApiToken {
            id: tx.fresh_id()?,
            user: self.user,
            label: self.label.clone(),
            created: tx.now(),
            expires: self.expires,
            revoked: None,
        };
        tx.create(&token)?;
        Ok(token)
    }
}

struct Revoke {
    token: TokenId,
    user: UserId,
}

impl Decision for Revoke {
    type Done = ApiToken;
    type Refusal = ();

    fn decide(&self, tx: &mut Tx<'_, ()>) -> Result<ApiToken, Halt<()>> {
        let mut token: ApiToken = tx.need(&self.token, ())?;
        // Another user's token answers as an unknown one.
        if token.user != self.user {
            return Err(Halt::Refused(()));
        }
        if token.revoked.is_none() {
            token.revoked = Some(tx.now());
            tx.replace(&token)?;
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use i3_core::id::{SequentialIds, TypedId};
    use i3_core::store::{MemoryStore, Schema};
    use i3_core::time::ManualClock;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    async fn tokens() -> (ApiTokens, Arc<ManualClock>, DynStore) {
        let store: DynStore = Arc::new(MemoryStore::new());
        store.prepare(&Schema::new(1, crate::COLLECTIONS).unwrap()).await.unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_795_296_422_000_000).unwrap()));
        let ids = Arc::new(SequentialIds::default());
        let master = MasterKey::from_bytes([7; 32]);
        (ApiTokens::new(store.clone(), clock.clone(), ids, &master), clock, store)
    }

    fn user(number: u128) -> UserId {
        UserId::from_bits(number)
    }

    fn label() -> Label {
        "laptop".parse().unwrap()
    }

    #[tokio::test]
    async fn a_token_names_its_user_until_it_expires() {
        let (tokens, clock, _) = tokens().await;
        let (record, text) = tokens.issue(user(1), label(), DAY).await.unwrap();
        assert_eq!(text.expose().len(), 3 + 30 + 1 + 32);
        assert!(text.expose().starts_with(&format!("i3_{}_", record.id)));
        assert_eq!(tokens.authenticate(text.expose()).await.unwrap(), user(1));
        clock.advance(DAY.saturating_sub(Duration::from_micros(1)));
        assert_eq!(tokens.authenticate(text.expose()).await.unwrap(), user(1));
        clock.advance(Duration::from_micros(1));
        assert!(matches!(tokens.authenticate(text.expose()).await, Err(ApiTokenError::Refused)));
    }

    #[tokio::test]
    async fn a_revoked_token_is_refused_and_revoking_again_changes_nothing() {
        let (tokens, clock, _) = tokens().await;
        let (record, text) = tokens.issue(user(1), label(), DAY).await.unwrap();
        let revoked = tokens.revoke(record.id, user(1)).await.unwrap();
        assert!(matches!(tokens.authenticate(text.expose()).await, Err(ApiTokenError::Refused)));
        clock.advance(DAY / 2);
        assert_eq!(tokens.revoke(record.id, user(1)).await.unwrap(), revoked);
        assert_eq!(tokens.list(user(1)).await.unwrap(), [revoked]);
    }

    #[tokio::test]
    async fn nobody_revokes_or_lists_anothers_token() {
        let (tokens, _, _) = tokens().await;
        let (record, text) = tokens.issue(user(1), label(), DAY).await.unwrap();
        let foreign = tokens.revoke(record.id, user(2)).await.unwrap_err();
        let unknown = tokens.revoke(TokenId::from_bits(99), user(2)).await.unwrap_err();
        assert_eq!(foreign.to_string(), unknown.to_string());
        assert!(tokens.authenticate(text.expose()).await.is_ok());
        assert_eq!(tokens.list(user(2)).await.unwrap(), []);
    }

    #[tokio::test]
    async fn forged_and_damaged_tokens_are_refused() {
        let (tokens, _, store) = tokens().await;
        let (record, text) = tokens.issue(user(1), label(), DAY).await.unwrap();
        let (second, _) = tokens.issue(user(2), label(), DAY).await.unwrap();
        let text = text.expose();
        let (head, seal) = text.rsplit_once('_').unwrap();
        let stranger = ApiTokens { master: MasterKey::from_bytes([8; 32]), ..tokens.clone() };
        assert!(stranger.authenticate(text).await.is_err(), "another key's token");
        for forged in [
            String::new(),
            "i3_".to_owned(),
            head.to_owned(),
            format!("{head}_"),
            format!("{text}a"),
            format!(" {text}"),
            text.to_uppercase(),
            format!("i3_{}_{seal}", second.id),
            format!("i3_{}_{seal}", record.user),
            seal.to_owned(),
        ] {
            let told = tokens.authenticate(&forged).await;
            assert!(matches!(told, Err(ApiTokenError::Refused)), "{forged}");
        }
        // A well-sealed token without a record, as after a restored backup.
        let unknown = TokenId::from_bits(99);
        let sealed = format!("i3_{unknown}_{}", tokens.seal(unknown).expose());
        assert!(matches!(tokens.authenticate(&sealed).await, Err(ApiTokenError::Refused)));
        let stored = store.scan(&Scan::ids(&API_TOKENS)).await.unwrap().rows;
        for row in stored {
            let i3_core::store::Row::Record { body, .. } = row else { panic!("{row:?}") };
            assert!(!body.as_str().contains(seal), "nothing secret is stored");
        }
    }

    #[tokio::test]
    async fn a_user_has_only_so_many_tokens_at_once() {
        let (tokens, clock, _) = tokens().await;
        for _ in 0..MAX_TOKENS {
            tokens.issue(user(1), label(), DAY).await.unwrap();
        }
        let told = tokens.issue(user(1), label(), DAY).await;
        assert!(matches!(told, Err(ApiTokenError::TooMany)));
        assert!(tokens.issue(user(2), label(), DAY).await.is_ok());
        clock.advance(DAY);
        assert!(tokens.issue(user(1), label(), DAY).await.is_ok(), "expired ones do not count");
    }
}
