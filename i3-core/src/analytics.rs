//! What people looked at, found, bought and rated: for themselves to see, and for recommendations.
//!
//! For each person there is a [`History`] of each [`Interaction`]: the things, how often, and when last; the newest so
//! many. For each `IoT` domain there is the [`Popularity`] of each thing: how many *different people* of the domain did what
//! with it. Popularity names nobody, and is at every moment what the histories add up to: who wishes not to be
//! [observed](crate::user::Profile::unobserved), or erases the history, is not in it any more.
//!
//! None of it is a command and the audit log has none of it; it is kept beside, as [denials](crate::denial) are. What was
//! viewed and discovered comes through a [queue](ObservationQueue) that never keeps an answer waiting, and that loses what does
//! not fit. What was bought and rated comes from the [outbox](crate::outbox), which loses nothing.

mod recommend;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use recommend::{Because, LeastPeople, Ranking, Recommendation, TooFewPeople};

use crate::id::{InvalidId, ProductId, UserId, VirtualObjectId};
use crate::name::Slug;
use crate::store::{Collection, Column, Entity, Index, Kind, Value};
use crate::time::Timestamp;
use crate::waiting::Waiting;

/// Who takes down what was bought and rated, among those who follow the outbox.
pub const FOLLOWER: &str = "analytics";

/// A thing that people look at or buy. Its text is its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// A virtual object.
    Object(VirtualObjectId),
    /// A data product.
    Product(ProductId),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => object.fmt(f),
            Self::Product(product) => product.fmt(f),
        }
    }
}

impl FromStr for Item {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse().map(Self::Object).or_else(|_: InvalidId| text.parse().map(Self::Product))
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What somebody did with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Interaction {
    /// It was among the first answers to a question.
    Discovered,
    /// It was looked at by itself.
    Viewed,
    /// It was rated.
    Rated,
    /// It was bought.
    Bought,
}

impl Interaction {
    /// All of them, the lightest first.
    pub const ALL: [Self; 4] = [Self::Discovered, Self::Viewed, Self::Rated, Self::Bought];

    /// As texts have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Viewed => "viewed",
            Self::Rated => "rated",
            Self::Bought => "bought",
        }
    }
}

/// Somebody did something with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Who.
    pub user: UserId,
    /// With what.
    pub item: Item,
    /// What.
    pub interaction: Interaction,
    /// When.
    pub at: Timestamp,
}

/// What was observed and waits to be [written](crate::market::Marketplace::write_observations), as much as fits.
pub type ObservationQueue = Waiting<Observation>;

/// What somebody did with one thing, of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// With what.
    pub item: Item,
    /// The domain that the person worked in at the last time, if one was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Slug>,
    /// How often.
    pub times: u32,
    /// When last.
    pub last: Timestamp,
}

/// What a person did of one kind: the things that it was last done with, in no order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Who.
    pub user: UserId,
    /// What was done.
    pub interaction: Interaction,
    /// With what; each thing once.
    pub occurrences: Vec<Occurrence>,
}

/// What somebody did with one thing, of one kind, as it is shown to that person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct AnalyticsEvent {
    /// What was done.
    pub interaction: Interaction,
    /// With what.
    pub item: Item,
    /// The domain that the person worked in at the last time, if one was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Slug>,
    /// How often.
    pub times: u32,
    /// When last.
    pub last: Timestamp,
}

/// That a person counts for a thing in a domain from now on, or does not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// The domain.
    pub domain: Slug,
    /// The thing.
    pub item: Item,
    /// Whether the person counts now.
    pub counts: bool,
}

/// Things that leave a history at most with one that comes: one that was made shorter shrinks bit by bit.
const LEAVING: usize = 2;

impl History {
    /// The longest history, in things: so it fits in a record, and what one erases in a batch.
    pub const MAX: usize = 300;

    /// With nothing in it.
    pub const fn empty(user: UserId, interaction: Interaction) -> Self {
        Self { user, interaction, occurrences: Vec::new() }
    }

    /// Takes in that it was done with this thing then, by the person who worked in this domain; the newest `kept` things
    /// stay, at most [`History::MAX`]. Answers with what that changes in the domains.
    ///
    /// What is taken in late counts, and is not the last time; what is told of the last time again counts once.
    pub fn take(&mut self, item: Item, at: Timestamp, domain: Option<&Slug>, kept: usize) -> Vec<Shift> {
        let mut shifts = Vec::new();
        let shift = |domain: Option<&Slug>, item, counts| {
            domain.cloned().map(|domain| Shift { domain, item, counts })
        };
        if let Some(known) = self.occurrences.iter_mut().find(|known| known.item == item) {
            if known.last == at {
                return shifts;
            }
            known.times = known.times.saturating_add(1);
            if known.last < at {
                known.last = at;
                if known.domain.as_ref() != domain {
                    shifts.extend(shift(known.domain.as_ref(), item, false));
                    shifts.extend(shift(domain, item, true));
                    known.domain = domain.cloned();
                }
            }
        } else {
            self.occurrences.push(Occurrence { item, domain: domain.cloned(), times: 1, last: at });
            shifts.extend(shift(domain, item, true));
            for _ in 0..LEAVING {
                if self.occurrences.len() <= kept.clamp(1, Self::MAX) {
                    break;
                }
                let gone = self.without_oldest();
                shifts.extend(gone.and_then(|gone| shift(gone.domain.as_ref(), gone.item, false)));
            }
        }
        shifts
    }

