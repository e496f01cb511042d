//! What is recommended, in which order, and why: the rule, without storage. `docs/recommendations.md` has it for people.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Interaction, Item, People, Popularity};
use crate::name::Slug;

/// How many different people must have done something for it to be told. Never fewer than [`LeastPeople::MIN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeastPeople(u64);

/// A number of people that names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at least {} people are expected: a smaller group names its members", LeastPeople::MIN)]
pub struct TooFewPeople;

impl LeastPeople {
    /// The smallest group that can be asked for.
    pub const MIN: u64 = 2;

    /// How many.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The least [weight](People::weight) of what can be recommended.
    pub const fn weight(self) -> u64 {
        self.0.saturating_mul(Interaction::Viewed.weight())
    }
}

impl Default for LeastPeople {
    fn default() -> Self {
        Self(5)
    }
}

impl TryFrom<u64> for LeastPeople {
    type Error = TooFewPeople;

    fn try_from(people: u64) -> Result<Self, TooFewPeople> {
        if people >= Self::MIN { Ok(Self(people)) } else { Err(TooFewPeople) }
    }
}

impl FromStr for LeastPeople {
    type Err = TooFewPeople;

    fn from_str(text: &str) -> Result<Self, TooFewPeople> {
        text.parse::<u64>().map_err(|_| TooFewPeople)?.try_into()
    }
}

impl fmt::Display for LeastPeople {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Interaction {
    /// What one person who did it adds to the weight of a thing.
    pub const fn weight(self) -> u64 {
        match self {
            Self::Discovered => 1,
            Self::Viewed => 2,
            Self::Rated => 4,
            Self::Bought => 8,
        }
    }

    /// Whether who did it has used the thing. What was merely among the answers to a question was not used.
    pub const fn is_use(self) -> bool {
        !matches!(self, Self::Discovered)
    }

    /// For people: `bought it`.
    const fn words(self) -> &'static str {
        match self {
            Self::Discovered => "found it",
            Self::Viewed => "looked at it",
            Self::Rated => "rated it",
            Self::Bought => "bought it",
        }
    }
}

impl People {
    /// What all of them add up to.
    pub fn weight(&self) -> u64 {
        let of = |interaction: Interaction| self.who(interaction).saturating_mul(interaction.weight());
        Interaction::ALL.into_iter().map(of).fold(0, u64::saturating_add)
    }
}

/// Why a thing is recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Because {
    /// What was done with it.
    pub interaction: Interaction,
    /// By how many people of the domain.
    pub people: u64,
}

/// A thing that people of a domain used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommendation {
    /// The domain.
    pub domain: Slug,
    /// The thing.
    pub item: Item,
    /// Why, the heaviest reason first.
    pub because: Vec<Because>,
    /// What the reasons add up to.
    pub weight: u64,
}

impl Recommendation {
    /// The recommendation of a thing, if enough people used it. What fewer people did is neither told nor counted, so
    /// that neither the numbers nor the order say anything of a group that is too small.
    pub fn of(popularity: &Popularity, least: LeastPeople) -> Option<Self> {
        let told = |interaction: &Interaction| popularity.people.who(*interaction) >= least.get();
        let because: Vec<Because> = Interaction::ALL
            .into_iter()
            .rev()
            .filter(told)
            .map(|interaction| Because { interaction, people: popularity.people.who(interaction) })
            .collect();
        let weight = because
            .iter()
            .map(|reason| reason.people.saturating_mul(reason.interaction.weight()))
            .fold(0, u64::saturating_add);
        because.iter().any(|reason| reason.interaction.is_use()).then(|| Self {
            domain: popularity.domain.clone(),
            item: popularity.item,
            because,
            weight,
        })
    }

    /// For people: `12 people of smart-home bought it, 30 looked at it`.
    pub fn explanation(&self) -> String {
        let mut reasons = self.because.iter();
        let Some(first) = reasons.next() else { return String::new() };
        let first = format!("{} people of {} {}", first.people, self.domain, first.interaction.words());
        reasons.fold(first, |text, Because { interaction, people }| {
            format!("{text}, {people} {}", interaction.words())
        })
    }
}

/// The best of what was offered, the best first.
#[derive(Debug)]
pub struct Ranking<T> {
    wanted: usize,
    best: Vec<(Recommendation, T)>,
}

impl<T> Ranking<T> {
    /// Of so many.
    pub const fn new(wanted: usize) -> Self {
        Self { wanted, best: Vec::new() }
    }

    /// Offers one: the heavier comes first, of equal ones that with the smaller id.
    pub fn offer(&mut self, recommendation: Recommendation, thing: T) {
        let order = |one: &Recommendation| (std::cmp::Reverse(one.weight), one.item);
        let place = self.best.partition_point(|(better, _)| order(better) < order(&recommendation));
        self.best.insert(place, (recommendation, thing));
        self.best.truncate(self.wanted);
    }

    /// Whether nothing of at most this weight can come among them any more. What is told of a thing weighs at most what
    /// [all that was done](People::weight) with it does.
    pub fn is_settled(&self, weight: u64) -> bool {
        self.best.len() >= self.wanted && self.best.last().is_none_or(|(last, _)| last.weight > weight)
    }

    /// The best.
    pub fn into_best(self) -> Vec<(Recommendation, T)> {
        self.best
    }
}
