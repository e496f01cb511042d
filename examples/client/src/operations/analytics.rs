//! What is remembered of what one did, and what is recommended because of it.

use i3_core::analytics::{AnalyticsEvent, Because, Item};
use i3_core::id::UserId;
use i3_core::name::Slug;
use serde::{Deserialize, Serialize};

use crate::operations::Thing;
use crate::request::with_query;
use crate::{Change, Client, Page, Pages, Query};

/// A thing that people of one's own domain used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recommendation {
    /// Its id.
    pub id: Item,
    /// The domain.
    pub domain: Slug,
    /// What people of the domain did with it, the weightiest first.
    pub because: Vec<Because>,
    /// The same in words.
    pub explanation: String,
    /// The thing itself.
    #[serde(flatten)]
    pub thing: Thing,
}

impl Client {
    /// What a user looked at, found, bought and rated, the latest first.
    pub fn list_user_events(&self, user: UserId) -> Pages<AnalyticsEvent> {
        self.list(format!("/users/{user}/events"))
    }

    /// Forgets what a user looked at, found, bought and rated.
    pub fn erase_user_events(&self, user: UserId) -> Change<()> {
        self.delete(format!("/users/{user}/events"))
    }

    /// What people of one's own domain used, the best first: 20 things if no limit is given.
    pub fn list_recommendations(&self, limit: Option<u16>) -> Query<Page<Recommendation>> {
        let limit = limit.map(|limit| ("limit", limit.to_string()));
        self.get(with_query("/recommendations", limit))
    }
}
