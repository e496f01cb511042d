//! The Thing Description Directory of W3C WoT Discovery (Recommendation, 5 December 2023), without its HTTP.
//!
//! Descriptions are marketplace data: [`Directory`] sends commands, which ask the policy, and follows the outbox, so
//! what it answers is what the store says at that moment, whichever process wrote it. All descriptions are held in
//! memory; about 15 kB for one of 2 kB.

mod event;
mod graph;
mod index;
mod jsonpath;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use i3_core::access::{Action, Actor, Resource};
use i3_core::id::UserId;
use i3_core::market::{IdempotencyKey, MarketError, Marketplace, PutThing, Refusal, RemoveThing, ThingPut};
use i3_core::outbox;
use i3_core::store::{Cell, Entity, Scan, StoreError, StoreExt, limits};
use i3_core::thing::{Lifetime, Thing, ThingId, Visibility};
use serde_json::Value;

pub use event::{Event, EventKind};
pub use jsonpath::{MAX_NODES, MAX_QUERY_BYTES, SearchError};

use super::json::{self, InvalidJson};
use super::patch;
use super::registration::{self, Submitted};
use super::td::ValidationError;
use jsonpath::Search;
use state::State;

/// Why the directory says no, or cannot answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The text is no document.
    #[error(transparent)]
    Json(#[from] InvalidJson),
    /// The document is no description.
    #[error("this is no valid Thing Description")]
    Invalid(Vec<ValidationError>),
    /// The query is not answered.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The marketplace says no, or its store failed.
    #[error(transparent)]
    Market(#[from] MarketError),
}

impl From<StoreError> for DirectoryError {
    fn from(error: StoreError) -> Self {
        Self::Market(error.into())
    }
}

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewer {
    user: Option<UserId>,
    /// Whether private descriptions of everybody are seen.
    all: bool,
}

impl Viewer {
    fn sees(self, owner: UserId, visibility: Visibility) -> bool {
        visibility == Visibility::Public || self.all || self.user == Some(owner)
    }
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// The id, in the order of Unicode code points.
    #[default]
    Id,
    /// When it was registered; those of one moment by id.
    Created,
    /// When it last changed; those of one moment by id.
    Modified,
    /// The title, in the order of Unicode code points; equal ones by id.
    Title,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many are skipped.
    pub offset: usize,
    /// At most how many.
    pub limit: usize,
    /// In which order.
    pub sort_by: SortBy,
    /// The other way round.
    pub descending: bool,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The descriptions, as everybody sees them.
    pub things: Vec<Arc<Value>>,
    /// How many there are in all that the viewer sees.
    pub total: usize,
    /// Where the next part begins, if there is one.
    pub next: Option<usize>,
    /// Rises whenever what the viewer sees changes.
    pub version: u64,
}

/// How a description is registered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// Who finds it. If absent, who did before; everybody if it is new.
    pub visibility: Option<Visibility>,
    /// At which revision it is believed to be.
    pub expect: Option<u32>,
    /// The name of the request.
    pub key: Option<&'a IdempotencyKey>,
}

/// A directory over a marketplace. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    market: Marketplace,
    state: Arc<RwLock<State>>,
}

impl Directory {
    /// Reads all descriptions and what lately became of them.
    pub async fn open(market: Marketplace) -> Result<Self, DirectoryError> {
        let mut state = State::default();
        let end = end(&market).await?;
        let mut scan = Scan::ids(Thing::collection()).limit(limits::PAGE_ROWS);
        loop {
            let (things, next) = market.store().list::<Thing>(&scan).await?;
            for thing in things {
                state.load(thing);
            }
            let Some(next) = next else { break };
            scan = Scan::ids(Thing::collection())
                .limit(limits::PAGE_ROWS)
                .after(next)
                .map_err(|error| MarketError::from(Refusal::invalid("cursor", error)))?;
        }
        let recent = u64::try_from(state::LOG).unwrap_or(u64::MAX);
        state.position = end.saturating_sub(recent);
        let directory = Self { market, state: Arc::new(RwLock::new(state)) };
        directory.follow(true).await?;
        Ok(directory)
    }