    fn without_oldest(&mut self) -> Option<Occurrence> {
        let ages = self.occurrences.iter().enumerate();
        let (oldest, _) = ages.min_by_key(|(_, known)| (known.last, known.item))?;
        Some(self.occurrences.swap_remove(oldest))
    }

    /// What its end changes in the domains.
    pub fn erased(&self) -> Vec<Shift> {
        let of = |known: &Occurrence| {
            known.domain.clone().map(|domain| Shift { domain, item: known.item, counts: false })
        };
        self.occurrences.iter().filter_map(of).collect()
    }
}

/// Names a [`History`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryId {
    /// Who.
    pub user: UserId,
    /// What was done.
    pub interaction: Interaction,
}

impl fmt::Display for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.user, self.interaction.as_str())
    }
}

static HISTORIES: Collection = Collection {
    name: "histories",
    kind: Kind::Records,
    about: "what each person last looked at, found, bought and rated",
    columns: &[],
    indexes: &[],
};

impl Entity for History {
    type Id = HistoryId;

    fn collection() -> &'static Collection {
        &HISTORIES
    }

    fn id(&self) -> HistoryId {
        HistoryId { user: self.user, interaction: self.interaction }
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// From when on what a person does is taken into histories; where there is none, it always was. So what was done before an
/// erasure and is told late does not come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedSince {
    /// Who.
    pub user: UserId,
    /// What was done at this time or later; nothing if `None`.
    pub since: Option<Timestamp>,
}

impl ObservedSince {
    /// Whether what was done then is taken.
    pub fn takes(&self, at: Timestamp) -> bool {
        self.since.is_some_and(|since| since <= at)
    }
}

static OBSERVED_SINCE: Collection = Collection {
    name: "observed_since",
    kind: Kind::Records,
    about: "from when on what a person does is remembered, where that was ever erased",
    columns: &[],
    indexes: &[],
};

impl Entity for ObservedSince {
    type Id = UserId;

    fn collection() -> &'static Collection {
        &OBSERVED_SINCE
    }

    fn id(&self) -> UserId {
        self.user
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// How many different people did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct People {
    /// Found it among the first answers to a question.
    #[serde(skip_serializing_if = "is_zero")]
    pub discovered: u64,
    /// Looked at it.
    #[serde(skip_serializing_if = "is_zero")]
    pub viewed: u64,
    /// Rated it.
    #[serde(skip_serializing_if = "is_zero")]
    pub rated: u64,
    /// Bought it.
    #[serde(skip_serializing_if = "is_zero")]
    pub bought: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl People {
    /// How many did this.
    pub const fn who(&self, interaction: Interaction) -> u64 {
        match interaction {
            Interaction::Discovered => self.discovered,
            Interaction::Viewed => self.viewed,
            Interaction::Rated => self.rated,
            Interaction::Bought => self.bought,
        }
    }

    /// So many more, or fewer: never fewer than none.
    pub const fn add(&mut self, interaction: Interaction, more: i64) {
        let count = match interaction {
            Interaction::Discovered => &mut self.discovered,
            Interaction::Viewed => &mut self.viewed,
            Interaction::Rated => &mut self.rated,
            Interaction::Bought => &mut self.bought,
        };
        *count = count.saturating_add_signed(more);
    }

    /// Whether nobody did anything.
    pub fn is_nobody(&self) -> bool {
        *self == Self::default()
    }
}

/// How many different people of a domain did what with a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Popularity {
    /// The domain.
    pub domain: Slug,
    /// The thing.
    pub item: Item,
    /// How many.
    #[serde(flatten)]
    pub people: People,
}

impl Popularity {
    /// What these histories add up to, without what nobody did anything with.
    pub fn of<'a>(histories: impl IntoIterator<Item = &'a History>) -> BTreeMap<PopularityId, People> {
        let mut all: BTreeMap<PopularityId, People> = BTreeMap::new();
        for history in histories {
            for known in &history.occurrences {
                let Some(domain) = known.domain.clone() else { continue };
                let people = all.entry(PopularityId { domain, item: known.item }).or_default();
                people.add(history.interaction, 1);
            }
        }
        all
    }
}

/// Names a [`Popularity`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PopularityId {
    /// The domain.
    pub domain: Slug,
    /// The thing.
    pub item: Item,
}

impl fmt::Display for PopularityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.domain, self.item)
    }
}

static POPULARITY: Collection = Collection {
    name: "popularity",
    kind: Kind::Records,
    about: "how many people of a domain looked at, found, bought and rated a thing",
    columns: &[Column::text("domain"), Column::int("weight")],
    indexes: &[Index { name: "by_weight", columns: &["domain", "weight"] }],
};

impl Entity for Popularity {
    type Id = PopularityId;

    fn collection() -> &'static Collection {
        &POPULARITY
    }

    fn id(&self) -> PopularityId {
        PopularityId { domain: self.domain.clone(), item: self.item }
    }

    fn values(&self) -> Vec<Option<Value>> {
        let weight = i64::try_from(self.people.weight()).unwrap_or(i64::MAX);
        vec![Some(self.domain.as_str().into()), Some(weight.into())]
    }
}
