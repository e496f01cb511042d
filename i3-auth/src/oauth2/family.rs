//! What is stored of a consent and of the tokens that came of it: one record.

use std::collections::BTreeSet;
use std::time::Duration;

use i3_core::id::{ClientId, FamilyId, UserId};
use i3_core::oauth::{RedirectUri, Scope};
use i3_core::store::{Collection, Column, Entity, Index, Kind, Value};
use i3_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::settings::{MAX_ACCESS_LIFETIME, MAX_SKEW};

/// Where families are kept.
pub static FAMILIES: Collection = Collection {
    name: "oauth_families",
    kind: Kind::Records,
    about: "what somebody allowed an OAuth2 client once, with all tokens that came of it",
    columns: &[Column::text("user"), Column::text("client"), Column::int("ends"), Column::int("revoked")],
    indexes: &[
        Index { name: "by_user", columns: &["user"] },
        Index { name: "by_client", columns: &["client"] },
        Index { name: "by_end", columns: &["ends"] },
        Index { name: "by_revocation", columns: &["revoked"] },
    ],
};

/// What somebody allowed a client once, with all tokens that came of it: they are revoked together.
///
/// The authorization code and the refresh tokens are states of this one record, and derived from its id; so a code
/// is redeemed once and a refresh token is used once because a record is replaced once, on every store, and
/// however many try at the same moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// Its id; part of the texts of its code and tokens.
    pub id: FamilyId,
    /// Which client it is for.
    pub client: ClientId,
    /// For whom the client acts: who consented, or the machine's owner.
    pub user: UserId,
    /// What was allowed.
    pub scopes: BTreeSet<Scope>,
    /// What it is in.
    pub state: FamilyState,
    /// When it began.
    pub created: Timestamp,
    /// From when on nothing of it is good and the record is of no use.
    pub ends: Timestamp,
}

/// What a family is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
#[non_exhaustive]
pub enum FamilyState {
    /// A code was issued and not yet redeemed.
    Pending {
        /// From when on it is not good.
        until: Timestamp,
        /// Where it was sent to, exactly.
        redirect_uri: RedirectUri,
        /// The SHA-256 of the verifier (RFC 7636, section 4.2), in base 64.
        challenge: String,
    },
    /// There are tokens.
    Active {
        /// The number of the refresh token that is good; all smaller ones were used. Zero if there is none.
        number: u32,
        /// From when on the refresh token is not good.
        until: Timestamp,
    },
    /// None of it is good any more.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        why: Revoked,
    },
}

/// Why a family was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Revoked {
    /// The client gave it back (RFC 7009), or the user or the operator took it away.
    OnDemand,
    /// Its code was presented again (RFC 6749, section 4.1.2).
    CodeReused,
    /// Its code was presented by another client, for another address, or without the right verifier.
    CodeMisused,
    /// A used refresh token was presented again (RFC 9700, section 4.14.2).
    RefreshReused,
    /// A refresh token was presented by another client.
    RefreshMisused,
}

impl Family {
    /// The same, revoked.
    pub(super) fn revoked(&self, at: Timestamp, why: Revoked) -> Self {
        let ends = at.plus(MAX_ACCESS_LIFETIME + MAX_SKEW);
        Self { state: FamilyState::Revoked { at, why }, ends, ..self.clone() }
    }

    /// Whether tokens of it may be good.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        matches!(self.state, FamilyState::Active { .. }) && now < self.ends
    }

    /// When an access token that is issued now ends, in whole seconds.
    pub(super) fn access_until(&self, now: Timestamp, lifetime: Duration) -> Timestamp {
        now.plus(lifetime).min(self.ends)
    }
}

impl Entity for Family {
    type Id = FamilyId;

    fn collection() -> &'static Collection {
        &FAMILIES
    }

    fn id(&self) -> FamilyId {
        self.id
    }

    fn values(&self) -> Vec<Option<Value>> {
        let revoked = match self.state {
            FamilyState::Revoked { at, .. } => Some(at.micros().into()),
            _ => None,
        };
        vec![
            Some(self.user.to_string().into()),
            Some(self.client.to_string().into()),
            Some(self.ends.micros().into()),
            revoked,
        ]
    }
}