    /// The same directory, asked through this handle of its marketplace: what a program may do under its
    /// [bound](i3_core::access::Bound) is no more here.
    #[must_use]
    pub fn through(&self, market: Marketplace) -> Self {
        Self { market, state: self.state.clone() }
    }

    /// Takes what happened since the last call. What is asked does so by itself.
    pub async fn catch_up(&self) -> Result<(), DirectoryError> {
        if end(&self.market).await? > self.read().position { self.follow(false).await } else { Ok(()) }
    }

    async fn follow(&self, first: bool) -> Result<(), DirectoryError> {
        // At first the state is newer than the log: only what the log told of before is known.
        let mut seen = std::collections::HashSet::new();
        loop {
            let from = self.read().position;
            let events = self.market.events(Actor::System, from, limits::PAGE_ROWS).await?;
            let full = events.len() == limits::PAGE_ROWS;
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            for event in events {
                // Another call may have taken it meanwhile.
                if event.position != state.position + 1 {
                    continue;
                }
                state.position = event.position;
                if let outbox::Event::ThingChanged(change) = event.entry.event {
                    let known = !first || !seen.insert(change.thing.clone());
                    state.apply(event.position, change, known);
                }
            }
            drop(state);
            if !full {
                return Ok(());
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this actor sees.
    pub async fn viewer(&self, actor: Actor) -> Result<Viewer, DirectoryError> {
        let user = match actor {
            Actor::User(user) => {
                let own = Resource::of_user(user);
                match self.market.authorize(actor, Action::ViewThing, &own).await {
                    Ok(()) => Some(user),
                    Err(MarketError::Refused(_)) => None,
                    Err(error) => return Err(error.into()),
                }
            }
            _ => None,
        };
        Ok(Viewer { user, all: self.market.sees_all_things(actor).await? })
    }

    /// The number of the last event.
    pub fn position(&self) -> u64 {
        self.read().position
    }

    /// Registers a description that has this id, or replaces it.
    pub async fn put(
        &self,
        actor: Actor,
        id: &ThingId,
        text: &str,
        terms: Terms<'_>,
    ) -> Result<ThingPut, DirectoryError> {
        let submitted = registration::take(json::read(text)?).map_err(DirectoryError::Invalid)?;
        self.put_submitted(actor, id, submitted, terms).await
    }

    async fn put_submitted(
        &self,
        actor: Actor,
        id: &ThingId,
        submitted: Submitted,
        terms: Terms<'_>,
    ) -> Result<ThingPut, DirectoryError> {
        let Submitted { id: own, document, lifetime } = submitted;
        if own.as_ref().is_some_and(|own| own != id) {
            let wrong = ValidationError::new("id", format_args!("`{id}` is expected, as in the address"));
            return Err(DirectoryError::Invalid(vec![wrong]));
        }
        let put = Self::command(id, own.is_none(), &document, lifetime, terms);
        let done = self.market.execute(actor, terms.key, &put).await?;
        self.catch_up().await?;
        Ok(done)
    }

    fn command(
        id: &ThingId,
        anonymous: bool,
        document: &Value,
        lifetime: Lifetime,
        terms: Terms<'_>,
    ) -> PutThing {
        PutThing {
            thing: id.clone(),
            anonymous,
            document: document.to_string(),
            visibility: terms.visibility,
            lifetime,
            expect: terms.expect,
        }
    }

    /// Registers a description without an id under a fresh one: a version 4 UUID of these random bits. One that has an
    /// id is refused: it is to be put under that.
    pub async fn create(
        &self,
        actor: Actor,
        text: &str,
        random: u128,
        terms: Terms<'_>,
    ) -> Result<ThingId, DirectoryError> {
        let submitted = registration::take(json::read(text)?).map_err(DirectoryError::Invalid)?;
        if submitted.id.is_some() {
            let wrong = ValidationError::new(
                "id",
                "a description that has an id is to be put under it: PUT /things/{id}",
            );
            return Err(DirectoryError::Invalid(vec![wrong]));
        }
        let id = ThingId::random(random);
        self.put_submitted(actor, &id, submitted, Terms { expect: Some(0), ..terms }).await?;
        Ok(id)
    }

    /// Applies a merge patch (RFC 7396) to a description as its owner could have sent it, and validates what comes of it.
    pub async fn patch(
        &self,
        actor: Actor,
        id: &ThingId,
        text: &str,
        terms: Terms<'_>,
    ) -> Result<ThingPut, DirectoryError> {
        let change = json::read(text)?;
        if !change.is_object() {
            let wrong = ValidationError::new("(root)", "an object is expected: a partial description");
            return Err(DirectoryError::Invalid(vec![wrong]));
        }
        let mut tries = 0;
        loop {
            let thing = self.market.thing(actor, id).await?;
            let mut document = registration::client_side(&thing);
            patch::merge(&mut document, &change);
            let submitted = registration::take(document).map_err(DirectoryError::Invalid)?;
            if submitted.id.as_ref() != Some(id) {
                let wrong = ValidationError::new("id", "the id of a description does not change");
                return Err(DirectoryError::Invalid(vec![wrong]));
            }
            let Submitted { mut document, lifetime, .. } = submitted;
            if let Some(members) = document.as_object_mut().filter(|_| thing.anonymous) {
                members.remove("id");
            }
            let expect = terms.expect.or(Some(thing.revision));
            let put = Self::command(id, thing.anonymous, &document, lifetime, Terms { expect, ..terms });
            match self.market.execute(actor, terms.key, &put).await {
                Ok(done) => {
                    self.catch_up().await?;
                    return Ok(done);
                }
                // Somebody else was faster.
                Err(MarketError::Refused(Refusal::Outdated { .. }))
                    if terms.expect.is_none() && tries < 5 =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Removes a description.
    pub async fn remove(&self, actor: Actor, id: &ThingId, terms: Terms<'_>) -> Result<(), DirectoryError> {
        let remove = RemoveThing { thing: id.clone(), expect: terms.expect };
        self.market.execute(actor, terms.key, &remove).await?;
        self.catch_up().await
    }

    /// Removes the descriptions whose time is over, and returns how many those were.
    pub async fn purge(&self) -> Result<usize, DirectoryError> {
        let purged = self.market.purge_things(Actor::System).await?;
        self.catch_up().await?;
        Ok(purged)
    }

    /// A description as everybody sees it, with its revision and the time of the answer.
    pub async fn get(&self, viewer: Viewer, id: &ThingId) -> Result<(Value, u32), DirectoryError> {
        self.catch_up().await?;
        let now = self.market.now();
        let state = self.read();
        let found = state.get(id).filter(|entry| viewer.sees(entry.thing.owner, entry.thing.visibility));
        let entry = found.ok_or(MarketError::Refused(Refusal::NotFound { what: "thing" }))?;
        Ok((registration::retrieved(Value::clone(entry.whole()), now), entry.thing.revision))
    }

    /// Part of the list of what somebody sees.
    pub async fn list(&self, viewer: Viewer, window: &Window) -> Result<Listing, DirectoryError> {
        self.catch_up().await?;
        Ok(self.read().list(viewer, window))
    }

    /// What a `JSONPath` query (RFC 9535) finds in what somebody sees.
    pub async fn search(&self, viewer: Viewer, query: &str) -> Result<Vec<Value>, DirectoryError> {
        let search = Search::read(query)?;
        self.catch_up().await?;
        Ok(self.read().search(viewer, &search)?)
    }

    /// What somebody is told of what happened after the event of this number, and the number up to which that is all.
    /// The last 10,000 changes are kept. With `diff` creations have the whole description and updates a merge patch.
    pub async fn events(
        &self,
        viewer: Viewer,
        after: u64,
        only: Option<EventKind>,
        diff: bool,
    ) -> Result<(Vec<Event>, u64), DirectoryError> {
        self.catch_up().await?;
        let state = self.read();
        let told = state.changes_after(after).filter_map(|change| change.told(viewer, diff));
        let told = told.filter(|event| only.is_none_or(|only| only == event.kind)).collect();
        Ok((told, state.position))
    }
}

async fn end(market: &Marketplace) -> Result<u64, StoreError> {
    let stream = outbox::stream()?;
    Ok(match market.store().read(&[stream]).await?.pop().flatten() {
        Some(Cell::Stream { position, .. }) => position,
        _ => 0,
    })
}
