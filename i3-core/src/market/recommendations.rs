//! What people of one's own domain used, as far as everybody may see it now. The rule is in
//! [`analytics`](crate::analytics).

use std::collections::BTreeSet;

use super::caller::memberships_of;
use super::queries::{declared, read_if};
use super::{MarketError, Marketplace, ObjectView, ProductCard, Refusal};
use crate::access::{Action, Actor, Resource};
use crate::analytics::{Interaction, Item, LeastPeople, Popularity, Ranking, Recommendation};
use crate::hub::{Hub, HubState};
use crate::id::{HubId, ProductId, UserId};
use crate::order::Order;
use crate::store::{Entity, Key, Scan, StoreExt, limits};
use crate::user::User;
use crate::virtual_object::ObjectState;

/// Things of a domain that are looked at together, and for one answer.
const TOGETHER: usize = 100;
const LOOKED_AT: usize = 2_000;

/// A thing that is recommended, with the reasons.
#[derive(Debug, Clone)]
pub struct Recommended {
    /// Why.
    pub recommendation: Recommendation,
    /// The thing, as everybody sees it.
    pub thing: RecommendedThing,
}

/// A thing as everybody sees it.
#[derive(Debug, Clone)]
pub enum RecommendedThing {
    /// A virtual object.
    Object(Box<ObjectView>),
    /// A data product.
    Product(Box<ProductCard>),
}

/// What somebody has already.
struct Had {
    user: UserId,
    hubs: BTreeSet<HubId>,
    bought: BTreeSet<ProductId>,
}

impl Marketplace {
    /// What at least so many people of the user's domain used, at most `limit` things, the best first: public objects
    /// that are not deprecated, and listed products of active hubs, as they are at this moment. Without what is the user's own
    /// or a hub's that the user is a member of, and without what the user bought, as far as that is among the user's
    /// newest [`limits::PAGE_ROWS`] orders or in the user's [history](Self::history).
    ///
    /// Looks at no more than the 2,000 things of the domain that most was done with. Refused if the user's profile names
    /// no domain.
    pub async fn recommendations(
        &self,
        actor: Actor,
        least: LeastPeople,
        limit: usize,
    ) -> Result<Vec<Recommended>, MarketError> {
        let Actor::User(user) = actor else {
            let rule = "only users work in a domain".to_owned();
            return Err(Refusal::Forbidden { action: Action::ViewUser, rule }.into());
        };
        self.authorize(actor, Action::ViewUser, &Resource::of_user(user)).await?;
        let known: User = self.entity(&user, "user").await?;
        let without = Refusal::WrongState { what: "profile", state: "without a domain" };
        let domain = known.profile.domain.ok_or(without)?;
        let had = self.had(user).await?;
        let enough = i64::try_from(least.weight()).unwrap_or(i64::MAX);
        let scan =
            declared(Scan::index(Popularity::collection(), "by_weight", vec![domain.as_str().into()]))?;
        let mut scan = declared(scan.range(Some(enough.into()), None))?.backward().limit(TOGETHER);
        let mut ranking = Ranking::new(limit);
        for _ in 0..LOOKED_AT / TOGETHER {
            let (popular, next) = self.store.list::<Popularity>(&scan).await?;
            let used = popular.iter().filter_map(|popularity| Recommendation::of(popularity, least));
            for Recommended { recommendation, thing } in self.offered(used.collect(), &had).await? {
                ranking.offer(recommendation, thing);
            }
            let settled = popular.last().is_none_or(|last| ranking.is_settled(last.people.weight()));
            match next {
                Some(next) if !settled => scan = declared(scan.after(next))?,
                _ => break,
            }
        }
        let best = ranking.into_best().into_iter();
        Ok(best.map(|(recommendation, thing)| Recommended { recommendation, thing }).collect())
    }

    /// What somebody has already.
    async fn had(&self, user: UserId) -> Result<Had, MarketError> {
        let hubs = self.store.all(memberships_of(user)?).await?;
        let hubs = hubs.into_iter().map(|membership: crate::hub::Membership| membership.hub).collect();
        let mut bought = BTreeSet::new();
        for history in self.histories(user).await? {
            if history.interaction == Interaction::Bought {
                bought.extend(history.occurrences.iter().filter_map(|known| match known.item {
                    Item::Product(product) => Some(product),
                    Item::Object(_) => None,
                }));
            }
        }
        let orders = declared(Scan::index(Order::collection(), "by_buyer", vec![user.to_string().into()]))?;
        let orders = orders.backward().limit(limits::PAGE_ROWS);
        bought.extend(self.store.list::<Order>(&orders).await?.0.into_iter().map(|order| order.product));
        Ok(Had { user, hubs, bought })
    }

    /// Those of these that everybody may have now, and that somebody has not yet.
    async fn offered(&self, used: Vec<Recommendation>, had: &Had) -> Result<Vec<Recommended>, MarketError> {
        let (mut objects, mut products) = (Vec::new(), Vec::new());
        let (mut of_objects, mut of_products) = (Vec::new(), Vec::new());
        for recommendation in used {
            match recommendation.item {
                Item::Object(object) => {
                    objects.push(object);
                    of_objects.push(recommendation);
                }
                Item::Product(product) if !had.bought.contains(&product) => {
                    products.push(product);
                    of_products.push(recommendation);
                }
                Item::Product(_) => {}
            }
        }
        let mut offered = Vec::new();
        for (recommendation, view) in of_objects.into_iter().zip(self.public_objects_of(&objects).await?) {
            let Some(view) = view else { continue };
            let object = &view.object;
            let own = object.owner == had.user || object.hub.is_some_and(|hub| had.hubs.contains(&hub));
            let bought = object.product.is_some_and(|product| had.bought.contains(&product));
            if object.state == ObjectState::Published && !own && !bought {
                offered.push(Recommended { recommendation, thing: RecommendedThing::Object(view.into()) });
            }
        }
        let cards = self.listed(&products).await?;
        let open = self.open_hubs(cards.iter().flatten().map(|card| card.product.hub).collect()).await?;
        for (recommendation, card) in of_products.into_iter().zip(cards) {
            let Some(card) = card else { continue };
            let hub = card.product.hub;
            if open.contains(&hub) && !had.hubs.contains(&hub) {
                offered.push(Recommended { recommendation, thing: RecommendedThing::Product(card.into()) });
            }
        }
        Ok(offered)
    }

    /// Those of these hubs that are active. At most [`limits::READ_KEYS`].
    async fn open_hubs(&self, hubs: BTreeSet<HubId>) -> Result<BTreeSet<HubId>, MarketError> {
        let keys: Vec<Key> = hubs.iter().map(Hub::key).collect::<Result<_, _>>()?;
        let cells = if keys.is_empty() { Vec::new() } else { self.store.read(&keys).await? };
        let mut open = BTreeSet::new();
        for (key, cell) in keys.iter().zip(cells) {
            let hub = read_if::<Hub>(key, cell)?.filter(|hub| hub.state == HubState::Active);
            open.extend(hub.map(|hub| hub.id));
        }
        Ok(open)
    }
}
