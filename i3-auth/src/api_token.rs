//! Tokens with which people's programs, and their browsers, use the marketplace's API.

use std::sync::Arc;
use std::time::Duration;

use i3_core::id::{IdSource, TokenId, UserId};
use i3_core::name::Label;
use i3_core::store::{
    Collection, Column, Decision, DynStore, Entity, Halt, Index, Kind, Refused, Scan, StoreError,
    StoreErrorKind, StoreExt, Tx, Value,
};
use i3_core::time::{Clock, Timestamp};
use i3_core::user::LoginGeneration;
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

/// Where a token is kept by who uses it, and so how it may be presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenKind {
    /// A program has it, and presents it in a header.
    #[default]
    Program,
    /// A browser has it in a cookie that no page can read, and sends it with every request, whoever made the request:
    /// so what changes something needs the session's [`ApiTokens::forgery_guard`] too.
    Session,
}

impl TokenKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
    fn is_program(&self) -> bool {
        *self == Self::Program
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The record of a token. The token itself is derived from the id, not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
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
    /// The generation of the user's logins that it belongs to: it ends with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u32,
    /// How it may be presented.
    #[serde(default, skip_serializing_if = "TokenKind::is_program")]
    pub kind: TokenKind,
}

impl ApiToken {
    /// Whether it is accepted at this time, while these of the user's logins are good.
    pub fn is_good(&self, now: Timestamp, logins: &LoginGeneration) -> bool {
        self.revoked.is_none() && now < self.expires && logins.has(self.id, self.generation)
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
    /// there is no such token.
    #[error("the token is not accepted")]
    Refused,
    /// When revoking: the token is another user's. That is for who keeps records; who asks is told the same.
    #[error("the token is not accepted")]
    OfAnother,
    /// The user has [`MAX_TOKENS`] already.
    #[error("a user has at most {MAX_TOKENS} tokens: revoke one")]
    TooMany,
    /// The store failed.
    #[error("the tokens could not be looked up or changed")]
    Store(#[from] StoreError),
}

impl From<Refused<NotOwn>> for ApiTokenError {
    fn from(refused: Refused<NotOwn>) -> Self {
        match refused {
            Refused::Refusal(NotOwn::Missing) => Refused::Refusal(()).into(),
            Refused::Refusal(NotOwn::OfAnother) => Self::OfAnother,
            Refused::Conflict => Refused::<()>::Conflict.into(),
            Refused::Store(error) => Self::Store(error),
        }
    }
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
/// A token ends when it expires or is revoked, and with all others of its user when a generation of
/// [logins](LoginGeneration) ends: at a suspension, with another password, or when the user wants it. That counts at
/// once, in all processes over the store.
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
    /// The tokens in this store under this key. The store's schema has to have [`API_TOKENS`] and the marketplace's
    /// collections.
    pub fn new(store: DynStore, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>, master: &MasterKey) -> Self {
        Self { store, clock, ids, master: master.clone() }
    }

    /// Issues a token for a program. Its text is given here and never again.
    ///
    /// [`MAX_TOKENS`] is checked before the token is stored: calls at the same time may pass it together.
    pub async fn issue(
        &self,
        user: UserId,
        label: Label,
        lifetime: Duration,
    ) -> Result<(ApiToken, Secret), ApiTokenError> {
        self.issue_as(TokenKind::Program, user, label, lifetime).await
    }

    /// As [`issue`](Self::issue), for this kind of holder.
    pub async fn issue_as(
        &self,
        kind: TokenKind,
        user: UserId,
        label: Label,
        lifetime: Duration,
    ) -> Result<(ApiToken, Secret), ApiTokenError> {
        let now = self.clock.now();
        if self.good(user).await?.len() >= MAX_TOKENS {
            return Err(ApiTokenError::TooMany);
        }
        let issue = Issue { kind, user, label, expires: now.plus(lifetime) };
        let token = self.store.transact(now, &*self.ids, &issue).await?;
        let text = Secret::new(format!("i3_{}_{}", token.id, self.seal(token.id).expose()));
        Ok((token, text))
    }

    /// Whose token this is, presented by a program.
    pub async fn authenticate(&self, text: &str) -> Result<ApiToken, ApiTokenError> {
        self.authenticate_as(TokenKind::Program, text).await
    }

    /// As [`authenticate`](Self::authenticate), presented by this kind of holder: a cookie's text is no good in a
    /// header, nor the other way round.
    pub async fn authenticate_as(&self, kind: TokenKind, text: &str) -> Result<ApiToken, ApiTokenError> {
        let (id, seal) = text
            .strip_prefix("i3_")
            .and_then(|rest| rest.rsplit_once('_'))
            .and_then(|(id, seal)| Some((id.parse::<TokenId>().ok()?, seal)))
            .ok_or(ApiTokenError::Refused)?;
        if !bool::from(self.seal(id).expose().as_bytes().ct_eq(seal.as_bytes())) {
            return Err(ApiTokenError::Refused);
        }
        let token = self.store.get::<ApiToken>(&id).await?.ok_or(ApiTokenError::Refused)?.entity;
        let good = token.is_good(self.clock.now(), &self.logins(token.user).await?);
        if good && token.kind == kind { Ok(token) } else { Err(ApiTokenError::Refused) }
    }

    async fn logins(&self, user: UserId) -> Result<LoginGeneration, StoreError> {
        let held = self.store.get::<LoginGeneration>(&user).await?;
        Ok(held.map_or(LoginGeneration::first(user), |held| held.entity))
    }

    /// What a page has to send with every request of this session that changes something. No other site can know it,
    /// since no other site may read what this one answers.
    pub fn forgery_guard(&self, session: TokenId) -> Secret {
        Secret::new(short_text(&self.master.mac("i3 session guard", &[session.to_string().as_bytes()])))
    }

    /// Whether this is the session's [`forgery_guard`](Self::forgery_guard).
    pub fn is_forgery_guard(&self, session: TokenId, text: &str) -> bool {
        bool::from(self.forgery_guard(session).expose().as_bytes().ct_eq(text.as_bytes()))
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

    /// The tokens of this user that are accepted now, oldest first.
    pub async fn good(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError> {
        let (now, logins) = (self.clock.now(), self.logins(user).await?);
        let mut tokens = self.list(user).await?;
        tokens.retain(|token| token.is_good(now, &logins));
        Ok(tokens)
    }

    fn seal(&self, id: TokenId) -> Secret {
        Secret::new(short_text(&self.master.mac("i3 api token", &[id.to_string().as_bytes()])))
    }
}

struct Issue {
    kind: TokenKind,
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
            generation: tx.get::<LoginGeneration>(&self.user)?.map_or(0, |held| held.generation),
            kind: self.kind,
        };
        tx.create(&token)?;
        Ok(token)
    }
}

struct Revoke {
    token: TokenId,
    user: UserId,
}

/// Why a user has no such token.
#[derive(Debug, Clone, Copy)]
enum NotOwn {
    Missing,
    OfAnother,
}

impl Decision for Revoke {
    type Done = ApiToken;
    type Refusal = NotOwn;

    fn decide(&self, tx: &mut Tx<'_, NotOwn>) -> Result<ApiToken, Halt<NotOwn>> {
        let mut token: ApiToken = tx.need(&self.token, NotOwn::Missing)?;
        if token.user != self.user {
            return Err(Halt::Refused(NotOwn::OfAnother));
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
        let mut collections = crate::COLLECTIONS.to_vec();
        collections.push(LoginGeneration::collection());
        store.prepare(&Schema::new(1, &collections).unwrap()).await.unwrap();
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
        assert_eq!(tokens.authenticate(text.expose()).await.unwrap().user, user(1));
        clock.advance(DAY.saturating_sub(Duration::from_micros(1)));
        assert_eq!(tokens.authenticate(text.expose()).await.unwrap().user, user(1));
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
        assert!(matches!((foreign, unknown), (ApiTokenError::OfAnother, ApiTokenError::Refused)));
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

    /// What the marketplace's commands do.
    async fn begin_generation(store: &DynStore, user: UserId, generation: u32, kept: Option<TokenId>) {
        let draft = LoginGeneration { user, generation, kept }.draft().unwrap();
        let batch = i3_core::store::BatchBuilder::new();
        let batch = match store.get::<LoginGeneration>(&user).await.unwrap() {
            Some(held) => batch.replace(held.version, draft),
            None => batch.create(draft),
        };
        store.commit(&batch.build().unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn all_tokens_end_with_their_generation_but_the_one_that_the_next_one_keeps() {
        let (tokens, _, store) = tokens().await;
        let (kept, kept_text) = tokens.issue(user(1), label(), DAY).await.unwrap();
        let (_, other) = tokens.issue(user(1), label(), DAY).await.unwrap();
        let (_, stranger) = tokens.issue(user(2), label(), DAY).await.unwrap();
        for generation in [1, 2] {
            begin_generation(&store, user(1), generation, Some(kept.id)).await;
            assert!(matches!(tokens.authenticate(other.expose()).await, Err(ApiTokenError::Refused)));
            assert!(tokens.authenticate(stranger.expose()).await.is_ok());
            assert!(tokens.authenticate(kept_text.expose()).await.is_ok());
        }
        assert_eq!(tokens.good(user(1)).await.unwrap().len(), 1);
        let (_, fresh) = tokens.issue(user(1), label(), DAY).await.unwrap();
        assert!(tokens.authenticate(fresh.expose()).await.is_ok());
        begin_generation(&store, user(1), 3, None).await;
        for void in [&kept_text, &fresh] {
            assert!(tokens.authenticate(void.expose()).await.is_err(), "it was kept until then");
        }
    }

    #[tokio::test]
    async fn a_session_is_no_token_and_a_token_no_session() {
        let (tokens, _, _) = tokens().await;
        let (session, cookie) = tokens.issue_as(TokenKind::Session, user(1), label(), DAY).await.unwrap();
        let (program, header) = tokens.issue(user(1), label(), DAY).await.unwrap();
        assert!(tokens.authenticate(cookie.expose()).await.is_err());
        assert!(tokens.authenticate_as(TokenKind::Session, header.expose()).await.is_err());
        assert!(tokens.authenticate_as(TokenKind::Session, cookie.expose()).await.is_ok());
        let guard = tokens.forgery_guard(session.id);
        assert!(tokens.is_forgery_guard(session.id, guard.expose()));
        assert!(
            !tokens.is_forgery_guard(program.id, guard.expose()) && !tokens.is_forgery_guard(session.id, "")
        );
    }

    #[test]
    fn a_token_of_former_times_is_a_program_s_and_of_the_first_generation() {
        let text = "{\"id\":\"tok_01kap3n6g0000000000000000a\",\"user\":\"usr_01kap3n6g0000000000000000b\",\
                    \"label\":\"laptop\",\"created\":\"2026-11-21T21:27:02.5Z\",\
                    \"expires\":\"2026-12-21T21:27:02.5Z\"}";
        let token: ApiToken = serde_json::from_str(text).unwrap();
        assert_eq!((token.generation, token.kind), (0, TokenKind::Program));
        assert_eq!(serde_json::to_string(&token).unwrap(), text);
    }
}
